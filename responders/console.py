"""Notices on standard output."""

from __future__ import annotations

import io
import sys
import threading
from datetime import datetime, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator
from rich.console import Console as Terminal
from rich.table import Table
from rich.text import Text

from listener.errors import DeliveryError
from listener.model import CaseView, Delivery, Notice
from responders import _storm
from responders._digest import paragraphs
from responders._text import (
    TITLES,
    Urgency,
    badges,
    clean,
    deadline,
    duration,
    holder,
    line,
    mood,
    more_mentions,
    quote,
    quoted,
    urgency,
    web_url,
)

COLOURS: dict[Urgency, str] = {
    "fine": "bright_blue",
    "half": "yellow",
    "near": "dark_orange",
    "late": "bright_red",
    "paused": "bright_black",
    "resolved": "green",
    "dismissed": "bright_black",
}
# These show the quoted text: for the others the reader has just seen it, or the case is over.
WITH_QUOTE = ("opened", "joined", "warning", "breach", "escalation", "reopened")


class Console(BaseModel):
    """Prints each notice as a block of two to five lines. Nothing to set up.

    Colours follow the terminal: none where output is not a terminal, or NO_COLOR is set, or TERM is dumb.
    """

    model_config = ConfigDict(extra="forbid")

    color: Literal["auto", "always", "never"] = Field(
        default="auto", description="colours: auto, always or never"
    )
    zone: str | None = Field(
        default=None, description="time zone of the times, such as Europe/Oslo (default: local)"
    )

    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @field_validator("zone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError) as error:
                raise ValueError(f"{value!r} is no time zone; use a name such as Europe/Oslo") from error
        return value

    def send(self, delivery: Delivery) -> None:
        """Writes the block at once, whole. Raises ``DeliveryError`` when output is closed or full."""
        out = sys.stdout
        tty = out.isatty()
        block = io.StringIO()
        terminal = Terminal(
            file=block,
            force_terminal=tty or self.color == "always",
            color_system={"auto": "auto", "always": "256", "never": None}[self.color],
            no_color=True if self.color == "never" else False if self.color == "always" else None,
            width=None if tty else 10_000,  # a pipe gets whole lines
            highlight=False,
            markup=False,
            emoji=False,
        )
        zone = ZoneInfo(self.zone) if self.zone else None
        grid = Table.grid(padding=(0, 1))  # long lines are folded below their beginning, not below the time
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        at = _clock(delivery.notice.at, delivery.notice.at, zone)
        for part in notice_lines(delivery.notice, zone):
            grid.add_row(at, part)
            at = ""
        terminal.print(grid)
        text = "\n".join(row.rstrip() for row in block.getvalue().split("\n"))
        encoding = getattr(out, "encoding", None) or "utf-8"
        try:
            with self._lock:
                out.write(text.encode(encoding, "replace").decode(encoding))
                out.flush()
        except (OSError, ValueError) as error:  # ValueError: closed
            raise DeliveryError(f"can't write to standard output ({error})") from error


def notice_lines(notice: Notice, zone: tzinfo | None) -> list[Text]:
    """The block but its time, line by line; ``zone`` None is the computer's own."""
    case = notice.case
    colour = COLOURS[urgency(case, notice)] if case else "bright_magenta"
    head = _styled(f"● {TITLES[notice.kind].upper()}", f"bold {colour}")
    called = ", ".join(line(person.name, 40) for person in notice.call)
    if notice.digest is not None:
        head.append(f"  {line(notice.text, 300)}", style="bold")
        rows = [head]
        for title, told in paragraphs(notice.digest):
            rows += [_styled(title, "bold"), *(Text(f"  {each}") for each in told)]
        return rows
    if notice.storm is not None:
        head.append(f"  {line(notice.text, 500)}")
        rows = [head, *(Text(told) for told in _storm.lines(notice.storm))]
        return [*rows, _styled(f"→ {called}", "bold")] if called else rows
    if case is None:
        head.append(f"  {line(notice.text, 500)}")
        return [head, _styled(f"→ {called}", "bold")] if called else [head]
    head.append(f"  {line(case.brand, 40)}", style="bold")
    mention = quoted(case) if notice.kind != "joined" else (case.mentions or (None,))[-1]
    facts = [line(case.reason, 40), *([case.severity] if case.severity in ("high", "critical") else [])]
    facts += [f"case {case.id}", line(case.customer.name, 40), *([mood(mention)] if mention else [])]
    facts += [line(mention.source, 40)] if mention else []
    head.append(" · " + " · ".join(facts))
    lines = [head]
    # The head line already says what the text of "opened" and "joined" would.
    said = [] if notice.kind in ("opened", "joined") else [Text(line(notice.text, 300))]
    loud = "bold black on yellow" if case.customer.likely_to_leave else "yellow"
    if found := badges(case.customer):
        said.append(_styled(" · ".join(found), loud))
    if said:
        lines.append(Text("  ").join(said))
    if mention and notice.kind in WITH_QUOTE and (words := quote(mention, 160, lines=1)):
        lines.append(_styled(f"“{words}”", "italic"))
    lines.append(_status(notice, case, called, colour, zone))
    link = web_url(case.url) or (web_url(mention.url) if mention else None)
    if link and notice.kind != "changed":
        lines.append(_styled(clean(link), "bright_black underline"))
    return lines


def _status(notice: Notice, case: CaseView, called: str, colour: str, zone: tzinfo | None) -> Text:
    status = Text()
    if due := deadline(case, notice.at):
        words, at = due
        left = at - notice.at
        distance = f"in {duration(left)}" if at > notice.at else f"{duration(-left)} ago"
        status.append(f"{words} {_clock(at, notice.at, zone)} ({distance})", style=colour)
        status.append(" · ")
    status.append(" · ".join(part for part in (holder(case), more_mentions(case)) if part))
    if called:
        status.append(f" → {called}", style="bold")
    return status


def _styled(text: str, style: str) -> Text:
    """Styled by a span: a style of the whole would also colour the spaces that fill the line."""
    return Text().append(text, style=style)


def _clock(instant: datetime, beside: datetime, zone: tzinfo | None) -> str:
    """The time of day, with the date when it is another day than the notice's."""
    local, other = instant.astimezone(zone), beside.astimezone(zone)
    return local.strftime("%H:%M" if local.date() == other.date() else "%d %b %H:%M")
