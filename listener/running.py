"""Running the three jobs: without end, on a thread pool that is kept full of due sources, or once for cron."""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from listener.errors import Refused, StorageError
from listener.ports import Interactive
from listener.service import deliver as deliver_job
from listener.service import poll as poll_job
from listener.service import tick as tick_job
from listener.service.core import Core, Now
from listener.service.poll import Report
from listener.storage import household

if TYPE_CHECKING:
    from listener.app import App
    from listener.web.server import WebServer

log = logging.getLogger("listener")

LEASED_AHEAD = 200  # sources at a time from cron: few transactions, and each long before its lease ends
TURNS_S = 45.0
SAVED_TOGETHER = 100  # quiet polls a transaction: one each took a fifth of the time
GRACE_S = 8.0  # container engines kill 10 s after they asked
COMPLAIN_EVERY_S = 60.0
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
        self._finished: queue.SimpleQueue[Future[Report]] = queue.SimpleQueue()
        self._unsaved: list[poll_job.Unchanged] = []
        self._lock = threading.Lock()
        self._noted: dict[str, datetime] = {}
        self._stopping = threading.Event()
        self._busy = 0  # jobs under way
        self._idle = threading.Condition()

    def poll_due(self) -> int:
        """Start polling what is due, as far as threads are free; how many were started. Does not wait for them."""
        with self._noting("poll"), self._lock:
            while not self._finished.empty():
                self._collect()
            self._save()
            return self._start(self.workers - len(self._polls), self.now())

    def poll_all_due(self, done: Callable[[Report], None] = lambda _report: None) -> int:
        """Poll everything that is due now and wait for it; how many sources. ``done`` is told of each.

        Sources that must wait for their turn at a host are tried again for up to 45 s: the next call may be a
        minute away. Raises ``StorageError`` when the database can't be used.
        """
        count, more, waiting = 0, True, False
        started, end = self.now(), time.monotonic() + TURNS_S
        with self._noting("poll"), self._lock:
            while more or self._polls:
                if more and len(self._polls) <= self.workers:
                    leased = self._start(LEASED_AHEAD, started)
                    more = leased == LEASED_AHEAD
                for report in self._collect() if self._polls else ():
                    if report.waits_for_turn and time.monotonic() < end:
                        waiting = True
                    else:
                        count += 1
                        done(report)
                if waiting and not more and not self._polls:
                    self._stopping.wait(1.0)
                    more, waiting, started = True, False, self.now()
        return count

    def _start(self, limit: int, now: datetime) -> int:
        """Lease up to ``limit`` due sources and give them to the pool."""
        if limit <= 0 or self._stopping.is_set():
            return 0
        leased = poll_job.lease_due(self.core, now, self.token, limit=limit)
        for source in leased:
            future = self._pool.submit(poll_job.poll, self.core, source, self.now)
            self._polls.add(future)
            future.add_done_callback(self._finished.put)
        return len(leased)

    def _collect(self) -> list[Report]:
        """Wait until a poll has finished, and take in all that have."""
        finished = [self._finished.get()]
        while not self._finished.empty():
            finished.append(self._finished.get())
        self._polls.difference_update(finished)
        reports = [future.result() for future in finished if not future.cancelled()]
        self._unsaved += [report.unchanged for report in reports if report.unchanged is not None]
        if len(self._unsaved) >= SAVED_TOGETHER or (self._finished.empty() and not self._polls):
            self._save()
        return reports

    def _save(self) -> None:
        """Write down the polls that found nothing new."""
        if self._unsaved:
            poll_job.save_unchanged(self.core, self._unsaved)
            self._unsaved = []

    def tick(self) -> int:
        with self._noting("tick"):
            return tick_job.tick(self.core, self.now())

    def deliver(self) -> deliver_job.Sent:
        with self._noting("deliver"):
            return deliver_job.deliver(self.core, self.now, stopped=self._stopping.is_set)

    def stop(self, grace: float) -> bool:
        """Start nothing more, wait ``grace`` seconds for what is under way, give the others back.

        False when something is still under way: each page and each message is a transaction, so ending the
        process does no harm, and the polls' leases are given back too.
        """
        end = time.monotonic() + grace
        self._stopping.set()
        with self._lock:
            self._pool.shutdown(wait=False, cancel_futures=True)
            # wait() would wait for cancelled ones, which no thread will ever look at.
            _, unfinished = wait({f for f in self._polls if not f.cancelled()}, timeout=grace)
            if not self._finished.empty():
                self._collect()
            self._save()
        with self._idle:
            idle = self._idle.wait_for(lambda: not self._busy, timeout=max(0.0, end - time.monotonic()))
        poll_job.give_back(self.core, self.token)
        return idle and not unfinished

    @contextlib.contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        """Write down that the job ran, for whoever watches over it."""
        start = time.monotonic()
        with self._idle:
            self._busy += 1
        try:
            yield
            now = self.now()
            noted = self._noted.get(name)
            if noted is None or now - noted >= NOTE_EVERY:
                with self.core.db.write() as connection:
                    household.note_job(connection, name, now, time.monotonic() - start)
                self._noted[name] = now
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()


