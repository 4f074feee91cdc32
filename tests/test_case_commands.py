"""What single commands do to a case and refuse to do. What always holds: test_cases.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from listener import cases
from listener.cases import Case, Event
from listener.clock import Policy
from listener.errors import ListenerError, Refused, UsageError
from listener.model import ClockName, State
from tests.test_cases import POLICIES, START, opened

ANSWER = "https://forum.example/a"
HOUR = timedelta(hours=1)


def lived(
    *steps: Callable[[Case, datetime], Sequence[Event]], policy: Policy = POLICIES[0]
) -> tuple[Case, datetime]:
    """A case after these commands, an hour apart; and the present."""
    case, now = cases.apply(None, opened(policy, policy.target(ClockName.FIRST_RESPONSE, 2))), START
    for step in steps:
        now += HOUR
        for one in step(case, now):
            case = cases.apply(case, one)
    return case, now


def respond(case: Case, now: datetime) -> list[Event]:
    return cases.respond(case, "Anna", ANSWER, now, promise_minutes=30)


def wait(case: Case, now: datetime) -> list[Event]:
    return cases.wait(case, "Anna", now)


def resume(case: Case, now: datetime) -> list[Event]:
    return cases.resume(case, "Anna", now)


def resolve(case: Case, now: datetime) -> list[Event]:
    return cases.resolve(case, "Anna", "refunded", now)


def dismiss(case: Case, now: datetime) -> list[Event]:
    return cases.dismiss(case, "Anna", "a joke", now)


@pytest.mark.parametrize("steps", [(), (respond,), (respond, wait), (respond, wait, resume)])
@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.name)
def test_a_policy_applied_anew_unchanged_changes_no_clock(steps: Any, policy: Policy) -> None:
    case, now = lived(*steps, policy=policy)
    same = cases.apply(case, cases.PolicyReapplied(at=now, actor="Anna", policy=policy.to_json()))
    assert same == case


@pytest.mark.parametrize("steps", [(respond,), (respond, wait), (respond, wait, resume)])
def test_a_new_resolution_target_counts_the_time_at_work_alone(steps: Any) -> None:
    """Two hours more are two hours more, whether the case waits, has waited or never did."""
    case, now = lived(*steps)
    longer = replace(POLICIES[0], resolution=POLICIES[0].resolution + 2 * HOUR)
    after = cases.apply(case, cases.PolicyReapplied(at=now, actor="Anna", policy=longer.to_json()))
    old, new = case.clock(ClockName.RESOLUTION), after.clock(ClockName.RESOLUTION)
    assert old is not None
    assert new is not None
    assert new.left == old.left + 2 * HOUR
    assert new.due_at == (None if old.due_at is None else old.due_at + 2 * HOUR)


def test_a_customer_let_down_before_keeps_the_shorter_target_when_a_policy_is_reapplied() -> None:
    case, now = lived()
    longer = replace(POLICIES[0], first_response=2 * HOUR)
    after = cases.apply(case, cases.PolicyReapplied(at=now, actor="Anna", policy=longer.to_json()))
    clock = after.clock(ClockName.FIRST_RESPONSE)
    assert clock is not None
    assert (clock.target, clock.due_at) == (HOUR, START + HOUR)


def test_waiting_never_stops_a_response_clock() -> None:
    case, now = lived()
    waiting = cases.apply(case, cases.Waited(at=now, actor="Anna"))  # no command gets that far
    assert waiting.clock(ClockName.FIRST_RESPONSE) == case.clock(ClockName.FIRST_RESPONSE)


@pytest.mark.parametrize("awaits", [True, False])
def test_a_customer_who_writes_ends_the_pause_unless_it_is_just_thanks(awaits: bool) -> None:
    case, now = lived(respond, wait)
    joined = cases.Joined(at=now + HOUR, mention_id=2, starts_at=now + HOUR, awaits_answer=awaits)
    after = cases.apply(case, joined)
    clock = after.clock(ClockName.RESOLUTION)
    assert clock is not None
    assert clock.due_at == (now + HOUR + clock.left if awaits else None)
    assert after.state == (State.CLAIMED if awaits else State.WAITING)


REFUSALS: dict[str, tuple[tuple[Any, ...], Callable[[Case, datetime], Any], type[ListenerError], str]] = {
    "answer without a link": ((), lambda c, n: cases.respond(c, "Anna", "done", n), UsageError, "link"),
    "promise of no time": (
        (),
        lambda c, n: cases.respond(c, "Anna", ANSWER, n, promise_minutes=0),
        UsageError,
        "between 1 minute",
    ),
    "wait before an answer": ((), wait, Refused, "Answer the customer first"),
    "resolve before an answer": ((), resolve, Refused, "Nobody has answered"),
    "resolve without an outcome": (
        (respond,),
        lambda c, n: cases.resolve(c, "Anna", " ", n),
        UsageError,
        "how it ended",
    ),
    "dismiss without a reason": ((), lambda c, n: cases.dismiss(c, "Anna", " ", n), UsageError, "why"),
    "an empty note": ((), lambda c, n: cases.note(c, "Anna", "\n", n), UsageError, "empty"),
    "snooze into the past": ((), lambda c, n: cases.snooze(c, "Anna", n, n), UsageError, "7 days"),
    "snooze for weeks": (
        (),
        lambda c, n: cases.snooze(c, "Anna", n + timedelta(days=8), n),
        UsageError,
        "7 days",
    ),
    "claim what another has": (
        (respond,),
        lambda c, n: cases.claim(c, "Ben", n),
        Refused,
        "Anna has this case",
    ),
    "claim a closed one": ((dismiss,), lambda c, n: cases.claim(c, "Ben", n), Refused, "Reopen it first"),
    "answer a closed one": ((respond, resolve), respond, Refused, "closed (refunded)"),
    "reopen an open one": (
        (),
        lambda c, n: cases.reopen(c, n, starts_at=n, first_response_target=HOUR, who="Anna", why="x"),
        Refused,
        "is open",
    ),
    "reopen without a reason": (
        (dismiss,),
        lambda c, n: cases.reopen(c, n, starts_at=n, first_response_target=HOUR, who="Anna"),
        UsageError,
        "why",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_refused_says_why(name: str) -> None:
    steps, command, kind, words = REFUSALS[name]
    case, now = lived(*steps)
    with pytest.raises(kind, match=words.replace("(", r"\(").replace(")", r"\)")):
        command(case, now)


def test_the_same_action_twice_is_one() -> None:
    case, now = lived(respond, wait)
    assert wait(case, now) == []
    assert cases.claim(case, "Anna", now) == []
    assert cases.assign(case, "Ben", "Anna", now) == []
    case, now = lived(respond)
    assert respond(case, now) == []
    assert resume(case, now) == []
    case, now = lived()
    assert cases.release(case, "Anna", now) == []


def test_a_history_begins_with_opened() -> None:
    with pytest.raises(ValueError, match="begins with Opened"):
        cases.replay([cases.Claimed(at=START, actor="Anna")])
    with pytest.raises(ValueError, match="at least one event"):
        cases.replay([])
