"""Running the three jobs: on a thread pool that is kept full of due sources, and once for each from cron."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from pathlib import Path

from listener.errors import Refused, StorageError
from listener.service import deliver as deliver_job
from listener.service import poll as poll_job
from listener.service import tick as tick_job
from listener.service.core import Core, Now
from listener.service.poll import Report
from listener.storage import household

log = logging.getLogger("listener")

NOTE_EVERY = timedelta(seconds=10)  # health looks at minutes; noting each run would write to the disk all day


class Jobs:
    """``poll_due``, ``tick`` and ``deliver`` for one process. Safe to call from several threads."""

    def __init__(self, core: Core, now: Now, *, workers: int) -> None:
        self.core = core
        self.now = now
        self.workers = workers
        self.token = secrets.token_hex(8)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="poll")
        self._polls: set[Future[Report]] = set()
        self._lock = threading.Lock()
        self._noted: dict[str, datetime] = {}

    def poll_due(self) -> int:
        """Start polling what is due, as far as threads are free; how many were started. Does not wait."""
        with self._noting("poll"), self._lock:
            self._polls = {f for f in self._polls if not f.done()}
            free = self.workers - len(self._polls)
            if free <= 0:
                return 0
            leased = poll_job.lease_due(self.core, self.now(), self.token, limit=free)
            for source in leased:
                future = self._pool.submit(poll_job.poll, self.core, source, self.now)
                future.add_done_callback(_log_failure)
                self._polls.add(future)
            return len(leased)

    def poll_all_due(self, done: Callable[[Report], None] = lambda _report: None) -> int:
        """Poll everything that is due now and wait for it; how many sources. ``done`` is told of each.

        Raises ``StorageError`` when the database can't be used.
        """
        started = self.now()
        running: set[Future[Report]] = set()
        count, more = 0, True
        with self._noting("poll"):
            while running or more:
                if more and len(running) <= self.workers:
                    # Twice as many as there are threads, so that none is idle while the next are leased.
                    room = 2 * self.workers - len(running)
                    leased = poll_job.lease_due(self.core, started, self.token, limit=room)
                    more = len(leased) == room
                    count += len(leased)
                    running |= {
                        self._pool.submit(poll_job.poll, self.core, source, self.now) for source in leased
                    }
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    done(future.result())
        return count

    def tick(self) -> int:
        with self._noting("tick"):
            return tick_job.tick(self.core, self.now())

    def deliver(self) -> deliver_job.Sent:
        with self._noting("deliver"):
            return deliver_job.deliver(self.core, self.now)

    def stop(self, grace: float) -> bool:
        """Start nothing more, wait ``grace`` seconds for polls under way, give the others back.

        False when some are still under way: each of their pages is a transaction, so ending the process does no
        harm, and their lease is given back too.
        """
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            _, unfinished = wait(self._polls, timeout=grace)
        poll_job.give_back(self.core, self.token)
        return not unfinished

    @contextlib.contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        """Write down that the job ran, for whoever watches over it."""
        start = time.monotonic()
        yield
        now = self.now()
        noted = self._noted.get(name)
        if noted is None or now - noted >= NOTE_EVERY:
            with self.core.db.write() as connection:
                household.note_job(connection, name, now, time.monotonic() - start)
            self._noted[name] = now


def _log_failure(future: Future[Report]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("a poll failed: %s", error, exc_info=None if isinstance(error, StorageError) else error)


@contextlib.contextmanager
def only_one(database: str) -> Iterator[None]:
    """Hold the lock that keeps calls from cron from piling up. Raises ``Refused`` when another one runs.

    The lock is the operating system's, on a file beside the database: it goes with the process, however it ends.
    A database server needs none: leases already keep two processes apart.
    """
    import fcntl

    with Path(f"{database}.poll.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("Another poll is running; this one has nothing to do.") from None
        yield
