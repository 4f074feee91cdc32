"""What people can do to a case in Slack, and the buttons for it. Pure."""

from __future__ import annotations

from typing import Any, Literal

from listener.model import CaseView, State
from responders._text import quoted, web_url

LABELS = {
    "claim": "Claim",
    "release": "Release",
    "respond": "Responded…",
    "draft": "Draft a reply",
    "wait": "Waiting for customer",
    "resume": "Go on with it",
    "snooze": "Snooze reminders…",
    "resolve": "Resolve…",
    "dismiss": "Not a complaint…",
    "assign": "Reassign…",
    "merge": "Merge…",
    "reopen": "Reopen…",
    "original": "Open original",
    "dashboard": "Open in dashboard",
}
AT_ONCE = frozenset({"claim", "release", "wait", "resume"})  # need no form
LINKS = frozenset({"original", "dashboard"})

# What makes sense in each state, the likeliest first: as many as SHOWN are buttons, the others are in the menu.
OFFERED: dict[State, tuple[str, ...]] = {
    State.OPEN: (
        "claim", "draft", "respond", "original", "dismiss", "assign", "snooze", "merge", "dashboard",
    ),
    State.CLAIMED: (
        "respond", "draft", "original", "dismiss", "release", "assign", "snooze", "merge", "dashboard",
    ),
    State.RESPONDED: (
        "resolve", "wait", "original", "draft", "respond", "assign", "snooze", "dismiss", "merge",
    ),
    State.WAITING: (
        "resolve", "resume", "original", "draft", "respond", "assign", "snooze", "dismiss", "merge",
    ),
    State.RESOLVED: ("reopen", "original", "dashboard"),
    State.DISMISSED: ("reopen", "original", "dashboard"),
    State.MERGED: ("original", "dashboard"),
}  # fmt: skip
SHOWN, IN_MENU = 4, 5  # five is the most that an overflow menu may hold
FIRST = frozenset({"claim", "respond", "resolve"})  # coloured, where it comes first

PREFIX = "case_"  # of every action_id that is about a case; the value is "action:case number"
MENU = f"{PREFIX}more"

Emoji = Literal["claim", "release", "wait", "resume", "snooze", "resolve"]  # what an emoji may stand for
REACTIONS: dict[str, Emoji] = {
    "eyes": "claim",
    "hourglass_flowing_sand": "wait",
    "zzz": "snooze",
    "white_check_mark": "resolve",
}


def offered(case: CaseView) -> list[str]:
    """What can be done to the case now, the likeliest first."""
    links = _links(case)
    found = [name for name in OFFERED[case.state] if name not in LINKS or links[name]]
    if case.open and case.answer_url is not None and "resolve" not in found:
        found.insert(SHOWN - 1, "resolve")  # the customer wrote again after an answer
    if case.open and case.assignee is None and "claim" not in found:
        found.insert(SHOWN - 1, "claim")  # let go after an answer
    return found[: SHOWN + IN_MENU]


def case_buttons(case: CaseView) -> list[dict[str, Any]]:
    """One block of the few likeliest, with the rest in its menu; none where there is nothing to do."""
    names = offered(case)
    if not names:
        return []
    elements = [_button(case, name, primary=n == 0 and name in FIRST) for n, name in enumerate(names[:SHOWN])]
    if len(names) > SHOWN:
        options = [_option(case, name) for name in names[SHOWN:]]
        elements.append({"type": "overflow", "action_id": MENU, "options": options})
    return [{"type": "actions", "elements": elements}]


def _button(case: CaseView, name: str, *, primary: bool) -> dict[str, Any]:
    button: dict[str, Any] = {"type": "button", "text": {"type": "plain_text", "text": LABELS[name]}}
    if name in LINKS:
        return button | {"action_id": LABELS[name].lower().replace(" ", "_"), "url": _links(case)[name]}
    button |= {"action_id": PREFIX + name, "value": f"{name}:{case.id}"}
    return button | ({"style": "primary"} if primary else {})


def _option(case: CaseView, name: str) -> dict[str, Any]:
    option = {"text": {"type": "plain_text", "text": LABELS[name]}, "value": f"{name}:{case.id}"}
    return option | ({"url": _links(case)[name]} if name in LINKS else {})


def _links(case: CaseView) -> dict[str, str | None]:
    mention = quoted(case)
    return {"original": web_url(mention.url if mention else None), "dashboard": web_url(case.url)}
