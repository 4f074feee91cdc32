"""A digest as a Slack message: Block Kit out of its words. Pure.

Its text is strangers' in part (names, thanks), so each line is escaped and cut; the most that a digest holds is far
below Block Kit's 50 blocks and 13,200 characters.
"""

from __future__ import annotations

from listener.model import DigestLine, DigestPart, DigestView, Notice
from responders._text import line, web_url
from responders.slack.blocks import Block, Message, escape

LINES = 12  # of a part
LINE_LENGTH = 200
TOTAL = 11_000  # characters of all parts; what would go beyond is left out, and said


def message(notice: Notice, digest: DigestView, note: str = "") -> Message:
    """``note``: what went wrong with it, such as why its chart is missing."""
    found: list[Block] = [
        {"type": "header", "text": {"type": "plain_text", "text": line(digest.title, 140), "emoji": False}}
    ]
    left = TOTAL
    for part in digest.parts:
        text = _part(part)
        left -= len(text)
        if left < 0:
            note = f"{note} The rest is on the dashboard.".strip()
            break
        found.append(_section(text))
    if note:
        found.append(_section(f"_{escape(note, 500)}_"))
    spoken = " ".join(escape(text, 600) for text in (notice.text, note) if text)
    return Message(spoken, found)


def _part(part: DigestPart) -> str:
    lines = [_line(each) for each in part.lines[:LINES]]
    if len(part.lines) > LINES:
        lines.append(f"and {len(part.lines) - LINES} more")
    return "\n".join([f"*{escape(part.title, 100)}*", *(f"• {text}" for text in lines)])


def _line(each: DigestLine) -> str:
    label, text = escape(each.label, 60), escape(each.text, LINE_LENGTH)
    url = web_url(each.url)
    if label and url and len(url) <= 500:
        label = f"<{url.replace('&', '&amp;')}|{label.replace('|', '¦')}>"
    return f"{label} · {text}" if label else text


def _section(mrkdwn: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn[:3000], "verbatim": True}}
