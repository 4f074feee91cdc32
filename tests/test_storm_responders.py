"""A storm at the responders that do not thread: readable words, and no message a minute where none is edited."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC

import pytest
from pydantic import SecretStr

from responders.apprise import Apprise
from responders.console import notice_lines
from responders.webhook import payload
from tests.fakes import Site
from tests.notices import KARI
from tests.test_slack_storm import OVER, VIEW, told

LINES = [
    "57 cases · 41 open · 114 an hour (usually up to 2)",
    "Reasons: delivery 40, billing 17",
    "Sources: trustpilot 50, forum 7",
]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with Site({"/hook": (200, {}, b"")}) as site:
        yield site


def test_the_console_prints_its_figures() -> None:
    begun = told(VIEW, "Many complaints about Acme.", call=(KARI,)).notice
    head, *rest = [str(part) for part in notice_lines(begun, UTC)]
    assert head == "● MANY COMPLAINTS  Many complaints about Acme."
    assert rest == [*LINES, "→ Kari"]


def test_the_webhook_gets_all_of_it() -> None:
    sent = json.loads(payload(told(VIEW)))["notice"]["storm"]
    assert (sent["brand"], sent["cases"], sent["open_cases"], sent["ended_at"]) == ("Acme", 57, 41, None)
    assert sent["reasons"] == [["delivery", 40], ["billing", 17]]


def test_apprise_tells_its_beginning_and_its_end(site: Site) -> None:
    apprise = Apprise(urls=[SecretStr(f"json://127.0.0.1:{site.port}/hook")])
    ref = apprise.send(told(VIEW, "Many complaints about @everyone.", call=(KARI,)))
    assert ref
    assert apprise.send(told(replace(VIEW, cases=80), storm_ref=ref)) is None
    apprise.send(told(OVER, "It is calm again.", storm_ref=ref))
    first, last = [json.loads(r.body) for r in site.requests]
    assert first["title"] == "Many complaints: Acme"
    assert first["message"].split("\n")[1:] == [*LINES, "For Kari", f"Dashboard: {VIEW.url}"]
    assert "@everyone" not in first["message"]
    assert last["title"] == "It is calm again: Acme"