class Patient:
    """A job that outlives a database which can't be used: it says so once a minute, and goes on when it can."""

    def __init__(self, job: Callable[[], object]) -> None:
        self.job = job
        self._told = -COMPLAIN_EVERY_S

    def __call__(self) -> None:
        try:
            self.job()
        except StorageError as error:
            if time.monotonic() - self._told >= COMPLAIN_EVERY_S:
                self._told = time.monotonic()
                name = getattr(self.job, "__name__", "a job")
                log.error("%s waits: %s", name, error)  # noqa: TRY400 - the operator's to mend: no traceback


def serve(app: App, stop: threading.Event, *, web: WebServer | None = None, grace: float = GRACE_S) -> bool:
    """Run the three jobs until ``stop`` is set, then stop them and ``web`` (started by the caller).

    False when something was still under way after ``grace`` seconds: the process may then end as it stands.
    """
    from listener import scheduler  # 40 ms that cron's call can do without

    jobs = Jobs(app.core, app.now, workers=app.config.run.poll_workers)
    clock = scheduler.start(jobs)
    ears = listen(app.core, app.now)
    try:
        stop.wait()
    finally:
        clock.shutdown(wait=False)
        end = time.monotonic() + grace
        closing = [threading.Thread(target=each, name="stop listening", daemon=True) for each in ears]
        web_stop = threading.Thread(target=web.stop, name="web stop", daemon=True) if web else None
        for thread in (*closing, *([web_stop] if web_stop else [])):
            thread.start()
        done = jobs.stop(grace)
        if web_stop:
            web_stop.join(grace)
        for thread in closing:
            thread.join(max(0.0, end - time.monotonic()))
    return done and not any(thread.is_alive() for thread in closing)


def listen(core: Core, now: Now) -> list[Callable[[], None]]:
    """Let people act at each responder that can take it; what stops each."""
    ears = [responder for responder in core.responders.values() if isinstance(responder, Interactive)]
    if not ears:
        return []
    from listener.service.desk import ServiceDesk

    desk = ServiceDesk(core, now)
    return [stop for each in ears if (stop := each.listen(desk)) is not None]


@contextlib.contextmanager
def only_one(database: Path) -> Iterator[None]:
    """Hold the lock that keeps calls from cron from piling up. Raises ``Refused`` when another one runs,
    ``StorageError`` when the lock can't be made.

    The lock is the operating system's, on a file beside the database: it goes with the process, however it ends.
    A database server needs none: leases already keep two processes apart.
    """
    import fcntl

    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Path(f"{database}.poll.lock").open("w"))
        except OSError as error:
            raise StorageError(
                f"database {database}: no lock file can be written beside it ({error.strerror}); give the user "
                "that runs Listener write access to the folder"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("Another poll is running; this one has nothing to do.") from None
        yield
