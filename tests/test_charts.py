"""The charts of digests: what is drawn, looked at through the figure's own objects and the PNG's bytes."""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from listener import charts
from listener.digests import Daily, Hour, Reason, Tally, Weekly

MIDNIGHT = datetime(2026, 3, 17, tzinfo=UTC)
NONE = Tally()
DAY = Daily(
    name="digest-daily-2026-03-17",
    zone="Europe/Berlin",
    day=date(2026, 3, 17),
    start=MIDNIGHT,
    end=MIDNIGHT + timedelta(days=1),
    as_of=MIDNIGHT + timedelta(days=1),
    opened=9,
    open=0,
    late=0,
    nobody=0,
    soonest=(),
    first_response=NONE,
    next_response=NONE,
    resolution=NONE,
    promises=NONE,
    reopened=0,
    thanks=(),
    helpers=(),
    hours=tuple(
        Hour(3, 2, 1) if hour == 9 else Hour(in_time=3) if hour == 14 else Hour() for hour in range(24)
    ),
)
WEEK = Weekly(
    name="digest-weekly-2026-03-22",
    zone="Europe/Berlin",
    first=date(2026, 3, 16),
    last=date(2026, 3, 22),
    start=MIDNIGHT,
    end=MIDNIGHT,
    as_of=MIDNIGHT,
    opened=9,
    before=5,
    reasons=(Reason("delivery", 7, 5), Reason("billing", 2, 0)),
    first_response=NONE,
    median_answer=None,
    reopened=0,
    promises=NONE,
    worst=None,
    sufferers=(),
    sufferers_in_all=0,
    window_days=365,
    recovered=(),
    dismissed=0,
    dismissals=(),
    lags=(),
)


def words(digest: Daily | Weekly, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that is written in the chart."""
    figures: list[Any] = []
    save = Figure.savefig

    def keep(self: Figure, *args: Any, **kwargs: Any) -> None:
        figures.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    charts.draw(digest)
    [figure] = figures
    texts = [t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return [text for text in texts if text]


def test_a_day_is_told_by_hour_with_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    found = words(DAY, monkeypatch)
    assert "9 new cases, Tue 17 March 2026" in found
    assert {"in time: 6", "late: 2", "not due yet: 1", "hour of the day (Europe/Berlin)"} <= set(found)
    assert {"6", "3"} <= set(found), "of 9 and of 14 o'clock"


def test_a_week_is_told_by_reason_beside_the_week_before(monkeypatch: pytest.MonkeyPatch) -> None:
    found = words(WEEK, monkeypatch)
    assert "Why customers complained, 16–22 March 2026" in found
    assert {"delivery", "billing", "this week", "week before", "7", "5", "2", "0"} <= set(found)


def test_without_a_week_before_there_is_none_in_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = replace(WEEK, before=None, reasons=(Reason("delivery", 7, None),))
    found = words(alone, monkeypatch)
    assert "week before" not in found
    assert "7" in found


def test_many_reasons_become_six_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    many = replace(WEEK, reasons=tuple(Reason(f"r{n}", 20 - n, 1) for n in range(10)))
    found = words(many, monkeypatch)
    assert "r4" in found
    assert "r5" not in found
    assert "5 others" in found
    assert str(15 + 14 + 13 + 12 + 11) in found


def test_nothing_is_told_as_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no cases" in words(replace(DAY, opened=0, hours=(Hour(),) * 24), monkeypatch)
    assert "no cases" in words(replace(WEEK, opened=0, before=None, reasons=()), monkeypatch)


def test_it_is_a_png_made_for_a_phone_and_always_the_same() -> None:
    for digest in (DAY, WEEK):
        png = charts.draw(digest)
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        assert struct.unpack(">II", png[16:24]) == (1200, 900)
        assert len(png) < 200_000
        assert charts.draw(digest) == png


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=60), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=8
    )
)
def test_any_words_and_figures_can_be_drawn_without_a_warning(reasons: list[tuple[str, int, int]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        charts.draw(replace(WEEK, reasons=tuple(Reason(*reason) for reason in reasons)))


@pytest.mark.parametrize(
    ("text", "shown"), [("$x^2$", "$x^2$"), ("配送", "□□"), ("Größe", "Größe"), ("доставка", "доставка")]
)
def test_what_the_font_lacks_is_a_box(text: str, shown: str) -> None:
    assert charts.printable(text) == shown


def test_nothing_but_a_chart_imports_the_library() -> None:
    """55 MB and half a second, in a process that may send two charts a week."""
    code = (
        "import sys, listener.app, listener.cli, listener.service.digest, listener.service.tick, responders.slack;"
        "print('matplotlib' in sys.modules, 'numpy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False False"
