"""A case as a Slack message: Block Kit out of a notice. Pure.

Block Kit's limits hold for any text because each field is cut here, long before the limit. The quoted text
goes into ``rich_text``, whose text elements Slack shows as they stand; all other text is mrkdwn, escaped and
marked ``verbatim`` (no links made of it).
Reference: docs.slack.dev/reference/block-kit, docs.slack.dev/messaging/formatting-message-text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from listener.model import CaseView, MentionView, Notice, Person
from responders._text import (
    TITLES,
    Urgency,
    badges,
    came_back,
    clip,
    deadline,
    defuse,
    duration,
    holder,
    line,
    mood,
    more_mentions,
    quote,
    quoted,
    urgency,
    web_url,
    why,
)
from responders.slack.buttons import case_buttons

Block = dict[str, Any]

SIGNS: dict[Urgency, str] = {
    "fine": "🔵",
    "half": "🟡",
    "near": "🟠",
    "late": "🔴",
    "paused": "⏸️",
    "resolved": "✅",
    "dismissed": "⚪",
}
QUOTE_LENGTH = 600  # about ten lines on a desktop; the original is one click away
LONGEST_LINK = 1000  # characters, so that a section stays below its 3,000


class Message(NamedTuple):
    """``text`` is what notifications show and screen readers read; ``blocks`` is what is seen."""

    text: str
    blocks: list[Block]


def case_message(notice: Notice, case: CaseView, *, acting: bool = False) -> Message:
    """The one message of a case, as it stands now; edited in place, so it says nothing that grows stale.

    ``acting``: with buttons for what can be done to it, where somebody listens to them.
    """
    sign = SIGNS[urgency(case, notice)]
    severity = [case.severity] if case.severity in ("high", "critical") else []
    head = [f"{sign} *{escape(case.brand, 60)}*", escape(case.customer.name, 60), _reason(case)]
    number = f"case {case.id}"
    if acting and (page := web_url(case.url)) and len(link := _entities(page)) <= LONGEST_LINK:
        number = f"<{link}|{number}>"  # the menu has no room for it in every state
    head += [*severity, number]
    lines = [" · ".join(part for part in head if part), _status(case, notice.at)]
    if found := _badges(case):
        lines.append(("⚠️ " if case.customer.likely_to_leave else "") + f"*{found}*")
    if notice.call:
        lines.append(_call(notice.call))
    mention = quoted(case)
    blocks = [section("\n".join(lines))]
    if mention:
        blocks.append(context(_who(case, mention)))
        blocks += _quote(mention, QUOTE_LENGTH)
    reasons = why(case)
    footer = [f"Why: {escape(reasons, 200)}" if reasons else "", more_mentions(case)]
    if any(footer):
        blocks.append(context(" · ".join(part for part in footer if part)))
    if acting:
        blocks += case_buttons(case)
    else:
        blocks += _buttons(original=mention.url if mention else None, dashboard=case.url)
    return Message(_spoken(notice, case), blocks)


def thread_reply(notice: Notice, case: CaseView) -> Message:
    """One step of the case's timeline; a further mention is quoted."""
    sign = "" if notice.kind in ("joined", "changed") else _sign(notice, case)
    said = escape(notice.text, 500) or TITLES[notice.kind]
    words = " ".join(part for part in (sign, said, _call(notice.call)) if part)
    blocks = [section(words)]
    if notice.kind in ("joined", "reopened") and case.mentions:
        newest = case.mentions[-1]
        blocks += _quote(newest, 300)
        blocks += _buttons(original=newest.url)
    return Message(words, blocks)


