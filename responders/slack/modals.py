"""The forms: how each looks, what is wrong with what was filled in, and doing what it asks for.

Each field is an input block whose ``block_id`` and ``action_id`` are the field's name. What can be told from the
form alone is told at once (``mistakes``); what only the case can tell is raised by the desk while it is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from listener.errors import Refused, UsageError
from listener.model import CaseView, Draft
from listener.ports import Desk
from responders._text import clean, clip, holder, line, web_url
from responders.slack.actions import Kept, Where, happened
from responders.slack.blocks import escape
from responders.slack.buttons import PREFIX

View = dict[str, Any]
Entered = Mapping[str, str]

OUTCOMES = ("refunded", "replaced", "repaired", "explained", "apologised", "other")  # as at the dashboard
REASONS = (
    "delivery",
    "quality",
    "price",
    "billing",
    "service",
    "usability",
    "outage",
    "other",
)  # as triage's
NO_COMPLAINT = {
    "praise": "Praise, or a joke",
    "question": "Only a question",
    "somebody else": "About somebody else",
    "spam": "Spam, or not a customer",
    "settled": "Already settled",
    "other": "Something else: see below",
}
LENGTHS = {30: "30 minutes", 60: "1 hour", 120: "2 hours", 240: "4 hours", 480: "8 hours", 1440: "1 day"}
LONGEST_PROMISE = 60 * 24 * 90  # minutes; the case refuses more
TEXT = 3000  # characters that Slack takes in a field or a text
MOST_OPTIONS, OPTION_VALUE = 100, 150  # of a menu, and characters of what an option stands for

NOT_SEEN = "The source doesn't show the answer yet. Look again in a minute."

# The field that an error of the case is shown at: each form has it.
FIRST_FIELD = {
    "respond": "url",
    "resolve": "outcome",
    "dismiss": "why",
    "snooze": "minutes",
    "assign": "to",
    "merge": "into",
    "reopen": "why",
}


def opened(desk: Desk, action: str, case_id: int, who: str, place: Where) -> View:
    """The form for an action. Raises ``Refused`` and ``UsageError`` where it is of no use any more."""
    case = desk.case(case_id)
    if case.open == (action == "reopen"):
        state = holder(case)
        raise UsageError(f"Case {case.id} is open." if case.open else f"Case {case.id} is closed: {state}.")
    kept = Kept(case_id, place)
    match action:
        case "respond":
            return respond(case, kept)
        case "draft":
            return draft(case, kept, desk.draft(case_id, who))
        case "resolve":
            return resolve(case, kept)
        case "dismiss":
            return dismiss(case, kept)
        case "snooze":
            return snooze(case, kept)
        case "assign":
            return assign(case, kept, sorted(desk.people()))
        case "merge":
            return merge(case, kept, desk.cases_of(case.customer.id))
        case "reopen":
            return reopen(case, kept)
        case _:
            raise UsageError(f"There is nothing called {action!r} to do here.")


# ---- how they look


def respond(case: CaseView, kept: Kept) -> View:
    url = {"type": "url_text_input", "action_id": "url", "placeholder": _plain("https://…")}
    minutes = {
        "type": "number_input",
        "action_id": "promise",
        "is_decimal_allowed": False,
        "min_value": "1",
        "max_value": str(LONGEST_PROMISE),
    }
    if kept.promise is not None:
        minutes["initial_value"] = str(kept.promise)
    hint = "When does the customer hear more, by what you wrote? It is measured, and a broken promise counts."
    look = {
        "type": "checkboxes",
        "action_id": "look",
        "options": [{"text": _plain("Look for it now, at the source"), "value": "yes"}],
    }
    blocks = [
        _about(case),
        _input("url", "Link of the public answer", url, optional=True),
        _input("promise", "Promised waiting time, in minutes", minutes, hint, optional=True),
        _input("look", "Not sure where it stands?", look, optional=True),
    ]
    return _modal("respond", "Responded", blocks, kept, "Record")


def resolve(case: CaseView, kept: Kept) -> View:
    outcome = _select("outcome", {name: name.capitalize() for name in OUTCOMES}, "How did it end?")
    reasons = list(dict.fromkeys((case.reason, *REASONS) if _fits(case.reason) else REASONS))
    reason = _select("reason", {name: name.capitalize() for name in reasons}, "Reason")
    if case.reason in reasons:
        reason["initial_option"] = reason["options"][reasons.index(case.reason)]
    blocks = [
        _about(case),
        _input("outcome", "Outcome", outcome),
        _input(
            "reason", "Reason of the complaint", reason, "Correct it if it is wrong: Listener learns from it."
        ),
        _input("gesture", "Gesture made", _words("gesture", 300, "A voucher of 20 €, …"), optional=True),
        _input("note", "Note", _words("note", TEXT, multiline=True), optional=True),
    ]
    return _modal("resolve", "Resolve", blocks, kept, "Resolve")


def dismiss(case: CaseView, kept: Kept) -> View:
    hint = "It closes the case, takes the bad experience back, and teaches Listener."
    blocks = [
        _about(case),
        _input("why", "Why is it not a complaint?", _select("why", NO_COMPLAINT, "Choose"), hint),
        _input("words", "In your words", _words("words", 1000, multiline=True), optional=True),
    ]
    return _modal("dismiss", "Not a complaint", blocks, kept, "Close the case")


def snooze(case: CaseView, kept: Kept) -> View:
    lengths = _select("minutes", {str(n): words for n, words in LENGTHS.items()}, "Choose")
    hint = "Reminders and warnings are muted. No clock stops; what is late still sounds."
    return _modal(
        "snooze", "Snooze reminders", [_about(case), _input("minutes", "For", lengths, hint)], kept, "Snooze"
    )


def assign(case: CaseView, kept: Kept, people: Sequence[str]) -> View:
    """A name to type where the configuration names nobody, or more people than a menu holds."""
    names = [name for name in people if name != case.assignee and _fits(name)]
    chosen: View = _words("to", 100)
    if 0 < len(names) <= MOST_OPTIONS:
        chosen = _select("to", {name: name for name in names}, "Somebody")
    return _modal("assign", "Reassign", [_about(case), _input("to", "To", chosen)], kept, "Hand over")


def merge(case: CaseView, kept: Kept, others: Sequence[CaseView]) -> View:
    number = {"type": "number_input", "action_id": "into", "is_decimal_allowed": False, "min_value": "1"}
    open_ones = [str(other.id) for other in others if other.open and other.id != case.id][:10]
    hint = "Its mentions go there, and the earliest due time stays."
    if open_ones:
        hint += f" Open cases of this customer: {', '.join(open_ones)}."
    blocks = [_about(case), _input("into", "Number of the case that it belongs to", number, hint)]
    return _modal("merge", "Merge", blocks, kept, "Merge")


def reopen(case: CaseView, kept: Kept) -> View:
    blocks = [
        _about(case),
        _input("why", "Why?", _words("why", 1000, multiline=True), "It starts new clocks."),
    ]
    return _modal("reopen", "Reopen", blocks, kept, "Reopen")


def draft(case: CaseView, kept: Kept, found: Draft) -> View:
    """Text to copy. Its button leads on to the form that records the answer, with the promise filled in."""
    text = clip(clean(found.text), TEXT) or " "
    told = f"It tells a wait of {escape(found.wait, 40)}: {escape(found.basis, 300)}"
    blocks: list[dict[str, Any]] = [
        _about(case),
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]}],
        },
        _context(f"{told}\nCopy it, make it yours, and send it there. Listener never posts in public."),
    ]
    place = web_url(case.mentions[-1].url) if case.mentions else None
    if place:
        button = {
            "type": "button",
            "action_id": "open_original",
            "text": _plain("Open original"),
            "url": place,
        }
        blocks.append({"type": "actions", "elements": [button]})
    return _modal(
        "draft", "Draft a reply", blocks, replace(kept, promise=found.promise_minutes), "I have sent it"
    )


def notice(text: str) -> View:
    """A plain word to a person, where no message can be shown. ``text`` is mrkdwn."""
    block = {"type": "section", "text": {"type": "mrkdwn", "text": text[:TEXT], "verbatim": True}}
    return {"type": "modal", "title": _plain("Listener"), "close": _plain("OK"), "blocks": [block]}


def _modal(action: str, title: str, blocks: list[dict[str, Any]], kept: Kept, submit: str) -> View:
    return {
        "type": "modal",
        "callback_id": PREFIX + action,
        "private_metadata": kept.text(),
        "title": _plain(title),
        "submit": _plain(submit),
        "close": _plain("Cancel"),
        "blocks": blocks,
    }


def _about(case: CaseView) -> dict[str, Any]:
    parts = [f"*{escape(case.brand, 60)}*", escape(case.customer.name, 60), escape(case.reason, 40)]
    return _context(" · ".join([*parts, f"case {case.id}", escape(holder(case), 200)]))


def _context(mrkdwn: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": mrkdwn, "verbatim": True}]}


def _input(
    name: str, label: str, element: dict[str, Any], hint: str = "", *, optional: bool = False
) -> dict[str, Any]:
    block = {
        "type": "input",
        "block_id": name,
        "label": _plain(label),
        "element": element,
        "optional": optional,
    }
    return block | ({"hint": _plain(hint)} if hint else {})


def _select(name: str, options: Mapping[str, str], placeholder: str) -> dict[str, Any]:
    return {
        "type": "static_select",
        "action_id": name,
        "placeholder": _plain(placeholder),
        "options": [{"text": _plain(line(text, 75)), "value": value} for value, text in options.items()],
    }


def _fits(value: str) -> bool:
    """Whether it can be an option of a menu."""
    return bool(line(value, 75)) and len(value) <= OPTION_VALUE


def _words(name: str, limit: int, placeholder: str = "", *, multiline: bool = False) -> dict[str, Any]:
    element = {"type": "plain_text_input", "action_id": name, "max_length": limit, "multiline": multiline}
    return element | ({"placeholder": _plain(placeholder)} if placeholder else {})


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


# ---- what was filled in


def entered(view: Mapping[str, Any]) -> dict[str, str]:
    """The fields that were filled in, by name."""
    found = {}
    for block in (view.get("state") or {}).get("values", {}).values():
        for name, field in block.items():
            chosen = field.get("selected_option") or {}
            several = [option["value"] for option in field.get("selected_options") or ()]
            value = field.get("value") or chosen.get("value") or ",".join(several)
            if value and value.strip():
                found[name] = value.strip()
    return found


def mistakes(action: str, fields: Entered) -> dict[str, str]:
    """What is wrong, by field, in words for the person who filled it in."""
    found = {}
    if action == "respond":
        if "url" not in fields and "look" not in fields:
            found["url"] = "Give the link of the answer, or let Listener look for it."
        if "promise" in fields and "url" not in fields:
            found["promise"] = "A promise needs the link of the answer that tells it."
        elif "promise" in fields and not _whole(fields["promise"], LONGEST_PROMISE):
            found["promise"] = "Give whole minutes, from 1 to 90 days."
    if action == "merge" and not _whole(fields.get("into", ""), 10**17):
        found["into"] = "Give the number of a case, such as 12."
    if action == "dismiss" and fields.get("why") == "other" and "words" not in fields:
        found["words"] = "Say why, in a few words."
    return found


def _whole(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19 and 0 < int(text) <= most


def _missing(desk: Desk, case_id: int) -> str:
    """Why the answer can't be seen at its source; empty when it can."""
    try:
        return "" if desk.look_for_answer(case_id) else NOT_SEEN
    except Refused as error:
        return str(error)


