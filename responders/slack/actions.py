"""What a click or an emoji at a case asks for, and doing it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from listener.errors import UsageError
from listener.ports import Desk
from responders._text import deadline, holder
from responders.slack.blocks import date, escape
from responders.slack.buttons import LABELS, LINKS, PREFIX

SNOOZE_MINUTES = 60  # of an emoji


@dataclass(frozen=True, slots=True)
class Where:
    """Where the person acts, so that the answer comes there. ``channel`` is None in the Home tab."""

    user: str
    channel: str | None = None
    thread: str | None = None


@dataclass(frozen=True, slots=True)
class Click:
    """A press on a button or a choice in the menu. ``key`` is what Slack repeats when it sends it again."""

    action: str
    case_id: int
    where: Where
    name: str
    key: str
    trigger: str


def click(body: Mapping[str, Any]) -> Click | None:
    """The click in a ``block_actions`` payload; None when it is not about a case, or a link that needs nothing."""
    chosen = body["actions"][0]
    value = chosen.get("selected_option", chosen).get("value", "")
    action, _, number = str(value).partition(":")
    known = action in LABELS and action not in LINKS and str(chosen.get("action_id", "")).startswith(PREFIX)
    if not known or not number.isascii() or not number.isdigit() or len(number) > 18:
        return None
    user = body["user"]
    trigger = str(body.get("trigger_id") or "")
    return Click(
        action=action,
        case_id=int(number),
        where=where(body),
        name=str(user.get("name") or user.get("username") or ""),
        key=f"slack:click:{trigger or chosen.get('action_ts')}",
        trigger=trigger,
    )


def where(body: Mapping[str, Any]) -> Where:
    container = body.get("container") or {}
    channel = (body.get("channel") or {}).get("id") or container.get("channel_id")
    thread = container.get("thread_ts") if channel else None
    return Where(str(body["user"]["id"]), channel, thread)


def do(desk: Desk, action: str, case_id: int, who: str) -> str:
    """Do what needs no form; what happened, in mrkdwn. Raises ``Refused`` and ``UsageError`` as the desk does."""
    match action:
        case "claim":
            desk.claim(case_id, who)
        case "release":
            desk.release(case_id, who)
        case "wait":
            desk.wait(case_id, who)
        case "resume":
            desk.resume(case_id, who)
        case "snooze":
            desk.snooze(case_id, who, SNOOZE_MINUTES)
        case "resolve":
            desk.resolve(case_id, who, "other", "", None)
        case _:
            raise UsageError(f"There is nothing called {action!r} to do here.")
    return happened(desk, action, case_id)


DONE = {
    "claim": "You have case {n} now.",
    "release": "Case {n} is free again.",
    "respond": "Your answer to case {n} is recorded.",
    "wait": "Case {n} waits for the customer.",
    "resume": "Case {n} goes on.",
    "snooze": "Reminders of case {n} are muted.",
    "resolve": "Case {n} is resolved.",
    "dismiss": "Case {n} is closed as not a complaint.",
    "assign": "Case {n} is handed over.",
    "merge": "Case {n} is merged.",
    "reopen": "Case {n} is open again.",
}


def happened(desk: Desk, action: str, case_id: int) -> str:
    """What to tell the person: what was done, and how the case stands now."""
    case = desk.case(case_id)
    due = deadline(case, desk.now())
    state = escape(holder(case), 200)
    rest = [state[:1].upper() + state[1:]] + ([f"{due[0]} {date(due[1])}"] if due else [])
    return f"{DONE[action].format(n=case_id)} {' · '.join(rest)}."


# ---- a form's memory


@dataclass(frozen=True, slots=True)
class Kept:
    """What a form remembers: its case, where it was opened, and the wait that a draft tells."""

    case_id: int
    where: Where
    promise: int | None = None

    def text(self) -> str:
        """The modal's ``private_metadata``."""
        place = self.where
        return json.dumps([self.case_id, place.user, place.channel, place.thread, self.promise])

    @classmethod
    def read(cls, text: str) -> Kept:
        """Raises ``UsageError`` for what ``text`` did not write."""
        try:
            case_id, user, channel, thread, promise = json.loads(text)
            return cls(int(case_id), Where(user, channel, thread), promise)
        except (ValueError, TypeError) as error:
            raise UsageError("This form is out of date. Close it and open it again.") from error
