"""Slack on loopback, for the real slack_sdk and slack_bolt: Web API over HTTP, Socket Mode over a WebSocket.

It keeps messages, views and files, refuses what Slack refuses, and can fail in the ways that Slack fails.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from tests.fake_slack.people import People
from tests.fake_slack.state import (
    ALL_SCOPES,
    APP_TOKEN,
    BOT,
    SIGNING_SECRET,
    TOKEN,
    Channel,
    Failure,
    Reply,
    Request,
)

__all__ = [
    "ALL_SCOPES",
    "APP_TOKEN",
    "BOT",
    "SIGNING_SECRET",
    "TOKEN",
    "Channel",
    "Failure",
    "FakeSlack",
    "Reply",
    "Request",
]


@dataclass
class FakeSlack(People):
    """``calls`` is every request (method, arguments); ``fail[method]`` is what the next calls of it meet, and
    ``meets``, asked with the method, what any other call does.
    """

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    fail: defaultdict[str, deque[Failure]] = field(default_factory=lambda: defaultdict(deque))
    meets: Callable[[str], Failure | None] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._lock = threading.RLock()
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                slack._serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Silent: what came in is in ``calls``."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server_thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.base_url = f"{self.origin}/api/"

    def __enter__(self) -> Self:
        self._server_thread.start()
        self.sockets.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sockets.stop()
        self._server.shutdown()
        self._server.server_close()
        self._server_thread.join()
        if kind is None and self.mistakes:
            raise AssertionError(f"what no app may do: {self.mistakes}")

    # ---- what tests look at

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    def posted(self, channel: str = "C1") -> list[dict[str, Any]]:
        """The messages of a channel that are no replies."""
        return [m for m in self.channels[channel].messages if m.get("thread_ts", m["ts"]) == m["ts"]]

    def replies(self, ts: str, channel: str = "C1") -> list[dict[str, Any]]:
        return [m for m in self.channels[channel].messages if m.get("thread_ts") == ts and m["ts"] != ts]

    # ---- the server

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        data = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        kind, _, rest = handler.path.lstrip("/").partition("/")
        if kind == "upload":
            status = self.uploaded(rest, data)
            _write(handler, status, {"Content-Type": "text/plain"}, "OK" if status == 200 else "not found")
        elif kind == "response":
            with self._lock:
                status, text = self.respond(rest, json.loads(data))
            _write(handler, status, {"Content-Type": "text/plain"}, text)
        else:
            self._serve_method(handler, rest, data.decode())

    def _serve_method(self, handler: BaseHTTPRequestHandler, method: str, body: str) -> None:
        is_json = (handler.headers.get("Content-Type") or "").startswith("application/json")
        arguments: dict[str, Any] = json.loads(body or "{}") if is_json else dict(parse_qsl(body))
        token = (handler.headers.get("Authorization") or "").removeprefix("Bearer ") or arguments.get(
            "token", ""
        )
        with self._lock:
            self.calls.append((method, arguments))
            failure = self.fail[method].popleft() if self.fail[method] else None
            if failure is None and self.meets is not None:
                failure = self.meets(method)
            if failure is None or failure.accepted:
                status, headers, answer = self.answer(method, arguments, token)
        if failure is None:
            headers |= {"x-oauth-scopes": self.scopes}
            _write(handler, status, headers, json.dumps(answer))
        elif failure.hang_up:
            handler.close_connection = True
        else:
            _write(handler, failure.status, failure.headers, failure.body)


def _write(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: str) -> None:
    data = body.encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
