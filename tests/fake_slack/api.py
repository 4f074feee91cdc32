"""The Web API. Bodies follow the shapes that Slack publishes (json-logs of slackapi/java-slack-sdk)."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests import blockkit
from tests.fake_slack.sockets import Sockets
from tests.fake_slack.state import ALL_SCOPES, APP_TOKEN, BOT, NEEDED, TEAM, TOKEN, Channel

EDITS_A_MINUTE = 50  # chat.update is of tier 3
TRIGGER_S = 3.0  # a trigger id opens one view, within so many seconds


def refused(error: str, **more: Any) -> dict[str, Any]:
    return {"ok": False, "error": error, **more}


@dataclass
class WebApi:
    """A workspace. ``now`` gives its time in seconds since 1970: what ``ts`` and the rate limit go by.

    ``paced``: a channel takes one message a second, and the workspace 50 edits a minute; more get 429.
    ``mistakes`` is what no app may do; leaving the workspace with some raises.
    """

    now: Callable[[], float] = time.time
    paced: bool = False
    page_size: int = 200
    scopes: str = ALL_SCOPES
    channels: dict[str, Channel] = field(
        default_factory=lambda: {"C1": Channel("support"), "C2": Channel("managers")}
    )
    users: dict[str, str] = field(
        default_factory=lambda: {BOT: "listener", "U0KARI": "Kari", "U0BEN": "Ben", "U0ANNA": "Anna"}
    )
    views: dict[str, dict[str, Any]] = field(default_factory=dict)  # the modals that are open
    homes: dict[str, dict[str, Any]] = field(default_factory=dict)  # user -> home tab
    ephemerals: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    responses: list[dict[str, Any]] = field(default_factory=list)  # what came to response_urls
    mistakes: list[str] = field(default_factory=list)
    too_fast: int = 0  # how often the rate limit was met
    origin: str = ""

    def __post_init__(self) -> None:
        self.sockets = Sockets(self.mistakes)
        self._last_ts = 0
        self._last_post: dict[str, float] = {}
        self._edits: list[float] = []
        self._triggers: dict[str, float] = {}
        self._response_urls: dict[str, dict[str, Any]] = {}

    def answer(
        self, method: str, a: dict[str, Any], token: str
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers and body."""
        if token != (APP_TOKEN if method == "apps.connections.open" else TOKEN):
            return (
                200,
                {},
                refused("not_allowed_token_type" if token in (TOKEN, APP_TOKEN) else "invalid_auth"),
            )
        needed = NEEDED.get(method)
        if needed and needed not in self.scopes.split(","):
            return 200, {}, refused("missing_scope", needed=needed, provided=self.scopes)
        if self.paced and self._is_too_fast(method, a.get("channel", "")):
            self.too_fast += 1
            return 429, {"Retry-After": "1"}, refused("ratelimited")
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=URL)(?=[A-Z])", "_", method.replace(".", "_"))
        do = getattr(self, f"_{words.lower()}", None)
        if do is None:
            self.mistakes.append(f"unexpected call of {method}")
            return 200, {}, refused("unknown_method")
        return 200, {}, do(a)

    def _is_too_fast(self, method: str, channel: str) -> bool:
        now = round(self.now(), 3)  # sums of seconds are not exact
        if method == "chat.update":
            self._edits = [at for at in self._edits if at > now - 60]
            self._edits += [now] if len(self._edits) < EDITS_A_MINUTE else []
            return self._edits[-1] != now
        if method != "chat.postMessage" or channel not in self.channels:
            return False
        if now - self._last_post.get(channel, 0.0) < 1:
            return True
        self._last_post[channel] = now
        return False

    # ---- the app, users

    def _auth_test(self, _a: dict[str, Any]) -> dict[str, Any]:
        about = {"team": "Acme", "team_id": TEAM, "user": "listener", "user_id": BOT, "bot_id": "B0BOT"}
        return {"ok": True, "url": "https://t.example.com/", "is_enterprise_install": False, **about}

    def _apps_connections_open(self, _a: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "url": self.sockets.new_url()}

    def _users_info(self, a: dict[str, Any]) -> dict[str, Any]:
        name = self.users.get(a["user"])
        if name is None:
            return refused("user_not_found")
        profile = {"real_name": name, "display_name": name}
        about = {
            "id": a["user"],
            "team_id": TEAM,
            "name": name.lower(),
            "real_name": name,
            "tz": "Europe/Oslo",
        }
        return {
            "ok": True,
            "user": {**about, "deleted": False, "is_bot": a["user"] == BOT, "profile": profile},
        }

    # ---- messages

    def _channel(self, a: dict[str, Any], *, writing: bool = False) -> tuple[Channel, dict[str, Any] | None]:
        channel = self.channels.get(a.get("channel") or a.get("channel_id") or "")
        if channel is None:
            return Channel(""), refused("channel_not_found")
        if not writing:
            return channel, None
        if not channel.is_member:
            return channel, refused("not_in_channel")
        if channel.is_archived:
            return channel, refused("is_archived")
        if not a.get("text") and not a.get("blocks"):
            return channel, refused("no_text")
        if "blocks" not in a:
            return channel, refused("msg_too_long") if len(a["text"]) > blockkit.CHARACTERS_OF_TEXT else None
        if found := blockkit.problems(a["blocks"], a.get("text", "")):
            too_long = all("characters in all" in problem for problem in found)
            return channel, refused("msg_blocks_too_long" if too_long else "invalid_blocks", errors=found)
        return channel, None

    def _new_ts(self) -> str:
        self._last_ts = max(self._last_ts + 1, int(self.now() * 1e6))
        return f"{self._last_ts // 10**6}.{self._last_ts % 10**6:06d}"

    def _chat_post_message(self, a: dict[str, Any]) -> dict[str, Any]:
        channel, refusal = self._channel(a, writing=True)
        if refusal:
            return refusal
        message: dict[str, Any] = {
            k: a[k] for k in ("text", "blocks", "metadata", "thread_ts", "files") if a.get(k)
        }
        broadcast = bool(a.get("reply_broadcast"))
        message |= {"type": "message", "user": BOT, "ts": self._new_ts(), "broadcast": broadcast}
        channel.messages.append(message)
        return {"ok": True, "channel": a["channel"], "ts": message["ts"], "message": message}

    def _chat_update(self, a: dict[str, Any]) -> dict[str, Any]:
        channel, refusal = self._channel(a, writing=True)
        if refusal:
            return refusal
        message = _of_ts(channel, a["ts"])
        if message is None:
            return refused("message_not_found")
        message.pop("blocks", None)  # text without blocks takes them away
        message |= {k: a[k] for k in ("text", "blocks", "metadata") if k in a}
        return {"ok": True, "channel": a["channel"], "ts": a["ts"], "text": a.get("text", "")}

    def _chat_delete(self, a: dict[str, Any]) -> dict[str, Any]:
        channel, refusal = self._channel(a)
        message = _of_ts(channel, a["ts"])
        if refusal or message is None:
            return refusal or refused("message_not_found")
        channel.messages.remove(message)
        return {"ok": True, "channel": a["channel"], "ts": a["ts"]}

    def _chat_post_ephemeral(self, a: dict[str, Any]) -> dict[str, Any]:
        _, refusal = self._channel(a, writing=True)
        if refusal:
            return refusal
        if a.get("user") not in self.users:
            return refused("user_not_in_channel")
        self.ephemerals.append(a)
        return {"ok": True, "message_ts": self._new_ts()}

    def _chat_get_permalink(self, a: dict[str, Any]) -> dict[str, Any]:
        _, refusal = self._channel(a)
        link = f"https://t.example.com/archives/{a['channel']}/p{a['message_ts'].replace('.', '')}"
        return refusal or {"ok": True, "channel": a["channel"], "permalink": link}

    # ---- channels

    def _conversations_info(self, a: dict[str, Any]) -> dict[str, Any]:
        channel, refusal = self._channel(a)
        about = {"name": channel.name, "is_member": channel.is_member, "is_archived": channel.is_archived}
        return refusal or {"ok": True, "channel": {"id": a["channel"], **about}}

    def _conversations_open(self, a: dict[str, Any]) -> dict[str, Any]:
        user = str(a["users"])
        if user not in self.users:
            return refused("user_not_found")
        channel = f"D{user[1:]}"
        self.channels.setdefault(channel, Channel(""))
        return {"ok": True, "channel": {"id": channel}}

    def _conversations_history(self, a: dict[str, Any]) -> dict[str, Any]:
        channel, refusal = self._channel(a)
        listed = [m for m in channel.messages if m.get("thread_ts", m["ts"]) == m["ts"] or m.get("broadcast")]
        oldest, latest = float(a.get("oldest") or 0), float(a.get("latest") or 1e12)
        listed = [m for m in listed if oldest < float(m["ts"]) < latest]
        return refusal or self._page(listed[::-1], a)

    def _conversations_replies(self, a: dict[str, Any]) -> dict[str, Any]:
        channel, refusal = self._channel(a)
        thread = [m for m in channel.messages if a["ts"] in (m["ts"], m.get("thread_ts"))]
        oldest = float(a.get("oldest") or 0)
        shown = [
            m for m in thread if m["ts"] == a["ts"] or float(m["ts"]) > oldest
        ]  # the parent always comes too
        return refusal or (self._page(shown, a) if thread else refused("thread_not_found"))

    def _page(self, messages: list[dict[str, Any]], a: dict[str, Any]) -> dict[str, Any]:
        start, size = int(a.get("cursor") or 0), min(int(a.get("limit", 100)), self.page_size)
        shown = messages[start : start + size]
        if a.get("include_all_metadata") not in ("1", "true", True):
            shown = [{k: v for k, v in m.items() if k != "metadata"} for m in shown]
        more = start + size < len(messages)
        cursor = {"next_cursor": str(start + size) if more else ""}
        return {"ok": True, "messages": shown, "has_more": more, "response_metadata": cursor}

    # ---- reactions, files

    def _reactions_add(self, a: dict[str, Any]) -> dict[str, Any]:
        message = _of_ts(self._channel(a)[0], a["timestamp"])
        if message is None:
            return refused("message_not_found")
        reactions = message.setdefault("reactions", [])
        if a["name"] in reactions:
            return refused("already_reacted")
        reactions.append(a["name"])
        return {"ok": True}

    def _reactions_remove(self, a: dict[str, Any]) -> dict[str, Any]:
        message = _of_ts(self._channel(a)[0], a["timestamp"])
        if message is None or a["name"] not in message.get("reactions", []):
            return refused("no_reaction")
        message["reactions"].remove(a["name"])
        return {"ok": True}

    def _files_get_upload_url_external(self, a: dict[str, Any]) -> dict[str, Any]:
        file_id = f"F{len(self.files) + 1}"
        self.files[file_id] = {"id": file_id, "name": a["filename"], "length": int(a["length"]), "data": None}
        return {"ok": True, "file_id": file_id, "upload_url": f"{self.origin}/upload/{file_id}"}

    def _files_complete_upload_external(self, a: dict[str, Any]) -> dict[str, Any]:
        wanted = json.loads(a["files"]) if isinstance(a["files"], str) else a["files"]
        files = [self.files.get(item["id"], {}) for item in wanted]
        if any(f.get("data") is None or len(f["data"]) != f["length"] for f in files):
            return refused("file_not_found")
        shown = [{"id": f["id"], "name": f["name"]} for f in files]
        if channel := a.get("channel_id") or a.get("channels"):
            comment = a.get("initial_comment") or "a file"
            more: dict[str, Any] = {k: a[k] for k in ("thread_ts", "blocks") if k in a}
            if isinstance(more.get("blocks"), str):  # the form of this method; see its reference
                more["blocks"] = json.loads(more["blocks"])
            if not (
                sent := self._chat_post_message({"channel": channel, "text": comment, "files": shown, **more})
            )["ok"]:
                return sent
        return {"ok": True, "files": shown}

    def uploaded(self, file_id: str, data: bytes) -> int:
        """The status of an upload."""
        if file_id not in self.files:
            return 404
        self.files[file_id]["data"] = data
        return 200

    # ---- views

    def trigger(self) -> str:
        """What a click brings along: it opens one view, soon."""
        trigger = f"{secrets.randbelow(10**6)}.{secrets.token_hex(6)}"
        self._triggers[trigger] = time.monotonic()
        return trigger

    def _refused_trigger(self, a: dict[str, Any]) -> dict[str, Any] | None:
        trigger = a.get("trigger_id", "")
        if trigger not in self._triggers:
            return refused("invalid_trigger_id")
        made, self._triggers[trigger] = self._triggers[trigger], -1.0
        if made < 0:
            return refused("exchanged_trigger_id")
        return refused("expired_trigger_id") if time.monotonic() - made > TRIGGER_S else None

    def _views_open(self, a: dict[str, Any]) -> dict[str, Any]:
        return self._refused_trigger(a) or self.keep_view(a["view"], None)

    def _views_push(self, a: dict[str, Any]) -> dict[str, Any]:
        return self._views_open(a)

    def _views_update(self, a: dict[str, Any]) -> dict[str, Any]:
        known = self.views.get(a.get("view_id") or "") or next(
            (v for v in self.views.values() if v["external_id"] and v["external_id"] == a.get("external_id")),
            None,
        )
        if known is None:
            return refused("not_found")
        if a.get("hash") and a["hash"] != known["hash"]:
            return refused("hash_conflict")
        return self.keep_view(a["view"], known["id"])

    def _views_publish(self, a: dict[str, Any]) -> dict[str, Any]:
        if a.get("user_id") not in self.users:
            return refused("user_not_found")
        made = self.keep_view(a["view"], f"VHOME{a['user_id']}", home=True)
        if made["ok"]:
            self.homes[a["user_id"]] = made["view"]
        return made

    def keep_view(self, view: Any, view_id: str | None, *, home: bool = False) -> dict[str, Any]:
        """The answer to a view that is opened, updated or published."""
        view = json.loads(view) if isinstance(view, str) else view
        found = blockkit.view_problems(view)
        if (view.get("type") == "home") != home:
            found.append(f"type {view.get('type')!r} can't be shown there")
        if found:
            messages = {"messages": [f"[ERROR] {problem}" for problem in found]}
            return refused("invalid_arguments", response_metadata=messages)
        view_id = view_id or f"V{secrets.token_hex(5).upper()}"
        kept = {
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "previous_view_id": None,
            **view,
        }
        kept |= {"id": view_id, "root_view_id": view_id, "team_id": TEAM, "bot_id": "B0BOT"}
        kept |= {"hash": f"{time.time():.3f}.{secrets.token_hex(4)}", "state": {"values": {}}}
        if not home:
            self.views[view_id] = kept
        return {"ok": True, "view": kept}

    # ---- response_url

    def response_url(self, **about: Any) -> str:
        """Good for five answers. ``about``: the channel, user and message that it belongs to."""
        key = secrets.token_hex(8)
        self._response_urls[key] = {"left": 5, **about}
        return f"{self.origin}/response/{key}"

    def respond(self, key: str, a: dict[str, Any]) -> tuple[int, str]:
        """Status and plain text, as Slack answers there."""
        about = self._response_urls.get(key)
        if about is None or about["left"] == 0:
            return 404, "expired_url" if about else "no_service"
        if "blocks" in a and (found := blockkit.problems(a["blocks"], a.get("text", ""))):
            self.mistakes.append(f"response_url: {found}")
            return 400, "invalid_blocks"
        about["left"] -= 1
        self.responses.append({**a, "channel": about["channel"], "user": about["user"]})
        there = {"channel": about["channel"], "ts": about.get("ts")}
        if a.get("delete_original") or a.get("replace_original"):
            done = self._chat_delete(there) if a.get("delete_original") else self._chat_update({**a, **there})
            return (200, "ok") if done["ok"] else (404, done["error"])
        if a.get("response_type") == "in_channel":
            self._chat_post_message({**a, "channel": about["channel"]})
        else:
            self.ephemerals.append({**a, "channel": about["channel"], "user": about["user"]})
        return 200, "ok"


def _of_ts(channel: Channel, ts: str | None) -> dict[str, Any] | None:
    return next((m for m in channel.messages if m["ts"] == ts), None)
