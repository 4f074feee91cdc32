"""Policies: how soon a customer gets an answer, and the alarm points on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from listener.clock.worktime import LONGEST_CLOSURE, ZERO, Calendar, duration_text
from listener.model import ClockName, utc

StepKind = Literal["reminder", "warning", "breach", "escalation"]


@dataclass(frozen=True, slots=True)
class Step:
    """A point on a clock that must make someone look: ``at_percent`` of the target, or ``after_due``.

    ``call`` names people or groups, ``assignee``, or ``duty`` (who is on duty); ``channel`` is one that the
    responder knows (None: its default). Raises ``ValueError`` unless exactly one point is given.
    """

    clock: ClockName
    kind: StepKind
    at_percent: int | None = None
    after_due: timedelta | None = None
    call: tuple[str, ...] = ()
    channel: str | None = None

    def __post_init__(self) -> None:
        if (self.at_percent is None) == (self.after_due is None):
            raise ValueError("a step needs either at_percent or after_due")
        if self.at_percent is not None and not 0 < self.at_percent <= 100:
            raise ValueError("at_percent is 1 to 100; for later steps use after_due")
        if self.after_due is not None and self.after_due <= ZERO:
            raise ValueError("after_due must be longer than nothing; at the due time it is at_percent = 100")

    @property
    def key(self) -> str:
        """Unique within a policy, and unchanged by edits elsewhere in it: ``first_response:50%``."""
        point = f"{self.at_percent}%" if self.after_due is None else f"+{duration_text(self.after_due)}"
        return f"{self.clock}:{point}"


MANAGER = "manager"  # the channel where breaches go
DEFAULT_STEPS: tuple[Step, ...] = (
    Step(ClockName.FIRST_RESPONSE, "reminder", at_percent=50, call=("duty",)),
    Step(ClockName.FIRST_RESPONSE, "warning", at_percent=75, call=("assignee",)),
    Step(ClockName.FIRST_RESPONSE, "breach", at_percent=100, channel=MANAGER),
    Step(ClockName.FIRST_RESPONSE, "escalation", after_due=timedelta(minutes=30), call=("escalation",)),
    Step(ClockName.NEXT_RESPONSE, "warning", at_percent=75, call=("assignee",)),
    Step(ClockName.NEXT_RESPONSE, "breach", at_percent=100, channel=MANAGER),
    Step(ClockName.RESOLUTION, "warning", at_percent=75, call=("assignee",)),
    Step(ClockName.RESOLUTION, "breach", at_percent=100, channel=MANAGER),
)


@dataclass(frozen=True)
class Policy:
    """How soon a customer gets an answer, and who is called when. Targets are working time of ``calendar``.

    ``starts``: whether the first clock runs from when the mention was seen or from when it was published.
    From a customer's second bad experience on, the first-response target is multiplied by
    ``second_target_factor``; at the third, ``third_call`` are called in ``third_channel``. ``join_window``: a
    mention of the same customer joins an open case that is no older; ``reopen_window``: one that comes back
    within it after a resolution reopens the case. A claim without an answer ends after ``ack_timeout`` of working
    time (None: never). ``outside_hours``: when nobody on duty is within their hours, one of them is called anyway.
    """

    name: str = "default"
    first_response: timedelta = timedelta(minutes=60)
    next_response: timedelta = timedelta(minutes=60)
    resolution: timedelta = timedelta(hours=24)
    starts: Literal["seen", "published"] = "seen"
    calendar: Calendar = Calendar.ALWAYS
    steps: tuple[Step, ...] = DEFAULT_STEPS
    second_target_factor: float = 0.5
    third_call: tuple[str, ...] = ("escalation",)
    third_channel: str | None = MANAGER
    reopen_window: timedelta = timedelta(days=7)
    join_window: timedelta = timedelta(hours=24)
    ack_timeout: timedelta | None = None
    outside_hours: bool = False

    def __post_init__(self) -> None:
        for target in (self.first_response, self.next_response, self.resolution):
            if target <= ZERO:
                raise ValueError("a target must be longer than nothing")
        if not 0 < self.second_target_factor <= 1:
            raise ValueError("second_target_factor is above 0 and at most 1")
        keys = [step.key for step in self.steps]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"more than one step at {', '.join(twice)}; make them one")

    def target(self, clock: ClockName, bad_experiences: int = 1) -> timedelta:
        """The working time that this clock allows. ``bad_experiences``: the customer's, with this one."""
        if clock is ClockName.FIRST_RESPONSE:
            return self.first_response * (self.second_target_factor if bad_experiences >= 2 else 1)
        return self.next_response if clock is ClockName.NEXT_RESPONSE else self.resolution

    def to_json(self) -> dict[str, Any]:
        """A plain dict with a version: the copy that a case carries."""
        return {
            "version": 1,
            "name": self.name,
            **{name: getattr(self, name).total_seconds() for name in _LENGTHS},
            "ack_timeout": self.ack_timeout.total_seconds() if self.ack_timeout else None,
            "starts": self.starts,
            "calendar": self.calendar.to_json(),
            "steps": [_step_to_json(step) for step in self.steps],
            "second_target_factor": self.second_target_factor,
            "third_call": list(self.third_call),
            "third_channel": self.third_channel,
            "outside_hours": self.outside_hours,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Policy:
        """The policy that ``to_json`` wrote. Raises ``ValueError`` for one of a newer version."""
        if data["version"] != 1:
            raise ValueError(f"policy of version {data['version']}: written by a newer Listener")
        ack_timeout = data["ack_timeout"]
        return cls(
            name=data["name"],
            **{name: timedelta(seconds=data[name]) for name in _LENGTHS},
            ack_timeout=None if ack_timeout is None else timedelta(seconds=ack_timeout),
            starts=data["starts"],
            calendar=Calendar.from_json(data["calendar"]),
            steps=tuple(map(_step_from_json, data["steps"])),
            second_target_factor=data["second_target_factor"],
            third_call=tuple(data["third_call"]),
            third_channel=data["third_channel"],
            outside_hours=data.get("outside_hours", False),  # cases opened before there was a duty lack it
        )


_LENGTHS = ("first_response", "next_response", "resolution", "reopen_window", "join_window")


def _step_to_json(step: Step) -> dict[str, Any]:
    return {
        "clock": str(step.clock),
        "kind": step.kind,
        "at_percent": step.at_percent,
        "after_due": step.after_due.total_seconds() if step.after_due else None,
        "call": list(step.call),
        "channel": step.channel,
    }


def _step_from_json(data: Mapping[str, Any]) -> Step:
    after_due = data["after_due"]
    return Step(
        clock=ClockName(data["clock"]),
        kind=data["kind"],
        at_percent=data["at_percent"],
        after_due=None if after_due is None else timedelta(seconds=after_due),
        call=tuple(data["call"]),
        channel=data["channel"],
    )


@dataclass(frozen=True, slots=True)
class AlarmPoint:
    """A step of a running clock, and when it is due."""

    step: Step
    due_at: datetime


def alarm_points(
    policy: Policy, clock: ClockName, since: datetime, target: timedelta, *, left: timedelta | None = None
) -> tuple[AlarmPoint, ...]:
    """The alarms of a clock with this target, soonest first. All in working time.

    ``left`` is what is left of the target at ``since``, after a pause; all of it when not given. A point that was
    passed before ``since`` is due then.
    """
    used = target - (target if left is None else left)
    points = []
    for step in policy.steps:
        if step.clock is clock:
            reached = target * (step.at_percent or 100) / 100 + (step.after_due or ZERO)
            due_at = policy.calendar.add(since, max(reached - used, ZERO))
            points.append(AlarmPoint(step, due_at))
    return tuple(sorted(points, key=lambda point: point.due_at))


def starts_at(
    policy: Policy, published: datetime | None, seen: datetime, target: timedelta | None = None
) -> datetime:
    """When the first-response clock of a mention starts.

    With ``starts = "published"`` the time that the source needed counts, but at most half of the target: a
    case is never breached on arrival, its team always has the other half. A future time counts as seen.
    """
    seen = utc(seen)
    if policy.starts == "seen" or published is None or utc(published) >= seen:
        return seen
    published = max(utc(published), seen - LONGEST_CLOSURE)
    most = (policy.first_response if target is None else target) / 2
    waited = policy.calendar.elapsed(published, seen)
    return published if waited <= most else policy.calendar.add(published, waited - most)
