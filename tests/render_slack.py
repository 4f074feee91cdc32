"""How Block Kit looks: HTML and plain text as an agent would see it. ``python -m tests.render_slack FOLDER`` writes
five real cases, from the mention to the message, as JSON, HTML and text.
"""

from __future__ import annotations

import html
import json
import re
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from listener.model import Author, Notice, StormView
from listener.service import act
from responders.slack import blocks
from tests.world import START, World

Block = dict[str, Any]


class Reader(NamedTuple):
    """Who looks, where, and when."""

    now: datetime
    zone: ZoneInfo = ZoneInfo("Europe/Oslo")


# ---- Block Kit to HTML and text


def as_text(shown: list[Block], reader: Reader) -> str:
    """The blocks as lines of plain text; a button is in brackets."""
    flat = "".join(_block(block, reader) for block in shown)
    flat = re.sub(r"<button[^>]*>(.*?)</button>", r"[\1] ", flat)
    flat = re.sub(r"<hr>", "----\n", flat)
    flat = re.sub(r"<blockquote[^>]*>", "> ", flat)
    flat = re.sub(r"</(div|h\d|blockquote|label)>|<br>", "\n", flat)
    lines = html.unescape(re.sub(r"<[^>]+>", "", flat)).split("\n")
    return "\n".join(line.rstrip() for line in lines if line.strip())


def as_html(shown: list[Block], reader: Reader) -> str:
    """The blocks as a piece of HTML, styled by ``STYLE``."""
    return "".join(_block(block, reader) for block in shown)


def _block(block: Block, reader: Reader) -> str:
    match block["type"]:
        case "section":
            texts = [block["text"]] if "text" in block else []
            inner = "".join(f"<div>{_text(t, reader)}</div>" for t in texts)
            inner += "".join(f'<div class="field">{_text(f, reader)}</div>' for f in block.get("fields", []))
            aside = f'<div class="aside">{_element(block["accessory"])}</div>' if "accessory" in block else ""
            return f'<div class="section"><div class="main">{inner}</div>{aside}</div>'
        case "context":
            inner = " ".join(_text(e, reader) for e in block["elements"] if "text" in e)
            return f'<div class="context">{inner}</div>'
        case "actions":
            return f'<div class="actions">{"".join(_element(e) for e in block["elements"])}</div>'
        case "header":
            return f"<h3>{_text(block['text'], reader)}</h3>"
        case "divider":
            return "<hr>"
        case "rich_text":
            return "".join(_rich(element, reader) for element in block["elements"])
        case "input":
            label, hint = block["label"]["text"], block.get("hint", {}).get("text", "")
            field = _element(block["element"])
            around = f"<label>{html.escape(label)}</label>{field}<small>{html.escape(hint)}</small>"
            return f'<div class="input">{around}</div>'
        case "image":
            return f'<div class="image">🖼 {html.escape(block["alt_text"])}</div>'
        case other:
            raise ValueError(f"this block can't be drawn yet: {other}")


def _element(element: dict[str, Any]) -> str:
    match element["type"]:
        case "button":
            style = element.get("style", "") + (" link" if "url" in element else "")
            return f'<button class="{style.strip()}">{html.escape(element["text"]["text"])}</button>'
        case "overflow":
            more = " | ".join(option["text"]["text"] for option in element["options"])
            return f"<button>⋯ {html.escape(more)}</button>"
        case kind:  # fields of a modal
            words = element.get("initial_value") or element.get("placeholder", {}).get("text", kind)
            options = [option["text"]["text"] for option in element.get("options", [])]
            return f'<div class="entry">{html.escape(" | ".join([words, *options]))}</div>'


def _rich(element: dict[str, Any], reader: Reader) -> str:
    inner = ""
    for leaf in element["elements"]:
        if leaf["type"] == "date":
            inner += html.escape(_date(leaf["timestamp"], leaf["format"], reader))
        else:
            inner += html.escape(str(leaf.get("text") or leaf.get("url") or leaf)).replace("\n", "<br>")
    tag = "blockquote" if element["type"] == "rich_text_quote" else "div"
    return f'<{tag} dir="auto">{inner}</{tag}>'


# This machine may have no font with colour: the signs are drawn as dots.
DOTS = {"🔵": "#1264a3", "🟡": "#ecb22e", "🟠": "#e8912d", "🔴": "#e01e5a", "✅": "#2eb67d", "⚪": "#bbb"}


