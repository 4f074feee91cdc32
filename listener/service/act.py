"""What people do to a case: each action is one transaction, recorded with who did it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from listener import cases
from listener.cases import Case, Event
from listener.clock import Policy, duration_text, span
from listener.errors import Refused, UsageError
from listener.model import ClockName, NoticeKind
from listener.service.core import Core, Tell
from listener.service.record import Open, load, record, survivor
from listener.storage import Connection, outbox
from listener.storage import cases as case_rows
from listener.storage import customers as customer_rows
from listener.storage import mentions as mention_rows
from listener.storage import sources as source_rows

OUTCOMES = ("refunded", "replaced", "repaired", "explained", "apologised", "other")


def claim(core: Core, case_id: int, who: str, now: datetime) -> None:
    """Take the case. Raises ``Refused`` when somebody else has it or it is closed."""
    _act(core, case_id, lambda c: cases.claim(c, who, now), now, f"{who} is on it.")


def assign(core: Core, case_id: int, who: str, to: str, now: datetime) -> None:
    """Hand the case to somebody of the team. Raises ``UsageError`` for somebody unknown."""
    if core.rules.people and to not in core.rules.people:
        raise UsageError(f"Nobody is called {to!r}. Known: {', '.join(sorted(core.rules.people))}.")
    _act(core, case_id, lambda c: cases.assign(c, who, to, now), now, f"{who} gave it to {to}.", call=[to])


def release(core: Core, case_id: int, who: str, now: datetime) -> None:
    _act(core, case_id, lambda c: cases.release(c, who, now), now, f"{who} let it go; nobody is on it.")


def respond(
    core: Core, case_id: int, who: str, url: str, now: datetime, *, promise_minutes: int | None = None
) -> None:
    """The public answer stands at ``url``; ``promise_minutes`` is the waiting time that it told, if any."""
    told = f" It told {span(timedelta(minutes=promise_minutes))}." if promise_minutes else ""
    _act(
        core,
        case_id,
        lambda c: cases.respond(c, who, url, now, promise_minutes=promise_minutes),
        now,
        f"{who} answered in public.{told}",
    )


def wait(core: Core, case_id: int, who: str, now: datetime) -> None:
    _act(core, case_id, lambda c: cases.wait(c, who, now), now, f"{who} waits for the customer.")


def resume(core: Core, case_id: int, who: str, now: datetime) -> None:
    _act(core, case_id, lambda c: cases.resume(c, who, now), now, f"{who} goes on with it.")


def snooze(core: Core, case_id: int, who: str, until: datetime, now: datetime) -> None:
    text = f"{who} muted the reminders for {duration_text(until - now)}."
    _act(core, case_id, lambda c: cases.snooze(c, who, until, now), now, text)


def note(core: Core, case_id: int, who: str, text: str, now: datetime) -> None:
    _act(core, case_id, lambda c: cases.note(c, who, text, now), now, f"{who} notes: {text.strip()[:500]}")


def resolve(
    core: Core,
    case_id: int,
    who: str,
    outcome: str,
    now: datetime,
    *,
    note: str = "",
    reason: str | None = None,
) -> None:
    """The customer has been helped. Raises ``Refused`` before there was an answer."""
    _act(
        core,
        case_id,
        lambda c: cases.resolve(c, who, outcome, now, note=note, reason=reason),
        now,
        f"{who} resolved it: {outcome.strip()}.",
        kind="closed",
    )


def dismiss(core: Core, case_id: int, who: str, why: str, now: datetime) -> None:
    """Not a complaint: the case closes and its bad experience is taken back."""
    text = f"{who} says it is not a complaint: {why.strip()[:500]}"
    _act(core, case_id, lambda c: cases.dismiss(c, who, why, now), now, text, kind="closed")


def reopen(core: Core, case_id: int, who: str, why: str, now: datetime) -> None:
    """Open a closed case again, in a new cycle with new clocks."""
    with core.db.write() as connection:
        found = load(connection, case_id)
        if found.case.merged_into is not None:
            there = survivor(connection, found).id
            raise Refused(f"Case {case_id} was merged into case {there}: go on there.")
        policy = Policy.from_json(found.case.policy)
        since = now - core.rules.bad_experience_window
        before = customer_rows.count_bad_experiences(connection, found.customer_id, since)
        events = cases.reopen(
            found.case,
            now,
            starts_at=now,
            first_response_target=policy.target(ClockName.FIRST_RESPONSE, before + 1),
            who=who,
            why=why,
        )
        record(
            core, connection, found, events, now, [Tell("reopened", f"{who} opened it again: {why.strip()}")]
        )


def merge(core: Core, case_id: int, who: str, into: int, now: datetime) -> None:
    """Both are one incident: case ``case_id`` closes, its mentions go to ``into``, and the earlier due times stay.

    A customer who had both is counted once. Raises ``Refused`` when one of them is closed or was merged itself.
    """
    with core.db.write() as connection:
        # In the order of their numbers, so that two people who merge them both ways don't wait for each other.
        locked = {number: load(connection, number) for number in sorted({case_id, into})}
        found, other = locked[case_id], locked[into]
        if other.case.merged_into is not None:
            there = survivor(connection, other).id
            raise Refused(f"Case {into} was merged into case {there}: merge it into that one.")
        lost, gained = cases.merge(found.case, other.case, who, now, number=case_id, into=into)
        mentions = len(found.case.mention_ids)
        mention_rows.move(connection, case_id, into)
        if found.customer_id == other.customer_id:
            _count_once(connection, found, other, now)
        url = core.rules.case_url(into)
        text = f"{who} merged it into case {into}, where it goes on{f': {url}' if url else '.'}"
        record(core, connection, found, lost, now, [Tell("closed", text)])
        due = other.case.due_at
        after = functools.reduce(cases.apply, gained, other.case)
        text = f"{who} merged case {case_id} into it, with {mentions} mention{'s' if mentions != 1 else ''}."
        if after.due_at and (due is None or after.due_at < due):
            text += " It is due sooner now."
        call = core.rules.call(["assignee"], after.assignee) if after.assignee != who else []
        record(core, connection, other, gained, now, [Tell("changed", text, call)])


def _count_once(connection: Connection, found: Open, other: Open, now: datetime) -> None:
    """One incident of one customer is one bad experience; it is kept at the case that goes on."""
    if customer_rows.take_back_bad_experiences(connection, [found.id], now, kind="complaint"):
        opened = min(found.case.opened_at, other.case.opened_at)
        customer_rows.add_bad_experience(
            connection, other.customer_id, "complaint", f"case-{other.id}-complaint", opened, case_id=other.id
        )


def reapply_policies(core: Core, who: str, now: datetime) -> int:
    """Give the open cases their policy as the configuration has it now; how many changed."""
    changed = 0
    with core.db.read() as connection:
        ids = case_rows.open_ids(connection)
    for case_id in ids:
        with core.db.write() as connection:
            found = load(connection, case_id)
            policy = core.rules.policies.get(str(found.case.policy["name"]))
            if policy is None or policy.to_json() == found.case.policy or not found.case.open:
                continue
            event = cases.PolicyReapplied(at=now, actor=who, policy=policy.to_json())
            record(core, connection, found, [event], now, [Tell("changed", "The policy was applied anew.")])
            changed += 1
    return changed


# ---- customers, sources, deliveries -------------------------------------------------------------------------


def edit_customer(core: Core, customer_id: int, **values: object) -> None:
    """Set ``name``, ``since``, ``tier`` or ``note`` of a customer."""
    with core.db.write() as connection:
        if not customer_rows.edit(connection, customer_id, **values):
            raise UsageError(f"There is no customer {customer_id}.")


def set_source_state(core: Core, name: str, state: str, now: datetime) -> None:
    """``paused``, or ``active`` (which polls it at once and forgets its errors).

    Raises ``UsageError`` when there is no such source, ``Refused`` when the configuration pauses it.
    """
    with core.db.write() as connection:
        if _source_state(connection, name) == "off":
            raise Refused(f"The configuration pauses {name}: take `paused = true` away there.")
        source_rows.set_state(connection, name, state, now)


def poll_soon(core: Core, name: str, now: datetime) -> None:
    """Let an active source be polled at the next chance. Errors as in ``set_source_state``."""
    with core.db.write() as connection:
        state = _source_state(connection, name)
        if state != "active":
            raise Refused(f"Source {name} is {state}: resume it, which polls it too.")
        source_rows.make_due(connection, name, now)


def _source_state(connection: Connection, name: str) -> str:
    row = source_rows.get(connection, name)
    if row is None:
        raise UsageError(f"There is no source {name!r}.")
    return str(row.state)


def retry_parked(core: Core, now: datetime) -> int:
    """Queue every parked delivery once more; how many."""
    with core.db.write() as connection:
        return outbox.retry_parked(connection, now)


def _act(
    core: Core,
    case_id: int,
    command: Callable[[Case], Sequence[Event]],
    now: datetime,
    text: str,
    *,
    kind: NoticeKind = "changed",
    call: Sequence[str] = (),
) -> None:
    with core.db.write() as connection:
        found = load(connection, case_id)
        record(core, connection, found, command(found.case), now, [Tell(kind, text, call)])
