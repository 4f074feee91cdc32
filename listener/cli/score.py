"""score."""

from __future__ import annotations

import argparse
import sys
from io import TextIOWrapper
from pathlib import Path

from listener.cli.output import say
from listener.cli.parts import Commands, command, read_config
from listener.errors import UsageError


def add(commands: Commands) -> None:
    scores = command(
        commands,
        "score",
        score,
        'judge texts: JSON lines {"id", "text", "lang"?, "rating"?} in, JSON lines with verdicts out',
        'echo \'{"id": 1, "text": "Never again!"}\' | listener score',
    )
    scores.add_argument("file", nargs="?", type=Path, help="where to read (default: standard input)")


def score(args: argparse.Namespace) -> int:
    """The configuration's [triage] section counts only when --config names one."""
    from listener.triage import Triage, score_lines

    triage = Triage()
    if args.config is not None:
        from listener.app import make_triage

        triage = make_triage(read_config(args))
    if args.file is None:
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")
        for line in score_lines(sys.stdin, triage):
            say(line, flush=True)  # whoever sends the texts may wait for the verdicts
        return 0
    try:
        with args.file.open(encoding="utf-8", errors="replace") as lines:
            for line in score_lines(lines, triage):
                say(line)
    except OSError as error:
        if error.filename is None:  # the output's, not the file's
            raise
        raise UsageError(f"{args.file} can't be read: {error.strerror}") from error
    return 0
