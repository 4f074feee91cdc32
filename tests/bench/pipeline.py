"""From the bytes of feeds to stored, scored mentions, without the network; against a naive chain (naive.py)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from connectors.rss import Rss
from listener.clock import Policy
from listener.fetch import SourceMemory
from listener.matching import BrandRules, Matcher
from listener.service import poll as poll_job
from listener.service.core import Core, Rules, Source
from listener.storage import sources as source_rows
from listener.storage.database import Database
from listener.storage.sources import SourceSpec
from listener.triage import Triage
from tests.bench.feed_server import feed
from tests.bench.report import below, environment, ratio, timed

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "feeds" / "fastfeedparser" / "live-2026"
NOW = datetime(2026, 11, 20, tzinfo=UTC)
ENTRIES = 30


class Bytes(httpx.BaseTransport):
    """Answers each request with the bytes of one feed."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self.bodies = bodies

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=self.bodies[int(request.url.path[1:-4])])


class FromMemory:
    def __init__(self, bodies: Sequence[bytes]) -> None:
        self.http = httpx.Client(transport=Bytes(bodies), trust_env=False)

    def computing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def client(self, memory: Any) -> httpx.Client:
        return self.http


def make_core(folder: Path, bodies: Sequence[bytes], names: list[str], triage: Triage | None = None) -> Core:
    db = Database(f"sqlite:///{folder / 'bench.db'}")
    db.open()
    sources = {
        f"s{n}": Source(f"s{n}", Rss(url=f"http://feeds.example/{n}.xml"), timedelta(minutes=5))  # type: ignore[arg-type]
        for n in range(len(bodies))
    }
    with db.write() as connection:
        source_rows.sync(connection, [SourceSpec(name, "rss", "1", False) for name in sources], NOW)
    return Core(
        db=db,
        rules=Rules(policies={"default": Policy()}, brand_policies={"Brand": "default"}),
        matcher=Matcher([BrandRules("Brand", tuple(names))]),
        triage=triage or Triage(),
        fetch=FromMemory(bodies),
        memory=SourceMemory.from_json,
        sources=sources,
        responders={},
    )


def hear_all(core: Core) -> int:
    found = 0
    while leased := poll_job.lease_due(core, NOW, "bench", limit=100):
        reports = [poll_job.poll(core, source, lambda: NOW) for source in leased]
        poll_job.save_unchanged(core, [r.unchanged for r in reports if r.unchanged is not None])
        found += sum(report.new for report in reports)
    return found


def pipeline() -> None:
    """On real feeds where they are at hand (REAL), else on made ones, whose short texts favour the naive chain."""
    # Words of which nearly every text holds some, and others up to the 1,000 names of a firm with many products.
    names = [
        "with",
        "that",
        "this",
        "from",
        "have",
        "which",
        "what",
        "about",
        "more",
        "will",
        "mit",
        "nicht",
        "auch",
        "eine",
        "som",
        "ikke",
        "men",
        "pas",
        "con",
    ]
    names += [f"Brandname{n}" for n in range(1_000 - len(names))]
    bodies = 4 * [path.read_bytes() for path in sorted(REAL.glob("*.xml"))]
    if not bodies:
        print(f"    {REAL} is not here: made feeds instead of real ones")
        bodies = [feed(n, ENTRIES, names, 1.0) for n in range(100)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, body in enumerate(bodies):
            (folder / f"{number}.xml").write_bytes(body)
        core = make_core(folder, bodies, names)
        core.triage.verdict("Warm up the language model with a sentence, please.")
        for _ in range(3):
            (folder / "bench.db").unlink()
            core = make_core(folder, bodies, names, core.triage)
            start = time.perf_counter()
            found = hear_all(core)
            ours = time.perf_counter() - start
            words = [environment(), str(Path(__file__).with_name("naive.py")), str(folder), *names]
            output = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
            theirs = float(output[1])
            ratio("one mention, feed bytes to stored and scored", theirs / int(output[0]), ours / found, 12)
            print(f"    {found / ours:.0f} against {int(output[0]) / theirs:.0f} mentions/s")
            core.db.close()


def names() -> None:
    """The same feeds with one brand name and with 10,000."""
    many = [f"Brandname{n}" for n in range(10_000)]
    bodies = [feed(n, ENTRIES, many[:1], 0.01) for n in range(300)]
    taken = {}
    for count in (1, 10_000, 1, 10_000):
        with tempfile.TemporaryDirectory() as name:
            core = make_core(Path(name), bodies, many[:count])
            core.triage.verdict("Warm up the language model with a sentence, please.")
            taken[count] = min(timed(lambda c=core: hear_all(c)), taken.get(count, 1e9))  # type: ignore[misc]
            core.db.close()
    share = taken[1] / taken[10_000]
    sign = "ok  " if share >= 0.5 else "LOW "
    print(f"{sign}10,000 names run at {share:.2f} of the speed of one (goal 0.5)")


def memory() -> None:
    """Resident memory of a process that has stored and scored 100,000 mentions."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.pipeline"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    count, megabytes = done.stdout.split()
    below(f"memory after {int(count):,} mentions", float(megabytes), 150, "MB")


class MadeFeeds(Sequence[bytes]):
    """Feeds that are made when they are asked for, so that what is measured is Listener's memory."""

    def __init__(self, count: int, names: list[str]) -> None:
        self.count, self.names = count, names

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: Any) -> Any:
        return feed(number, ENTRIES, self.names, 1.0)


def _hear_100_000() -> None:

    names = [f"Brandname{n}" for n in range(20)]
    with tempfile.TemporaryDirectory() as folder:
        core = make_core(Path(folder), MadeFeeds(3_400, names), names)
        found = hear_all(core)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        core.db.close()
    print(found, pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


if __name__ == "__main__":
    _hear_100_000()
