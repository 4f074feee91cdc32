"""How fast Slack lets us speak. Reference: docs.slack.dev/apis/web-api/rate-limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from listener.errors import DeliveryError

POST_S = 1.0  # between two messages in a channel
EDIT_S = 1.2  # between two edits in the workspace: chat.update is of tier 3, 50 a minute
LONGEST_SLEEP_S = 3.0  # a longer wait goes back to the outbox, whose lease must not run out meanwhile


class Pace:
    """Turns to speak, for all threads of this process. Another process that speaks too is met by Slack's 429."""

    clock = staticmethod(time.monotonic)  # seconds
    sleep = staticmethod(time.sleep)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._speaking: dict[str, threading.Lock] = {}
        self._next: dict[str, float] = {}

    @contextmanager
    def turn(self, what: str, every: float) -> Iterator[None]:
        """Wait until ``every`` seconds after the last one ended: the way to Slack may take longer for the first of
        two than for the second. Raises ``DeliveryError`` when the one before takes long.
        """
        with self._lock:
            speaking = self._speaking.setdefault(what, threading.Lock())
        if not speaking.acquire(timeout=LONGEST_SLEEP_S):
            raise DeliveryError("Slack takes long for the message before", retry_after=every)
        try:
            wait = self._next.get(what, 0.0) - self.clock()
            if wait > 0:
                self.sleep(wait)
            yield
        finally:
            self._next[what] = self.clock() + every
            speaking.release()
