"""When a case needs a look, and what sounds then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from listener.cases.case import Case, Clock
from listener.cases.events import Alarmed, Event, PromiseEnded, Released
from listener.clock import Policy, Step, alarm_points
from listener.model import State


@dataclass(frozen=True, slots=True)
class Alarm:
    """A point on a running clock that must make someone look."""

    clock: Clock
    step: Step
    due_at: datetime


def alarms(case: Case) -> list[Alarm]:
    """The points of all running clocks that are not recorded yet, the soonest first."""
    if not case.open:
        return []
    policy = Policy.from_json(case.policy)
    recorded = set(case.alarmed)
    found = [
        Alarm(clock, point.step, point.due_at)
        for clock in case.clocks
        if clock.running
        for point in alarm_points(policy, clock.name, clock.since, clock.target, left=clock.left)
        if (clock.key, point.step.key) not in recorded
    ]
    return sorted(found, key=lambda alarm: (alarm.due_at, alarm.step.key))


def lapses_at(case: Case) -> datetime | None:
    """When the claim ends because no answer has followed it; None where it does not."""
    policy = Policy.from_json(case.policy)
    if case.state != State.CLAIMED or case.claimed_at is None or policy.ack_timeout is None:
        return None
    return policy.calendar.add(case.claimed_at, policy.ack_timeout)


def next_alarm_at(case: Case) -> datetime | None:
    """When the case next needs a look: an alarm point, the end of a promise, or of a claim without an answer."""
    times = [a.due_at for a in alarms(case)]
    if case.open and case.promised_until is not None:
        times.append(case.promised_until)
    if (lapses := lapses_at(case)) is not None:
        times.append(lapses)
    return min(times, default=None)


def sound(case: Case, now: datetime) -> tuple[list[Event], list[Alarm]]:
    """What is due at ``now``: the events to record, and of each clock the one alarm to send.

    After a downtime several points of a clock are due at once: each is recorded with its true time, the last one
    is sent and the ones before it are skipped. A reminder says that nobody is on the case, so a claim silences
    it; a snooze silences reminders and warnings. A claim that no answer has followed in time is released.
    """
    due = [a for a in alarms(case) if a.due_at <= now]
    snoozed = case.snoozed_until is not None and now < case.snoozed_until
    last = {a.clock.key: a for a in due}  # sorted: the latest point of each clock wins
    sent = [
        a
        for a in last.values()
        if not (a.step.kind == "reminder" and case.assignee is not None)
        and not (snoozed and a.step.kind in ("reminder", "warning"))
    ]
    events: list[Event] = [
        Alarmed(
            at=now,
            clock=a.clock.key,
            step=a.step.key,
            step_kind=a.step.kind,
            due_at=a.due_at,
            skipped=a not in sent,
        )
        for a in due
    ]
    if case.open and case.promised_until is not None and case.promised_until <= now:
        events.append(PromiseEnded(at=now, kept=False, promised_until=case.promised_until))
    if (lapses := lapses_at(case)) is not None and lapses <= now:
        events.append(Released(at=now, cause="timeout"))
    return events, sent