def _dots(drawn: str) -> str:
    for sign, colour in DOTS.items():
        drawn = drawn.replace(sign, f'<span class="dot" style="background:{colour}" title="{sign}"></span>')
    return drawn


def _text(text: dict[str, Any], reader: Reader) -> str:
    if text["type"] == "plain_text":
        return html.escape(text["text"])
    pieces = re.split(r"<([^<>]*)>", text["text"])
    drawn = "".join(
        _token(piece, reader) if odd % 2 else html.escape(html.unescape(piece))
        for odd, piece in enumerate(pieces)
    )
    for sign, tag in (("*", "b"), ("_", "i"), ("~", "s"), ("`", "code")):
        found = rf"(?<![\w{re.escape(sign)}]){re.escape(sign)}(\S|\S[^\n]*?\S){re.escape(sign)}(?!\w)"
        drawn = re.sub(found, rf"<{tag}>\1</{tag}>", drawn)
    return drawn.replace("\n", "<br>")


def _token(token: str, reader: Reader) -> str:
    if found := re.fullmatch(r"!date\^(-?\d+)\^([^|^]*)(?:\^[^|]*)?\|(.*)", token):
        return f'<span class="date">{_date(int(found[1]), found[2], reader)}</span>'
    if token.startswith(("@", "!", "#")):
        return f'<span class="call">@{html.escape(token.lstrip("@!#").removeprefix("subteam^"))}</span>'
    url, _, label = token.partition("|")
    return f'<a href="{html.escape(url)}">{label or html.escape(url)}</a>'


def _date(timestamp: int, form: str, reader: Reader) -> str:
    then = datetime.fromtimestamp(timestamp, UTC).astimezone(reader.zone)
    today = reader.now.astimezone(reader.zone).date()
    near = {0: "today", 1: "tomorrow", -1: "yesterday"}.get((then.date() - today).days)
    date = f"{then:%b} {then.day}, {then.year}"
    drawn = form.replace("{date_short_pretty}", near or date).replace("{date_short}", date)
    drawn = drawn.replace("{time}", f"{then:%H:%M}").replace("{date}", date)
    return drawn[:1].upper() + drawn[1:]  # Slack's own habit


STYLE = """
body { font: 15px/1.46 Lato, 'DejaVu Sans', sans-serif; background: #fff; color: #1d1c1d;
  margin: 24px; width: 620px; }
h2 { font-size: 13px; color: #888; margin: 28px 0 6px; border-top: 1px solid #ddd; padding-top: 8px; }
h3 { font-size: 18px; margin: 8px 0; } hr { border: 0; border-top: 1px solid #ddd; margin: 12px 0; }
.section { display: flex; gap: 12px; margin: 4px 0; } .main { flex: 1; } .field { display: inline-block; width: 48%; }
.context { font-size: 12px; color: #616061; margin: 4px 0; } .call { background: #f2c74466; color: #1264a3; }
blockquote { border-left: 4px solid #ddd; margin: 6px 0; padding: 0 0 0 12px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.dot { display: inline-block; width: 13px; height: 13px; border-radius: 50%; vertical-align: -1px; }
button { font: 600 13px Lato, sans-serif; background: #fff; border: 1px solid #bbb; border-radius: 4px;
  padding: 5px 12px; margin: 4px 6px 4px 0; } button.primary { background: #007a5a; color: #fff; }
button.danger { color: #e01e5a; border-color: #e01e5a; } code { background: #eee; color: #c00; }
.entry { border: 1px solid #bbb; border-radius: 4px; padding: 6px; } label { font-weight: 700; display: block; }
.input { margin: 12px 0; } small { color: #616061; } a { color: #1264a3; }
.spoken { font-size: 12px; color: #888; margin-top: 6px; border-left: 2px dotted #bbb; padding-left: 8px; }
"""


def page(pictures: dict[str, tuple[str, list[Block]]], reader: Reader) -> str:
    """One HTML page of named messages: (text, blocks) each."""
    body = ""
    for name, (text, shown) in pictures.items():
        spoken = _text({"type": "mrkdwn", "text": text}, reader) if text else ""
        body += f"<h2>{html.escape(name)}</h2>{as_html(shown, reader)}"
        body += f'<div class="spoken">spoken: {spoken}</div>' if spoken else ""
    return f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><body>{_dots(body)}'


# ---- five real cases

