"""The life of a case: laws that hold after any sequence of commands and times, with and without a calendar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from listener import cases
from listener.cases import CASE, EVENT, Case, Clock, Event
from listener.clock import Calendar, Policy, Window
from listener.errors import Refused, UsageError
from listener.model import ClockName, State

START = datetime(2026, 3, 27, 9, 30, tzinfo=UTC)  # a Friday; on the Sunday clocks change in Europe
RESPONSES = (ClockName.FIRST_RESPONSE, ClockName.NEXT_RESPONSE)
OFFICE = Calendar(
    "Europe/Oslo",
    (Window.parse("Mon-Fri 08:00-16:00"),),
    closed_on=((date(2026, 4, 2), "Maundy Thursday"), (date(2026, 4, 3), "Good Friday")),
)
NIGHTS = Calendar(
    "America/New_York", (Window.parse("Fri,Sat 22:00-04:00"), Window.parse("Mon-Thu 09:00-12:00"))
)
POLICIES = [
    Policy(),
    Policy("office", calendar=OFFICE, ack_timeout=timedelta(minutes=30)),
    Policy("nights", calendar=NIGHTS, resolution=timedelta(hours=5), ack_timeout=timedelta(hours=2)),
    Policy(
        "quick",
        first_response=timedelta(minutes=7),
        next_response=timedelta(minutes=3),
        resolution=timedelta(hours=1),
    ),
]

FREE_AGAIN = (cases.Called, cases.Released, cases.Reopened)

people = st.sampled_from(["Anna", "Ben"])
promises = st.none() | st.integers(1, 600)


def opened(policy: Policy, target: timedelta | None = None, at: datetime = START) -> cases.Opened:
    return cases.Opened(
        at=at,
        policy=policy.to_json(),
        starts_at=at,
        first_response_target=target or policy.first_response,
        reason="delivery",
        severity="high",
        complaint="complaint",
        mention_id=1,
    )


class Life(RuleBasedStateMachine):
    """Anything that people, customers and time may do to a case, in any order."""

    case: Case
    now: datetime

    @initialize(policy=st.sampled_from(POLICIES), bad=st.integers(1, 2))
    def begin(self, policy: Policy, bad: int) -> None:
        self.now = START
        self.events: list[Event] = []
        self.mentions = 1
        self.case = cases.apply(None, opened(policy, policy.target(ClockName.FIRST_RESPONSE, bad)))
        self.events.append(opened(policy, policy.target(ClockName.FIRST_RESPONSE, bad)))

    def happen(self, found: Sequence[Event]) -> None:
        for one in found:
            before, self.case = self.case, cases.apply(self.case, one)
            self.events.append(one)
            check_step(before, one, self.case)

    def attempt(self, command: Callable[[Case], Sequence[Event]]) -> None:
        try:
            found = command(self.case)
        except (Refused, UsageError) as error:
            event(f"{type(error).__name__} in {self.case.state}")
        else:
            self.happen(found)

    # ---- time

    @rule(
        length=st.timedeltas(timedelta(0), timedelta(hours=3))
        | st.timedeltas(timedelta(0), timedelta(days=9))
    )
    def time_passes(self, length: timedelta) -> None:
        self.now += length

    @precondition(lambda self: cases.next_alarm_at(self.case) is not None)
    @rule(early=st.sampled_from([timedelta(0), timedelta(microseconds=1)]))
    def until_the_next_alarm(self, early: timedelta) -> None:
        self.now = max(self.now, (cases.next_alarm_at(self.case) or self.now) - early)

    @rule()
    def tick(self) -> None:
        due = cases.next_alarm_at(self.case)
        found, sent = cases.sound(self.case, self.now)
        assert bool(found) == (due is not None and due <= self.now), "a tick does what is due, and only then"
        for one in found:
            assert isinstance(one, cases.Alarmed | cases.PromiseEnded | cases.Released)
            if isinstance(one, cases.Alarmed):
                assert one.due_at <= self.now
        told = [(a.clock.key, a.step.key) for a in sent]
        assert len({key for key, _ in told}) == len(told), "one message a clock, however late the tick is"
        self.happen(found)
        after = cases.next_alarm_at(self.case)
        assert after is None or after > self.now, "else the next tick would never end"

    # ---- people

    @rule(who=people)
    def claim(self, who: str) -> None:
        self.attempt(lambda c: cases.claim(c, who, self.now))

    @rule(who=people, to=people)
    def assign(self, who: str, to: str) -> None:
        self.attempt(lambda c: cases.assign(c, who, to, self.now))

    @rule(who=people)
    def call(self, who: str) -> None:
        if self.case.awaits_call:  # the use case asks once
            self.happen([cases.Called(at=self.now, person=who)])

    @rule(who=people)
    def release(self, who: str) -> None:
        self.attempt(lambda c: cases.release(c, who, self.now))

    @rule(who=people, promise=promises)
    def respond(self, who: str, promise: int | None) -> None:
        url = f"https://forum.example/{len(self.events)}"
        self.attempt(lambda c: cases.respond(c, who, url, self.now, promise_minutes=promise))

    @rule(who=people)
    def wait(self, who: str) -> None:
        self.attempt(lambda c: cases.wait(c, who, self.now))

    @rule(who=people)
    def resume(self, who: str) -> None:
        self.attempt(lambda c: cases.resume(c, who, self.now))

    @rule(who=people, length=st.timedeltas(timedelta(hours=-1), timedelta(days=8)))
    def snooze(self, who: str, length: timedelta) -> None:
        self.attempt(lambda c: cases.snooze(c, who, self.now + length, self.now))

    @rule(who=people)
    def note(self, who: str) -> None:
        self.attempt(lambda c: cases.note(c, who, "called her", self.now))

    @rule(who=people)
    def resolve(self, who: str) -> None:
        self.attempt(lambda c: cases.resolve(c, who, "refunded", self.now))

    @rule(who=people)
    def dismiss(self, who: str) -> None:
        self.attempt(lambda c: cases.dismiss(c, who, "a joke", self.now))

    @rule(policy=st.sampled_from(POLICIES))
    def reapply(self, policy: Policy) -> None:
        if self.case.open:  # the use case leaves closed ones alone
            self.happen([cases.PolicyReapplied(at=self.now, actor="Anna", policy=policy.to_json())])

    @rule(who=st.none() | people, bad=st.integers(1, 3))
    def reopen(self, who: str | None, bad: int) -> None:
        """By a person, or by the customer who came back."""
        target = Policy.from_json(self.case.policy).target(ClockName.FIRST_RESPONSE, bad)
        self.mentions += 1
        mention = None if who else self.mentions
        self.attempt(
            lambda c: cases.reopen(
                c,
                self.now,
                starts_at=self.now,
                first_response_target=target,
                who=who,
                mention_id=mention,
                why="she called" if who else "",
            )
        )

    # ---- what chance alone would seldom bring together

    @precondition(lambda self: self.case.open)
    @rule(who=people)
    def answer_and_wait(self, who: str) -> None:
        self.respond(who, None)
        self.wait(who)

    @precondition(lambda self: self.case.open)
    @rule(who=people)
    def comes_back_after_an_alarm(self, who: str) -> None:
        self.until_the_next_alarm(timedelta(0))
        self.tick()
        self.respond(who, None)
        self.resolve(who)
        self.reopen(None, 2)

    # ---- the customer, and what a later poll sees

    @precondition(lambda self: self.case.open)
    @rule(who=people)
    def an_answer_does_not_help(self, who: str) -> None:
        self.respond(who, None)
        self.customer_writes_again(answer=True)

    @rule(answer=st.booleans())
    def customer_writes_again(self, answer: bool) -> None:
        self.mentions += 1
        awaits = answer and self.case.open
        self.happen(
            [cases.Joined(at=self.now, mention_id=self.mentions, starts_at=self.now, awaits_answer=awaits)]
        )

    @precondition(lambda self: self.case.open)
    @rule()
    def answer_is_seen(self) -> None:
        self.happen([cases.Verified(at=self.now, url="https://forum.example/a", answered_at=self.now)])

    @rule(change=st.sampled_from(["edited", "deleted"]))
    def mention_changes(self, change: Any) -> None:
        self.happen([cases.MentionChanged(at=self.now, mention_id=1, change=change, before="x")])

    # ---- what always holds

    @invariant()
    def the_state_is_what_the_events_amount_to(self) -> None:
        stored = [EVENT.validate_python(EVENT.dump_python(e, mode="json")) for e in self.events]
        assert stored == self.events
        assert cases.replay(stored) == self.case
        assert CASE.validate_python(CASE.dump_python(self.case, mode="json")) == self.case

    @invariant()
    def each_alarm_is_recorded_once_a_cycle_and_none_is_forgotten(self) -> None:
        cycle = 1
        recorded: set[tuple[str, str]] = set()
        for one in self.events:
            if isinstance(one, cases.Reopened):
                cycle, recorded = cycle + 1, set()
            if isinstance(one, cases.Alarmed):
                assert (one.clock, one.step) not in recorded
                recorded.add((one.clock, one.step))
        assert cycle == self.case.cycle
        ahead = [(a.clock.key, a.step.key) for a in cases.alarms(self.case)]
        running = [c for c in self.case.clocks if c.running]
        steps = Policy.from_json(self.case.policy).steps
        expected = {(c.key, s.key) for c in running for s in steps if s.clock == c.name} - recorded
        assert sorted(ahead) == sorted(expected)

    @invariant()
    def a_closed_case_is_silent(self) -> None:
        if self.case.open:
            assert self.case.closed_at is None
            return
        assert not [c for c in self.case.clocks if c.running]
        assert self.case.due_at is None
        assert cases.alarms(self.case) == []
        assert cases.next_alarm_at(self.case) is None
        assert cases.sound(self.case, self.now + timedelta(days=99)) == ([], [])
        assert self.case.promised_until is None

    @invariant()
    def who_waits_for_an_answer_has_a_clock(self) -> None:
        if self.case.open:
            running = [c for c in self.case.clocks if c.running and c.name in RESPONSES]
            assert bool(running) == (self.case.state in (State.OPEN, State.CLAIMED))
            paused = [c for c in self.case.clocks if c.met_at is None and c.due_at is None]
            assert [c.name for c in paused] == [ClockName.RESOLUTION] * (self.case.state == State.WAITING)

    @invariant()
    def a_claim_without_an_answer_ends_in_time(self) -> None:
        """By the time-out of working time since the claim, or since the customer wrote again; never sooner."""
        policy, lapses = Policy.from_json(self.case.policy), cases.lapses_at(self.case)
        claimed = self.case.state == State.CLAIMED
        assert (lapses is not None) == (claimed and policy.ack_timeout is not None)
        if lapses is None:
            return
        assert self.case.claimed_at is not None
        assert policy.calendar.elapsed(self.case.claimed_at, lapses) == policy.ack_timeout
        assert (cases.next_alarm_at(self.case) or lapses) <= lapses
        found, _ = cases.sound(self.case, lapses)
        released = [e for e in found if isinstance(e, cases.Released)]
        assert released == [cases.Released(at=lapses, cause="timeout")]
        after = cases.apply(self.case, released[0])
        assert (after.state, after.assignee, after.awaits_call) == (State.OPEN, None, True)
        assert after.let_go_by == self.case.assignee
        assert cases.lapses_at(after) is None, "once"
        early, _ = cases.sound(self.case, lapses - timedelta(microseconds=1))
        assert not [e for e in early if isinstance(e, cases.Released)]

    @invariant()
    def who_was_asked_is_forgotten_when_the_case_is_free_again(self) -> None:
        last = next((e for e in reversed(self.events) if isinstance(e, FREE_AGAIN)), None)
        if isinstance(last, cases.Called):
            assert self.case.called in (last.person, None)
        else:
            assert self.case.called is None

    @invariant()
    def each_run_of_a_clock_has_a_name_of_its_own(self) -> None:
        keys = [c.key for c in self.case.clocks]
        assert len(keys) == len(set(keys))

    @invariant()
    def state_and_assignee_agree(self) -> None:
        assert (self.case.state == State.OPEN) <= (self.case.assignee is None)
        assert (self.case.state == State.CLAIMED) <= (self.case.assignee is not None)


def check_step(before: Case, one: Event, after: Case) -> None:
    """What one event may do to the clocks."""
    if isinstance(one, cases.Reopened):
        assert after.cycle == before.cycle + 1
        assert [c.started_at for c in after.clocks] == [one.starts_at] * 2
        return
    assert after.cycle == before.cycle
    old = {c.key: c for c in before.clocks}
    new = {c.key: c for c in after.clocks}
    assert old.keys() <= new.keys(), "a clock is never taken away"
    assert new.keys() - old.keys() <= {f"next_response/{n}" for n in range(2, 99)} | {"next_response"}
    for key, clock in old.items():
        if clock.met_at is not None:
            assert new[key] == clock, "what was met stays as it was"
        elif isinstance(one, cases.PolicyReapplied):
            pass  # new targets: see the laws of their own below
        elif clock.name in RESPONSES:
            dismissed = isinstance(one, cases.Dismissed)
            assert new[key].due_at == (None if dismissed else clock.due_at), "it neither pauses nor moves"
        else:
            check_resolution(before, one, clock, new[key], after)


def check_resolution(before: Case, one: Event, old: Clock, new: Clock, after: Case) -> None:
    """The resolution clock moves only by a pause, and keeps the working time that was left."""
    calendar = Policy.from_json(before.policy).calendar
    if isinstance(one, cases.Waited):
        assert new.due_at is None
        assert old.due_at is not None
        if old.left >= timedelta(0):
            assert max(new.left, timedelta(0)) == calendar.elapsed(one.at, old.due_at)
    elif before.state == State.WAITING and after.open and after.state != State.WAITING:
        assert new.due_at is not None
        assert new.left == old.left
        assert calendar.elapsed(one.at, new.due_at) == max(old.left, timedelta(0))
    elif after.open:
        assert new.due_at == old.due_at
        assert new.left == old.left


Life.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
