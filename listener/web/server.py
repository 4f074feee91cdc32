"""Serving: uvicorn in a thread of its own, stopped cleanly."""

from __future__ import annotations

import errno
import socket
import threading

import uvicorn
from starlette.types import ASGIApp

from listener.errors import ListenerError

CONCURRENT = 200  # requests under way; more are answered with 503


class WebServer:
    """Listens from ``start`` to ``stop``.

    No access log (the log-in link carries the token), and no trust in X-Forwarded-For: the peer is the client.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, *, grace_s: float = 5.0) -> None:
        """``port`` 0 takes a free one. ``grace_s``: how long requests under way may take when it stops."""
        self.host, self.port = host, port
        self._grace_s = grace_s
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                limit_concurrency=CONCURRENT,
                timeout_graceful_shutdown=max(1, int(grace_s)),
            )
        )
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind and serve in the background. Raises ``ListenerError`` when it can't listen there."""
        listening = self._bind()
        self.port = listening.getsockname()[1]
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="web", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no new requests, let those under way end within the grace time. May be called twice."""
        if self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(self._grace_s + 1)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(1)
        self._thread = None

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            listening = socket.create_server((self.host, self.port), family=family, backlog=512)
            # Connections inherit it; asyncio sets it only on sockets made with proto=TCP. Without it each answer
            # waits for a delayed ACK between head and body: measured 48 ms against 2 ms for /healthz.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise ListenerError(f"The web server can't start: {self._advice(error)}") from error
        return listening

    def _advice(self, error: OSError) -> str:
        where = f"{self.host}:{self.port}"
        if error.errno == errno.EADDRINUSE:
            return f"{where} is taken by another program. Set another port in the [web] section, or end the other."
        if error.errno == errno.EACCES:
            return f"port {self.port} needs more rights. Take one above 1023 in the [web] section."
        return f"{where}: {error.strerror or error}. Check host in the [web] section."
