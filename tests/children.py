"""Processes that run a function of a test module: for locks, limits and deaths that concern a whole process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def child(module: str, function: str, *args: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start ``function(*args)`` of ``tests.<module>``, which arrive as text. ``prefix``: run it by this command."""
    code = f"import sys; from tests.{module} import {function}; {function}(*sys.argv[1:])"
    command = [*prefix, sys.executable, "-c", code, *map(str, args)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


def output(process: subprocess.Popen[str]) -> str:
    """What it wrote, when it has ended well."""
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err[-3000:]
    return out