def pointer(notice: Notice, case: CaseView, permalink: str | None) -> Message:
    """For another channel (managers): what happened to whom, and the way to the case's thread."""
    customer = escape(case.customer.name, 60)
    lines = [
        f"{_sign(notice, case)} *{TITLES[notice.kind]}: {escape(case.brand, 60)}* · {customer} · case {case.id}",
        escape(notice.text, 500),
        _status(case, notice.at),
    ]
    if found := _badges(case):
        lines.append(f"*{found}*")
    if notice.call:
        lines.append(_call(notice.call))
    mention = quoted(case)
    blocks = [section("\n".join(part for part in lines if part))]
    if mention:
        blocks.append(context(_who(case, mention)))
        blocks += _quote(mention, 200)
    blocks += _buttons(thread=permalink, dashboard=case.url)
    return Message(_spoken(notice, case), blocks)


def brief(case: CaseView, at: datetime, *, held: bool = True) -> str:
    """A case in two lines of a list, at most 800 characters. ``held``: say who has it, or how it ended."""
    sign = SIGNS[urgency(case, Notice("changed", "", at))]
    severity = case.severity if case.severity in ("high", "critical") else ""
    likely = "likely to leave" if case.customer.likely_to_leave and case.open else ""
    due, mention = deadline(case, at), quoted(case)
    number = f"case {case.id}"
    place = [_link(case.url, number, 300)]
    if not place[0]:  # no dashboard
        place = [number, _link(mention.url, "original", 300) if mention else ""]
    head = [escape(case.customer.name, 60), _reason(case), severity, likely, escape(case.brand, 60), *place]
    state = [f"{due[0]} {date(due[1])}"] if due else []
    if held or not due:
        state.append(escape(holder(case), 100))
    if mention and (words := escape(quote(mention, 80), 80)):
        state.append(f"“{words}”")
    return f"{sign} *{head[0]}* · {' · '.join(filter(None, head[1:]))}\n{' · '.join(state)}"


def system_message(notice: Notice) -> Message:
    """A notice that is not about a case."""
    words = (
        " ".join(part for part in (escape(notice.text, 1500), _call(notice.call)) if part) or TITLES["system"]
    )
    return Message(words, [section(words)])


def escape(text: str, limit: int) -> str:
    """One line of mrkdwn of at most ``limit`` characters, entities included.

    ``&``, ``<`` and ``>`` have entities; the signs of bold, strike and code have no escape in mrkdwn, so they
    are shown by their look-alikes, and the underscore only where it could begin or end italics. What is written
    from right to left is isolated (U+2068, U+2069): it would drag figures that follow it to its other side.
    """
    short = line(text, limit)
    turned = any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in short)
    room = limit - 2 if turned else limit
    short = clip(short, room)
    while len(escaped := _entities(short)) > room:
        short = clip(short, len(short) * room // len(escaped))
    shown = re.sub(r"(?<!\w)_|_(?!\w)", "ˍ", escaped.translate(_LOOK_ALIKES))
    return f"\u2068{shown}\u2069" if turned else shown


_LOOK_ALIKES = {ord("*"): "∗", ord("~"): "∼", ord("`"): "ˋ"}


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def date(instant: datetime) -> str:
    """An instant in each reader's own time zone; UTC where Slack can't render it."""
    fallback = instant.strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(instant.timestamp())}^{{date_short_pretty}} {{time}}|{fallback}>"


def _call(people: Sequence[Person]) -> str:
    return " ".join(filter(None, (named(person) for person in people[:10])))


def named(person: Person) -> str:
    """Mentions a user (U or W…) or a group (S…); somebody without a Slack id is called by name."""
    handle = person.handles.get("slack", "")
    if re.fullmatch(r"[UW][A-Z0-9]{1,20}", handle):
        return f"<@{handle}>"
    if re.fullmatch(r"S[A-Z0-9]{1,20}", handle):
        return f"<!subteam^{handle}>"
    return escape(person.name, 60)


def _sign(notice: Notice, case: CaseView) -> str:
    """Of a piece of news: the case's own, but somebody is called before its time for a graver reason than time."""
    found = urgency(case, notice)
    return "⚠️" if notice.kind == "escalation" and found != "late" else SIGNS[found]


