"""What the events amount to: the case, its clocks, and ``apply``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from listener.cases.events import (
    Alarmed,
    Assigned,
    Called,
    Claimed,
    Dismissed,
    Event,
    Joined,
    MentionChanged,
    Merged,
    MergedFrom,
    Noted,
    Opened,
    PolicyReapplied,
    PromiseEnded,
    Recovered,
    Released,
    Reopened,
    Resolved,
    Responded,
    Resumed,
    Running,
    Snoozed,
    Verified,
    Waited,
)
from listener.clock import Policy
from listener.model import OPEN_STATES, ClockName, ComplaintLabel, Severity, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """One clock of the present cycle. ``left`` is the working time left at ``since``; ``due_at`` follows from it."""

    key: str  # the clock's name; a second next-response run in one cycle is "next_response/2"
    name: ClockName
    started_at: datetime
    target: timedelta
    since: datetime
    left: timedelta
    due_at: datetime | None  # None: paused
    met_at: datetime | None = None

    @property
    def running(self) -> bool:
        return self.met_at is None and self.due_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the events amount to."""

    # Its JSON form is worked out at the first use: most runs from cron find nothing new and touch no case.
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(defer_build=True)

    state: State
    cycle: int
    opened_at: datetime
    policy: dict[str, object]
    reason: str
    severity: Severity
    complaint: ComplaintLabel
    clocks: tuple[Clock, ...]
    mention_ids: tuple[int, ...]
    alarmed: tuple[tuple[str, str], ...] = ()  # (clock key, step key) recorded in this cycle
    assignee: str | None = None
    claimed_at: datetime | None = None  # or when the customer wrote again to who has it
    called: str | None = None  # who was asked to take it, since nobody has it
    let_go_by: str | None = None  # who had it last
    answer_url: str | None = None
    answered_at: datetime | None = None
    verified: bool = False
    promise_minutes: int | None = None
    promised_until: datetime | None = None  # None once it is known whether it was kept
    snoozed_until: datetime | None = None
    outcome: str | None = None
    closed_at: datetime | None = None
    merged_into: int | None = None
    merged_from: tuple[int, ...] = ()

    @property
    def open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def awaits_call(self) -> bool:
        """Nobody is on it, and nobody has been asked."""
        return self.state == State.OPEN and self.called is None

    def clock(self, name: ClockName) -> Clock | None:
        """The latest clock of that name in this cycle."""
        return next((c for c in reversed(self.clocks) if c.name == name), None)

    @property
    def due_at(self) -> datetime | None:
        """When the first running clock is due."""
        return min((c.due_at for c in self.clocks if c.running and c.due_at), default=None)


CASE: TypeAdapter[Case] = TypeAdapter(Case)


def apply(case: Case | None, event: Event) -> Case:
    """The case after the event. Raises ``ValueError`` when a first event is not ``Opened``."""
    if isinstance(event, Opened):
        return Case(
            state=State.OPEN,
            cycle=1,
            opened_at=event.at,
            policy=event.policy,
            reason=event.reason,
            severity=event.severity,
            complaint=event.complaint,
            clocks=_new_clocks(event.policy, event.starts_at, event.first_response_target),
            mention_ids=(event.mention_id,),
        )
    if case is None:
        raise ValueError(f"a case begins with Opened, not {event.kind}")
    match event:
        case Joined():
            return _joined(case, event)
        case Called():
            return replace(case, called=event.person)
        case Claimed():
            return _taken(case, event.actor, event.at)
        case Assigned():
            return _taken(case, event.to, event.at)
        case Released():
            state = State.OPEN if case.state == State.CLAIMED else case.state
            return replace(
                case, state=state, assignee=None, claimed_at=None, called=None, let_go_by=case.assignee
            )
        case Responded():
            return _responded(case, event)
        case Verified():
            met = _meet(case, (ClockName.FIRST_RESPONSE, ClockName.NEXT_RESPONSE), event.answered_at)
            state = State.RESPONDED if met.state in (State.OPEN, State.CLAIMED) else met.state
            url = event.url or case.answer_url
            return replace(met, state=state, verified=True, answer_url=url, answered_at=event.answered_at)
        case Waited():
            return replace(_pause(case, event.at), state=State.WAITING)
        case Resumed():
            return replace(_resume(case, event.at), state=_back_to_work(case))
        case Snoozed():
            return replace(case, snoozed_until=event.until)
        case Resolved():
            closed = _meet(case, tuple(ClockName), event.at)
            return replace(
                closed,
                state=State.RESOLVED,
                outcome=event.outcome,
                reason=event.reason or case.reason,
                closed_at=event.at,
                snoozed_until=None,
            )
        case Dismissed():
            return _ended(case, State.DISMISSED, "not a complaint", event.at)
        case Merged():
            ended = _ended(case, State.MERGED, f"merged into case {event.into}", event.at)
            return replace(ended, merged_into=event.into, mention_ids=())
        case MergedFrom():
            return _merged_from(case, event)
        case Reopened():
            mentions = case.mention_ids
            if event.mention_id is not None:
                mentions = (*mentions, event.mention_id)
            return replace(
                case,
                state=State.OPEN,
                cycle=case.cycle + 1,
                clocks=_new_clocks(case.policy, event.starts_at, event.first_response_target),
                mention_ids=mentions,
                alarmed=(),
                assignee=None,
                claimed_at=None,
                called=None,
                let_go_by=None,
                answer_url=None,
                answered_at=None,
                verified=False,
                promise_minutes=None,
                promised_until=None,
                snoozed_until=None,
                outcome=None,
                closed_at=None,
            )
        case Alarmed():
            return replace(case, alarmed=(*case.alarmed, (event.clock, event.step)))
        case PromiseEnded():
            return replace(case, promised_until=None)
        case PolicyReapplied():
            return _reapplied(case, event)
        case Noted() | MentionChanged() | Recovered():
            return case


