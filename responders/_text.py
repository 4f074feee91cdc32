"""The words that all responders share, and hostile text made harmless. Pure; not a responder itself."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from listener.model import CaseView, ClockName, CustomerView, MentionView, Notice, NoticeKind, State, Why

TITLES: dict[NoticeKind, str] = {
    "opened": "New",
    "joined": "More",
    "changed": "Changed",
    "reminder": "Reminder",
    "warning": "Warning",
    "breach": "Late",
    "escalation": "Escalated",
    "reopened": "Came back",
    "closed": "Closed",
    "storm": "Many complaints",
    "digest": "Digest",
    "system": "Listener",
}
CLOCKS = {
    ClockName.FIRST_RESPONSE: "First response",
    ClockName.NEXT_RESPONSE: "Next response",
    ClockName.RESOLUTION: "Resolution",
}

# Control characters but the newline, marks that reverse the text around them (the "trojan source" ones), line
# separators, and halves of surrogate pairs, which no encoder takes.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_ZERO_WIDTH_JOINER = "\u200d"


# ---- hostile text


def clean(text: str) -> str:
    """The text without what could steer a terminal or turn the reading direction of words that are ours."""
    return _UNSAFE.sub(" ", text.replace("\r\n", "\n")).strip()


def line(text: str, limit: int) -> str:
    """The text on one line, of at most ``limit`` characters."""
    return clip(" ".join(clean(text).split()), limit)


def clip(text: str, limit: int) -> str:
    """At most ``limit`` characters, cut between words where that costs little, never inside an emoji."""
    if len(text) <= limit:
        return text
    end = limit - 1
    if not text[end].isspace():
        space = max(text.rfind(" ", 0, end), text.rfind("\n", 0, end))
        if space > limit // 2:
            end = space
    while end and (_continues(text[end]) or text[end - 1] == _ZERO_WIDTH_JOINER):
        end -= 1
    return text[:end].rstrip() + "…"


def _continues(char: str) -> bool:
    """Belongs to the character before it: a combining mark, a joiner, a variation or skin-tone selector."""
    return char == _ZERO_WIDTH_JOINER or unicodedata.category(char).startswith("M") or "🏻" <= char <= "🏿"


def quote(mention: MentionView, limit: int, lines: int = 8) -> str:
    """What the author wrote, cut well: its title if that says more, no empty lines. May be empty."""
    title, text = line(mention.title, 150), clean(mention.text)
    if title and not line(text, 150).startswith(title.rstrip("…")):
        text = f"{title}\n{text}"
    kept = [stripped for part in text.split("\n") if (stripped := part.strip())]
    short = kept if len(kept) <= lines else [*kept[: lines - 1], " ".join(kept[lines - 1 :])]
    return clip("\n".join(short), limit)


def defuse(text: str) -> str:
    """For places whose mark-up we do not know: ``@everyone``, ``<@U1>`` and ``<!channel>`` call nobody there.

    An invisible word joiner (U+2060) after the sign keeps the text readable and breaks the command.
    """
    return re.sub(r"([@<])(?=[\w@!#&/])", "\\1\u2060", text)


def web_url(url: str | None) -> str | None:
    """The address when a browser may be sent there (http or https, at most 3,000 characters); else None."""
    if not url or len(url) > 3000 or re.search(r"[\s\x00-\x1f\x7f-\x9f<>|\"\ud800-\udfff]", url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:  # such as "http://[": urlsplit checks IPv6 literals
        return None
    return url if parts.scheme in ("http", "https") and parts.hostname else None


# ---- the case in words

Urgency = Literal["fine", "half", "near", "late", "paused", "resolved", "dismissed"]


def urgency(case: CaseView, notice: Notice) -> Urgency:
    """How the case stands at the notice: by the default alarm points (50, 75, 100%) of its next clock.

    Policies may set other points; an alarm that is at hand therefore counts for at least its own colour. An
    escalation has none: that of a third bad experience comes when the clock has only begun.
    """
    if case.state is State.RESOLVED:
        return "resolved"
    if case.state in (State.DISMISSED, State.MERGED):
        return "dismissed"
    at_least: dict[NoticeKind, Urgency] = {
        "reminder": "half",
        "warning": "near",
        "breach": "late",
    }
    order: tuple[Urgency, ...] = ("fine", "half", "near", "late")
    clock = case.next_clock
    if clock is None or clock.due_at is None:
        return at_least.get(notice.kind, "paused")
    length = clock.due_at - clock.started_at
    share = (notice.at - clock.started_at) / length if length > timedelta(0) else 1.0
    by_time: Urgency = (
        "late" if share >= 1 else "near" if share >= 0.75 else "half" if share >= 0.5 else "fine"
    )
    return max(by_time, at_least.get(notice.kind, "fine"), key=order.index)


def quoted(case: CaseView) -> MentionView | None:
    """The mention to show: what the case is about, or, when it was reopened, what reopened it."""
    if not case.mentions:
        return None
    return case.mentions[-1] if case.cycle > 1 else case.mentions[0]


def badges(customer: CustomerView) -> list[str]:
    """What an agent must know of the customer before answering; most urgent first."""
    found = []
    if customer.likely_to_leave:
        found.append("likely to leave")
    if customer.bad_experiences >= 2:
        found.append(f"{ordinal(customer.bad_experiences)} bad experience in {customer.window_days} days")
    if customer.new:
        day = customer.day_as_customer
        found.append("new customer" if day is None else f"new customer, day {day}")
    if customer.tier:
        found.append(line(customer.tier, 40))
    return found


def came_back(case: CaseView) -> str:
    """How often the customer had to come back after a resolution; empty when never."""
    again = case.cycle - 1
    return "" if again < 1 else "came back after it was closed" + ("" if again == 1 else f" ({again} times)")


def mood(mention: MentionView) -> str:
    """Stars where the source has them, else the sentiment (VADER's usual thresholds, ±0.05)."""
    if mention.rating is not None and 0 <= mention.rating <= 5:
        full = round(mention.rating)
        return "★" * full + "☆" * (5 - full)
    return "negative" if mention.compound <= -0.05 else "positive" if mention.compound >= 0.05 else "neutral"


def why(case: CaseView) -> str:
    """The three things that spoke most for a complaint, the author's own words in quotes; may be empty."""
    speaking = sorted((w for w in case.why if w.share > 0), key=lambda w: w.share, reverse=True)
    words = dict.fromkeys(_because(reason) for reason in speaking)
    return ", ".join(list(words)[:3])


def _because(why: Why) -> str:
    words = line(why.words, 60)
    if why.rule == "sentiment":  # its words are a figure, which tells a person nothing
        return "negative tone"
    return f"“{words}”" if words and not why.rule.startswith("rating") else words or line(why.rule, 60)


def holder(case: CaseView) -> str:
    """The state of the case and who has it."""
    name = line(case.assignee, 60) if case.assignee else ""
    match case.state:
        case State.OPEN:
            return "nobody has it yet"
        case State.CLAIMED:
            return f"{name or 'somebody'} has it"
        case State.RESPONDED:
            answered = "answer seen in public" if case.verified else "answered"
            return f"{answered} by {name}" if name else answered
        case State.WAITING:
            return f"waiting for the customer ({name})" if name else "waiting for the customer"
        case State.RESOLVED:
            return "resolved" + (f": {line(case.outcome, 100)}" if case.outcome else "")
        case State.MERGED:
            return f"merged into case {case.merged_into}" if case.merged_into else "merged into another case"
        case State.DISMISSED:
            return "not a complaint"


def more_mentions(case: CaseView) -> str:
    """How many mentions there are beside the quoted one; empty when it is the only one."""
    others = len(case.mentions) - 1
    return "" if others < 1 else "1 more mention" if others == 1 else f"{others} more mentions"


def deadline(case: CaseView, at: datetime) -> tuple[str, datetime] | None:
    """What is due next and when; None while no clock runs. The words stay true without being edited."""
    clock = case.next_clock
    if clock is None or clock.due_at is None:
        return None
    return f"{CLOCKS[clock.name]} {'was due' if clock.due_at <= at else 'due'}", clock.due_at


def ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def duration(length: timedelta) -> str:
    """``2 d 3 h``, ``1 h 5 min``, ``40 min``: the two largest units, rounded down to minutes."""
    minutes = int(length.total_seconds()) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if n]
    return " ".join(parts[:2]) or "less than a minute"