SHORT = "Halcyon never delivered my parcel. Awful."
LONG = (
    "I ordered from Halcyon in good faith and it has been one long disappointment. The parcel never arrived. "
    "I called on Monday, I called on Tuesday, I wrote three letters, and all I got was the same canned reply. "
    "Their tracker says *delivered* <https://halcyon.example/track|here>, but nobody rang. @channel & <!everyone>, "
    "beware: this is a scam, I want a refund now!\n\n"
)
ARABIC = "شركة Halcyon سيئة جدا، الطرد لم يصل بعد ولا أحد يرد على رسائلي. أريد استرداد أموالي!"
STRIKES = (
    "Halcyon sent me the wrong size, rubbish service.",
    "Halcyon charged me twice for one broken lamp and support ignores me!",
    "This is the last straw, Halcyon: the replacement is broken again. Terrible. I am cancelling everything.",
)


def real_cases(folder: Path) -> dict[str, Notice]:
    """What the product itself makes of a few mentions, each told at a telling moment."""
    world = World(folder, public_url="https://listener.example.com")
    world.settled()
    told: dict[str, Notice] = {}

    def hear(number: int, text: str, who: str, **fields: Any) -> int:
        author = Author("forum.example", who, who)
        world.hear(world.mention(number, text, author=author, **fields))
        return world.cases()[-1].id

    def keep(name: str, case_id: int = 0) -> None:
        world.tick()
        world.deliver()
        notices = [d.notice for d in world.receiver.accepted if d.notice.case]
        told[name] = [n for n in notices if n.case and case_id in (0, n.case.id)][-1]

    hear(1, SHORT, "Mia")
    keep("a short one, new")
    long = hear(2, LONG * (20_000 // len(LONG) + 1), "Otto Long", rating=1.0, title="Avoid at all costs")
    keep("20,000 characters, new")
    act.claim(world.core, long, "Ben", world.now)
    world.later(minutes=46)
    keep("20,000 characters, claimed, three quarters of the time gone", long)
    hear(3, ARABIC, "محمد علي", rating=1.0)
    keep("right to left, new")
    for number, text in enumerate(STRIKES, 10):
        struck = hear(number, text, "Jane Doe", published=world.now - timedelta(minutes=12))
        customer = world.case(struck).customer.id
        act.edit_customer(world.core, customer, since=world.now - timedelta(days=11), tier="gold")
        if number < 12:
            act.claim(world.core, struck, "Anna", world.now)
            keep(f"strike {number - 9}, claimed")
        world.later(days=1)
    world.now -= timedelta(days=1)
    keep("a third strike, new")
    world.later(minutes=31)
    keep("a third strike, late")
    url = "https://forum.example/t/12#reply"
    act.respond(world.core, struck, "Anna", url, world.now, promise_minutes=120)
    keep("answered, two hours promised")
    act.wait(world.core, struck, "Anna", world.now)
    keep("waiting for the customer")
    act.resolve(world.core, struck, "Anna", "replaced", world.now)
    keep("resolved")
    world.close()
    return told


def storm() -> tuple[Notice, StormView]:
    """A storm an hour old."""
    at = START + timedelta(minutes=65)
    reasons = (("outage", 31), ("billing", 12), ("support", 4))
    sources = (("forum", 25), ("trustpilot", 22))
    url = "https://listener.example.com/"
    view = StormView(3, "Halcyon", START, None, 47, 29, 43.4, 1.2, reasons, sources, url)
    return Notice("storm", "Many complaints of Halcyon at once.", at, storm=view), view


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        notices = real_cases(Path(folder))
    drawn: dict[str, blocks.Message] = {}
    for name, notice in notices.items():
        assert notice.case
        drawn[name] = blocks.case_message(notice, notice.case)
        drawn[f"{name} (in the thread)"] = blocks.thread_reply(notice, notice.case)
    for name, message in drawn.items():
        reader = Reader(notices[name.removesuffix(" (in the thread)")].at)
        _write(target, name, message, reader)
    (target / "all.html").write_text("".join((target / f"{_file(n)}.html").read_text() for n in drawn))


def _write(target: Path, name: str, message: blocks.Message, reader: Reader) -> None:
    stem = target / _file(name)
    content = {"text": message.text, "blocks": message.blocks}
    stem.with_suffix(".json").write_text(json.dumps(content, ensure_ascii=False, indent=1))
    stem.with_suffix(".html").write_text(page({name: message}, reader))
    print(f"---- {name}\n{as_text(message.blocks, reader)}\n")


def _file(name: str) -> str:
    return re.sub(r"\W+", "-", name).strip("-")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
