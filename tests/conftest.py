from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shop import Shop, opened
from tests.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.settled()
    yield world
    world.close()


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shop]:
    with opened(tmp_path, monkeypatch, capsys) as shop:
        yield shop


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test servers are on loopback, where a proxy of this machine can't reach them."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def slack_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack's pace is kept by a clock that is put forward instead of slept for."""
    from responders.slack.pace import Pace

    ahead = 0.0

    def sleep(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(Pace, "clock", staticmethod(lambda: time.monotonic() + ahead))
    monkeypatch.setattr(Pace, "sleep", staticmethod(sleep))
