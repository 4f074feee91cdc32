"""How late alarms are, in real time: 10,000 open cases whose reminders fall due over three minutes; then the CPU of
an idle minute.
"""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from listener import scheduler
from listener.clock import Policy
from listener.model import Author, Mention
from listener.running import Jobs
from listener.storage.tables import alarms as table
from tests.bench.report import below
from tests.world import World

CASES, BATCH = 10_000, 50
SPREAD, LEAD = timedelta(minutes=3), timedelta(seconds=5)
IDLE_S = 60.0


def alarms() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.settled()
        reminder = Policy().first_response / 2  # the first alarm point of the default policy
        opened = datetime.now(UTC)  # the clock is shifted below, by as long as all this takes
        for number in range(CASES // BATCH):
            world.now = opened + SPREAD * number * BATCH / CASES
            world.hear(*(_mention(world, number * BATCH + n) for n in range(BATCH)))
        while world.deliver().accepted:
            world.later(seconds=1)
        offset = datetime.now(UTC) + LEAD - (opened + reminder)
        jobs = Jobs(world.core, lambda: datetime.now(UTC) - offset, workers=1)
        clock = scheduler.start(jobs)
        begun = time.process_time()
        time.sleep((LEAD + SPREAD).total_seconds() + 5)
        busy = time.process_time() - begun
        time.sleep(10)  # what is left in the outbox
        begun = time.process_time()
        time.sleep(IDLE_S)
        idle = (time.process_time() - begun) / IDLE_S
        clock.shutdown()
        jobs.stop(10)
        with world.db.read() as connection:
            late = sa.select(table.c.recorded_at, table.c.due_at).where(~table.c.skipped)
            seconds = sorted((r.recorded_at - r.due_at).total_seconds() for r in connection.execute(late))
        world.close()
    assert len(seconds) == CASES
    shares = {name: seconds[min(int(CASES * part), CASES - 1)] for name, part in _SHARES}
    print("    recorded minus due, s: " + ", ".join(f"{name} {value:.2f}" for name, value in shares.items()))
    print(f"    {CASES} alarms and messages took {busy:.1f} s of CPU in {SPREAD.total_seconds():.0f} s")
    below("99 of 100 alarms are recorded within", shares["99%"], 2.0, "s of their time")
    below("CPU of an idle process", idle * 100, 2.0, "%")


_SHARES = (("least", 0.0), ("half", 0.5), ("95%", 0.95), ("99%", 0.99), ("most", 1.0))


def _mention(world: World, number: int) -> Mention:
    return world.mention(number, author=Author("forum.example", f"a{number}", f"Author {number}"))
