"""Slack's Web API on loopback, for the real slack_sdk: it keeps messages, and refuses what Slack refuses.

Bodies follow the shapes that Slack publishes (json-logs of slackapi/java-slack-sdk) and its method pages.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from tests import blockkit

TOKEN = "xoxb-of-the-tests"
ALL_SCOPES = "chat:write,channels:read,groups:read,channels:history,groups:history"
BOT = "U0BOT"


@dataclass
class Channel:
    """``messages`` are in the order of posting, replies among them."""

    name: str
    is_member: bool = True
    is_archived: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """What happens instead of an answer. ``accepted``: the call takes effect first (as in a time-out)."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    accepted: bool = False
    hang_up: bool = False

    @classmethod
    def refused(cls, error: str, **more: str) -> Failure:
        return cls(body=json.dumps({"ok": False, "error": error, **more}))

    @classmethod
    def rate_limited(cls, seconds: int) -> Failure:
        return cls(429, json.dumps({"ok": False, "error": "ratelimited"}), {"Retry-After": str(seconds)})

    @classmethod
    def lost_answer(cls) -> Failure:
        return cls(accepted=True, hang_up=True)


class FakeSlack:
    """``calls`` is every request (method, arguments); ``fail[method]`` is what the next calls of it meet."""

    def __init__(self) -> None:
        self.channels = {"C1": Channel("support"), "C2": Channel("managers")}
        self.scopes = ALL_SCOPES
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.fail: defaultdict[str, deque[Failure]] = defaultdict(deque)
        self.page_size = 200
        self._clock = 1_700_000_000
        self._lock = threading.Lock()
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                slack._serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Silent: what came in is in ``calls``."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/api/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

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
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
        is_json = (handler.headers.get("Content-Type") or "").startswith("application/json")
        arguments: dict[str, Any] = json.loads(body or "{}") if is_json else dict(parse_qsl(body))
        method = handler.path.removeprefix("/api/")
        with self._lock:
            self.calls.append((method, arguments))
            failure = self.fail[method].popleft() if self.fail[method] else None
            answer: dict[str, Any] = {}
            if failure is None or failure.accepted:
                if handler.headers.get("Authorization") != f"Bearer {TOKEN}":
                    answer = {"ok": False, "error": "invalid_auth"}
                else:
                    answer = self._answer(method, arguments)
        if failure is None:
            self._write(handler, 200, {"x-oauth-scopes": self.scopes}, json.dumps(answer))
        elif failure.hang_up:
            handler.close_connection = True
        else:
            self._write(handler, failure.status, failure.headers, failure.body)

    @staticmethod
    def _write(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: str) -> None:
        data = body.encode()
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _answer(self, method: str, a: dict[str, Any]) -> dict[str, Any]:
        if method == "auth.test":
            return {
                "ok": True,
                "url": "https://t.example.com/",
                "team": "Acme",
                "user": "listener",
                "user_id": BOT,
            }
        channel = self.channels.get(a.get("channel", ""))
        if channel is None:
            return {"ok": False, "error": "channel_not_found"}
        match method:
            case "chat.postMessage":
                return self._post(channel, a)
            case "chat.update":
                return self._update(channel, a)
            case "conversations.history":
                listed = [
                    m
                    for m in channel.messages
                    if m.get("thread_ts", m["ts"]) == m["ts"] or m.get("broadcast")
                ]
                return self._page(listed[::-1], a, "channels:history")
            case "conversations.replies":
                thread = [m for m in channel.messages if a["ts"] in (m["ts"], m.get("thread_ts"))]
                if not thread:
                    return {"ok": False, "error": "thread_not_found"}
                return self._page(thread, a, "channels:history")
            case "chat.getPermalink":
                link = f"https://t.example.com/archives/{a['channel']}/p{a['message_ts'].replace('.', '')}"
                return {"ok": True, "channel": a["channel"], "permalink": link}
            case "conversations.info":
                about = {
                    "name": channel.name,
                    "is_member": channel.is_member,
                    "is_archived": channel.is_archived,
                }
                return {"ok": True, "channel": {"id": a["channel"], **about}}
        raise AssertionError(f"unexpected call of {method}")

    def _refusal(self, channel: Channel, a: dict[str, Any]) -> dict[str, Any] | None:
        if not channel.is_member:
            return {"ok": False, "error": "not_in_channel"}
        if channel.is_archived:
            return {"ok": False, "error": "is_archived"}
        if found := blockkit.problems(a.get("blocks"), a.get("text", "")) if "blocks" in a else []:
            return {"ok": False, "error": "invalid_blocks", "errors": found}
        return None

    def _post(self, channel: Channel, a: dict[str, Any]) -> dict[str, Any]:
        if refusal := self._refusal(channel, a):
            return refusal
        self._clock += 1
        message: dict[str, Any] = {k: a[k] for k in ("text", "blocks", "metadata", "thread_ts") if k in a}
        message |= {
            "type": "message",
            "ts": f"{self._clock}.000100",
            "broadcast": bool(a.get("reply_broadcast")),
        }
        channel.messages.append(message)
        return {"ok": True, "channel": a["channel"], "ts": message["ts"], "message": message}

    def _update(self, channel: Channel, a: dict[str, Any]) -> dict[str, Any]:
        if refusal := self._refusal(channel, a):
            return refusal
        for message in channel.messages:
            if message["ts"] == a["ts"]:
                message |= {"text": a["text"], "blocks": a.get("blocks", [])}
                return {"ok": True, "channel": a["channel"], "ts": a["ts"], "text": a["text"]}
        return {"ok": False, "error": "message_not_found"}

    def _page(self, messages: list[dict[str, Any]], a: dict[str, Any], scope: str) -> dict[str, Any]:
        if scope not in self.scopes.split(","):
            return {"ok": False, "error": "missing_scope", "needed": scope, "provided": self.scopes}
        start, size = int(a.get("cursor") or 0), min(int(a.get("limit", 100)), self.page_size)
        shown = messages[start : start + size]
        if a.get("include_all_metadata") != "1":
            shown = [{k: v for k, v in m.items() if k != "metadata"} for m in shown]
        more = start + size < len(messages)
        cursor = {"next_cursor": str(start + size) if more else ""}
        return {"ok": True, "messages": shown, "has_more": more, "response_metadata": cursor}
