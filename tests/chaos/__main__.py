"""Run the product undisturbed, then kill it at random moments, and compare what the two leave behind."""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.product import read_step, write_config
from tests.chaos.record import Record, differences, read_record
from tests.chaos.town import Town
from tests.fakes import Answer, Request, Site, Stream

HOOK_TIMEOUT_S = 0.5
MIGRATION_S = 0.25  # about as long as the making of a new database takes; the first kill falls into it
LONGEST_S = 900


class Receiver:
    """A webhook's other end: it mostly accepts, and sometimes is busy, hangs up, or accepts and says nothing."""

    def __init__(self, seed: int) -> None:
        self.accepted: list[str] = []
        self._luck = random.Random(seed)
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Answer | Stream:
        with self._lock:
            luck = self._luck.random()
            if luck < 0.02:
                return 503, {}, b"busy"
            if luck < 0.03:
                return 429, {"Retry-After": "30"}, b"slow down"
            if luck < 0.035:
                return lambda _handler: None  # hangs up without a word and without having taken it
            self.accepted.append(request.headers["idempotency-key"])
            if luck < 0.04:
                return lambda _handler: time.sleep(HOOK_TIMEOUT_S * 2)  # took it and never says so
        return 204, {}, b""


@dataclass(frozen=True)
class Kill:
    """kill -9 so many seconds after the step has begun; or from then on at a moment of this kind (see Moments)."""

    step: int
    seconds: float
    moment: str | None = None


NEVER = Kill(0, LONGEST_S)


@dataclass
class Run:
    """One life of a database, in one process or in many that died."""

    kills: list[str] = field(default_factory=list)  # the step and phase that each fell into
    begun: list[tuple[int, float]] = field(default_factory=list)  # (step, time.monotonic()) of each phase
    record: Record = field(default_factory=dict)
    sent: int = 0  # accepted by the receiver, repeats included


def live(folder: Path, seed: int, luck: int, entries: int, kills: Iterable[Kill]) -> Run:
    """Run the product in ``folder`` to its end, starting it again after each kill. Returns what it left.

    ``seed`` decides what the customers write, ``luck`` which requests fail.
    """
    folder.mkdir()
    town, receiver = Town(seed, luck, entries, lambda: read_step(folder), failures=0.02), Receiver(luck)
    run = Run()
    with Site(town.routes()) as site, Site({"/hook": receiver}) as hook:
        write_config(folder, site.url, f"{hook.url}/hook", HOOK_TIMEOUT_S)
        for kill in kills:
            phase = _start(folder, kill, run)
            if phase is None:
                break
            run.kills.append(phase)
        else:
            ended = _start(folder, NEVER, run)
            assert ended is None, f"it did not end within {LONGEST_S} s"
        run.record = read_record(folder / "listener.db", receiver.accepted)
        run.sent = len(receiver.accepted)
    return run


def _start(folder: Path, kill: Kill, run: Run) -> str | None:
    """Start the product and kill it: the step and phase that it was in then, or None when it had ended before."""
    deadly = [str(kill.step), kill.moment] if kill.moment else []
    command = [sys.executable, "-m", "tests.chaos.product", str(folder), *deadly]
    phases, reached = [""], threading.Event()

    def follow(lines: Iterable[str]) -> None:
        for line in lines:
            phases.append(line.strip())
            step = int(line.split()[0])
            run.begun.append((step, time.monotonic()))
            if step >= kill.step:
                reached.set()
        reached.set()

    with (folder / "log").open("a") as log:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=Path(__file__).parents[2]
        )
    assert child.stdout is not None
    reader = threading.Thread(target=follow, args=[child.stdout])
    reader.start()
    try:
        reached.wait(LONGEST_S)
        code: int | None = child.wait(timeout=LONGEST_S if kill.moment else kill.seconds)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        child.kill()
        child.wait()
        reader.join()
        child.stdout.close()
    if code not in (0, None, -signal.SIGKILL):
        raise AssertionError(f"the product ended with {code}:\n{(folder / 'log').read_text()[-3000:]}")
    return None if code == 0 else phases[-1]


def check(
    folder: Path, *, kills: int, entries: int, seed: int, say: Callable[[str], None] = print
) -> list[str]:
    """Kill the product so many times; the differences to an undisturbed run, of which there are to be none."""
    rng = random.Random(seed)
    calm = live(folder / "undisturbed", seed, 0, entries, [])
    moments: dict[str, list[int]] = json.loads((folder / "undisturbed" / "moments").read_text())
    say(f"seed {seed}, {len(moments)} kinds of moments; undisturbed: {_counts(calm.record)}")
    found: list[str] = []
    left, round_ = kills, 0
    while left:
        round_ += 1
        wild = live(folder / f"round-{round_}", seed, round_, entries, plan(rng, left, calm, moments))
        left -= len(wild.kills)
        say(f"round {round_}: {len(wild.kills)} kills ({_named(wild.kills)})")
        say(f"round {round_}: {_counts(wild.record)}; sent twice with one key: {_repeats(wild)}")
        found += differences(calm.record, wild.record)
    return found


def plan(rng: random.Random, kills: int, calm: Run, moments: dict[str, list[int]]) -> list[Kill]:
    """So many kills, the first while the database is made, of the others half at a time, half at a kind of moment.

    Times are as likely as they are long, and each kind of moment is as likely as any other.
    """
    opening = [m for m in moments if m.startswith("open:")]
    working = [m for m in moments if not m.startswith("open:")]
    first = rng.choice([Kill(0, rng.uniform(0, MIGRATION_S)), Kill(0, 0, rng.choice(opening))])
    others = []
    for number in range(kills - 1):
        if number % 2:
            at = rng.uniform(calm.begun[0][1], calm.begun[-1][1])
            step = max(step for step, begun in calm.begun if begun <= at)
            others.append(Kill(step, at - min(begun for s, begun in calm.begun if s == step)))
        else:
            moment = rng.choice(working)
            others.append(Kill(rng.choice(moments[moment]), 0, moment))
    return [first, *sorted(others, key=lambda kill: kill.step)]


def _repeats(run: Run) -> int:
    return run.sent - len(run.record["accepted"])


def _counts(record: Record) -> str:
    return ", ".join(f"{sum(found.values())} {name}" for name, found in record.items())


def _named(kills: list[str]) -> str:
    return ", ".join(
        f"{n} in {phase}" for phase, n in Counter(kill.split()[-1] for kill in kills).most_common()
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        found = check(Path(folder), kills=options.kills, entries=options.entries, seed=options.seed)
    for line in found[:50]:
        print(line[:400])
    print(
        f"{len(found)} differences"
        if found
        else "the same in every run: nothing lost, doubled or half-written"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
