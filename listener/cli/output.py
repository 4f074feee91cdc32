"""Tables and lines for people, JSON for programs. What strangers wrote can't steer the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

LONGEST_CELL = 30  # of all columns but the last, which takes what room is left
ROOM = 24  # for the last column; where there is less, the widest of the others give way,
NARROW = 9  # but not below this
NARROWEST = 72  # a terminal that is narrower folds the lines itself
LONGEST_TEXT = 200  # of the last column where nothing bounds it (a pipe)
JOINER = "\u200d"  # holds emoji together; all else that can't be seen goes


def say(text: str = "", *, flush: bool = False) -> None:
    """Print to standard output."""
    print(text, flush=flush)  # noqa: T201 - the one place


def complain(text: str, end: str = "\n") -> None:
    """Print to standard error."""
    print(text, end=end, file=sys.stderr, flush=True)  # noqa: T201 - the one place


def plain(text: object) -> str:
    """The text on one line, without anything that could steer a terminal or turn the reading direction."""
    kept = "".join(
        c if c.isprintable() or c == JOINER else " " for c in str(text if text is not None else "")
    )
    return " ".join(kept.split())


def paragraphs(text: str) -> list[str]:
    """The text line by line, each made plain; empty lines are left out."""
    return [line for part in text.splitlines() if (line := plain(part))]


def json_line(value: Any) -> str:
    """One line of ASCII: it can be written anywhere, and no character in it can steer a terminal."""
    import json

    from pydantic_core import to_jsonable_python

    return json.dumps(to_jsonable_python(value, fallback=_row), ensure_ascii=True)


def _row(value: Any) -> dict[str, Any]:
    return dict(value._asdict())  # a row of the database


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print a table that fits the terminal: the last column is cut, the others only when they are very long."""
    cells = [[plain(cell) for cell in row] for row in rows]
    if not cells:
        say(empty)
        return
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    tty = sys.stdout.isatty()
    console = Console(width=None if tty else 10_000, markup=False, highlight=False, emoji=False)
    console.width = max(console.width, NARROWEST)
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    widths = [
        min(max(cell_len(row[i]) for row in [columns, *cells]), LONGEST_CELL) for i in range(len(columns) - 1)
    ]
    space = console.width - 2 * len(widths)
    needed = min(ROOM, max(cell_len(row[-1]) for row in [columns, *cells]))
    while space - sum(widths) < needed and max(widths, default=0) > NARROW:
        widths[widths.index(max(widths))] -= 1
    room = max(NARROW, space - sum(widths))
    for name, width in zip(columns, [*widths, room], strict=True):
        shown.add_column(name, no_wrap=True, max_width=width)
    for row in cells:
        line = [Text(cell) for cell in row]
        for cell, width in zip(line, [*widths, min(room, LONGEST_TEXT)], strict=True):
            cell.truncate(width, overflow="ellipsis")
        shown.add_row(*line)
    with console.capture() as capture:
        console.print(shown)
    say("\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")))


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print what is known, one fact a line; what is not known is left out."""
    known = [(name, plain(value)) for name, value in pairs if value not in (None, "", False)]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        say(f"{name:<{width}}  {value}")


def length(span: timedelta) -> str:
    """A length of time in few characters: 45s, 12m, 3h05m, 2d4h."""
    seconds = int(abs(span.total_seconds()))
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m" if minutes else f"{seconds}s"


def ago(instant: datetime | None, now: datetime) -> str:
    """How long ago, or in how long."""
    if instant is None:
        return ""
    return f"{length(now - instant)} ago" if instant <= now else f"in {length(instant - now)}"


def at(instant: datetime | None) -> str:
    """An instant in the computer's own time zone."""
    return instant.astimezone().strftime("%Y-%m-%d %H:%M") if instant is not None else ""


def warn(text: str) -> None:
    """One harmless line on standard error."""
    complain(plain(text))


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Progress:
    """A count on standard error, rewritten in place, where that is a terminal."""

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self.done = 0
        self.shown = sys.stderr.isatty()

    def step(self) -> None:
        self.done += 1
        if self.shown:
            complain(f"\r{count(self.done, self.noun)} ...", end="")


@contextmanager
def progress(noun: str) -> Iterator[Progress]:
    shown = Progress(noun)
    try:
        yield shown
    finally:
        if shown.shown and shown.done:
            complain("\r\x1b[K", end="")
