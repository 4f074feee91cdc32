"""What people and customers do: each command returns the events that follow, or refuses and says why."""

from __future__ import annotations

from datetime import datetime, timedelta

from listener.cases.case import Case
from listener.cases.events import (
    Assigned,
    Claimed,
    Dismissed,
    Event,
    Merged,
    MergedFrom,
    Noted,
    PromiseEnded,
    Released,
    Reopened,
    Resolved,
    Responded,
    Resumed,
    Running,
    Snoozed,
    Waited,
)
from listener.errors import Refused, UsageError
from listener.model import ClockName, State


def claim(case: Case, who: str, now: datetime) -> list[Event]:
    """Take the case. Nothing happens when it is theirs already; refused when somebody else has it."""
    _must_be_open(case, "claimed")
    if case.assignee == who:
        return []
    if case.assignee is not None:
        raise Refused(f"{case.assignee} has this case already.")
    return [Claimed(at=now, actor=who)]


def assign(case: Case, who: str, to: str, now: datetime) -> list[Event]:
    """Hand the case to somebody, whoever has it."""
    _must_be_open(case, "handed over")
    return [] if case.assignee == to else [Assigned(at=now, actor=who, to=to)]


def release(case: Case, who: str, now: datetime) -> list[Event]:
    _must_be_open(case, "released")
    return [] if case.assignee is None else [Released(at=now, actor=who)]


def respond(
    case: Case, who: str, url: str, now: datetime, *, promise_minutes: int | None = None
) -> list[Event]:
    """An answer stands in public at ``url``. It stops the response clocks and ends a pause.

    An earlier promise is judged first: this answer keeps it when it comes in time.
    """
    _must_be_open(case, "answered")
    url = url.strip()
    if (
        not url.lower().startswith(("http://", "https://"))
        or any(c.isspace() for c in url)
        or len(url) > 2000
    ):
        raise UsageError("Give the link of the public answer, beginning with https:// (or http://).")
    if promise_minutes is not None and not 0 < promise_minutes <= 60 * 24 * 90:
        raise UsageError("A promised waiting time is between 1 minute and 90 days.")
    if case.state == State.RESPONDED and case.answer_url == url and case.promise_minutes == promise_minutes:
        return []
    return [
        *_promise_ended(case, now),
        Responded(at=now, actor=who, url=url, answered_at=now, promise_minutes=promise_minutes),
    ]


def wait(case: Case, who: str, now: datetime) -> list[Event]:
    """The customer has to say something next. It never stops the first-response clock."""
    _must_be_open(case, "set to waiting")
    if case.state == State.WAITING:
        return []
    if any(c.running and c.name != ClockName.RESOLUTION for c in case.clocks):
        raise Refused(
            "Answer the customer first: waiting pauses the resolution clock, never a response clock."
        )
    return [Waited(at=now, actor=who)]


def resume(case: Case, who: str, now: datetime) -> list[Event]:
    _must_be_open(case, "resumed")
    return [Resumed(at=now, actor=who)] if case.state == State.WAITING else []


def snooze(case: Case, who: str, until: datetime, now: datetime) -> list[Event]:
    """Mute reminders and warnings until then; breaches and escalations still sound and no clock stops."""
    _must_be_open(case, "snoozed")
    if not now < until <= now + timedelta(days=7):
        raise UsageError("Snooze until a time within the next 7 days.")
    return [Snoozed(at=now, actor=who, until=until)]


def note(case: Case, who: str, text: str, now: datetime) -> list[Event]:
    if not text.strip():
        raise UsageError("The note is empty.")
    return [Noted(at=now, actor=who, text=text.strip()[:10_000])]


def resolve(
    case: Case, who: str, outcome: str, now: datetime, *, note: str = "", reason: str | None = None
) -> list[Event]:
    """The customer has been helped. Refused before there was any answer: write down where it was given."""
    _must_be_open(case, "resolved")
    if not outcome.strip():
        raise UsageError("Say how it ended, for example: refunded, replaced, explained.")
    if case.answered_at is None:
        raise Refused("Nobody has answered this customer yet. Record the answer first, with its link.")
    return [
        *_promise_ended(case, now),
        Resolved(
            at=now,
            actor=who,
            outcome=outcome.strip()[:500],
            note=note.strip()[:10_000],
            reason=reason or None,
        ),
    ]


def dismiss(case: Case, who: str, why: str, now: datetime) -> list[Event]:
    """Not a complaint. The reason is asked for, because it teaches the next verdict."""
    _must_be_open(case, "dismissed")
    if not why.strip():
        raise UsageError("Say why it is not a complaint; the answer teaches Listener.")
    return [Dismissed(at=now, actor=who, why=why.strip()[:2000])]


def reopen(
    case: Case,
    now: datetime,
    *,
    starts_at: datetime,
    first_response_target: timedelta,
    who: str | None = None,
    mention_id: int | None = None,
    why: str = "",
) -> list[Event]:
    """Start a new cycle of a closed case, because a person says so or the customer came back."""
    if case.open:
        raise Refused("This case is open.")
    _must_not_be_merged(case)
    if mention_id is None and not why.strip():
        raise UsageError("Say why the case is opened again.")
    return [
        Reopened(
            at=now,
            actor=who,
            starts_at=starts_at,
            first_response_target=first_response_target,
            mention_id=mention_id,
            why=why.strip()[:2000],
        )
    ]


def merge(
    case: Case, other: Case, who: str, now: datetime, *, number: int, into: int
) -> tuple[list[Event], list[Event]]:
    """Case ``number`` is one incident with the ``other``, which is case ``into``: the events of both.

    The other gets the mentions, the earlier due times, and who was on it, where nobody is on the other.
    Refused unless both are open.
    """
    if number == into:
        raise UsageError("A case can't be merged into itself.")
    _must_be_open(case, "merged")
    if other.state == State.MERGED:
        raise Refused(f"Case {into} was merged into case {other.merged_into}: merge it into that one.")
    if not other.open:
        raise Refused(f"Case {into} is closed ({other.outcome}). Reopen it first, then merge.")
    running = [
        Running(
            name=c.name, started_at=c.started_at, target=c.target, since=c.since, left=c.left, due_at=c.due_at
        )
        for c in case.clocks
        if c.running and c.due_at
    ]
    gained: list[Event] = [
        MergedFrom(
            at=now,
            actor=who,
            cases=(number, *case.merged_from),
            mention_ids=case.mention_ids,
            clocks=tuple(running),
            promise_minutes=case.promise_minutes if case.promised_until else None,
            promised_until=case.promised_until,
        )
    ]
    if other.assignee is None and case.assignee is not None:
        gained.append(Assigned(at=now, actor=who, to=case.assignee))
    return [Merged(at=now, actor=who, into=into)], gained


def _must_not_be_merged(case: Case) -> None:
    if case.state == State.MERGED:
        raise Refused(f"This case was merged into case {case.merged_into}: go on there.")


def _must_be_open(case: Case, done: str) -> None:
    _must_not_be_merged(case)
    if not case.open:
        raise Refused(f"The case is closed ({case.outcome}); it can't be {done}. Reopen it first.")


def _promise_ended(case: Case, now: datetime) -> list[Event]:
    if case.promised_until is None:
        return []
    return [PromiseEnded(at=now, kept=now <= case.promised_until, promised_until=case.promised_until)]
