"""What the use cases share: the wired parts, and how an event becomes rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import httpx

from listener import cases
from listener.cases import CASE, EVENT, Case, Event
from listener.clock import Policy
from listener.errors import UsageError
from listener.matching import Matcher
from listener.model import ClockName, NoticeKind, Person, Verdict
from listener.ports import Connector, Responder
from listener.storage import Connection, Row, outbox
from listener.storage import cases as case_rows
from listener.storage import customers as customer_rows
from listener.storage import mentions as mention_rows
from listener.storage.database import Database

log = logging.getLogger("listener")

Now = Callable[[], datetime]

THIRD_STRIKE = 3  # bad experiences: 92% of customers leave after three or fewer


class Scorer(Protocol):
    """What the use cases ask of triage."""

    def verdict(
        self, text: str, *, title: str = "", rating: float | None = None, lang: str | None = None
    ) -> Verdict: ...


class HttpMemory(Protocol):
    """What a source's requests must remember between polls, see listener.fetch."""

    poll_after: timedelta | None

    def to_json(self) -> str: ...


class Fetch(Protocol):
    """The way out to the network, see listener.fetch."""

    def client(self, memory: Any) -> httpx.Client: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A configured source. ``brand``: everything there is about it; None: only what names a brand is taken."""

    name: str
    connector: Connector
    every: timedelta
    brand: str | None = None
    policy: str | None = None
    own_accounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says about cases and people."""

    policies: Mapping[str, Policy]
    brand_policies: Mapping[str, str]  # brand -> policy name
    people: Mapping[str, Person] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    bad_experience_window: timedelta = timedelta(days=365)
    new_customer_days: int = 90
    backfill_alert: timedelta = timedelta(hours=24)
    keep_text: timedelta | None = None
    fallback: str | None = None
    fallback_after: timedelta = timedelta(minutes=10)
    public_url: str | None = None

    def call(self, names: Sequence[str], assignee: str | None) -> list[str]:
        """The people behind the names of people and groups, each once; names that nobody bears call nobody."""
        found: list[str] = []
        for name in names:
            if name == "assignee":
                found += [assignee] if assignee else []
            elif name in self.groups:
                found += self.groups[name]
            elif name in self.people:
                found.append(name)
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Core:
    """The wired parts. ``notify`` are the responders that get everything (all but the fallback)."""

    db: Database
    rules: Rules
    matcher: Matcher
    triage: Scorer
    fetch: Fetch
    memory: Callable[[str | None], Any]  # listener.fetch.SourceMemory from its JSON
    sources: Mapping[str, Source]
    responders: Mapping[str, Responder]

    @property
    def notify(self) -> list[str]:
        return [name for name in self.responders if name != self.rules.fallback]


@dataclass(frozen=True, slots=True)
class Tell:
    """A notice to queue. ``channel``: sent there too, by the responders that know it."""

    kind: NoticeKind
    text: str
    call: Sequence[str] = ()
    channel: str | None = None


@dataclass(slots=True)
class Open:
    """A case being worked on within a transaction."""

    id: int
    case: Case
    brand: str
    customer_id: int
    seq: int


def load(connection: Connection, case_id: int) -> Open:
    """The case, locked for this transaction. Raises ``UsageError`` when there is none."""
    row = case_rows.lock(connection, case_id)
    if row is None:
        raise UsageError(f"There is no case {case_id}.")
    return from_row(connection, row)


def from_row(connection: Connection, row: Row[Any]) -> Open:
    case = CASE.validate_python(row.body)
    return Open(row.id, case, row.brand, row.customer_id, case_rows.last_seq(connection, row.id))


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
    case_rows.change(connection, found.id, columns(found.case, now))
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
            call = core.rules.call(policy.third_call, found.case.assignee)
            text = f"Likely to leave: bad experience number {bad}."
            tell.append(Tell("escalation", text, call, policy.third_channel))
    queue(core, connection, f"case-{found.id}-{found.seq}", found.id, now, tell)


def columns(case: Case, now: datetime) -> dict[str, Any]:
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
        "next_alarm_at": cases.next_alarm_at(case),
        "first_response_due_at": first.due_at if first else None,
        "first_response_at": first.met_at if first else None,
        "body": CASE.dump_python(case, mode="json"),
    }


def _count(connection: Connection, found: Open, event: Event) -> bool:
    """Whether the event is one more bad experience: a confirmed complaint, a reopening, or a broken promise.

    A verdict of "complaint" confirms itself; one of "please check" is confirmed by whoever claims or answers it.
    """

    def count(kind: str, key: str, at: datetime) -> bool:
        return customer_rows.add_bad_experience(
            connection, found.customer_id, kind, f"case-{found.id}-{key}", at, case_id=found.id
        )

    match event:
        case cases.Opened(complaint="complaint") | cases.Claimed() | cases.Assigned() | cases.Responded():
            return count("complaint", "complaint", found.case.opened_at)
        case cases.Reopened():
            return count("reopening", f"cycle-{found.case.cycle}", event.at)
        case cases.PromiseEnded(kept=False):
            return count("promise", f"promise-{event.promised_until.isoformat()}", event.at)
        case cases.Dismissed():
            customer_rows.take_back_bad_experiences(connection, found.id, event.at)
            mention_rows.add_label(
                connection, found.case.mention_ids, "not_complaint", event.why, event.actor, event.at
            )
        case cases.Resolved(reason=str() as reason):
            mention_rows.add_label(
                connection, found.case.mention_ids, f"reason:{reason}", event.note, event.actor, event.at
            )
    return False


def queue(
    core: Core,
    connection: Connection,
    key: str,
    case_id: int | None,
    now: datetime,
    tell: Sequence[Tell],
    *,
    responders: Sequence[str] | None = None,
) -> None:
    """Put one delivery for each responder into the outbox, in the caller's transaction."""
    rows = []
    for number, item in enumerate(tell):
        for responder in core.notify if responders is None else responders:
            channels: list[str | None] = [None]
            if item.channel and item.channel in getattr(core.responders[responder], "channels", {}):
                channels.append(item.channel)
            rows += [
                {
                    "key": ":".join(filter(None, [f"{key}-{number}", responder, channel])),
                    "responder": responder,
                    "case_id": case_id,
                    "channel": channel,
                    "kind": item.kind,
                    "text": item.text,
                    "call": list(item.call),
                    "state": "pending",
                    "created_at": now,
                    "next_attempt_at": now,
                }
                for channel in channels
            ]
    outbox.add(connection, rows)


def verdict_columns(verdict: Verdict) -> dict[str, Any]:
    """A mention's columns that hold its verdict."""
    return {
        "lang": verdict.lang,
        "compound": verdict.compound,
        "probability": verdict.probability,
        "complaint": verdict.complaint,
        "reason": verdict.reason,
        "severity": verdict.severity,
        "why": [asdict(w) for w in verdict.why],
    }
