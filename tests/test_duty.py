"""Who is on duty: laws of the rotation, and single cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.clock import Calendar, Window
from listener.duty import OFF, Duty, HandOver, Member, Override, Post
from tests.test_clock import INSTANTS, ZONES, at, windows

NAMES = ["ada", "ben", "cleo", "dan", "eve", "finn"]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BERLIN = "Europe/Berlin"
OFFICE = Calendar(BERLIN, (Window.parse("Mon-Fri 08:00-16:00"),))
NIGHT = Calendar(BERLIN, (Window.parse("daily 22:00-07:00"),))


def names(posts: tuple[Post, ...]) -> list[str]:
    return [p.name for p in posts]


@st.composite
def some_hours(draw: st.DrawFn) -> Calendar:
    return Calendar(
        draw(st.sampled_from(ZONES)), draw(st.lists(windows(), min_size=1, max_size=2).map(tuple))
    )


@st.composite
def members(draw: st.DrawFn) -> tuple[Member, ...]:
    found = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    return tuple(
        Member(
            name,
            weight=draw(st.integers(1, 6)),
            hours=draw(st.just(Calendar.ALWAYS) | some_hours()),
            quiet=draw(st.none() | some_hours()),
            deputy=draw(st.none() | st.sampled_from([n for n in [*NAMES, "guest"] if n != name])),
        )
        for name in found
    )


@st.composite
def hand_overs(draw: st.DrawFn) -> HandOver:
    return HandOver(draw(st.none() | st.integers(0, 6)), draw(st.integers(0, 1439)))


@st.composite
def duties(draw: st.DrawFn, around: datetime) -> Duty:
    people = draw(members())
    overrides = []
    for _ in range(draw(st.integers(0, 3))):
        start = around + draw(st.timedeltas(-2 * DAY, 2 * DAY))
        person = draw(st.none() | st.sampled_from([*NAMES, "guest", OFF]))
        away = draw(st.sampled_from(NAMES) if person is None else st.none() | st.sampled_from(NAMES))
        if person != away:
            overrides.append(Override(start, start + draw(st.timedeltas(HOUR, 3 * DAY)), person, away))
    return Duty(
        people,
        zone=draw(st.sampled_from(ZONES)),
        hand_over_at=draw(hand_overs()),
        at_once=draw(st.none() | st.integers(1, len(people))),
        starts=draw(st.dates(date(2025, 1, 1), date(2031, 1, 1))),
        overrides=tuple(overrides),
    )


@settings(deadline=None, max_examples=150)
@given(st.data(), INSTANTS)
def test_as_many_are_on_duty_as_configured_and_nobody_is_disturbed(
    data: st.DataObject, now: datetime
) -> None:
    duty = data.draw(duties(now))
    found = names(duty.on_duty(now))
    assert len(found) == len(set(found))
    active = [o for o in duty.overrides if o.start <= now < o.end]
    if any(o.person == OFF for o in active):
        assert found == []
        return
    away = {o.away for o in active}
    quiet = {m.name for m in duty.members if m.quiet and m.quiet.is_open(now)}
    assert not set(found) & (away | quiet)
    able = {m.name for m in duty.members} - away - quiet
    if duty.at_once is not None:
        guests = {o.person for o in active if o.person} - able - away - quiet
        assert min(duty.at_once, len(able)) <= len(found) <= duty.at_once
        assert len(found) == duty.at_once or able | guests <= set(found), "fewer, only when nobody is left"
    else:
        assert {n for n in able if duty.in_hours(n, now)} <= set(found)
    called = duty.candidates(now)
    assert set(called) <= set(found)
    assert all(duty.in_hours(n, now) for n in called)
    woken = duty.candidates(now, outside_hours=True)
    assert woken == called or not called
    assert woken or not {m.name for m in duty.members} - away, "a policy that says so reaches somebody"


@settings(deadline=None, max_examples=60)
@given(st.data(), INSTANTS)
def test_between_two_changes_the_same_people_are_on_duty(data: st.DataObject, now: datetime) -> None:
    duty = data.draw(duties(now))
    found = [(now, duty.on_duty(now)), *islice(duty.changes(now), 3)]
    assert duty.hand_over(now) == (found[1][0] if len(found) > 1 else None)
    for (start, posts), (end, others) in pairwise(found):
        assert start < end
        assert set(names(posts)) != set(names(others))
        moment = data.draw(st.timedeltas(timedelta(0), end - start - timedelta(microseconds=1)))
        assert set(names(duty.on_duty(start + moment))) == set(names(posts))
    ends = duty.ends(now)
    assert list(ends) == names(found[0][1])
    for name, until in ends.items():
        if until is not None:
            assert name not in names(duty.on_duty(until))
            assert name in names(duty.on_duty(until - timedelta(microseconds=1)))


@settings(deadline=None, max_examples=60)
@given(st.data(), INSTANTS, st.sets(st.sampled_from(NAMES), max_size=2), st.booleans())
def test_the_next_call_is_at_the_first_instant_at_which_somebody_may_be_called(
    data: st.DataObject, now: datetime, exclude: set[str], outside: bool
) -> None:
    duty = data.draw(duties(now))

    def able(at: datetime) -> set[str]:
        return set(duty.candidates(at, outside_hours=outside)) - exclude

    found = duty.next_call_at(now, exclude=exclude, outside_hours=outside)
    before = data.draw(st.timedeltas(timedelta(0), (found or now + 90 * DAY) - now))
    assert found is None or able(found)
    if found is None or now + before < found:
        assert not able(now + before)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(ZONES), hand_overs(), INSTANTS)
def test_turns_change_at_the_local_time_whatever_clocks_do(
    zone: str, hand_over: HandOver, now: datetime
) -> None:
    duty = Duty((Member("ada"), Member("ben")), zone, hand_over)
    found = [at for at, _ in islice(duty.changes(now), 12)]
    assert len(found) == 12
    for one in found:
        local = one.astimezone(ZoneInfo(zone))
        assert hand_over.weekday in (None, local.weekday())
        wall = local.hour * 60 + local.minute
        skipped = (one - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).utcoffset() != local.utcoffset()
        assert wall == hand_over.minute or (skipped and wall > hand_over.minute)
        assert local.fold == 0, "a time that comes twice counts the first time"
    for one, other in pairwise(found):
        local, later = one.astimezone(ZoneInfo(zone)), other.astimezone(ZoneInfo(zone))
        assert (later.date() - local.date()).days == (1 if hand_over.weekday is None else 7)


@pytest.mark.parametrize("zone", ZONES)
def test_every_change_of_the_clocks_in_five_years_keeps_the_hand_over(zone: str) -> None:
    """Around each change of the offset, a hand-over every quarter of the hours it touches."""
    place, now = ZoneInfo(zone), datetime(2026, 1, 1, tzinfo=UTC)
    changes = []
    while now.year < 2031:
        if now.astimezone(place).utcoffset() != (now + HOUR).astimezone(place).utcoffset():
            changes.append(now)
        now += HOUR
    assert len(changes) == (0 if zone == "Asia/Kathmandu" else 10)
    for change in changes:
        for minute in range(0, 1440, 15):
            duty = Duty((Member("ada"), Member("ben")), zone, HandOver(None, minute))
            found = [at for at, _ in islice(duty.changes(change - 2 * DAY), 4)]
            days = [at.astimezone(place).date() for at in found]
            assert [(b - a).days for a, b in pairwise(days)] == [1, 1, 1]
            for one in found:
                local = one.astimezone(place)
                wall = local.hour * 60 + local.minute
                assert wall == minute or (abs(one - change) <= HOUR and minute < wall <= minute + 60)


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=6),
    st.integers(1, 6),
    st.sampled_from(ZONES),
    st.dates(date(2026, 1, 1), date(2030, 1, 1)),
)
def test_turns_and_cases_follow_the_weights_over_a_year(
    weights: list[int], at_once: int, zone: str, start: date
) -> None:
    people = tuple(Member(n, w) for n, w in zip(NAMES, weights, strict=False))
    duty = Duty(people, zone, HandOver(None, 540), min(at_once, len(people)))
    number = duty.at_once or 0
    turns, cases = Counter[str](), Counter[str]()
    for day in range(365):
        posts = duty.on_duty(at(f"{start + day * DAY}T12:00", zone))
        total = sum(map(duty.share, posts))
        turns.update(names(posts))
        cases.update({p.name: duty.share(p) / total for p in posts})
    for member in people:
        part = member.weight / sum(weights)
        if number * max(weights) <= sum(weights):  # else somebody's turn would be each one, and more
            assert turns[member.name] == pytest.approx(365 * number * part, abs=2)
        assert cases[member.name] == pytest.approx(365 * part, abs=2)


# ---- single cases -------------------------------------------------------------------------------------------

MONDAY = "2026-11-23T09:00"


def weekly(*people: Member, **more: object) -> Duty:
    return Duty(people or tuple(map(Member, "abc")), BERLIN, starts=date(2026, 11, 23), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("duty", "turns"),
    [
        (weekly(), "a b c a b"),
        (weekly(Member("a", 2), Member("b", 2), Member("f")), "a b f a b"),
        (weekly(Member("a", 4), Member("f")), "a a f a a"),
        (weekly(at_once=2), "ab ca bc ab ca"),
        (weekly(*map(Member, "abcd"), at_once=2), "ab cd ab cd ab"),
        (weekly(at_once=3), "abc abc abc abc abc"),
        (weekly(at_once=None), "abc abc abc abc abc"),
        (weekly(hand_over_at=HandOver.parse("daily 09:00")), "a b c a b"),
    ],
)
def test_turns_go_round_in_order_and_by_weight(duty: Duty, turns: str) -> None:
    step = DAY if duty.hand_over_at.weekday is None else 7 * DAY
    found = [names(duty.on_duty(at(MONDAY, BERLIN) + i * step)) for i in range(5)]
    assert ["".join(posts) for posts in found] == turns.split()


def test_a_turn_begins_at_the_hand_over_and_not_before() -> None:
    duty, start = weekly(), at(MONDAY, BERLIN)
    assert names(duty.on_duty(start - timedelta(microseconds=1))) == ["c"]
    assert names(duty.on_duty(start)) == ["a"]
    assert duty.hand_over(start) == start + 7 * DAY
    assert duty.hand_over(start - timedelta(microseconds=1)) == start
    assert weekly(Member("a")).hand_over(start) is None


NIGHT_SHIFT = "2026-11-24T23:00"


@pytest.mark.parametrize(
    ("duty", "now", "found"),
    [
        pytest.param(weekly(), MONDAY, [Post("a")], id="a turn"),
        pytest.param(
            weekly(Member("a", quiet=NIGHT, deputy="c"), Member("b"), Member("c")),
            NIGHT_SHIFT,
            [Post("c", "a")],
            id="at night the deputy",
        ),
        pytest.param(
            weekly(Member("a", quiet=NIGHT, deputy="night desk"), Member("b")),
            NIGHT_SHIFT,
            [Post("night desk", "a")],
            id="a deputy from outside",
        ),
        pytest.param(
            weekly(Member("a", quiet=NIGHT), Member("b")),
            NIGHT_SHIFT,
            [Post("b", "a")],
            id="no deputy: the next",
        ),
        pytest.param(
            weekly(Member("a", quiet=NIGHT, deputy="b"), Member("b", quiet=NIGHT), Member("c")),
            NIGHT_SHIFT,
            [Post("c", "a")],
            id="the deputy sleeps too",
        ),
        pytest.param(
            weekly(Member("a", quiet=NIGHT, deputy="b"), Member("b"), Member("c"), at_once=2),
            NIGHT_SHIFT,
            [Post("b"), Post("c", "a")],
            id="the deputy is on duty already",
        ),
        pytest.param(weekly(Member("a", quiet=NIGHT)), NIGHT_SHIFT, [], id="all asleep"),
        pytest.param(
            weekly(overrides=(Override(at(MONDAY), at(MONDAY) + 9 * DAY, "c"),)),
            NIGHT_SHIFT,
            [Post("c")],
            id="an override",
        ),
        pytest.param(
            weekly(at_once=2, overrides=(Override(at(MONDAY), at(MONDAY) + 9 * DAY, "guest"),)),
            NIGHT_SHIFT,
            [Post("guest"), Post("a")],
            id="an override of one of two",
        ),
        pytest.param(
            weekly(overrides=(Override(at(MONDAY), at(MONDAY) + 9 * DAY, away="a"),)),
            NIGHT_SHIFT,
            [Post("b", "a")],
            id="away",
        ),
        pytest.param(
            weekly(at_once=2, overrides=(Override(at(MONDAY), at(MONDAY) + 9 * DAY, "c", "a"),)),
            NIGHT_SHIFT,
            [Post("c"), Post("b", "a")],
            id="swapped",
        ),
        pytest.param(
            weekly(overrides=(Override(at(MONDAY), at(MONDAY) + 9 * DAY, OFF),)), NIGHT_SHIFT, [], id="off"
        ),
        pytest.param(
            weekly(Member("a", hours=OFFICE), Member("b"), at_once=None),
            NIGHT_SHIFT,
            [Post("b")],
            id="everyone in hours",
        ),
    ],
)
def test_who_is_on_duty(duty: Duty, now: str, found: list[Post]) -> None:
    posts = duty.on_duty(at(now, BERLIN))
    assert sorted(posts, key=lambda p: p.name) == sorted(found, key=lambda p: p.name)


def test_outside_their_hours_somebody_is_called_only_where_that_is_said() -> None:
    duty, night = weekly(Member("a", hours=OFFICE, quiet=NIGHT), Member("b")), at("2026-11-23T20:00", BERLIN)
    assert duty.candidates(night) == ()
    assert duty.candidates(night, outside_hours=True) == ("a",)
    assert duty.next_call_at(night) == at("2026-11-23T22:00", BERLIN), "b stands in then"
    assert duty.candidates(night + 3 * HOUR) == ("b",)
    alone = weekly(Member("a", hours=OFFICE, quiet=NIGHT))
    assert alone.candidates(night + 3 * HOUR, outside_hours=True) == ("a",), "nobody else is left"
    assert alone.next_call_at(night) == at("2026-11-24T08:00", BERLIN)
    assert alone.next_call_at(night, exclude=["a"]) is None
    everyone = replace(alone, at_once=None)
    assert everyone.candidates(night) == ()
    assert everyone.candidates(night, outside_hours=True) == ("a",)
    assert everyone.hand_over(night) == at("2026-11-24T08:00", BERLIN)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Mon 09:00", HandOver(0, 540)),
        ("sunday 0:30", HandOver(6, 30)),
        ("daily 23:59", HandOver(None, 1439)),
    ],
)
def test_hand_overs_are_read(text: str, found: HandOver) -> None:
    assert HandOver.parse(text) == found
    assert HandOver.parse(str(found)) == found


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HandOver.parse("Mo 09:00"), "write it like Mon 09:00 or daily 09:00"),
        (lambda: HandOver.parse("09:00"), "write it like"),
        (lambda: HandOver.parse("Mon 24:00"), "write it like"),
        (lambda: Member("a", 0), "from 1 on"),
        (lambda: Member("a", deputy="a"), "their own deputy"),
        (lambda: Override(at(MONDAY), at(MONDAY), "a"), "ends after it begins"),
        (lambda: Override(at(MONDAY), at(MONDAY) + DAY), "who has the duty"),
        (lambda: Override(at(MONDAY), at(MONDAY) + DAY, "a", "a"), "can't have the duty"),
        (lambda: Duty(()), "needs people"),
        (lambda: weekly(Member("a"), Member("a")), "in the rotation once"),
        (lambda: weekly(at_once=4), "at_once is 1 to 3"),
        (lambda: weekly(at_once=0), "at_once is 1 to 3"),
        (lambda: Duty((Member("a"),), "Europe/Berln"), "did you mean 'Europe/Berlin'"),
        (lambda: weekly().on_duty(datetime(2026, 1, 1)), "no time zone"),  # noqa: DTZ001
    ],
)
def test_bad_rotations_say_why(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()
