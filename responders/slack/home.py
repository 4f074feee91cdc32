"""The Home tab: what one person has to do, and how the team stands. Pure.

Reference: docs.slack.dev/surfaces/app-home (at most 100 blocks), docs.slack.dev/reference/methods/views.publish.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from listener.model import CaseView, OnDuty, Today
from listener.ports import Desk
from responders._text import line
from responders.slack.blocks import Block, brief, context, date, named, section
from responders.slack.buttons import LABELS, PREFIX, offered

MOST_ON_DUTY = 15  # so that their section stays below 3,000 characters
MOST = 30  # cases of each list; with the rest of the view far below 100 blocks


def home(desk: Desk, who: str, now: datetime) -> dict[str, Any]:
    """The view for ``views.publish``: the person's cases and the queue, today's figures, who is on duty."""
    queue = desk.queue()
    none = "You have no open case." + (" Take one from the queue below." if queue else "")
    blocks = [
        *_cases("My cases", desk.mine(who), none, now),
        *_cases("Queue", queue, "Nobody is waiting: every open case has somebody.", now),
        _header("Today"),
        section(figures(desk.today())),
        _header("On duty"),
        section(duty(desk.on_duty())),
        context("`/listener help` tells what you can ask anywhere in Slack."),
    ]
    return {"type": "home", "blocks": blocks}


def figures(today: Today) -> str:
    """Today's figures in two lines."""
    first = [
        f"{today.opened} new",
        f"{today.answered} answered" + (f", {today.in_time} of them in time" if today.answered else ""),
        f"*{today.late} late now*" if today.late else "none late now",
    ]
    second = [f"{today.resolved} resolved", f"{today.reopened} came back"]
    if today.promises_kept or today.promises_broken:
        second.append(f"promises: {today.promises_kept} kept, {today.promises_broken} broken")
    return f"{' · '.join(first)}\n{' · '.join(second)} _(since midnight UTC)_"


def duty(people: Sequence[OnDuty]) -> str:
    """Who takes new cases now, one a line."""
    lines = []
    for one in people[:MOST_ON_DUTY]:
        load = "no open case" if not one.open_cases else f"{one.open_cases} open"
        load += " case" if one.open_cases == 1 else " cases" if one.open_cases else ""
        parts = [named(one.person) + (" (deputy)" if one.deputy else ""), load]
        parts += [f"until {date(one.until)}"] if one.until else []
        lines.append("• " + " · ".join(parts))
    if (more := len(people) - MOST_ON_DUTY) > 0:
        lines.append(f"… and {more} more")
    return "\n".join(lines) or "Nobody is on duty just now."


def _cases(title: str, cases: Sequence[CaseView], none: str, now: datetime) -> list[Block]:
    blocks = [_header(f"{title} ({len(cases)})" if cases else title)]
    if not cases:
        return [*blocks, section(none)]
    shown = cases[:MOST]
    blocks += [section(brief(case, now, held=False)) | {"accessory": _button(case)} for case in shown]
    if (more := len(cases) - MOST) > 0:
        blocks.append(context(f"… and {more} more, all due later."))
    return blocks


def _button(case: CaseView) -> Block:
    """The likeliest thing to do. Its own words for screen readers: twenty buttons named "Claim" tell nothing."""
    names = offered(case)
    name = "claim" if "claim" in names else names[0]
    return {
        "type": "button",
        "action_id": PREFIX + name,
        "value": f"{name}:{case.id}",
        "text": {"type": "plain_text", "text": LABELS[name]},
        "accessibility_label": line(f"{LABELS[name]} case {case.id} of {case.customer.name}", 75),
    }


def _header(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}
