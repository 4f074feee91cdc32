"""What people do in Slack, as requests to the app: bodies as in Slack's own SDK tests (slack-inbound-payloads)."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

from tests.fake_slack.api import WebApi
from tests.fake_slack.state import APP, SIGNING_SECRET, TEAM, Reply, Request

LONGEST_S = 3.0
Handler = Callable[[bytes, dict[str, str]], tuple[int, str, bytes]]


@dataclass
class People(WebApi):
    """``app``: where requests go. None: over the socket; a URL, or a function of body and headers: as HTTP.

    ``click``, ``submit``, ``command``, ``react`` and ``open_home`` deliver at once; their ``*_request`` twins only
    make the request, to be delivered later, in another order, or twice.
    """

    app: str | Handler | None = None

    # ---- on the way

    def deliver(self, request: Request, attempt: int = 0) -> Reply:
        """Bring a request to the app; an answer later than three seconds is a mistake of the app.

        ``attempt``: a repeat, as Slack makes of an event that was not acknowledged.
        """
        if self.app is None:
            return self.sockets.deliver(request, attempt)
        body, headers = self.signed(request)
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": "http_timeout"}
        started = time.monotonic()
        status, answer = self._over_http(body, headers)
        seconds = time.monotonic() - started
        if seconds > LONGEST_S:
            self.mistakes.append(f"{request.kind}: answered after {seconds:.1f} s")
        try:
            parsed = json.loads(answer) if answer.strip() else {}
        except ValueError:
            parsed = {"text": answer.decode(errors="replace")}
        return Reply(status, parsed if isinstance(parsed, dict) else {"text": str(parsed)}, seconds)

    def _over_http(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        if callable(self.app):
            status, _kind, answer = self.app(body, headers)
            return status, answer
        assert self.app is not None
        request = HttpRequest(self.app, data=body, headers=headers, method="POST")
        try:
            with urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    @staticmethod
    def signed(
        request: Request, *, at: float | None = None, secret: str = SIGNING_SECRET
    ) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the HTTP request. ``at``: the time stamp, in seconds since 1970 (default: now)."""
        if request.kind == "events_api":
            body, kind = json.dumps(request.payload).encode(), "application/json"
        else:
            form = (
                request.payload
                if request.kind == "slash_commands"
                else {"payload": json.dumps(request.payload)}
            )
            body, kind = urlencode(form).encode(), "application/x-www-form-urlencoded"
        stamp = str(int(time.time() if at is None else at))
        mac = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={mac}", "Content-Type": kind}
        return body, headers

    # ---- what people do

    def click(self, user: str, action_id: str, **where: Any) -> Reply:
        """See ``click_request``."""
        return self.deliver(self.click_request(user, action_id, **where))

    def click_request(
        self,
        user: str,
        action_id: str,
        *,
        channel: str = "C1",
        ts: str | None = None,
        view: dict[str, Any] | None = None,
        chosen: str | None = None,
        value: str | None = None,
    ) -> Request:
        """A click in a message (the newest with that action, or the one at ``ts``) or in a view.

        ``chosen``: the value picked from a menu, or the user picked. ``value``: the one of several alike buttons.
        """
        message = None
        if view is None:
            message = next(
                m
                for m in reversed(self.channels[channel].messages)
                if (ts is None or m["ts"] == ts) and _find_element(m.get("blocks", []), action_id, value)
            )
        found = _find_element((view or message or {}).get("blocks", []), action_id, value)
        if found is None:
            raise AssertionError(f"no {action_id} there")
        block_id, element = found
        action = {"action_id": action_id, "block_id": block_id, "type": element["type"]}
        action |= {"action_ts": f"{time.time():.6f}", **_picked(element, chosen)}
        action |= {
            k: element[k] for k in ("text", "value", "style") if k in element and element["type"] == "button"
        }
        payload = self._by(user) | {
            "type": "block_actions",
            "trigger_id": self.trigger(),
            "actions": [action],
        }
        if view is not None:
            return Request(
                "interactive",
                payload | {"container": {"type": "view", "view_id": view["id"]}, "view": view},
            )
        assert message is not None
        thread = {"thread_ts": message["thread_ts"]} if "thread_ts" in message else {}
        container = {
            "type": "message",
            "message_ts": message["ts"],
            "channel_id": channel,
            "is_ephemeral": False,
        }
        payload |= {
            "container": container | thread,
            "channel": {"id": channel, "name": self.channels[channel].name},
            "message": message,
            "state": {"values": {}},
            "response_url": self.response_url(channel=channel, user=user, ts=message["ts"]),
        }
        return Request("interactive", payload)

    def submit(self, user: str, view: dict[str, Any], values: dict[str, Any]) -> Reply:
        """Press the modal's button; what the app answers happens to the view, which is closed on an empty answer."""
        reply = self.deliver(self.submit_request(user, view, values))
        match reply.body.get("response_action"):
            case "errors":
                known = {b.get("block_id") for b in view["blocks"]}
                if not reply.body.get("errors") or set(reply.body["errors"]) - known:
                    self.mistakes.append(f"errors for blocks that are not there: {reply.body}")
            case "update" | "push":
                made = self.keep_view(reply.body["view"], view["id"])
                if not made["ok"]:
                    self.mistakes.append(f"an answer to a modal: {made}")
            case _:
                self.views.pop(view["id"], None)
        return reply

    def submit_request(self, user: str, view: dict[str, Any], values: dict[str, Any]) -> Request:
        """``values``: action_id -> text, option value, list of option values, or user. Defaults count as in Slack.

        Raises ``AssertionError`` for a field that is not there, or a required one that is empty.
        """
        state: dict[str, dict[str, Any]] = {}
        unknown = set(values)
        for block in view["blocks"]:
            if block["type"] != "input":
                continue
            element = block["element"]
            action_id = element["action_id"]
            unknown.discard(action_id)
            entry = {"type": element["type"], **_entered(element, values.get(action_id))}
            if not block.get("optional") and not any(v for k, v in entry.items() if k != "type"):
                raise AssertionError(f"{action_id} must be filled in")
            state[block["block_id"]] = {action_id: entry}
        if unknown:
            raise AssertionError(f"no such fields: {unknown}")
        shown = {**view, "state": {"values": state}}
        payload = self._by(user) | {"type": "view_submission", "trigger_id": self.trigger(), "view": shown}
        return Request("interactive", payload | {"response_urls": []})

    def command(self, user: str, text: str, *, command: str = "/listener", channel: str = "C1") -> Reply:
        """A slash command; what the app answers is seen by that user alone."""
        reply = self.deliver(self.command_request(user, text, command=command, channel=channel))
        if reply.body.get("text") or reply.body.get("blocks"):
            self.ephemerals.append({**reply.body, "channel": channel, "user": user})
        return reply

    def command_request(
        self, user: str, text: str, *, command: str = "/listener", channel: str = "C1"
    ) -> Request:
        payload = {
            "token": "verification_token",
            "team_id": TEAM,
            "team_domain": "acme",
            "channel_id": channel,
            "channel_name": self.channels[channel].name,
            "user_id": user,
            "user_name": self.users[user].lower(),
            "command": command,
            "text": text,
            "api_app_id": APP,
            "is_enterprise_install": "false",
            "response_url": self.response_url(channel=channel, user=user),
            "trigger_id": self.trigger(),
        }
        return Request("slash_commands", payload)

    def react(
        self, user: str, reaction: str, ts: str, channel: str = "C1", *, removed: bool = False
    ) -> Reply:
        return self.deliver(self.react_request(user, reaction, ts, channel, removed=removed))

    def react_request(
        self, user: str, reaction: str, ts: str, channel: str = "C1", *, removed: bool = False
    ) -> Request:
        item = {"type": "message", "channel": channel, "ts": ts}
        kind = "reaction_removed" if removed else "reaction_added"
        return self.event_request({"type": kind, "user": user, "reaction": reaction, "item": item})

    def open_home(self, user: str, tab: str = "home") -> Reply:
        return self.deliver(self.event_request({"type": "app_home_opened", "user": user, "tab": tab}))

    def event_request(self, event: dict[str, Any]) -> Request:
        """Any event of the Events API."""
        self._events = getattr(self, "_events", 0) + 1
        return Request(
            "events_api",
            {
                "token": "verification_token",
                "team_id": TEAM,
                "api_app_id": APP,
                "event": {**event, "event_ts": f"{time.time():.6f}"},
                "type": "event_callback",
                "event_id": f"Ev{self._events:06d}",
                "event_time": int(time.time()),
                "authorizations": [{"team_id": TEAM, "user_id": "U0BOT", "is_bot": True}],
            },
        )

    def _by(self, user: str) -> dict[str, Any]:
        name = self.users[user]
        return {
            "user": {"id": user, "username": name.lower(), "name": name.lower(), "team_id": TEAM},
            "api_app_id": APP,
            "token": "verification_token",
            "team": {"id": TEAM, "domain": "acme"},
            "enterprise": None,
            "is_enterprise_install": False,
        }


