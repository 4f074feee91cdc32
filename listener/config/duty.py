"""The section about who is on duty."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, PlainValidator, WithJsonSchema, field_validator, model_validator

from listener import clock
from listener.config.times import Section

if TYPE_CHECKING:
    from listener.duty import Duty as Rotation
    from listener.duty import Member, Override


def _at_once(value: object) -> int | None:
    if value == "all":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError('must be a number of people from 1 on, or "all"')


def _local(value: object) -> datetime:
    """A local time (naive), or an instant where the file gives an offset from UTC."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass  # said below
    elif isinstance(value, datetime):
        return value
    elif isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - local, as the file says
    raise ValueError('must be a local time, like "2026-12-24 09:00"')


LocalTime = Annotated[
    datetime, PlainValidator(_local), WithJsonSchema({"type": "string", "examples": ["2026-12-24 09:00"]})
]
AtOnce = Annotated[
    int | None,
    PlainValidator(_at_once),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]}),
]
QuietHours = Annotated[clock.Window, PlainValidator(clock.Window.parse), WithJsonSchema({"type": "string"})]


class DutyPerson(Section):
    """Somebody of the rotation."""

    name: str = Field(description="one of people")
    weight: int = Field(
        default=1, ge=1, le=100, description="share of cases, beside that of the others; a founder's is small"
    )
    calendar: str | None = Field(
        default=None, description="working hours, in which they may be called; always when left out"
    )
    quiet: tuple[QuietHours, ...] = Field(
        default=(),
        description="such as daily 22:00-07:00, in their calendar's zone: somebody else is on duty then",
    )
    deputy: str | None = Field(default=None, description="who; when left out, the next of the rotation")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.member("UTC", {})
        return self

    def member(self, zone: str, calendars: Mapping[str, clock.Calendar]) -> Member:
        from listener.duty import Member

        hours = calendars.get(self.calendar or "")
        quiet = clock.Calendar(hours.zone if hours else zone, self.quiet) if self.quiet else None
        return Member(self.name, self.weight, hours or clock.Calendar.ALWAYS, quiet, self.deputy)


class DutyOverride(Section):
    """Other than the rotation says."""

    start: LocalTime = Field(alias="from", description="local time of the rotation, such as 2026-12-24 09:00")
    end: LocalTime = Field(alias="to", description="local time of the rotation")
    person: str | None = Field(default=None, description="has the duty then; off: nobody has")
    away: str | None = Field(default=None, description="doesn't have it then: their deputy or the next does")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.override("UTC")
        return self

    def override(self, zone: str) -> Override:
        from listener.duty import Override

        return Override(_instant(self.start, zone), _instant(self.end, zone), self.person, self.away)


def _instant(time: datetime, zone: str) -> datetime:
    if time.tzinfo is not None:
        return time.astimezone(UTC)
    minute = time.hour * 60 + time.minute
    return clock.local_instant(time.date(), minute, clock.time_zone(zone)) + timedelta(seconds=time.second)


class Duty(Section):
    """Who takes new cases. A new case calls who is on duty and has the fewest open ones."""

    zone: str = Field(description="IANA time zone of hand_over, such as Europe/Berlin")
    hand_over: str = Field(default="Mon 09:00", description="when a turn ends: Mon 09:00 or daily 09:00")
    at_once: AtOnce = Field(
        default=1, description="people on duty together; all: everyone who is within their calendar"
    )
    starts: date = Field(
        default=date(2026, 1, 5), description="at the first hand-over from this day on, the first one begins"
    )
    people: tuple[DutyPerson, ...] = Field(description="in the order of their turns, at least one")
    overrides: tuple[DutyOverride, ...] = ()

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        return clock.Calendar(zone).zone

    @field_validator("hand_over")
    @classmethod
    def _readable(cls, text: str) -> str:
        from listener.duty import HandOver

        return str(HandOver.parse(text))

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        self.rotation({})
        return self

    def rotation(self, calendars: Mapping[str, clock.Calendar]) -> Rotation:
        from listener.duty import Duty, HandOver

        return Duty(
            members=tuple(person.member(self.zone, calendars) for person in self.people),
            zone=self.zone,
            hand_over_at=HandOver.parse(self.hand_over),
            at_once=self.at_once,
            starts=self.starts,
            overrides=tuple(override.override(self.zone) for override in self.overrides),
        )
