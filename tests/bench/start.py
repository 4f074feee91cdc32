"""How soon the command answers."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.bench.report import below, command, median_of

LISTENER = str(Path(sys.executable).with_name("listener"))


def start() -> None:
    below("listener --help", median_of(7, lambda: command(LISTENER, "--help")), 0.5, "s")