def replay(events: Sequence[Event]) -> Case:
    """The case that the events amount to. Raises ``ValueError`` for an empty or wrong history."""
    case: Case | None = None
    for event in events:
        case = apply(case, event)
    if case is None:
        raise ValueError("a case has at least one event")
    return case


def _clock(key: str, name: ClockName, policy: Policy, start: datetime, target: timedelta) -> Clock:
    due = policy.calendar.add(start, target)
    return Clock(key=key, name=name, started_at=start, target=target, since=start, left=target, due_at=due)


def _new_clocks(policy: dict[str, object], start: datetime, first_response: timedelta) -> tuple[Clock, ...]:
    parsed = Policy.from_json(policy)
    return (
        _clock("first_response", ClockName.FIRST_RESPONSE, parsed, start, first_response),
        _clock("resolution", ClockName.RESOLUTION, parsed, start, parsed.resolution),
    )


def _meet(case: Case, names: tuple[ClockName, ...], at: datetime) -> Case:
    clocks = []
    for clock in case.clocks:
        if clock.name in names and clock.met_at is None:
            # A paused clock was in time when it stopped; give it back a due time that says so.
            due = clock.due_at or at + clock.left
            clock = replace(clock, met_at=at, due_at=due)
        clocks.append(clock)
    return replace(case, clocks=tuple(clocks))


def _ended(case: Case, state: State, outcome: str, at: datetime) -> Case:
    """Closed with its clocks unmet: it has no place in the figures of how fast we are."""
    stopped = tuple(replace(c, due_at=None) if c.met_at is None else c for c in case.clocks)
    return replace(
        case,
        state=state,
        outcome=outcome,
        closed_at=at,
        clocks=stopped,
        promised_until=None,
        snoozed_until=None,
    )


def _pause(case: Case, at: datetime) -> Case:
    calendar = Policy.from_json(case.policy).calendar
    clocks = []
    for clock in case.clocks:
        if clock.name == ClockName.RESOLUTION and clock.running:
            used = calendar.elapsed(clock.since, at) if at > clock.since else timedelta(0)
            clock = replace(clock, since=at, left=clock.left - used, due_at=None)
        clocks.append(clock)
    return replace(case, clocks=tuple(clocks))


def _resume(case: Case, at: datetime) -> Case:
    policy = Policy.from_json(case.policy)
    clocks = []
    for clock in case.clocks:
        if clock.name == ClockName.RESOLUTION and clock.met_at is None and clock.due_at is None:
            clock = replace(clock, since=at, due_at=_due(policy, at, clock.left))
        clocks.append(clock)
    return replace(case, clocks=tuple(clocks))


def _back_to_work(case: Case) -> State:
    if case.answered_at is not None:
        return State.RESPONDED
    return State.CLAIMED if case.assignee else State.OPEN


