"""What the fake Slack keeps, and what a test may make happen there."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

TOKEN = "xoxb-of-the-tests"
APP_TOKEN = "xapp-of-the-tests"
SIGNING_SECRET = "signing-secret-of-the-tests"
BOT, APP, TEAM = "U0BOT", "A111", "T111"

# What each method asks for; a private channel's groups:* are not told apart here.
NEEDED = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "chat.delete": "chat:write",
    "chat.postEphemeral": "chat:write",
    "conversations.info": "channels:read",
    "conversations.history": "channels:history",
    "conversations.replies": "channels:history",
    "conversations.open": "im:write",
    "users.info": "users:read",
    "reactions.add": "reactions:write",
    "reactions.remove": "reactions:write",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
}
ALL_SCOPES = ",".join(
    dict.fromkeys([*NEEDED.values(), "groups:read", "groups:history", "commands", "reactions:read"])
)


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


@dataclass(frozen=True)
class Request:
    """Something that a person did, on its way to the app: the same object may be delivered again."""

    kind: str  # interactive, slash_commands or events_api, as Socket Mode names them
    payload: dict[str, Any]


@dataclass
class Reply:
    """What the app answered: over the socket the payload of its acknowledgement, over HTTP status and body."""

    status: int
    body: dict[str, Any]
    seconds: float


@dataclass
class Envelope:
    """A request on the socket, until it is acknowledged."""

    id: str
    sent_at: float
    acknowledged: threading.Event = field(default_factory=threading.Event)
    payload: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
