"""Socket Mode: envelopes over a real WebSocket, each to be acknowledged within three seconds.

Reference: docs.slack.dev/apis/events-api/using-socket-mode.
"""

from __future__ import annotations

import json
import logging
import secrets
import socket
import threading
import time
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.fake_slack.state import APP, Envelope, Reply, Request

LONGEST_S = 3.0  # Slack takes an envelope that is not acknowledged by then for lost


class Sockets:
    """The WebSocket side. ``links`` are the open connections that have said hello, oldest first."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        self.links: list[ServerConnection] = []
        self.connected = threading.Condition()
        self.greeted = 0
        self._tickets: set[str] = set()
        self._waiting: dict[str, Envelope] = {}
        quiet = logging.getLogger(f"{__name__}.websockets")
        quiet.setLevel(logging.CRITICAL)  # dropped sockets are the point here
        # slack_sdk closes only between two frames, and waits up to 3 s for one: pings keep its tests short.
        self._server: Server = serve(
            self._serve, "127.0.0.1", 0, logger=quiet, compression=None, ping_interval=0.05, ping_timeout=None
        )
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.port = self._server.socket.getsockname()[1]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        for link in list(self.links):
            link.socket.close()
        self._server.shutdown()
        self._thread.join()

    def new_url(self) -> str:
        """An address that is good for one connection."""
        ticket = secrets.token_hex(8)
        self._tickets.add(ticket)
        return f"ws://127.0.0.1:{self.port}/link/?ticket={ticket}&app_id={APP}"

    def wait_connected(self, count: int = 1, timeout: float = 10.0) -> None:
        """Until so many connections have been made since the start."""
        with self.connected:
            if not self.connected.wait_for(lambda: self.greeted >= count and bool(self.links), timeout):
                raise AssertionError(f"{self.greeted} socket connections were made, not {count}")

    def deliver(self, request: Request, attempt: int = 0) -> Reply:
        """Send over the newest connection and wait for the acknowledgement; late or missing is a mistake."""
        self.wait_connected()
        envelope = Envelope(secrets.token_hex(16), time.monotonic())
        message: dict[str, Any] = {
            "envelope_id": envelope.id,
            "type": request.kind,
            "payload": request.payload,
            "accepts_response_payload": request.kind != "events_api",
        }
        if request.kind == "events_api":
            message |= {"retry_attempt": attempt, "retry_reason": "timeout" if attempt else ""}
        self._waiting[envelope.id] = envelope
        self.links[-1].send(json.dumps(message))
        if not envelope.acknowledged.wait(LONGEST_S):
            what = request.payload.get("type") or request.payload.get("command")
            self.mistakes.append(f"{request.kind} {what}: not acknowledged within {LONGEST_S:g} s")
            return Reply(0, {}, LONGEST_S)
        return Reply(200, envelope.payload, envelope.seconds)

    def ask_to_reconnect(self, reason: str = "refresh_requested") -> None:
        """As Slack does every few hours: the app is to come back with a new connection."""
        link = self.links[-1]
        link.send(json.dumps({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink"}}))

    def drop(self) -> None:
        """Cut every connection without a word, as a dying proxy does."""
        for link in list(self.links):
            link.socket.shutdown(socket.SHUT_RDWR)  # close alone waits for the thread that reads from it

    def _serve(self, link: ServerConnection) -> None:
        ticket = (link.request.path if link.request else "").partition("ticket=")[2].partition("&")[0]
        if ticket not in self._tickets:
            link.close(1008, "no such ticket")
            return
        self._tickets.discard(ticket)
        hello = {
            "type": "hello",
            "num_connections": len(self.links) + 1,
            "connection_info": {"app_id": APP},
            "debug_info": {"host": "applink", "approximate_connection_time": 18060},
        }
        link.send(json.dumps(hello))
        with self.connected:
            self.links.append(link)
            self.greeted += 1
            self.connected.notify_all()
        try:
            for message in link:
                self._acknowledge(json.loads(message))
        except ConnectionClosed:
            """Dropped, by either side."""
        finally:
            with self.connected:
                self.links.remove(link)

    def _acknowledge(self, message: dict[str, Any]) -> None:
        envelope = self._waiting.pop(message.get("envelope_id", ""), None)
        if envelope is None:
            self.mistakes.append(f"an acknowledgement of nothing, or a second one: {message}")
            return
        if extra := set(message) - {"envelope_id", "payload"}:
            self.mistakes.append(f"an acknowledgement with {sorted(extra)}")
        envelope.payload = message.get("payload") or {}
        envelope.seconds = time.monotonic() - envelope.sent_at
        envelope.acknowledged.set()