def _joined(case: Case, event: Joined) -> Case:
    label = "complaint" if event.complaint else case.complaint
    case = replace(case, mention_ids=(*case.mention_ids, event.mention_id), complaint=label)
    if not event.awaits_answer or case.state not in (State.RESPONDED, State.WAITING):
        return case  # a response clock runs already: the earliest due time stays
    policy = Policy.from_json(case.policy)
    name = ClockName.NEXT_RESPONSE
    clock = _clock(_next_key(case), name, policy, event.starts_at, policy.next_response)
    return _awaits(case, clock, event.at)


def _next_key(case: Case) -> str:
    runs = sum(c.name == ClockName.NEXT_RESPONSE for c in case.clocks)
    return "next_response" if runs == 0 else f"next_response/{runs + 1}"


def _awaits(case: Case, clock: Clock, at: datetime) -> Case:
    """An answered case, whose customer waits for an answer again: by this clock."""
    resumed = _resume(case, at)
    state = State.CLAIMED if case.assignee else State.OPEN
    since = at if case.assignee else None
    return replace(resumed, state=state, claimed_at=since, called=None, clocks=(*resumed.clocks, clock))


def _merged_from(case: Case, event: MergedFrom) -> Case:
    case = replace(
        case,
        mention_ids=(*case.mention_ids, *event.mention_ids),
        merged_from=(*case.merged_from, *event.cases),
    )
    if event.promised_until and (case.promised_until is None or event.promised_until < case.promised_until):
        case = replace(case, promise_minutes=event.promise_minutes, promised_until=event.promised_until)
    policy = Policy.from_json(case.policy)
    for taken in event.clocks:
        response = taken.name != ClockName.RESOLUTION
        if response and case.state in (State.RESPONDED, State.WAITING):
            clock = _clock(_next_key(case), ClockName.NEXT_RESPONSE, policy, event.at, taken.target)
            case = _awaits(case, _taken_over(clock, taken, policy), event.at)
            continue
        clocks = []
        for clock in case.clocks:
            if clock.due_at and clock.running and response == (clock.name != ClockName.RESOLUTION):
                sooner = _taken_over(clock, taken, policy)
                clock = sooner if sooner.due_at and sooner.due_at < clock.due_at else clock
            clocks.append(clock)
        case = replace(case, clocks=tuple(clocks))
    return case


def _taken_over(clock: Clock, taken: Running, policy: Policy) -> Clock:
    """The clock with the times of the other; where the calendars differ, due no later than it was there."""
    left = taken.left
    if _due(policy, taken.since, left) != taken.due_at:
        left = policy.calendar.elapsed(taken.since, taken.due_at)
    return replace(
        clock,
        started_at=taken.started_at,
        target=taken.target,
        since=taken.since,
        left=left,
        due_at=_due(policy, taken.since, left),
    )


def _taken(case: Case, by: str, at: datetime) -> Case:
    state = State.CLAIMED if case.state == State.OPEN else case.state
    return replace(case, state=state, assignee=by, claimed_at=at)


def _responded(case: Case, event: Responded) -> Case:
    case = _resume(case, event.at) if case.state == State.WAITING else case
    met = _meet(case, (ClockName.FIRST_RESPONSE, ClockName.NEXT_RESPONSE), event.answered_at)
    promised = event.promise_minutes
    return replace(
        met,
        state=State.RESPONDED,
        assignee=case.assignee or event.actor,
        claimed_at=case.claimed_at or event.at,
        answer_url=event.url,
        answered_at=event.answered_at,
        verified=False,
        promise_minutes=promised,
        promised_until=event.at + timedelta(minutes=promised) if promised else None,
    )


def _reapplied(case: Case, event: PolicyReapplied) -> Case:
    """The new policy's targets for the clocks that are not met yet; the working time used so far counts.

    A first response that was due sooner, because the customer had been let down before, stays so by the new policy.
    """
    old, new = Policy.from_json(case.policy), Policy.from_json(event.policy)
    clocks = []
    for clock in case.clocks:
        if clock.met_at is None:
            bad_experiences = 2 if clock.target < old.target(clock.name) else 1
            target = new.target(clock.name, bad_experiences)
            left = target - (clock.target - clock.left)
            due = _due(new, clock.since, left) if clock.running else None
            clock = replace(clock, target=target, left=left, due_at=due)
        clocks.append(clock)
    return replace(case, policy=event.policy, clocks=tuple(clocks))


def _due(policy: Policy, since: datetime, left: timedelta) -> datetime:
    """When the working time that was ``left`` is over; a clock that was late stays late by as much, in plain time."""
    return since + left if left < timedelta(0) else policy.calendar.add(since, left)
