"""The product under attack, in a process of its own: ``python -m tests.chaos.product FOLDER [STEP MOMENT]``.

It is the real one: configuration, ``app.build``, the three jobs, a team that acts. Only its clock is scripted: it
stands still during a step, and moves on when all work of the step is done and written down in ``FOLDER/step``. A
process that is started again therefore goes on at the same instant, and what two runs store can be compared to the
microsecond. What in life ends by waiting (the lease of a dead process, the pause after a failure) is ended by hand:
time passes for it alone.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import zlib
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, func, select, update

from listener import config
from listener.app import App, build
from listener.cases import CASE, Case
from listener.model import State
from listener.running import Jobs
from listener.service import act
from listener.storage import outbox
from listener.storage.tables import cases, deliveries, mentions, sources
from tests.chaos.town import FEEDS, TIMES

PATIENCE = 1000  # rounds of one step's work; far more than any luck needs


def read_step(folder: Path) -> int:
    file = folder / "step"
    return int(file.read_text()) if file.exists() else 0


def write_step(folder: Path, step: int) -> None:
    part = folder / "step.part"
    part.write_text(str(step))
    part.replace(folder / "step")


def write_config(folder: Path, town: str, hook: str, timeout_seconds: float) -> None:
    """Several feeds and a review site of one town, polled every five minutes, and one webhook.

    No storms: which cases make one depends on the order in which the sources answer.
    """
    feeds = "".join(
        f'[[sources]]\nname = "feed-{n}"\nconnector = "rss"\n'
        f'options = {{ url = "{town}/feed/{n}", platform = "town.example" }}\n'
        for n in range(FEEDS)
    )
    (folder / "secret").write_text("a secret of the chaos runs")
    (folder / "listener.toml").write_text(
        f"""
