"""Polls compute one after another, and wait for the network and for their turn at a host together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turnstile:
    """Holds back all but one of the threads that compute.

    Python runs one thread at a time anyway, and 20 that are ready only hand it to each other: 500 first polls took
    3.4 s with 20 threads, 2.3 s with one, 2.5 s with 20 behind a turnstile. The threads that serve people (web,
    clock, outbox) then compete with one poll and not with 20.

    Whoever is inside must not wait for what another thread inside may hold: such waits belong in ``outside``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: int | None = None

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The body computes."""
        with self._lock:
            self._inside = threading.get_ident()
            try:
                yield
            finally:
                self._inside = None

    @contextmanager
    def outside(self) -> Iterator[None]:
        """The body waits for others, within ``inside`` or not."""
        if self._inside != threading.get_ident():
            yield
            return
        self._inside = None
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()
            self._inside = threading.get_ident()
