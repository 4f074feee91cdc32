"""Markup to text, text hygiene, and times in the forms that sources use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._text import clean, parse_time, plain
from tests.feeds import at


@given(st.text())
def test_clean_text_is_fit_to_store_and_stays_as_it_is(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert "\0" not in once
    assert once.encode().decode() == once
    assert "  " not in once
    assert once == once.strip()


@given(st.text(alphabet="<>/!-&;ab= \n\"'pscrit", max_size=200))
def test_markup_never_raises_and_gives_clean_text(html: str) -> None:
    assert plain(html) == clean(plain(html))


@pytest.mark.parametrize("tail", ["", "<i></i>" * 2_000], ids=["by tree", "by cutting"])
@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>", "a\nb"),
        ("a<br>b<BR/>c", "a\nb\nc"),
        ("<ul><li>a<li>b</ul>", "a\nb"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a\nb"),
        ("a <b>bold</b><i>word</i>", "a boldword"),
        ("<p>a\n  b</p>", "a b"),
        ("&amp;lt; &#146; <3 &euro;<b></b>", "&lt; ’ <3 €"),
        ("a<!-- <p>x</p> --><b>b</b>", "ab"),
        ("<p>a</p><script>if (1<2) x('<p>')</script><style>p{}</style>b", "a\nb"),
    ],
)
def test_plain(html: str, text: str, tail: str) -> None:
    assert plain(html + tail) == text


@given(st.datetimes(min_value=datetime(1974, 1, 1), max_value=datetime(2099, 1, 1)))  # noqa: DTZ001
def test_every_usual_form_of_an_instant_is_read(naive: datetime) -> None:
    when = naive.replace(microsecond=0, tzinfo=UTC)
    forms: list[object] = [
        when.isoformat(),
        when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        when.strftime("%Y-%m-%d %H:%M:%S +0000"),
        when.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        when.strftime("%d %B %Y %H:%M:%S +0000"),
        when.strftime("%a %b %d %H:%M:%S %Y"),
        when.strftime("%d.%m.%Y %H:%M:%S"),
        when.strftime("%b %d, %Y %I:%M:%S %p"),
        when.strftime("%Y%m%dT%H%M%SZ"),
        (when + timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S CEST"),
        int(when.timestamp()),
        int(when.timestamp() * 1000),
        str(int(when.timestamp())) if when.year > 2001 else when,
        when,
    ]
    assert {parse_time(form) for form in forms} == {when}, forms


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2 de noviembre de 2026", "2026-11-02T00:00:00+00:00"),
        ("lun., 2 nov. 2026 10:00:00 +0200", "2026-11-02T08:00:00+00:00"),
        ("2026년 11월 2일 오후 3:05", "2026-11-02T15:05:00+00:00"),
        ("2026年11月2日 10時00分", "2026-11-02T10:00:00+00:00"),
        ("Mon Nov 02 2026 10:00:00 GMT+0100 (Central European Standard Time)", "2026-11-02T09:00:00+00:00"),
        ("Fri, 31 Dec 2026 24:00:00 GMT", "2027-01-01T00:00:00+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2026-11-02T10:00:00.123456789Z", "2026-11-02T10:00:00.123456+00:00"),
        ("2026-11", "2026-11-01T00:00:00+00:00"),
    ],
)
def test_less_usual_times(text: str, instant: str) -> None:
    assert parse_time(text) == at(instant)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        1e300,
        float("nan"),
        [],
        "",
        "yesterday",
        "10:30",
        "2 May",
        "2026-02-30",
        "1 " * 99_999,
        "0" * 15,
    ],
)
def test_no_time(value: object) -> None:
    assert parse_time(value) is None
