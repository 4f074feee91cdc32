"""Hostile words, from the feed through the database to the console and to Slack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from listener.model import CaseView
from listener.storage import tables
from tests import blockkit
from tests.fake_slack import FakeSlack
from tests.place import COMPLAINT, Place, json_feed


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # Slack's SDK obeys them
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


WORDS = {
    "100,000 characters": COMPLAINT + " x" * 50_000,
    "100,000 without a space": COMPLAINT + "x" * 100_000,
    "100,000 line ends": COMPLAINT + "\n" * 100_000 + "end",
    "only emoji": "😡🤬👎" * 30,
    "calls everybody": f"<!channel> <!here> <@U1> @everyone {COMPLAINT}",
    "markup": f"<script>alert(1)</script><img src=x onerror=alert(1)> *a* _b_ `c` {COMPLAINT}",
    "NULs": f"\0{COMPLAINT}\0\0",
    "a broken surrogate": f"\ud800 {COMPLAINT} \udfff",
    "terminal commands": f"\x1b[2J\x1b]0;owned\x07 {COMPLAINT} \x9b31m\r\b\b",
    "turned around": f"\u202e{COMPLAINT}\u2066",
    "a formula": f'=HYPERLINK("http://x","y") {COMPLAINT}',
    "one letter with 5,000 accents": COMPLAINT + " a" + "\u0301" * 5_000,
}
STEERING = [chr(n) for n in (*range(10), *range(11, 32), *range(127, 160), 0x202E, 0x2066)]


@pytest.mark.parametrize("name", WORDS)
def test_hostile_words_reach_people_as_words(
    name: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.listen(json_feed(WORDS[name]))
    assert place.poll() == {"bad": None, "good": None}
    (stored,) = [m for m in place.mentions() if m.source == "bad"]
    assert "\0" not in stored.text + stored.title
    stored.text.encode()  # no half of a pair
    if name.startswith("100,000"):
        assert len(stored.text) >= 100_000 or name.endswith("line ends")
    case = place.case("bad")
    place.deliver()
    screen = capsys.readouterr().out
    _read_on_the_screen(screen)
    _read_in_slack(place.slack, case)
    if COMPLAINT in WORDS[name]:
        quotes = [line for line in screen.splitlines() if line.strip().startswith("“")]
        assert ["never delivered my order" in quote for quote in quotes] == [True, True]
        assert all("never delivered my order" in json.dumps(m["blocks"]) for m in place.slack.posted())
    assert place.app is not None
    with place.app.core.db.read() as connection:
        states = set(connection.execute(select(tables.deliveries.c.state)).scalars())
    assert states == {"accepted"}


def _read_on_the_screen(out: str) -> None:
    assert "NEW  Halcyon" in out
    assert not [c for c in STEERING if c in out]
    assert all(len(line) < 1_000 for line in out.splitlines())


def _read_in_slack(slack: FakeSlack, case: CaseView) -> None:
    assert len(slack.posted()) == 2, "one for each source's case"
    for message in slack.posted():
        assert blockkit.problems(message["blocks"], message["text"]) == []
        told = json.dumps([message["blocks"], message["text"]])
        assert re.findall(r"<(?!!date)[!@#]", told) == [], "nobody is called"
    assert any(str(case.id) in json.dumps(m["metadata"]) for m in slack.posted())


def test_a_hostile_mention_that_is_edited_is_one_mention(place: Place) -> None:
    place.listen(json_feed(WORDS["NULs"]))
    place.poll()
    place.answers(json_feed(WORDS["calls everybody"]))
    place.now += timedelta(hours=1)
    assert place.poll()["bad"] is None
    (text,) = place.heard("bad")
    assert text == WORDS["calls everybody"]
    (mention,) = place.case("bad").mentions
    assert mention.edited
