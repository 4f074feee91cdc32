"""Manners towards hosts: pace, concurrency, "come back later" and robots.txt. A host here is an origin."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from listener.errors import FetchError, FetchRefused, NotOurTurn, RetryLater
from listener.fetch.turnstile import Turnstile

if TYPE_CHECKING:
    from protego import Protego

AGENT = "listener"  # our product token in robots.txt
PATIENCE = (
    2.0  # s that a poll's first request waits for its turn; a longer wait is better spent without the thread
)

# RFC 9309: 2.5 allows a limit of 500 KiB or more, 2.4 asks that no copy be used for longer than 24 h.
ROBOTS_BYTES = 500 * 1024
ROBOTS_KEPT = timedelta(hours=24)
ROBOTS_RETRY = timedelta(minutes=5)  # while it can't be read: short, for every source there waits meanwhile
MAX_CRAWL_DELAY = 10.0  # s; the directive is in no standard, and asking for an hour would stop a poll halfway
_MAX_HOSTS = 5_000  # kept in memory

_AGENT_LINE = re.compile(r"\s*user[-\s]*agent\b[\s:]*([^#]*)", re.IGNORECASE)

ReadRobots = Callable[[str], str]  # URL of a robots.txt -> its text, '' for none; raises FetchError


@dataclass
class HostState:
    """What outlives the process, by origin ("https://example.com").

    ``robots``: text of robots.txt, '' when there is none, None when it could not be read. It holds until
    ``robots_until``. ``not_before``: the host asked for no request until then.
    """

    robots: str | None = None
    robots_until: datetime | None = None
    not_before: datetime | None = None


class Host:
    """One origin in this process."""

    def __init__(self) -> None:
        self.state: HostState | None = None  # None until it is loaded
        self.lock = threading.Lock()  # held while the state is loaded or robots.txt is read
        self.free = threading.Condition()  # guards the two fields that follow
        self.running = 0
        self.next_start = 0.0  # time.monotonic
        self.rules: Protego | None = None  # of state.robots
        self.crawl_delay = 0.0
        self.why = ""  # robots.txt could not be read

    def adopt(self, state: HostState) -> None:
        rules, delay = None, 0.0
        if state.robots:
            from protego import Protego  # late: most commands never fetch

            rules = Protego.parse(_for_us(state.robots))
            delay = min(rules.crawl_delay(AGENT) or 0.0, MAX_CRAWL_DELAY)
        self.rules, self.crawl_delay = rules, delay
        self.state = state  # last: threads that see it current take the rules without the lock


def _for_us(robots: str) -> str:
    """A robots.txt with all agents that can't be us under one name.

    Protego keeps each rule once for each agent that it is for, and 15,000 agents over 25,000 rules fit into
    500 KiB.
    """
    lines = robots.splitlines()
    for number, line in enumerate(lines):
        match = _AGENT_LINE.match(line)
        if match and match[1].strip():
            name = match[1].replace("*", "").partition("/")[0].strip().lower() or "*"
            lines[number] = f"User-agent: {name if name == '*' or AGENT.startswith(name) else 'another'}"
    return "\n".join(lines)


class Hosts:
    """All origins, for all threads. ``load`` and ``save`` keep a ``HostState`` for an origin between
    processes.
    """

    def __init__(
        self,
        *,
        pace: float,
        concurrency: int,
        now: Callable[[], datetime],
        turnstile: Turnstile,
        load: Callable[[str], HostState | None],
        save: Callable[[str, HostState], None],
    ) -> None:
        self._pace = pace
        self._concurrency = concurrency
        self._now = now
        self._turnstile = turnstile
        self._load = load
        self._save = save
        self._hosts: dict[str, Host] = {}
        self._lock = threading.Lock()

    def _host(self, origin: str) -> Host:
        host = self._hosts.get(origin)
        if host is None:
            with self._lock:
                if len(self._hosts) >= _MAX_HOSTS:
                    moment = time.monotonic()
                    for name, old in list(self._hosts.items()):
                        if not old.running and old.next_start < moment:
                            del self._hosts[name]
                host = self._hosts.setdefault(origin, Host())
        if host.state is None:
            with self._alone(host):
                if host.state is None:
                    host.adopt(self._load(origin) or HostState())
        return host

    @contextmanager
    def _alone(self, host: Host, patience: float = -1) -> Iterator[None]:
        """Hold the host's lock. Raises ``TimeoutError`` after ``patience`` (s)."""
        if not host.lock.acquire(blocking=False):
            with self._turnstile.outside():  # whoever holds it may be waiting to compute
                held = host.lock.acquire(timeout=patience)
            if not held:
                raise TimeoutError
        try:
            yield
        finally:
            host.lock.release()

    def check(self, origin: str, url: str) -> None:
        """Raises ``RetryLater`` when the host asked to be left alone until later than now."""
        state = self._host(origin).state
        if state and state.not_before and (wait := (state.not_before - self._now()).total_seconds()) > 0:
            raise RetryLater(f"{origin} asked us to wait", seconds=wait, url=url)

    def pause(self, origin: str, seconds: float) -> None:
        """Leave the host alone for so long; other sources there wait too, and so does the next process."""
        host = self._host(origin)
        with self._alone(host):
            state = host.state or HostState()
            until = self._now() + timedelta(seconds=seconds)
            state.not_before = max(until, state.not_before or until)
            host.state = state
            self._save(origin, state)

    def ask_robots(self, origin: str, url: str, read: ReadRobots, patience: float) -> None:
        """Raises ``FetchRefused`` when robots.txt forbids the URL, ``RetryLater`` when it can't be read now:
        a site whose robots.txt fails must be taken to forbid everything (RFC 9309, 2.3.1.4), and one without
        allows it.
        """
        host = self._host(origin)
        if not self._robots_current(host.state):
            try:
                with self._alone(host, max(patience, 0)):
                    if not self._robots_current(host.state):
                        self._read_robots(host, origin, read)
            except TimeoutError:
                raise NotOurTurn(f"{origin}/robots.txt is slow", seconds=PATIENCE, url=url) from None
        state = host.state
        if state is None or state.robots is None:
            until = state.robots_until if state else None
            wait = (until - self._now()).total_seconds() if until else ROBOTS_RETRY.total_seconds()
            why = host.why or f"{origin}/robots.txt can't be read, so we must not fetch"
            raise RetryLater(why, seconds=max(wait, 1.0), url=url, asked=False)
        if host.rules is not None and not host.rules.can_fetch(url, AGENT):
            raise FetchRefused(
                f"{origin}/robots.txt forbids this address to robots",
                url=url,
                advice="Ask the site for permission, or use its feed or API; fetch.robots = false ignores it",
            )

    def _robots_current(self, state: HostState | None) -> bool:
        return state is not None and state.robots_until is not None and self._now() < state.robots_until

    def _read_robots(self, host: Host, origin: str, read: ReadRobots) -> None:
        """Read robots.txt anew, unless another process has. The caller holds ``host.lock``."""
        state = replace(self._load(origin) or host.state or HostState())
        if not self._robots_current(state):
            try:
                state.robots = read(f"{origin}/robots.txt")
                state.robots_until = self._now() + ROBOTS_KEPT
            except FetchRefused:
                raise
            except FetchError as error:
                # An old copy serves while the file can't be read (RFC 9309, 2.4).
                state.robots_until = self._now() + ROBOTS_RETRY
                host.why = f"robots.txt can't be read, so we must not fetch: {error}"
            self._save(origin, state)
        host.adopt(state)

    @contextmanager
    def turn(
        self, origin: str, url: str, *, patience: float, remaining: Callable[[], float]
    ) -> Iterator[None]:
        """Wait for this request's turn at the host; the body is the request.

        ``patience`` (s) is the longest wait for the pace; ``remaining()`` bounds that for a free place.
        Raises ``RetryLater`` when the turn comes later.
        """
        host = self._host(origin)
        with host.free:
            pace = max(self._pace, host.crawl_delay)
            moment = time.monotonic()
            wait = max(host.next_start - moment, 0.0)
            if wait > min(patience, remaining()):
                raise NotOurTurn(
                    f"{origin} gets a request each {pace:g} s; others are first", seconds=wait, url=url
                )
            host.next_start = moment + wait + pace
        if wait:
            with self._turnstile.outside():
                time.sleep(wait)
        if not self._enter(host, 0.0):
            with self._turnstile.outside():
                entered = self._enter(host, max(remaining(), 0.0))
            if not entered:
                raise NotOurTurn(
                    f"{origin} is still busy with {self._concurrency} other requests",
                    seconds=PATIENCE,
                    url=url,
                )
        try:
            yield
        finally:
            with host.free:
                host.running -= 1
                host.free.notify()

    def _enter(self, host: Host, patience: float) -> bool:
        """Take one of the host's places. False when none becomes free within ``patience`` (s)."""
        with host.free:
            entered = host.free.wait_for(lambda: host.running < self._concurrency, patience)
            host.running += entered
        return entered
