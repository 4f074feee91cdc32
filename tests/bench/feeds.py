"""Polling 500 local feeds of 30 entries through ``listener poll --once``, against the ``reader`` library.

It stores every entry; Listener looks for 20 brand names, of which 1% of the entries name one.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.report import command, environment, ratio, timed

FEEDS, ENTRIES, NAMES, SHARE = 500, 30, 20, 0.01
LISTENER = str(Path(sys.executable).with_name("listener"))
MODES = (
    ("first", "first poll"),
    ("same", "all 304"),
    ("again", "unchanged 200"),
    ("new", "one new entry each"),
)
GOALS = {"first": 3, "same": 2, "again": 8, "new": 5}

READER_SCRIPT = """
import sys
from reader import make_reader
database, port, feeds, add, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
reader = make_reader(database)
if add == "add":
    for n in range(feeds):
        reader.add_feed(f"http://127.0.0.1:{port}/{n}.xml")
else:
    for result in reader.update_feeds_iter(workers=workers, scheduled=False):
        if isinstance(result.value, Exception):
            sys.exit(f"{result.url}: {result.value}")
"""


def feeds() -> None:
    """Both with as many threads as they have by default: Listener 20, the reader library one."""
    _compare(latency=0.0, goals=GOALS, reader_workers=1, workers=20)


def latency() -> None:
    """The same with 200 ms added to each answer: 10 threads for the reader library, 100 for Listener. With as many
    threads both wait alike when all is 304.
    """
    _compare(latency=0.2, goals=dict.fromkeys(GOALS, 4), reader_workers=10, workers=100)


def _compare(*, latency: float, goals: dict[str, int], reader_workers: int, workers: int) -> None:
    python = environment()
    with server(latency) as port, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script, database = folder / "poll_with_reader.py", folder / "reader.db"
        script.write_text(READER_SCRIPT)
        config = folder / "listener.toml"
        config.write_text(configuration(port, workers))
        words = (python, str(script), str(database), str(port), str(FEEDS))
        command(*words, "add", "1")
        for mode, what in MODES:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/mode/{mode}").read()
            for run in range(1 if mode in ("first", "new") else 3):
                make_due(folder / "listener.db")
                theirs = timed(lambda: command(*words, "update", str(reader_workers)))
                ours = timed(lambda: command(LISTENER, "--config", str(config), "poll", "--once", "--quiet"))
                ratio(f"{what}, run {run + 1}", theirs, ours, goals[mode])
        _check(folder / "listener.db")


@contextmanager
def server(latency: float) -> Iterator[int]:
    words = [
        sys.executable,
        "-m",
        "tests.bench.feed_server",
        *map(str, (FEEDS, ENTRIES, NAMES, SHARE, latency)),
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def configuration(port: int, workers: int) -> str:
    names = ", ".join(f'"Brandname{n}"' for n in range(NAMES))
    sources = "".join(
        f'[[sources]]\nname = "s{n}"\nconnector = "rss"\noptions = {{ url = "http://127.0.0.1:{port}/{n}.xml" }}\n'
        for n in range(FEEDS)
    )
    return (
        f'[listener]\ncontact = "bench@example.org"\n[[brands]]\nname = "Brand"\nnames = [{names}]\n'
        f'[fetch]\nallow_private = ["127.0.0.1"]\nhost_pace = "0s"\nhost_concurrency = {workers}\n'
        f"[run]\npoll_workers = {workers}\n{sources}"
    )


def make_due(database: Path) -> None:
    """All sources are due at once, as if their time had come."""
    if database.exists():
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE sources SET next_poll_at = 0")
        connection.close()


def _check(database: Path) -> None:
    """A benchmark of work that was not done would be worthless."""
    connection = sqlite3.connect(database)
    query = "SELECT sum(failures > 0), sum(mentions_found), max(error) FROM sources"
    failing, found, error = connection.execute(query).fetchone()
    connection.close()
    if failing or not found:
        sys.exit(f"{failing} sources failed ({error}), {found} mentions were found: this is no measurement")
    print(f"    {found} mentions were found and scored in {FEEDS * ENTRIES} entries")