def _find_element(
    blocks: list[dict[str, Any]], action_id: str, value: str | None
) -> tuple[str, dict[str, Any]] | None:
    for number, block in enumerate(blocks):
        elements = [*block.get("elements", []), block.get("accessory") or {}, block.get("element") or {}]
        for element in elements:
            if element.get("action_id") == action_id and value in (None, element.get("value")):
                return block.get("block_id") or f"block{number}", element
    return None


def _picked(element: dict[str, Any], chosen: str | None) -> dict[str, Any]:
    if element["type"] in ("static_select", "overflow", "radio_buttons"):
        return {"selected_option": _option(element, chosen)}
    if element["type"] == "users_select":
        return {"selected_user": chosen}
    return {}


def _entered(element: dict[str, Any], value: Any) -> dict[str, Any]:
    match element["type"]:
        case "plain_text_input" | "url_text_input" | "number_input" | "email_text_input":
            text = element.get("initial_value") if value is None else str(value)
            return {"value": text}
        case "static_select" | "radio_buttons":
            return {"selected_option": _option(element, value) if value else element.get("initial_option")}
        case "checkboxes" | "multi_static_select":
            chosen = (
                [_option(element, v) for v in value]
                if value is not None
                else element.get("initial_options", [])
            )
            return {"selected_options": chosen}
        case "users_select":
            return {"selected_user": value or element.get("initial_user")}
        case other:
            raise AssertionError(f"a field of type {other!r} is not known here")


def _option(element: dict[str, Any], value: str | None) -> dict[str, Any]:
    options = [
        *element.get("options", []),
        *(o for g in element.get("option_groups", []) for o in g["options"]),
    ]
    for option in options:
        if option["value"] == value:
            return dict(option)
    raise AssertionError(f"{value!r} is none of {[o['value'] for o in options]}")
