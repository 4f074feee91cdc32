"""Working time: lengths of time, windows of the week, calendars with holidays, in IANA time zones."""

from __future__ import annotations

import difflib
import json
import re
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, ClassVar

from listener.model import utc

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ZERO = timedelta(0)
DAY = timedelta(days=1)
MINUTES_A_DAY = 24 * 60
LONGEST_CLOSURE = timedelta(days=400)  # a year and a long holiday: past it the calendar is a mistake

_UNITS = {"d": DAY, "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}


def parse_duration(text: str) -> timedelta:
    """The length of time in text such as ``90s``, ``60m``, ``1h30m``, ``7d``. Raises ``ValueError``."""
    found = re.fullmatch(r"(?:\d{1,6}[dhms]\s*)+", text.strip().lower())
    if not found:
        raise ValueError(f"{text!r} is not a length of time: write it like 90s, 60m, 1h30m or 7d")
    parts = re.findall(r"(\d+)([dhms])", found.group())
    return sum((int(number) * _UNITS[unit] for number, unit in parts), ZERO)


def duration_text(length: timedelta) -> str:
    """The shortest text that ``parse_duration`` reads back, to the second: ``1h30m``."""
    seconds, parts = int(length.total_seconds()), []
    for unit, size in _UNITS.items():
        number, seconds = divmod(seconds, int(size.total_seconds()))
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def span(length: timedelta) -> str:
    """For people, two units at most: ``40 min``, ``2 d 3 h``."""
    minutes = round(length.total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    days, rest = divmod(minutes, 60 * 24)
    hours, minutes = divmod(rest, 60)
    parts = [p for p in ((days, "d"), (hours, "h"), (minutes, "min")) if p[0]]
    return " ".join(f"{n} {unit}" for n, unit in parts[:2])


@dataclass(frozen=True, slots=True)
class Window:
    """Working hours on some days of the week, in minutes after local midnight.

    ``end`` is past 1440 when the window crosses midnight; all of it belongs to the day on which it starts.
    """

    days: tuple[int, ...]  # 0 is Monday
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Window:
        """Reads ``Mon-Fri 08:00-16:00``, ``Fri 22:00-02:00``, ``Sat,Sun 10:00-14:00``, ``daily 00:00-24:00``.

        Raises ``ValueError`` that says what is wrong.
        """
        days, _, hours = text.replace("–", "-").strip().partition(" ")
        if not hours:
            raise ValueError(f"{text!r} is not a window: write it like Mon-Fri 08:00-16:00")
        return cls(_parse_days(days), *parse_hours(hours))

    def __str__(self) -> str:
        days = "daily" if len(self.days) == len(DAYS) else ",".join(DAYS[d] for d in self.days)
        return f"{days} {hours_text((self.start, self.end))}"


def _parse_days(text: str) -> tuple[int, ...]:
    if text.lower() == "daily":
        return tuple(range(7))
    days: set[int] = set()
    for part in text.split(","):
        ends = [_parse_day(name) for name in part.split("-")]
        if len(ends) > 2:
            raise ValueError(f"{part!r} is not a range of days: write it like Mon-Fri")
        days.update((ends[0] + i) % 7 for i in range((ends[-1] - ends[0]) % 7 + 1))
    return tuple(sorted(days))


def _parse_day(name: str) -> int:
    short = name.strip().title()[:3]
    if short not in DAYS:
        raise ValueError(f"{name!r} is not a day: use {', '.join(DAYS)} or daily")
    return DAYS.index(short)


def parse_hours(text: str) -> tuple[int, int]:
    """``22:00-02:00`` as minutes after midnight, 1320 and 1560. Raises ``ValueError``."""
    found = re.fullmatch(r"(\d\d?):([0-5]\d)\s*-\s*(\d\d?):([0-5]\d)", text.replace("–", "-").strip())
    if not found:
        raise ValueError(f"{text!r} are not hours: write them like 08:00-16:00")
    from_hour, from_minute, to_hour, to_minute = map(int, found.groups())
    start, end = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if start >= MINUTES_A_DAY or end > MINUTES_A_DAY:
        raise ValueError(f"{text!r} is past the end of the day: hours are 00:00 to 24:00")
    if start == end:
        raise ValueError(f"{text!r} is empty: the whole day is 00:00-24:00")
    return start, end if end > start else end + MINUTES_A_DAY


def hours_text(hours: tuple[int, int]) -> str:
    """What ``parse_hours`` reads back."""
    start, end = hours
    end = end if end <= MINUTES_A_DAY else end - MINUTES_A_DAY
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


def parse_closed_day(text: str) -> tuple[date, str]:
    """``2026-12-24`` or ``2026-12-24 Christmas Eve``: the day and its name. Raises ``ValueError``."""
    day, _, name = text.strip().partition(" ")
    return _parse_date(day), name.strip()


def parse_open_day(text: str) -> tuple[date, tuple[int, int] | None]:
    """``2026-12-08`` (its weekday's usual hours) or ``2026-12-19 10:00-14:00``. Raises ``ValueError``."""
    day, _, hours = text.strip().partition(" ")
    return _parse_date(day), parse_hours(hours) if hours else None


def _parse_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date: write it like 2026-12-24") from None


@lru_cache(maxsize=256)
def _public_holidays(country: str, subdivision: str | None, year: int) -> dict[date, str]:
    if not re.fullmatch("[A-Z]{2}", country):  # the library would look up any word among its own names
        raise ValueError(f"{country!r} is no country: use an ISO 3166 code like DE or SE")
    import holidays  # here, because only calendars that name a country need its 0.1 s

    try:
        found = holidays.country_holidays(country, subdiv=subdivision, years=year, language="en_US")
    except NotImplementedError:
        try:
            known = ", ".join(holidays.country_holidays(country).subdivisions)
        except NotImplementedError:
            raise ValueError(f"no holidays are known for country {country!r}") from None
        raise ValueError(f"{country} has no subdivision {subdivision!r}; known: {known or 'none'}") from None
    return dict(found.items())


@lru_cache(maxsize=64)
def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """The IANA zone of this name. Raises ``ValueError``."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, zoneinfo.available_timezones(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "use an IANA name like Europe/Berlin"
        raise ValueError(f"no time zone is called {name!r}; {hint}") from None


@dataclass(frozen=True)
class Calendar:
    """When the team works. ``Calendar()`` is always open.

    Windows are local time of the IANA ``zone``; ``windows`` None means the whole of every day. Closed are the
    public holidays of ``country`` (and ``subdivision``, both as the library `holidays` calls them) and
    ``closed_on``. ``open_on`` wins over both: with hours, they replace the day's windows; without, the usual
    windows of its weekday hold although it is a holiday. Raises ``ValueError`` for what can't be a calendar.
    """

    ALWAYS: ClassVar[Calendar]

    zone: str = "UTC"
    windows: tuple[Window, ...] | None = None
    country: str | None = None
    subdivision: str | None = None
    closed_on: tuple[tuple[date, str], ...] = ()
    open_on: tuple[tuple[date, tuple[int, int] | None], ...] = ()
    always: bool = field(init=False, repr=False, compare=False)
    _spans_on: Callable[[date], tuple[tuple[datetime, datetime], ...]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        time_zone(self.zone)
        if self.subdivision and not self.country:
            raise ValueError("a subdivision needs its country")
        if self.windows == ():
            raise ValueError("a calendar without windows is never open; leave them out for 24 hours a day")
        both = {day for day, _ in self.closed_on} & {day for day, _ in self.open_on}
        if both:
            raise ValueError(f"{min(both)} can't be closed and open")
        for day, hours in self.open_on:
            if hours is None and not self._usual(day):
                raise ValueError(f"{day} has no usual hours: write them like {day} 10:00-14:00")
        always = self.windows is None and not (self.country or self.closed_on or self.open_on)
        object.__setattr__(self, "always", always)
        # One pass over a year is 365 days; more is not kept, for sources also date mentions to 1793.
        object.__setattr__(self, "_spans_on", lru_cache(maxsize=1000)(self._find_spans))

    def add(self, start: datetime, working: timedelta) -> datetime:
        """The first instant by which ``working`` time has passed since ``start``: a due time.

        Real elapsed seconds count, so a day on which clocks change has 23 or 25 hours. Raises ``ValueError``
        for a naive start, and when the calendar has no working time for 400 days.
        """
        if working < ZERO:
            raise ValueError("working time can't be negative")
        start = utc(start)
        if self.always or not working:
            return start + working
        for opens, closes in self.spans(start):
            if closes - opens >= working:
                return opens + working
            working -= closes - opens
        raise ValueError(f"the calendar has 400 days without working time after {start:%Y-%m-%d}")

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """The working time between two instants; zero when ``end`` is not after ``start``."""
        start, end = utc(start), utc(end)
        if end <= start:
            return ZERO
        if self.always:
            return end - start
        total = ZERO
        for opens, closes in self.spans(start):
            if opens >= end:
                break
            total += min(closes, end) - opens
        return total

    def is_open(self, at: datetime) -> bool:
        """Whether the team works at this instant."""
        opens, _ = next(self.spans(utc(at)), (None, None))
        return self.always or opens == at

    def holiday(self, day: date) -> str | None:
        """The name of what closes this local day, or None. Raises ``ValueError`` for an unknown country."""
        if any(day == opened for opened, _ in self.open_on):
            return None
        for closed, name in self.closed_on:
            if day == closed:
                return name or "closed"
        if self.country:
            return _public_holidays(self.country, self.subdivision, day.year).get(day)
        return None

    def spans(self, start: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Open spans in UTC from ``start`` on, in order and apart; ends when 400 days bring no more."""
        reached = start
        last = start.astimezone(time_zone(self.zone)).date()
        day = last - DAY  # yesterday's window may cross midnight
        while day - last < LONGEST_CLOSURE:
            for opens, closes in self._spans_on(day):
                if closes > reached:
                    yield max(opens, reached), closes
                    reached, last = closes, day
            day += DAY

    def _find_spans(self, day: date) -> tuple[tuple[datetime, datetime], ...]:
        """The UTC spans of the windows that start on this local day, sorted."""
        special = [hours for opened, hours in self.open_on if opened == day and hours]
        hours = special or ([] if self.holiday(day) else self._usual(day))
        zone = time_zone(self.zone)
        return tuple(
            (local_instant(day, start, zone), local_instant(day, end, zone)) for start, end in sorted(hours)
        )

    def _usual(self, day: date) -> list[tuple[int, int]]:
        if self.windows is None:
            return [(0, MINUTES_A_DAY)]
        return [(w.start, w.end) for w in self.windows if day.weekday() in w.days]

    def to_json(self) -> dict[str, Any]:
        """A plain dict, for the policy copy inside a case."""
        return {
            "zone": self.zone,
            "windows": None if self.windows is None else [str(w) for w in self.windows],
            "country": self.country,
            "subdivision": self.subdivision,
            "closed_on": [f"{day} {name}".strip() for day, name in self.closed_on],
            "open_on": [f"{day} {hours_text(hours)}" if hours else f"{day}" for day, hours in self.open_on],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Calendar:
        """The calendar that ``to_json`` wrote; equal ones are one object and share what they found out."""
        return _calendar(json.dumps(data, sort_keys=True))


Calendar.ALWAYS = Calendar()


@lru_cache(maxsize=256)
def _calendar(text: str) -> Calendar:
    data = json.loads(text)
    windows = data["windows"]
    return Calendar(
        zone=data["zone"],
        windows=None if windows is None else tuple(map(Window.parse, windows)),
        country=data["country"],
        subdivision=data["subdivision"],
        closed_on=tuple(map(parse_closed_day, data["closed_on"])),
        open_on=tuple(map(parse_open_day, data["open_on"])),
    )


def local_instant(day: date, minute: int, zone: zoneinfo.ZoneInfo) -> datetime:
    """The UTC instant of a wall-clock time: of two the first, of a skipped one the moment of the change."""
    local = datetime.combine(day, time()) + timedelta(minutes=minute)
    found = local.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local:
        return found
    # Skipped: zoneinfo answers with the offset before the change (PEP 495), which is an instant after it.
    before, after = local.replace(tzinfo=zone, fold=1).astimezone(UTC), found
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)
