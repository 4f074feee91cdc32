"""How results are printed, and small helpers."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path


def ratio(what: str, theirs: float, ours: float, goal: float) -> None:
    """Print how many times as fast ours (s) is as theirs (s)."""
    times = theirs / ours
    sign = "ok  " if times >= goal else "LOW "
    print(
        f"{sign}{what}: {times:.1f} times as fast (goal {goal:g}); {theirs:.3g} s against {ours:.3g} s",
        flush=True,
    )


def below(what: str, value: float, goal: float, unit: str) -> None:
    sign = "ok  " if value <= goal else "HIGH"
    print(f"{sign} {what}: {value:.3g} {unit} (goal: at most {goal:g} {unit})", flush=True)


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def median_of(runs: int, run: Callable[[], object]) -> float:
    return statistics.median(timed(run) for _ in range(runs))


def command(*words: str) -> None:
    """Run a command of this environment to its end; its output is shown only when it fails."""
    # As Python is by default, with compiled files kept, for us and for peers alike.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")


PEERS = Path(".bench/peers")


def environment() -> str:
    """The Python of an environment with the peers that we are measured against, made at the first call.

    feedparser < 6.0.13, whose parser the ``reader`` library takes over.
    """
    python = PEERS / "bin" / "python"
    if not python.exists():
        print("    installing the peers into .bench (once) ...", flush=True)
        venv.create(PEERS, with_pip=True)
        packages = ("reader", "feedparser<6.0.13", "beautifulsoup4", "langdetect", "vaderSentiment")
        command(str(python), "-m", "pip", "install", "--quiet", *packages)
    return str(python)
