from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.settled()
    yield world
    world.close()


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
