"""The ``listener`` command.

    configure.py  init, check, schema, connectors, responders, version
    run.py        run, poll, demo
    tryout.py     try
    score.py      score
    cases.py      cases, policy
    lists.py      customers, mentions, sources
    digest.py     digest
    replies.py    draft
    doctor.py     doctor
    duty.py       duty
    slack.py      slack
    upkeep.py     backup, retry, token
    parts.py      what they share: options, the configuration, who acts
    output.py     tables, lines, times, JSON

Modules here import only the standard library and each other at their top, so that ``--help`` answers at once; a
command imports what it needs. Exit codes: 0 fine, 1 a problem was found, 2 wrong usage or configuration, 130 stopped
by Ctrl-C.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from listener.cli import (
    cases,
    configure,
    digest,
    doctor,
    duty,
    lists,
    replies,
    run,
    score,
    slack,
    tryout,
    upkeep,
)
from listener.cli.output import complain
from listener.cli.parts import Parser, examples, global_options
from listener.errors import ListenerError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog="listener",
        description="Hears customers who complain in public and makes sure that each gets a real answer in time.",
        parents=[global_options(top=True)],
        epilog=examples("listener init", "listener run", "listener cases", "listener doctor"),
    )
    top.add_argument("--version", action="store_true", help="print the version and end")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for part in (configure, run, tryout, score, cases, lists, replies, digest, doctor, duty, slack, upkeep):
        part.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. ``argv`` defaults to the command line's."""
    # httpx imports its own command line, with rich and click, whenever they are installed: 80 of its 190 ms.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # a terminal may know fewer characters than customers
    top = parser()
    try:
        try:
            args = top.parse_args(argv)
            if args.version:
                return configure.version(args)
            if not hasattr(args, "func"):
                top.print_help()
                return 2
            code: int = args.func(args)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except ListenerError as error:
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has enough of it. Python would flush once more at the end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in FULL:
            raise
        return _say(f"can't write: {error.strerror}{f' ({error.filename})' if error.filename else ''}", 1)
    return code


def _say(message: str, code: int) -> int:
    complain(f"listener: {message}")
    return code
