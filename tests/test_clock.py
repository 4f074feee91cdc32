"""Working time, policies, alarm points."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.clock import (
    DEFAULT_STEPS,
    Calendar,
    Policy,
    Step,
    Window,
    alarm_points,
    duration_text,
    parse_duration,
    starts_at,
)
from listener.clock.worktime import DAYS, hours_text, parse_closed_day, parse_hours, parse_open_day
from listener.model import ClockName

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # changes at midnight, in the southern summer
    "Australia/Lord_Howe",  # changes by half an hour
    "Asia/Kathmandu",  # +05:45, no change
    "Africa/Cairo",  # changes at midnight
]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def office(zone: str = "Europe/Berlin", **more: object) -> Calendar:
    return Calendar(zone, (Window.parse("Mon-Fri 08:00-16:00"),), **more)  # type: ignore[arg-type]


@st.composite
def windows(draw: st.DrawFn) -> Window:
    days = draw(st.sets(st.sampled_from(DAYS), min_size=1))
    start = draw(st.integers(0, 1439))
    end = draw(st.integers(0, 1440).filter(lambda m: m != start))
    return Window.parse(f"{','.join(days)} {hours_text((start, end))}")


DATES = st.dates(date(2026, 1, 1), date(2030, 12, 31))


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    closed = draw(st.dictionaries(DATES, st.sampled_from(["", "Fair"]), max_size=5))
    hours = st.sampled_from(["00:00-24:00", "01:30-02:30", "23:00-03:15"])
    opened = draw(st.dictionaries(DATES.filter(lambda d: d not in closed), hours, max_size=5))
    return Calendar(
        zone=draw(st.sampled_from(ZONES)),
        windows=draw(st.none() | st.lists(windows(), min_size=1, max_size=4).map(tuple)),
        country=draw(st.sampled_from([None, "DE", "US"])),
        closed_on=tuple(closed.items()),
        open_on=tuple((day, parse_hours(text)) for day, text in opened.items()),
    )


INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2030, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
TARGETS = st.timedeltas(timedelta(0), timedelta(hours=60))


@settings(deadline=None, max_examples=400)
@given(calendars(), INSTANTS, TARGETS)
def test_the_working_time_until_due_is_the_target(
    calendar: Calendar, start: datetime, target: timedelta
) -> None:
    due = calendar.add(start, target)
    assert due >= start
    assert calendar.elapsed(start, due) == target
    if target:  # the first such instant: a little earlier, less has passed
        assert calendar.elapsed(start, due - timedelta(microseconds=1)) < target


def changes_of_the_clocks(zone: str) -> list[datetime]:
    """When the offset from UTC changes from 2026 to 2030, found hour by hour."""
    place, hours = ZoneInfo(zone), [datetime(2026, 1, 1, tzinfo=UTC) + n * HOUR for n in range(5 * 366 * 24)]
    offsets = [hour.astimezone(place).utcoffset() for hour in hours]
    return [
        hours[n + 1] for n, (a, b) in enumerate(pairwise(offsets)) if a != b and hours[n + 1].year <= 2030
    ]


CHANGES = [(zone, change) for zone in ZONES for change in changes_of_the_clocks(zone)]


def test_the_changes_of_five_years_are_all_there() -> None:
    assert Counter(zone for zone, _ in CHANGES) == {z: 10 for z in ZONES if z != "Asia/Kathmandu"}


def minute_by_minute(calendar: Calendar, start: datetime, minutes: int) -> list[bool]:
    """Whether the calendar is open in each minute, by looking at the clock on the wall alone.

    A window opens when the wall first shows its beginning or more, and closes when it first shows its end or more.
    """
    zone = ZoneInfo(calendar.zone)
    wall = [(start + n * MINUTE).astimezone(zone).replace(tzinfo=None) for n in range(minutes)]
    shown = list(accumulate(wall, max))  # set back, the wall shows again what it has shown
    found = [False] * minutes
    for days in range(-2, minutes // 1440 + 2):
        day = datetime.combine(wall[0].date(), time()) + timedelta(days=days)
        for window in calendar.windows or ():
            if day.weekday() in window.days:
                opens = bisect_left(shown, day + window.start * MINUTE)
                closes = bisect_left(shown, day + window.end * MINUTE)
                found[opens:closes] = [True] * (closes - opens)
    return found


@settings(deadline=None, max_examples=5)
@given(st.lists(windows(), min_size=1, max_size=3).map(tuple), st.data())
@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_at_every_change_of_the_clocks_due_is_when_the_wall_says_so(
    zone: str, change: datetime, windows: tuple[Window, ...], data: st.DataObject
) -> None:
    calendar, minutes = Calendar(zone, windows), 3 * 1440
    begin = change - timedelta(days=1, hours=12)
    open_in = minute_by_minute(calendar, begin, minutes)
    worked = [0, *accumulate(open_in)]  # minutes until then
    for n in range(minutes - 2160, minutes, 41):
        assert calendar.is_open(begin + n * MINUTE) == open_in[n]
    start = data.draw(st.integers(0, minutes - 1))
    assert calendar.elapsed(begin + start * MINUTE, begin + minutes * MINUTE) == (
        (worked[minutes] - worked[start]) * MINUTE
    )
    target = data.draw(st.integers(0, worked[minutes] - worked[start]))
    due = calendar.add(begin + start * MINUTE, target * MINUTE)
    assert calendar.elapsed(begin + start * MINUTE, due) == target * MINUTE
    assert due == begin + (bisect_left(worked, worked[start] + target) if target else start) * MINUTE


@settings(deadline=None, max_examples=200)
@given(calendars(), st.tuples(INSTANTS, INSTANTS).map(sorted), st.tuples(TARGETS, TARGETS).map(sorted))
def test_due_never_moves_back_when_the_start_or_the_target_grows(
    calendar: Calendar, starts: list[datetime], targets: list[timedelta]
) -> None:
    assert calendar.add(starts[0], targets[0]) <= calendar.add(starts[1], targets[0])
    assert calendar.add(starts[0], targets[0]) <= calendar.add(starts[0], targets[1])


@settings(deadline=None, max_examples=150)
@given(calendars(), INSTANTS, st.integers(0, 10_000), st.integers(0, 10_000))
def test_elapsed_adds_up_and_agrees_with_is_open(
    calendar: Calendar, start: datetime, first: int, second: int
) -> None:
    middle = start + first * MINUTE
    end = middle + second * MINUTE
    assert calendar.elapsed(start, middle) + calendar.elapsed(middle, end) == calendar.elapsed(start, end)
    assert calendar.is_open(start) == (
        calendar.elapsed(start, start + timedelta(microseconds=1)) > timedelta(0)
    )


@settings(deadline=None, max_examples=100)
@given(calendars())
def test_a_calendar_survives_json(calendar: Calendar) -> None:
    data = json.loads(json.dumps(calendar.to_json()))
    assert Calendar.from_json(data) == calendar
    assert Calendar.from_json(data) is Calendar.from_json(calendar.to_json())


@pytest.mark.parametrize(
    ("calendar", "start", "working", "due"),
    [
        pytest.param(Calendar.ALWAYS, "2026-03-29T00:30", HOUR, "2026-03-29T01:30", id="always"),
        pytest.param(office(), "2026-11-20T15:30+01:00", HOUR, "2026-11-23T08:30+01:00", id="over a weekend"),
        pytest.param(
            office(), "2026-11-20T15:00+01:00", HOUR, "2026-11-20T16:00+01:00", id="at closing time"
        ),
        pytest.param(office(), "2026-11-21T12:00+01:00", HOUR, "2026-11-23T09:00+01:00", id="while closed"),
        pytest.param(
            office(country="DE", subdivision="BY"),
            "2026-06-03T15:30+02:00",
            HOUR,
            "2026-06-05T08:30+02:00",
            id="Corpus Christi in Bavaria",
        ),
        pytest.param(
            office(country="DE"),
            "2026-06-03T15:30+02:00",
            HOUR,
            "2026-06-04T08:30+02:00",
            id="not in Germany",
        ),
        pytest.param(
            office(closed_on=(parse_closed_day("2026-12-24 Christmas Eve"),), country="DE"),
            "2026-12-23T15:30+01:00",
            HOUR,
            "2026-12-28T08:30+01:00",
            id="own day off, then holidays",
        ),
        pytest.param(
            office(open_on=(parse_open_day("2026-12-25 10:00-10:20"),), country="DE"),
            "2026-12-24T15:30+01:00",
            HOUR,
            "2026-12-28T08:10+01:00",
            id="open on a holiday with its own hours",
        ),
        pytest.param(
            office(open_on=(parse_open_day("2026-12-25"),), country="DE"),
            "2026-12-24T15:30+01:00",
            HOUR,
            "2026-12-25T08:30+01:00",
            id="open on a holiday with the usual hours",
        ),
        pytest.param(
            Calendar("Europe/Berlin", (Window.parse("Sat 22:00-06:00"),)),
            "2026-03-28T23:00+01:00",
            timedelta(hours=6),
            "2026-03-29T06:00+02:00",
            id="a night shift that loses an hour",
        ),
        pytest.param(
            Calendar("Europe/Berlin", (Window.parse("Sat 22:00-06:00"),)),
            "2026-10-24T22:00+02:00",
            timedelta(hours=9),
            "2026-10-25T06:00+01:00",
            id="a night shift that gains an hour",
        ),
        pytest.param(
            Calendar("Europe/Berlin", (Window.parse("daily 02:30-03:15"),)),
            "2026-03-29T00:00+01:00",
            15 * MINUTE,
            "2026-03-29T03:15+02:00",
            id="a window that starts in the skipped hour",
        ),
        pytest.param(
            Calendar("UTC", (Window.parse("Mon-Fri 08:00-12:00"), Window.parse("Mon 10:00-14:00"))),
            "2026-11-23T08:00",
            timedelta(hours=7),
            "2026-11-24T09:00",
            id="windows that overlap count once",
        ),
    ],
)
def test_due_times(calendar: Calendar, start: str, working: timedelta, due: str) -> None:
    def instant(text: str) -> datetime:
        read = datetime.fromisoformat(text)
        return read if read.tzinfo else read.replace(tzinfo=UTC)

    found = calendar.add(instant(start), working)
    assert found == instant(due)
    assert found.tzinfo is UTC


def test_a_closed_day_has_a_name() -> None:
    calendar = office(
        country="DE", closed_on=(parse_closed_day("2026-12-24 Christmas Eve"), parse_closed_day("2026-12-31"))
    )
    days = [date(2026, 12, 24), date(2026, 12, 25), date(2026, 12, 31), date(2026, 12, 30)]
    assert [calendar.holiday(day) for day in days] == ["Christmas Eve", "Christmas Day", "closed", None]


def test_a_calendar_that_is_never_open_is_refused() -> None:
    sundays = [(date(2026, 1, 4) + timedelta(weeks=week), "") for week in range(120)]
    closed = Calendar("Europe/Stockholm", (Window.parse("Sun 10:00-14:00"),), closed_on=tuple(sundays))
    with pytest.raises(ValueError, match="400 days without working time after 2026-11-20"):
        closed.add(at("2026-11-20T12:00"), HOUR)
    assert not closed.is_open(at("2026-11-22T12:00"))
    assert closed.elapsed(at("2026-11-20T12:00"), at("2027-11-20T12:00")) == timedelta(0)
    with pytest.raises(ValueError, match="never open"):
        Calendar(windows=())


@pytest.mark.parametrize(
    ("text", "days", "hours"),
    [
        ("Mon-Fri 08:00-16:00", (0, 1, 2, 3, 4), (480, 960)),
        ("fri 22:00-02:00", (4,), (1320, 1560)),
        ("Sat,Sun 10:00-14:00", (5, 6), (600, 840)),
        ("daily 00:00-24:00", (0, 1, 2, 3, 4, 5, 6), (0, 1440)),
        ("Sat-Mon 9:00 – 17:30", (0, 5, 6), (540, 1050)),
        ("Monday,Wed-Thursday 23:00-00:00", (0, 2, 3), (1380, 1440)),
    ],
)
def test_windows_are_read(text: str, days: tuple[int, ...], hours: tuple[int, int]) -> None:
    window = Window.parse(text)
    assert (window.days, (window.start, window.end)) == (days, hours)
    assert Window.parse(str(window)) == window


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Mon-Fri", "is not a window: write it like Mon-Fri 08:00-16:00"),
        ("", "is not a window"),
        ("Mo-Fr 08:00-16:00", "'Mo' is not a day"),
        ("Mon-Wed-Fri 08:00-16:00", "not a range of days"),
        ("Mon 8-16", "not hours: write them like 08:00-16:00"),
        ("Mon 08:00-25:00", "past the end of the day"),
        ("Mon 24:00-08:00", "past the end of the day"),
        ("Mon 08:60-09:00", "not hours"),
        ("Mon 08:00-08:00", "the whole day is 00:00-24:00"),
    ],
)
def test_bad_windows_say_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Window.parse(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Calendar("Europe/Berln"), "did you mean 'Europe/Berlin'"),
        (lambda: Calendar("../../etc/passwd"), "no time zone"),
        (lambda: Calendar(subdivision="BY"), "needs its country"),
        (lambda: Calendar(country="XX").holiday(date(2026, 1, 1)), "no holidays are known for country 'XX'"),
        (lambda: Calendar(country="Sweden").holiday(date(2026, 1, 1)), "ISO 3166 code like DE or SE"),
        (lambda: Calendar(country="DE", subdivision="ZZ").holiday(date(2026, 1, 1)), "known: BB, BE, "),
        (lambda: office(open_on=(parse_open_day("2026-11-22"),)), "2026-11-22 has no usual hours"),
        (
            lambda: office(open_on=((date(2026, 5, 1), None),), closed_on=((date(2026, 5, 1), ""),)),
            "closed and open",
        ),
        (lambda: parse_closed_day("24.12.2026"), "write it like 2026-12-24"),
        (lambda: Calendar.ALWAYS.add(datetime(2026, 1, 1), HOUR), "no time zone"),  # noqa: DTZ001
        (lambda: Calendar.ALWAYS.add(at("2026-01-01"), -HOUR), "negative"),
    ],
)
def test_bad_calendars_say_why(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", 90), ("60m", 3600), ("24h", 86400), ("7d", 604800), ("1h30m", 5400), (" 1H 30m ", 5400)],
)
def test_lengths_of_time_are_read(text: str, length: int) -> None:
    assert parse_duration(text) == timedelta(seconds=length)
    assert parse_duration(duration_text(timedelta(seconds=length))) == timedelta(seconds=length)


@pytest.mark.parametrize("text", ["", "60", "m", "1.5h", "-5m", "5 minutes", "1w"])
def test_bad_lengths_of_time_say_how(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        parse_duration(text)


def test_the_default_policy_is_an_hour_and_who_is_called_when() -> None:
    start = at("2026-11-22T12:00")
    points = alarm_points(Policy(), ClockName.FIRST_RESPONSE, start, HOUR)
    assert [(p.step.key, p.step.kind, (p.due_at - start) / MINUTE) for p in points] == [
        ("first_response:50%", "reminder", 30),
        ("first_response:75%", "warning", 45),
        ("first_response:100%", "breach", 60),
        ("first_response:+30m", "escalation", 90),
    ]
    assert [p.due_at - start for p in alarm_points(Policy(), ClockName.RESOLUTION, start, 24 * HOUR)] == [
        18 * HOUR,
        24 * HOUR,
    ]


def test_alarms_are_working_time() -> None:
    policy = Policy(calendar=office())
    points = alarm_points(policy, ClockName.FIRST_RESPONSE, at("2026-11-20T15:30", "Europe/Berlin"), HOUR)
    assert [p.due_at.astimezone(ZoneInfo("Europe/Berlin")).strftime("%a %H:%M") for p in points] == [
        "Fri 16:00",
        "Mon 08:15",
        "Mon 08:30",
        "Mon 09:00",
    ]


@settings(deadline=None, max_examples=100)
@given(calendars(), INSTANTS, st.timedeltas(MINUTE, timedelta(days=2)))
def test_the_breach_is_at_the_due_time_and_alarms_are_in_order(
    calendar: Calendar, start: datetime, target: timedelta
) -> None:
    points = alarm_points(Policy(calendar=calendar), ClockName.FIRST_RESPONSE, start, target)
    assert [p.due_at for p in points] == sorted(p.due_at for p in points)
    (breach,) = [p.due_at for p in points if p.step.kind == "breach"]
    assert breach == calendar.add(start, target)


def test_the_second_bad_experience_halves_the_first_response() -> None:
    policy = Policy(first_response=HOUR, second_target_factor=0.5)
    assert [policy.target(ClockName.FIRST_RESPONSE, n) for n in (1, 2, 3)] == [HOUR, HOUR / 2, HOUR / 2]
    assert policy.target(ClockName.RESOLUTION, 3) == 24 * HOUR


def test_a_policy_survives_json() -> None:
    policy = Policy(
        "shop",
        first_response=timedelta(minutes=15, milliseconds=250),
        calendar=office(country="DE", open_on=(parse_open_day("2026-12-25 10:00-14:00"),)),
        steps=(*DEFAULT_STEPS, Step(ClockName.RESOLUTION, "escalation", after_due=2 * HOUR, channel="boss")),
        ack_timeout=timedelta(minutes=20),
        starts="published",
        third_call=("Ada",),
    )
    assert Policy.from_json(json.loads(json.dumps(policy.to_json()))) == policy
    assert Policy.from_json(Policy().to_json()) == Policy()
    with pytest.raises(ValueError, match="newer Listener"):
        Policy.from_json({**policy.to_json(), "version": 2})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step(ClockName.RESOLUTION, "breach"), "either at_percent or after_due"),
        (lambda: Step(ClockName.RESOLUTION, "breach", 100, HOUR), "either at_percent or after_due"),
        (lambda: Step(ClockName.RESOLUTION, "breach", 120), "for later steps use after_due"),
        (lambda: Step(ClockName.RESOLUTION, "breach", after_due=timedelta(0)), "at_percent = 100"),
        (lambda: Policy(first_response=timedelta(0)), "longer than nothing"),
        (lambda: Policy(second_target_factor=2), "second_target_factor"),
        (
            lambda: Policy(steps=(DEFAULT_STEPS[0], DEFAULT_STEPS[0])),
            "more than one step at first_response:50%",
        ),
    ],
)
def test_bad_policies_say_why(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("starts", "published", "start"),
    [
        ("seen", "2026-11-22T11:50", "2026-11-22T12:00"),
        ("published", "2026-11-22T11:50", "2026-11-22T11:50"),
        ("published", "2026-11-22T11:30", "2026-11-22T11:30"),
        ("published", "2026-11-22T11:29", "2026-11-22T11:30"),
        ("published", "1793-01-01T00:00", "2026-11-22T11:30"),
        ("published", "2099-01-01T00:00", "2026-11-22T12:00"),
        ("published", None, "2026-11-22T12:00"),
    ],
)
def test_when_a_clock_starts(starts: str, published: str | None, start: str) -> None:
    policy = Policy(starts=starts)  # type: ignore[arg-type]
    seen = at("2026-11-22T12:00")
    assert starts_at(policy, at(published) if published else None, seen) == at(start)


@settings(deadline=None, max_examples=100)
@given(calendars(), INSTANTS, INSTANTS, st.timedeltas(MINUTE, timedelta(days=1)))
def test_a_case_is_never_breached_on_arrival(
    calendar: Calendar, published: datetime, seen: datetime, target: timedelta
) -> None:
    start = starts_at(Policy(calendar=calendar, starts="published"), published, seen, target)
    assert start <= seen
    assert calendar.elapsed(seen, calendar.add(start, target)) >= target / 2 - timedelta(microseconds=1)
