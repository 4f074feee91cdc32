"""digest."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from listener.cli.cases import inner_required
from listener.cli.output import json_line, plain, say
from listener.cli.parts import Commands, command, opened
from listener.errors import UsageError

DAYS = {"daily": "a day", "weekly": "seven days"}


def add(commands: Commands) -> None:
    top = command(commands, "digest", None, "print the figures of a day or a week", "listener digest daily")  # type: ignore[arg-type]
    below = inner_required(top)
    for kind, days in DAYS.items():
        parser = command(
            below, kind, show, f"print the digest of {days}; sends nothing",
            f"listener digest {kind} --date 2026-01-31 --chart {kind}.png", kind=kind,
        )  # fmt: skip
        parser.add_argument(
            "--date", type=_day, metavar="DATE", help="the day, or the last of the days (default: yesterday)"
        )
        parser.add_argument("--json", action="store_true", help="its figures, for programs")
        parser.add_argument("--chart", type=Path, metavar="FILE", help="also write its chart, a PNG")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date like 2026-01-31") from None


def show(args: argparse.Namespace) -> int:
    from zoneinfo import ZoneInfo

    from listener import digest_words, digests
    from listener.service import digest, digest_times

    with opened(args) as app:
        now = app.now()
        if args.date is not None:
            if args.date.year < 1971:
                raise UsageError(f"--date {args.date} is before anything was heard")
            _, end = digest_times.period(args.kind, args.date, ZoneInfo(app.core.rules.digests.zone))
            if end > now:
                raise UsageError(f"--date {args.date}: that day is not over yet")
            now = end  # what was open at its end
        made = (digest.daily if args.kind == "daily" else digest.weekly)(app.core, now, args.date)
    if args.chart is not None:
        from listener import charts

        args.chart.write_bytes(charts.draw(made))
    view = digest_words.of_day(made) if isinstance(made, digests.Daily) else digest_words.of_week(made)
    if args.json:
        say(json_line(view.figures))
        return 0
    say(plain(view.summary))
    for part in view.parts:
        say()
        say(plain(part.title))
        for line in part.lines:
            say("  " + plain(f"{line.label} · {line.text}" if line.label else line.text))
    return 0