[listener]
contact = "tests@example.com"
[[brands]]
name = "Halcyon"
{feeds}
[[sources]]
name = "reviews"
connector = "reviews"
brand = "Halcyon"
options = {{ url = "{town}/reviews", max_pages = 100 }}
[responders.hook]
kind = "webhook"
options = {{ url = "{hook}", secret = {{ file = "secret" }}, timeout_seconds = {timeout_seconds} }}
[fetch]
allow_private = ["127.0.0.0/8"]
host_pace = "0s"
host_concurrency = 20
robots = false
[run]
poll_workers = 4
[storm]
enabled = false
"""
    )


class Moments:
    """Names each moment by what the database was and is being told, and kills the process at a given one.

    A kill after so many seconds seldom falls between two statements that belong together, for most of the time goes
    into sending and scoring. A moment here is a phase and the last three statements of a thread, the last of which
    is not executed yet. ``deadly`` is waited for from step ``deadly_step`` on.
    """

    def __init__(self, deadly_step: int = 0, deadly: str | None = None) -> None:
        self.deadly_step = deadly_step
        self.deadly = deadly
        self.step = 0
        self.phase = "open"
        self.seen: dict[str, set[int]] = defaultdict(set)  # moment -> the steps in which it came
        self._thread = threading.local()
        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(Engine, "commit", lambda _connection: self._note("COMMIT"))

    def begin(self, step: int, phase: str) -> None:
        self.step, self.phase = step, phase
        print(step, phase, flush=True)

    def _statement(self, _connection: Connection, _cursor: Any, statement: str, *_more: Any) -> None:
        words = statement.split(None, 1)[0].upper()
        table = re.search(r"(?:INTO|UPDATE|FROM|TABLE|INDEX)\s+(\w+)", statement)
        self._note(f"{words} {table[1]}" if table else words)

    def _note(self, what: str) -> None:
        last: tuple[str, ...] = getattr(self._thread, "last", ())
        self._thread.last = (*last[-2:], what)
        moment = f"{self.phase}: {' > '.join(self._thread.last)}"
        self.seen[moment].add(self.step)
        if moment == self.deadly and self.step >= self.deadly_step:
            os.kill(os.getpid(), signal.SIGKILL)


class Product:
    def __init__(self, folder: Path, moments: Moments) -> None:
        self.folder = folder
        self.moments = moments
        self.step = read_step(folder)
        self.app: App = build(config.load(folder / "listener.toml"), now=self.now)
        self.db = self.app.core.db
        self.jobs = Jobs(self.app.core, self.now, workers=4)

    def now(self) -> datetime:
        return TIMES[self.step]

    def run(self) -> None:
        self._leases_end()
        while self.step < len(TIMES):
            for phase in (self.poll, self.act, self.tick, self.deliver):
                self.moments.begin(self.step, phase.__name__)
                phase()
            write_step(self.folder, self.step + 1)
            self.step += 1
            if self.step == len(TIMES):
                break
        self.jobs.stop(10)
        self.app.close()

    def _leases_end(self) -> None:
        """A process that died left leases behind; the waiting until they end changes nothing else."""
        if self.step == len(TIMES):
            return
        with self.db.write() as connection:
            for table in (sources, deliveries):
                connection.execute(
                    update(table).where(table.c.lease_until > self.now()).values(lease_until=self.now())
                )

    def poll(self) -> None:
        """Until every source was polled well at this instant; the pauses after failures end at once."""
        for _ in range(PATIENCE):
            self.jobs.poll_all_due()
            with self.db.read() as connection:
                query = select(sources.c.name).where(
                    sources.c.last_success_at.is_distinct_from(self.now()), sources.c.state == "active"
                )
                left = connection.execute(query).scalars().all()
            if not left:
                return
            for name in left:
                act.poll_soon(self.app.core, name, self.now())
        raise AssertionError(f"these sources never came through: {left}")

    def tick(self) -> None:
        self.jobs.tick()

    def deliver(self) -> None:
        """Until the outbox is empty; the pauses after failures end at once."""
        for _ in range(PATIENCE):
            self.jobs.deliver()
            with self.db.write() as connection:
                waiting = deliveries.c.state == "pending"
                query = select(func.count()).select_from(deliveries).where(waiting)
                if not connection.execute(query).scalar_one():
                    return
                connection.execute(update(deliveries).where(waiting).values(next_attempt_at=self.now()))
                for name in self.app.core.responders:
                    outbox.release(connection, name)
        raise AssertionError("the outbox was never empty")

    def act(self) -> None:
        """The team does one thing a step for each case that nothing has happened to in this step yet."""
        with self.db.read() as connection:
            rows = connection.execute(
                select(cases.c.id, cases.c.body).where(
                    cases.c.closed_at.is_(None), cases.c.changed_at < self.now()
                )
            ).all()
            known = {
                r.id: r.external_id for r in connection.execute(select(mentions.c.id, mentions.c.external_id))
            }
        todo = [(row.id, CASE.validate_python(row.body)) for row in rows]
        named = sorted((known[case.mention_ids[0]], case_id, case) for case_id, case in todo)
        for name, case_id, case in named:
            self._act_on(case_id, case, zlib.crc32(name.encode()))

    def _act_on(self, case_id: int, case: Case, dice: int) -> None:
        core, now, habit = self.app.core, self.now(), dice % 8
        match case.state:
            case State.OPEN if habit in (1, 2, 4, 6):
                act.claim(core, case_id, "Anna", now)
            case State.OPEN if habit == 3:
                act.dismiss(core, case_id, "Anna", "a joke between friends", now)
            case State.OPEN if habit == 5 and case.snoozed_until is None:
                act.snooze(core, case_id, "Ben", now + timedelta(hours=2), now)
            case State.CLAIMED if habit == 6:
                act.release(core, case_id, "Anna", now)
            case State.CLAIMED:
                url = f"http://town.example/answers/{dice}/{case.cycle}/{len(case.clocks)}"
                act.respond(core, case_id, "Anna", url, now, promise_minutes=40 if habit == 2 else None)
            case State.RESPONDED if habit == 4 and now - case.opened_at < timedelta(hours=2):
                act.wait(core, case_id, "Anna", now)
            case State.WAITING if now - case.opened_at < timedelta(hours=2):
                act.resume(core, case_id, "Anna", now)
            case State.RESPONDED | State.WAITING if habit != 7:
                act.resolve(core, case_id, "Anna", "explained", now)


def main() -> None:
    folder, deadly = Path(sys.argv[1]), sys.argv[2:]
    moments = Moments(int(deadly[0]), deadly[1]) if deadly else Moments()
    moments.begin(read_step(folder), "open")
    Product(folder, moments).run()
    seen = {moment: sorted(steps) for moment, steps in moments.seen.items()}
    (folder / "moments").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
