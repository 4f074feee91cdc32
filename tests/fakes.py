"""What tests share: a real web site on loopback that answers by a table of routes, and a client that may reach it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from types import TracebackType
from typing import Any, Self

import httpx

from listener.fetch import Fetcher, FetchSettings, SourceMemory


@dataclass(frozen=True)
class Request:
    """One request as the server got it. ``path`` includes the query; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, Mapping[str, str], bytes]
Stream = Callable[[BaseHTTPRequestHandler], None]
Route = Answer | Callable[[Request], Answer | Stream]


class Site:
    """A web site on loopback, for the time of a ``with``; on a free port when none is named.

    A route is ``(status, headers, body)``, or a callable that gets the ``Request`` and returns such a tuple.
    For misbehaviour below HTTP (half an answer, a dripping one) the callable returns another callable, which
    writes to the handler's ``wfile`` itself. The whole path with its query is looked up first, then the path
    alone; else 404 (also for robots.txt). ``routes`` may be changed while it serves; ``requests`` is all that
    came in, oldest first.
    """

    def __init__(
        self, routes: Mapping[str, Route] | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.routes: dict[str, Route] = dict(routes or {})
        self.requests: list[Request] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body go out apart: 40 ms a request otherwise

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body)
                site.requests.append(request)
                try:
                    site._send(self, request)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client under test hung up first

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Silent: what came in is in ``requests``."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # many clients at once must not see refused connections

            def handle_error(self, request: Any, client_address: Any) -> None:
                if not isinstance(sys.exc_info()[1], ConnectionError):  # the client hung up between requests
                    super().handle_error(request, client_address)

        self._server = Server((host, port), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def paths(self) -> list[str]:
        """The paths asked for, robots.txt left out."""
        return [r.path for r in self.requests if r.path != "/robots.txt"]

    def _send(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        path = request.path.partition("?")[0]
        found = self.routes.get(request.path) or self.routes.get(path) or (404, {}, b"not found")
        given = found(request) if callable(found) else found
        if callable(given):
            handler.close_connection = True
            given(handler)
            return
        status, headers, body = given
        handler.send_response(status)
        if not any(name.lower() == "content-length" for name in headers):
            handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if request.method != "HEAD" and status not in (204, 304):
            handler.wfile.write(body)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def loopback_client(memory: SourceMemory | None = None) -> Iterator[httpx.Client]:
    """The product's own client as a connector gets it for one poll, allowed to reach loopback, without pace."""
    settings = FetchSettings(
        contact="tests@example.com", allow_private=(ip_network("127.0.0.0/8"),), host_pace=0, robots=False
    )
    fetcher = Fetcher(
        settings,
        now=lambda: datetime(2026, 6, 10, tzinfo=UTC),
        load_host=lambda origin: None,
        save_host=lambda origin, state: None,
    )
    try:
        with fetcher.client(memory or SourceMemory()) as http:
            yield http
    finally:
        fetcher.close()
