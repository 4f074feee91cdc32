"""When many complaints at once are a storm: laws over random histories, and the figures for known brands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import storm
from listener.storm import StormRules, begin_at, begins, densest, ends, usual_per_hour

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MONTH = 28 * DAY


def at(*minutes: float) -> list[datetime]:
    return [NOW + timedelta(minutes=m) for m in minutes]


rules = st.builds(
    StormRules,
    floor=st.integers(3, 100),
    window=st.integers(5, 120).map(lambda m: timedelta(minutes=m)),
    calm=st.integers(120, 600).map(lambda m: timedelta(minutes=m)),
)
usual = st.floats(0, 2000)
times = st.lists(st.integers(0, 100), max_size=60).map(lambda minutes: at(*minutes))


# ---- what is usual ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "heard_for", "expected"),
    [
        ([], timedelta(0), 0),  # nothing is known: the floor alone decides
        ([1] * 20, MONTH, 0),  # a few cases a month
        ([1] * 56, MONTH, 1),  # two a day: up to one an hour
        ([40] * 672, MONTH, 40),  # round the clock
        ([4] * 600 + [30] * 72, MONTH, 30),  # a peak of two and a half hours a day is usual
        ([2] * 640 + [500] * 32, MONTH, 2),  # storms of 32 hours in four weeks are not
        ([200], timedelta(minutes=10), 0),  # the very first hour is not what is usual
        ([40] * 24, DAY, 40),  # a day of a big brand is, though
    ],
)
def test_the_usual_rate_is_that_of_a_busy_hour(
    counts: list[int], heard_for: timedelta, expected: float
) -> None:
    assert usual_per_hour(counts, heard_for) == expected


@given(st.lists(st.integers(1, 500), max_size=672), st.integers(0, 672))
def test_it_is_never_more_than_the_busiest_hour_and_grows_with_each(counts: list[int], hours: int) -> None:
    heard = timedelta(hours=hours)
    found = usual_per_hour(counts, heard)
    assert 0 <= found <= max(counts, default=0)
    assert usual_per_hour([c + 1 for c in counts], heard) >= found


# ---- the densest span ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [([], 0), ([5], 1), ([0, 30], 1), ([0, 29, 30, 58], 3), ([3, 1, 2], 3), ([0] * 7, 7)],
)
def test_the_densest_half_hour(minutes: list[float], expected: int) -> None:
    assert densest(at(*minutes), timedelta(minutes=30)) == expected


@given(times, st.integers(1, 100))
def test_the_densest_span_is_the_one_that_a_plain_search_finds(found: list[datetime], minutes: int) -> None:
    span = timedelta(minutes=minutes)
    plain = max((sum(t <= other < t + span for other in found) for t in found), default=0)
    assert densest(found, span) == plain


# ---- begin and end ------------------------------------------------------------------------------------------


@given(rules, usual, times)
def test_it_never_begins_below_the_floor(
    given_rules: StormRules, rate: float, recent: list[datetime]
) -> None:
    if len(recent) < given_rules.floor:
        assert not begins(given_rules, rate, recent)


@given(st.integers(8, 100), st.floats(0, 500))
def test_five_times_the_usual_rate_above_the_floor_always_begins_one(floor: int, rate: float) -> None:
    found = StormRules(floor=floor)
    half_hour = rate / 2
    needed = max(floor, 5 * half_hour)
    assert begins(found, rate, at(*[0] * (int(needed) + 1)))


@given(rules, usual, times)
def test_more_cases_never_prevent_it_and_a_higher_usual_rate_never_causes_it(
    given_rules: StormRules, rate: float, recent: list[datetime]
) -> None:
    if begins(given_rules, rate, recent):
        assert begins(given_rules, rate, [*recent, NOW])
        assert begins(given_rules, rate / 2, recent)


@given(rules, usual)
def test_it_ends_when_nothing_comes_any_more_and_at_the_usual_rate(
    given_rules: StormRules, rate: float
) -> None:
    def usual_in(span: timedelta) -> int:
        return int(rate * (span / timedelta(hours=1)))

    assert ends(given_rules, rate, 0, 0)
    assert ends(given_rules, rate, usual_in(given_rules.window), usual_in(given_rules.calm))


@given(rules, usual, st.integers(0, 5000), st.integers(0, 5000))
def test_what_has_just_ended_is_far_from_beginning_again(
    given_rules: StormRules, rate: float, in_window: int, more: int
) -> None:
    if ends(given_rules, rate, in_window, in_window + more):
        needed = begin_at(given_rules, rate)
        assert in_window < needed
        assert needed - in_window >= min(given_rules.floor / 2, needed / 3)


@pytest.mark.parametrize("rate", [0, 3, 40, 400])
def test_chance_alone_begins_none(rate: float) -> None:
    """At the busiest usual rate, half an hour reaches the threshold less than once in 100,000 (Poisson)."""
    from math import exp, lgamma, log

    expected, needed = rate / 2, begin_at(StormRules(), rate)
    if expected:
        likely = [exp(k * log(expected) - expected - lgamma(k + 1)) for k in range(int(needed + 0.999))]
        assert 1 - sum(likely) < 2e-5


def test_catching_up_after_a_pause_is_no_storm() -> None:
    """40 cases of ten hours are seen at once."""
    recent = at(*[15 * n for n in range(40)])
    assert len(recent) >= StormRules().floor
    assert not begins(StormRules(), 0, recent)


def test_switched_off_none_begins_and_one_that_is_on_ends() -> None:
    off = StormRules(enabled=False)
    assert not begins(off, 0, at(*[0] * 500))
    assert ends(off, 0, 500, 500)


def test_hours_are_learned_from_four_weeks_and_at_least_one() -> None:
    assert timedelta(days=7) == storm.LEARN_AT_LEAST < storm.LEARN_FROM == MONTH
