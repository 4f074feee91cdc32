"""A storm as a Slack message, edited as it grows, and what its cases say in its thread: Block Kit. Pure."""

from __future__ import annotations

from listener.model import CaseView, Notice, NoticeKind, StormView
from responders import _storm
from responders._text import web_url
from responders.slack.blocks import Block, Message, date, escape, named, section, thread_reply

# The case's own message in the thread shows these: one more line for each would drown the alarms of the others.
SHOWN_BY_EDIT: frozenset[NoticeKind] = frozenset({"changed", "closed", "reminder"})


def message(notice: Notice, storm: StormView) -> Message:
    """The one message of a storm, as it stands now."""
    sign = "🌤️" if storm.ended_at else "⛈️"
    head = [f"{sign} *{escape(_storm.title(storm), 100)}*", f"*{escape(_storm.figures(storm), 200)}*"]
    if storm.ended_at:
        head.append(escape(notice.text, 1000))
    else:
        head.append(f"Since {date(storm.started_at)}. Each case is in this thread, with its own clock.")
    if call := _call(notice):
        head.append(call)
    blocks = [section("\n".join(head))]
    lists = [("Reasons", storm.reasons), ("Sources", storm.sources)]
    fields: list[Block] = [
        {"type": "mrkdwn", "text": f"*{label}*\n{escape(_storm.counts(pairs), 500)}", "verbatim": True}
        for label, pairs in lists
        if pairs
    ]
    if fields:
        blocks.append({"type": "section", "fields": fields})
    if url := web_url(storm.url):
        label = {"type": "plain_text", "text": "Open in dashboard"}
        button = {"type": "button", "action_id": "open_in_dashboard", "text": label, "url": url}
        blocks.append({"type": "actions", "elements": [button]})
    return Message(_spoken(notice, storm), blocks)


def summary(notice: Notice, storm: StormView) -> Message:
    """For the thread and the channel, when it is over."""
    told = f"🌤️ *{escape(storm.brand, 60)}*: {escape(notice.text, 1000)}"
    words = " ".join(filter(None, [told, _call(notice)]))
    return Message(words, [section(words)])


def step(notice: Notice, case: CaseView) -> Message:
    """One step of a case in the thread of many: it names the case."""
    told = thread_reply(notice, case)
    name = f"*case {case.id}* · {escape(case.customer.name, 60)}"
    blocks = [section(f"{name}\n{told.blocks[0]['text']['text']}"), *told.blocks[1:]]
    return Message(f"Case {case.id}, {escape(case.customer.name, 60)}: {told.text}", blocks)


def _spoken(notice: Notice, storm: StormView) -> str:
    parts = [escape(_storm.title(storm), 100), escape(_storm.figures(storm), 200)]
    if reasons := _storm.counts(storm.reasons[:3]):
        parts.append(f"Mostly {escape(reasons, 200)}")
    return " ".join(filter(None, [". ".join(parts) + ".", _call(notice)]))


def _call(notice: Notice) -> str:
    return " ".join(filter(None, (named(person) for person in notice.call[:10])))