def do(desk: Desk, action: str, case_id: int, who: str, fields: Entered) -> str:
    """Do what the form asks for; what happened, in mrkdwn. Raises ``Refused`` and ``UsageError`` as the desk does."""
    match action:
        case "respond":
            if "url" in fields:
                promise = int(fields["promise"]) if "promise" in fields else None
                desk.respond(case_id, who, fields["url"], promise)
            if "look" in fields and (missing := _missing(desk, case_id)):
                if "url" not in fields:
                    raise UsageError(missing)
                return f"{happened(desk, action, case_id)} {escape(missing, 500)}"
        case "resolve":
            case = desk.case(case_id)
            reason = fields.get("reason")
            gesture = [f"Gesture: {fields['gesture']}"] if "gesture" in fields else []
            note = "\n".join([*gesture, *([fields["note"]] if "note" in fields else [])])
            outcome = fields.get("outcome", "")
            desk.resolve(case_id, who, outcome, note, reason if reason != case.reason else None)
        case "dismiss":
            words = fields.get("words", "")
            kind = fields.get("why", "")
            why = words if kind in ("", "other") else kind
            desk.dismiss(case_id, who, f"{why}: {words}" if words and why != words else why)
        case "snooze":
            desk.snooze(case_id, who, int(fields["minutes"]))
        case "assign":
            desk.assign(case_id, who, fields["to"])
        case "merge":
            desk.merge(case_id, who, int(fields["into"]))
        case "reopen":
            desk.reopen(case_id, who, fields.get("why", ""))
        case _:
            raise UsageError(f"There is nothing called {action!r} to do here.")
    return happened(desk, action, case_id)
