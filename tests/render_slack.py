"""How Block Kit looks: HTML and plain text as an agent would see it. ``python -m tests.render_slack FOLDER`` writes
five real cases and a storm, from the mention to the message, as JSON, HTML and text.
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

from listener.service import act
from listener.storm import StormRules
from responders.slack import blocks, commands, modals, storm
from responders.slack.actions import Where
from responders.slack.home import home
from tests import blockkit
from tests.slack_desk import Office

Block = dict[str, Any]


class Reader(NamedTuple):
    """Who looks, where, and when."""

    now: datetime
    zone: ZoneInfo = ZoneInfo("UTC")


class Picture(NamedTuple):
    """Something shown in Slack. ``content`` is the JSON that Slack gets, ``spoken`` its text for ears."""

    name: str
    reader: Reader
    spoken: str
    blocks: list[Block]
    content: dict[str, Any]


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
            return f"<button>⋯</button><small>({html.escape(more)})</small>"
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
            words = html.escape(str(leaf.get("text") or leaf.get("url") or leaf)).replace("\n", "<br>")
            inner += f"<b>{words}</b>" if leaf.get("style", {}).get("bold") else words
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


def page(pictures: list[Picture]) -> str:
    """One HTML page of them all."""
    body = ""
    for picture in pictures:
        spoken = _text({"type": "mrkdwn", "text": picture.spoken}, picture.reader)
        body += f"<h2>{html.escape(picture.name)}</h2>{as_html(picture.blocks, picture.reader)}"
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
STORM = (
    "Halcyon is down again, nothing works, terrible! Order {n}.",
    "I can't log in to Halcyon since this morning, awful service. {n} times I tried!",
    "Halcyon charged my card twice for order {n} and the site is down. Scam!",
)


class Studio:
    """An office where five cases happen, with a picture of each telling moment."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        self.office = Office(folder, **rules)
        self.pictures: list[Picture] = []

    def message(self, name: str, case_id: int) -> None:
        """The case's message, and the last news in its thread."""
        office = self.office
        office.tick()
        office.deliver()
        told = [n for d in office.receiver.accepted if (n := d.notice).case and n.case.id == case_id][-1]
        assert told.case
        self._keep(name, blocks.case_message(told, told.case, acting=True))
        self._keep(f"{name}: in its thread", blocks.thread_reply(told, told.case))

    def storm(self, name: str) -> None:
        """The last news of the storm."""
        told = [d.notice for d in self.office.receiver.accepted if d.notice.storm][-1]
        assert told.storm
        self._keep(name, storm.message(told, told.storm))

    def form(self, name: str, action: str, case_id: int) -> None:
        where = Where("U0ANNA", "C0CASES", "1.2")
        view = modals.opened(self.office.desk, action, case_id, "Anna", where)
        assert blockkit.view_problems(view) == []
        title = f"{name}, form: {view['title']['text']} ({view['submit']['text']})"
        self.pictures.append(Picture(title, self._reader, "", view["blocks"], view))

    def home(self) -> None:
        view = home(self.office.desk, "Anna", self.office.now)
        assert blockkit.view_problems(view) == []
        self.pictures.append(Picture("Home tab of Anna", self._reader, "", view["blocks"], view))

    def command(self, text: str) -> None:
        self._keep(f"/listener {text}", commands.answer(self.office.desk, "Anna", text, self.office.now))

    def _keep(self, name: str, message: blocks.Message) -> None:
        assert blockkit.problems(message.blocks, message.text) == []
        content = {"text": message.text, "blocks": message.blocks}
        self.pictures.append(Picture(name, self._reader, message.text, message.blocks, content))

    @property
    def _reader(self) -> Reader:
        return Reader(self.office.now, ZoneInfo("Europe/Oslo"))


def a_storm(folder: Path) -> list[Picture]:
    """Forty complaints in twenty minutes, then none: its message as it grows, and when it is over."""
    studio = Studio(folder, storm=StormRules(call=("escalation",)))
    office = studio.office
    for minute in range(20):
        for each in range(2):
            office.complain(STORM[(minute + each) % len(STORM)].format(n=minute), thread=None)
        office.tick()
        office.deliver()
        office.later(minutes=1)
    studio.storm("a storm, twenty minutes old")
    studio.message("a case of the storm", office.cases()[-1].id)
    for case in office.cases():
        act.claim(office.core, case.id, "Anna", office.now)
        act.respond(office.core, case.id, "Anna", f"https://forum.example/a/{case.id}", office.now)
    for _ in range(90):
        office.later(minutes=1)
        office.tick()
        office.deliver()
    studio.storm("the storm is over")
    office.close()
    return studio.pictures


def five_cases(folder: Path) -> list[Picture]:
    """What the product makes of five mentions: nothing here is written by hand but what the customers say."""
    studio = Studio(folder)
    office = studio.office
    short = office.complain(SHORT, "Mia")
    studio.message("short, new", short)
    studio.form("short", "respond", short)
    text = LONG * (20_000 // len(LONG) + 1)
    long = office.complain(text, "Otto Long", rating=1.0, title="Avoid at all costs")
    studio.message("20,000 characters, new", long)
    studio.form("20,000 characters", "draft", long)
    act.claim(office.core, long, "Ben", office.now)
    office.later(minutes=46)
    studio.message("20,000 characters, claimed, three quarters of the time gone", long)
    arabic = office.complain(ARABIC, "محمد علي", rating=1.0)
    studio.message("right to left, new", arabic)
    studio.form("right to left", "dismiss", arabic)
    for number, text in enumerate(STRIKES, 1):
        struck = office.complain(text, "Jane Doe", published=office.now - timedelta(minutes=12))
        customer = office.case(struck).customer.id
        act.edit_customer(office.core, customer, since=office.now - timedelta(days=11), tier="gold")
        studio.message(f"strike {number}, new", struck)
        act.claim(office.core, struck, "Anna", office.now)
        if number < 3:
            office.later(days=1)
    studio.message("a third strike, claimed", struck)
    studio.form("a third strike", "merge", struck)
    office.later(minutes=31)
    studio.message("a third strike, late", struck)
    studio.home()
    for text in ("status", "customer jane", "search broken", "duty", "help", "stauts"):
        studio.command(text)
    url = "https://forum.example/t/12#reply"
    act.respond(office.core, struck, "Anna", url, office.now, promise_minutes=120)
    studio.message("a third strike, answered, two hours promised", struck)
    studio.form("a third strike", "resolve", struck)
    act.wait(office.core, struck, "Anna", office.now)
    studio.message("a third strike, waiting for the customer", struck)
    act.resolve(office.core, struck, "Anna", "replaced", office.now)
    studio.message("a third strike, resolved", struck)
    studio.form("a third strike", "reopen", struck)
    office.close()
    return studio.pictures


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cases", "storm"):
            (Path(folder) / name).mkdir()
        pictures = [*five_cases(Path(folder) / "cases"), *a_storm(Path(folder) / "storm")]
    for picture in pictures:
        stem = target / re.sub(r"\W+", "-", picture.name).strip("-")
        stem.with_suffix(".json").write_text(json.dumps(picture.content, ensure_ascii=False, indent=1))
        stem.with_suffix(".html").write_text(page([picture]))
        print(f"---- {picture.name}\n{as_text(picture.blocks, picture.reader)}\n")
    (target / "all.html").write_text(page(pictures))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
