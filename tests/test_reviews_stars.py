"""Ratings on any scale as stars."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.reviews import stars
from tests.fakes import Site, loopback_client
from tests.review_pages import page, poll, review

numbers = st.floats(-1e5, 1e5, allow_nan=False).map(lambda n: round(n, 4))


@pytest.mark.parametrize(
    ("given_rating", "expected"),
    [
        ((5,), 5.0),
        (("1",), 1.0),
        (("4,5",), 4.5),
        (("4.5 out of 5",), 4.5),
        (("4/10",), pytest.approx(1 + 4 * 3 / 9)),
        (("50%",), 3.0),
        ((0, 5, 0), 1.0),
        ((10, "10", "1"), 5.0),
        (("2", "1", "6"), 4.2),  # school marks: 1 is the best
        ((0.5,), 1.0),  # half stars below the lowest
        ((0,), None),  # not rated
        ((8,), None),  # of what?
        ((7, 5), None),
        ((3, 3, 3), None),
        ((True,), None),
        ((float("nan"),), None),
        ((10**400,), None),
        (("",), None),
        (("five",), None),
        ((None,), None),
        (({"a": 1},), None),
    ],
)
def test_stars(given_rating: tuple[object, ...], expected: float | None) -> None:
    assert stars(*given_rating) == expected


@given(numbers, numbers, numbers, numbers)
def test_stars_stay_in_range_and_follow_the_scale(one: float, two: float, best: float, worst: float) -> None:
    rated = [stars(n, best, worst) for n in sorted((one, two), reverse=best < worst)]
    assert all(s is None or 1.0 <= s <= 5.0 for s in rated)
    if rated[0] is not None and rated[1] is not None:
        assert rated[0] <= rated[1]


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.booleans()), st.text(), st.text())
def test_stars_of_anything(value: object, best: str, worst: str) -> None:
    found = stars(value, best, worst)
    assert found is None or 1.0 <= found <= 5.0


def test_the_rating_of_the_whole_is_taken_and_not_that_of_an_aspect() -> None:
    ratings = [{"ratingValue": 1, "reviewAspect": "price"}, {"ratingValue": 4}]
    with Site() as site, loopback_client() as http:
        assert poll(site, http, page(review(1, reviewRating=ratings))).mentions[0].rating == 4.0
