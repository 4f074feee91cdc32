"""Kept-alive connections, each in the hands of one thread at a time."""

from __future__ import annotations

import ssl
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore
import httpx

KEPT = 20  # idle connections of all hosts together
KEPT_S = 5.0  # servers hang up on idle connections after 5 s (Apache) to 75 s (nginx)


class Connections:
    """Lends a connection to an origin, an idle one or a new one. Thread-safe.

    Not ``httpcore.ConnectionPool``: that one can close an idle connection while another thread, which was given it a
    moment ago, reads from it. The read then waits until its deadline, or reads what belongs to the next socket
    of the same number (httpcore 1.0.9, seen with 50 threads).
    """

    def __init__(self, backend: httpcore.NetworkBackend, ssl_context: ssl.SSLContext | None = None) -> None:
        self._backend = backend
        self._ssl_context = ssl_context
        self._idle: OrderedDict[httpcore.HTTPConnection, httpcore.Origin] = OrderedDict()  # oldest first
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, origin: httpcore.Origin) -> Iterator[httpcore.HTTPConnection]:
        """A connection for one request; its answer must have been read and closed when the block ends."""
        connection = self._take(origin) or self._new(origin)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._put_back(connection, origin)

    def close(self) -> None:
        """Close those that are idle."""
        with self._lock:
            idle = list(self._idle)
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _take(self, origin: httpcore.Origin) -> httpcore.HTTPConnection | None:
        """The origin's connection that was used last, as the likeliest to live."""
        while True:
            with self._lock:
                found = next((c for c in reversed(self._idle) if self._idle[c] == origin), None)
                if found is None:
                    return None
                del self._idle[found]
            if not found.has_expired():
                return found
            found.close()

    def _put_back(self, connection: httpcore.HTTPConnection, origin: httpcore.Origin) -> None:
        if not connection.is_idle():
            connection.close()  # the server said that it ends here
            return
        with self._lock:
            self._idle[connection] = origin
            surplus = self._idle.popitem(last=False)[0] if len(self._idle) > KEPT else None
        if surplus:
            surplus.close()

    def _new(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        if self._ssl_context is None and origin.scheme == b"https":
            self._ssl_context = httpx.create_ssl_context(trust_env=False)  # 16 ms, so not before it is needed
        return httpcore.HTTPConnection(
            origin, ssl_context=self._ssl_context, keepalive_expiry=KEPT_S, network_backend=self._backend
        )
