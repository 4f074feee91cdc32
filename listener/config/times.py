"""The sections about time: lengths of time, calendars, policies."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from listener import clock
from listener.clock import Step as ClockStep
from listener.clock import StepKind
from listener.model import ClockName


class Section(BaseModel):
    # Building a model's validator takes 1-5 ms: only when a file is read, not when this module is imported.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _duration(value: object) -> object:
    if isinstance(value, str):
        return clock.parse_duration(value)
    if isinstance(value, timedelta):  # a default
        return value
    raise ValueError("must be a length of time in quotes, like 90s, 60m, 1h30m or 7d")


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("must be longer than nothing")
    return value


def _day_text(value: object) -> object:
    return value.isoformat() if type(value) is date else value  # TOML has dates of its own


_DURATION_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": r"^(\d+[dhms])+$", "examples": ["90s", "60m", "1h30m", "7d"]}
)
Pause = Annotated[timedelta, BeforeValidator(_duration), _DURATION_SCHEMA]  # may be 0s
Duration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_positive), _DURATION_SCHEMA]
DayText = Annotated[str, BeforeValidator(_day_text)]


class Calendar(Section):
    """When the team works."""

    zone: str = Field(description="IANA time zone, such as Europe/Berlin")
    windows: (
        tuple[
            Annotated[clock.Window, PlainValidator(clock.Window.parse), WithJsonSchema({"type": "string"})],
            ...,
        ]
        | None
    ) = Field(default=None, description="such as Mon-Fri 08:00-16:00; when left out, always")
    country: str | None = Field(default=None, description="closed on public holidays; ISO 3166 code")
    subdivision: str | None = Field(default=None, description="and on those of this part of it")
    closed_on: tuple[DayText, ...] = Field(default=(), description="such as 2026-12-24 Christmas Eve")
    open_on: tuple[DayText, ...] = Field(
        default=(), description="such as 2026-12-19 10:00-14:00, in spite of all above"
    )

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        return clock.Calendar(zone).zone

    @field_validator("closed_on")
    @classmethod
    def _closed_days(cls, days: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(day for day in days if clock.parse_closed_day(day))

    @field_validator("open_on")
    @classmethod
    def _open_days(cls, days: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(day for day in days if clock.parse_open_day(day))

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.calendar().holiday(date(2026, 1, 1))  # any day: country and subdivision must be known
        return self

    def calendar(self) -> clock.Calendar:
        return clock.Calendar(
            zone=self.zone,
            windows=self.windows,
            country=self.country,
            subdivision=self.subdivision,
            closed_on=tuple(map(clock.parse_closed_day, self.closed_on)),
            open_on=tuple(map(clock.parse_open_day, self.open_on)),
        )


class Step(Section):
    """A point on a clock that makes someone look."""

    clock: ClockName
    at: str = Field(description="75% of the target, or +30m after it was due")
    kind: StepKind
    call: tuple[str, ...] = Field(default=(), description="people or groups to mention, assignee, or duty")
    channel: str | None = Field(
        default=None, description="a channel that the responder knows, instead of its default"
    )

    @field_validator("at")
    @classmethod
    def _readable(cls, at: str) -> str:
        if not re.fullmatch(r"\d{1,3}%", at):
            if not at.startswith("+"):
                raise ValueError("must be a share of the target like 75%, or a time after it like +30m")
            clock.parse_duration(at[1:])
        return at

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.step()
        return self

    def step(self) -> ClockStep:
        if self.at.endswith("%"):
            return ClockStep(self.clock, self.kind, int(self.at[:-1]), None, self.call, self.channel)
        after_due = clock.parse_duration(self.at[1:])
        return ClockStep(self.clock, self.kind, None, after_due, self.call, self.channel)


_DEFAULT = clock.Policy()


class Policy(Section):
    """How soon a customer gets an answer, and who is called when. The rest is as in the built-in policy."""

    first_response: Duration = _DEFAULT.first_response
    next_response: Duration = _DEFAULT.next_response
    resolution: Duration = _DEFAULT.resolution
    starts: Literal["seen", "published"] = Field(
        default="seen",
        description="whether the clock runs from when we saw the mention or from when it was published",
    )
    calendar: str | None = Field(default=None, description="when the team works; always when left out")
    steps: tuple[Step, ...] | None = Field(default=None, description="instead of the built-in ones")
    second_target_factor: float = Field(
        default=_DEFAULT.second_target_factor,
        gt=0,
        le=1,
        description="share of first_response from the second bad experience on",
    )
    third_call: tuple[str, ...] = Field(
        default=_DEFAULT.third_call, description="people or groups to call at the third bad experience"
    )
    third_channel: str | None = _DEFAULT.third_channel
    reopen_window: Duration = Field(
        default=_DEFAULT.reopen_window, description="who comes back within it reopens the case"
    )
    join_window: Duration = Field(
        default=_DEFAULT.join_window, description="more of the same joins a case that is no older"
    )
    ack_timeout: Pause | None = Field(
        default=None,
        description="after it, a claim without an answer ends; 0s: never. When left out: 30m if somebody is on duty",
    )
    outside_hours: bool = Field(
        default=False, description="call who is on duty outside of their hours too, if nobody else is there"
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.policy("", clock.Calendar.ALWAYS)
        return self

    def policy(
        self, name: str, calendar: clock.Calendar, ack_timeout: timedelta | None = None
    ) -> clock.Policy:
        """``ack_timeout`` holds when the section says none."""
        if self.ack_timeout is not None:
            ack_timeout = self.ack_timeout or None
        steps = clock.DEFAULT_STEPS if self.steps is None else tuple(step.step() for step in self.steps)
        plain = {
            key: getattr(self, key)
            for key in type(self).model_fields
            if key not in ("calendar", "steps", "ack_timeout")
        }
        return clock.Policy(name=name, calendar=calendar, steps=steps, ack_timeout=ack_timeout, **plain)