def _status(case: CaseView, at: datetime) -> str:
    due = deadline(case, at)
    parts = [f"*{due[0]}* {date(due[1])}"] if due else []
    held = escape(holder(case), 200)
    parts.append(held if due else held[:1].upper() + held[1:])
    if link := _link(case.answer_url, "see the answer", LONGEST_LINK):
        parts.append(link)
    if (url := web_url(case.merged_url)) and len(link := _entities(url)) <= LONGEST_LINK:
        parts.append(f"<{link}|go on there>")
    if case.promise_minutes is not None and due:
        parts.append(f"promised within {duration(timedelta(minutes=case.promise_minutes))}")
    if case.open and case.snoozed_until and case.snoozed_until > at:
        parts.append(f"reminders muted until {date(case.snoozed_until)}")
    return " · ".join(parts)


def _link(url: str | None, label: str, limit: int) -> str:
    """Empty where there is no address to go to, or one that is longer than ``limit``."""
    address = _entities(web_url(url) or "")
    return f"<{address}|{label}>" if 0 < len(address) <= limit else ""


def _reason(case: CaseView) -> str:
    return "" if case.reason == "other" else escape(case.reason, 40)


def _badges(case: CaseView, between: str = " · ") -> str:
    found = [*badges(case.customer), came_back(case)]
    if case.complaint == "check" and case.open:
        found.append("please check: may not be a complaint")
    return between.join(escape(badge, 60) for badge in found if badge)


def _who(case: CaseView, mention: MentionView) -> str:
    author = escape(mention.author, 60) if mention.author != case.customer.name else ""
    parts = [
        mood(mention),
        author and f"by {author}",
        escape(mention.source, 60),
        f"written {date(mention.published)}" if mention.published else f"seen {date(mention.seen)}",
    ]
    if mention.deleted:
        parts.append("deleted by its author")
    elif mention.edited:
        parts.append("edited by its author")
    return " · ".join(part for part in parts if part)


def _quote(mention: MentionView, limit: int) -> list[Block]:
    text = quote(mention, limit)
    if not text:
        return []
    title = line(mention.title, 150)
    bold = title if title and text.startswith(f"{title}\n") else ""
    leaves: list[Block] = [{"type": "text", "text": defuse(text[len(bold) :])}]
    if bold:
        leaves.insert(0, {"type": "text", "text": defuse(bold), "style": {"bold": True}})
    return [{"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": leaves}]}]


def section(mrkdwn: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn, "verbatim": True}}


def context(mrkdwn: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": mrkdwn, "verbatim": True}]}


def _buttons(
    *, original: str | None = None, thread: str | None = None, dashboard: str | None = None
) -> list[Block]:
    places = (("Open original", original), ("Open the thread", thread), ("Open in dashboard", dashboard))
    elements = [
        {
            "type": "button",
            "action_id": label.lower().replace(" ", "_"),
            "text": {"type": "plain_text", "text": label},
            "url": url,
        }
        for label, place in places
        if (url := web_url(place))
    ]
    return [{"type": "actions", "elements": elements}] if elements else []


def _spoken(notice: Notice, case: CaseView) -> str:
    """The message for ears and for the small window of a notification: whole words, the news first."""
    mention = quoted(case)
    what = " ".join(filter(None, [_reason(case), "complaint by", escape(case.customer.name, 60)]))
    parts = [f"{TITLES[notice.kind]}: {escape(case.brand, 60)}, {what}"]
    if mention and mention.rating is not None and 0 <= mention.rating <= 5:
        parts.append(f"{mention.rating:g} of 5 stars")
    if found := _badges(case, "; "):
        parts.append(found)
    if due := deadline(case, notice.at):
        parts.append(f"{due[0]} {date(due[1])}")
    parts.append(escape(holder(case), 200))
    spoken = ". ".join(part[:1].upper() + part[1:] for part in parts) + "."
    if mention and (words := escape(quote(mention, 200), 200)):
        spoken += f" “{words}”"
    return " ".join(part for part in (spoken, _call(notice.call)) if part)
