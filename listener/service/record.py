"""How an event of a case becomes rows: the event, what the case has become, and what that brings with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from listener import cases
from listener.cases import CASE, EVENT, Case, Event
from listener.clock import Policy
from listener.errors import UsageError
from listener.model import ClockName
from listener.service import duty
from listener.service.core import Core, Tell, queue
from listener.service.storm import hush
from listener.storage import Connection, Row
from listener.storage import cases as case_rows
from listener.storage import customers as customer_rows
from listener.storage import mentions as mention_rows

THIRD_STRIKE = 3  # bad experiences: 92% of customers leave after three or fewer


@dataclass(slots=True)
class Open:
    """A case being worked on within a transaction."""

    id: int
    case: Case
    brand: str
    customer_id: int
    seq: int
    storm_id: int | None = None


def load(connection: Connection, case_id: int) -> Open:
    """The case, locked for this transaction. Raises ``UsageError`` when there is none."""
    row = case_rows.lock(connection, case_id)
    if row is None:
        raise UsageError(f"There is no case {case_id}.")
    return from_row(connection, row)


def from_row(connection: Connection, row: Row[Any]) -> Open:
    case = CASE.validate_python(row.body)
    return Open(
        row.id, case, row.brand, row.customer_id, case_rows.last_seq(connection, row.id), row.storm_id
    )


def survivor(connection: Connection, found: Open) -> Open:
    """The case in which this one goes on, however often it was merged; itself when it never was."""
    while found.case.merged_into is not None:
        found = load(connection, found.case.merged_into)
    return found


def record(
    core: Core,
    connection: Connection,
    found: Open,
    events: Sequence[Event],
    now: datetime,
    tell: Sequence[Tell] = (),
) -> None:
    """Append the events, store what the case has become, count bad experiences, and queue what is to be told."""
    if not events:
        return
    stored = []
    for event in events:
        found.case = cases.apply(found.case, event)
        found.seq += 1
        stored.append(
            case_rows.StoredEvent(
                found.seq,
                found.case.cycle,
                event.at,
                event.kind,
                event.actor,
                EVENT.dump_python(event, mode="json"),
            )
        )
    case_rows.append(connection, found.id, stored)
    case_rows.change(connection, found.id, columns(core, found.case, now))
    follow_up(core, connection, found, events, now, tell)


def follow_up(
    core: Core,
    connection: Connection,
    found: Open,
    events: Sequence[Event],
    now: datetime,
    tell: Sequence[Tell],
) -> None:
    """What recorded events bring with them: bad experiences, labels, deliveries, the call at the third strike."""
    tell = list(tell)
    counted = [_count(connection, found, event) for event in events]
    if any(counted):
        since = now - core.rules.bad_experience_window
        bad = customer_rows.count_bad_experiences(connection, found.customer_id, since)
        if bad >= THIRD_STRIKE:
            policy = Policy.from_json(found.case.policy)
            call = duty.people(core, policy.third_call, found.case, now)
            text = f"Likely to leave: bad experience number {bad}."
            tell.append(Tell("escalation", text, call, policy.third_channel))
    tell = hush(found, tell)
    queue(core, connection, f"case-{found.id}-{found.seq}", found.id, now, tell, storm=found.storm_id)


def columns(core: Core, case: Case, now: datetime) -> dict[str, Any]:
    """The case's columns: what lists, alarms and figures ask for without reading the body."""
    first = case.clock(ClockName.FIRST_RESPONSE)
    return {
        "state": case.state.value,
        "cycle": case.cycle,
        "reason": case.reason,
        "severity": case.severity,
        "complaint": case.complaint,
        "assignee": case.assignee,
        "changed_at": now,
        "closed_at": case.closed_at,
        "due_at": case.due_at,
        "next_alarm_at": duty.look_at(core, case, now),
        "first_response_due_at": first.due_at if first else None,
        "first_response_at": first.met_at if first else None,
        "body": CASE.dump_python(case, mode="json"),
    }


def _count(connection: Connection, found: Open, event: Event) -> bool:
    """Whether the event is one more bad experience: a confirmed complaint, a reopening, or a broken promise.

    A verdict of "complaint" confirms itself; one of "please check" is confirmed by whoever claims or answers it,
    or by the customer who goes on to complain.
    """

    def count(kind: str, key: str, at: datetime) -> bool:
        return customer_rows.add_bad_experience(
            connection, found.customer_id, kind, f"case-{found.id}-{key}", at, case_id=found.id
        )

    match event:
        case cases.Opened(complaint="complaint") | cases.Claimed() | cases.Assigned() | cases.Responded():
            return count("complaint", "complaint", found.case.opened_at)
        case cases.Joined(complaint=True):
            return count("complaint", "complaint", found.case.opened_at)
        case cases.Reopened():
            return count("reopening", f"cycle-{found.case.cycle}", event.at)
        case cases.PromiseEnded(kept=False):
            return count("promise", f"promise-{event.promised_until.isoformat()}", event.promised_until)
        case cases.Dismissed():
            whole = (found.id, *found.case.merged_from)  # one incident, perhaps of several customers
            customer_rows.take_back_bad_experiences(connection, whole, event.at)
            mention_rows.add_label(
                connection, found.case.mention_ids, "not_complaint", event.why, event.actor, event.at
            )
        case cases.Resolved(reason=str() as reason):
            mention_rows.add_label(
                connection, found.case.mention_ids, f"reason:{reason}", event.note, event.actor, event.at
            )
    return False
