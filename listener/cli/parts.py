"""What the commands share: options, the configuration, who acts."""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from listener.errors import UsageError

if TYPE_CHECKING:
    from listener.app import App
    from listener.config import Config

Command = Callable[[argparse.Namespace], int]
Commands = Any  # argparse's own type for a group of commands is private

LEVELS = ("debug", "info", "warning", "error")


class Parser(argparse.ArgumentParser):
    """argparse, with help as we write it, no guessing of abbreviated options, and short complaints."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"listener: {message}\nSee: {self.prog} --help\n")


def examples(*lines: str) -> str:
    return "\n  ".join(["example:" if len(lines) == 1 else "examples:", *lines])


def global_options(*, top: bool = False) -> argparse.ArgumentParser:
    """Options that may stand before the command and after it."""
    missing = None if top else argparse.SUPPRESS  # what stood before the command holds
    shared = argparse.ArgumentParser(add_help=False)
    group = shared.add_argument_group("for every command")
    group.add_argument(
        "--config",
        metavar="FILE",
        default=missing,
        help="configuration (default: $LISTENER_CONFIG, else listener.toml)",
    )
    group.add_argument("--log", choices=("text", "json"), default=missing, help="style of the log on stderr")
    group.add_argument("--log-level", choices=LEVELS, default=missing, help="what is logged")
    return shared


def command(
    commands: Commands, name: str, func: Command, help_text: str, *example: str, **defaults: Any
) -> argparse.ArgumentParser:
    """Add a command. ``help_text`` is one plain line, ``example`` stands at the end of its help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:].removesuffix('...')}.",
        epilog=examples(*example) if example else None,
        parents=[global_options()],
    )
    parser.set_defaults(func=func, **defaults)
    return parser


def inner(parser: argparse.ArgumentParser) -> Commands:
    """Room for commands below a command, which can do without them."""
    return parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)


def flag(parser: argparse.ArgumentParser, *names: str, below: bool = False, **options: Any) -> None:
    """Add an option; ``below`` another command that has it too, whose value holds unless it is given."""
    if below:
        options["default"] = argparse.SUPPRESS
    parser.add_argument(*names, **options)


def number(text: str) -> int:
    """A count or an id: a whole number from 1 on."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:19]) < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def config_file(args: argparse.Namespace) -> Path:
    return Path(args.config or os.environ.get("LISTENER_CONFIG") or "listener.toml")


def set_up_logs(args: argparse.Namespace, level: str = "warning") -> None:
    """``level`` holds when none is given."""
    from listener import logs

    logs.set_up(args.log or "text", args.log_level or level)


def read_config(args: argparse.Namespace) -> Config:
    """Raises ``ConfigError``."""
    from listener import config

    return config.load(config_file(args))


@contextmanager
def opened(args: argparse.Namespace, *, log_level: str = "warning") -> Iterator[App]:
    """The wired parts, for one command. Raises ``ConfigError`` and ``StorageError``."""
    set_up_logs(args, log_level)
    # Starting makes hundreds of thousands of objects that stay, and next to no garbage. Not looking for it, then or
    # later among these, takes a quarter off cron's call (0.58 to 0.45 s of CPU).
    gc.disable()
    try:
        from listener.app import build

        app = build(read_config(args))
        gc.freeze()
    finally:
        gc.enable()
    try:
        yield app
    finally:
        app.close()


def actor(args: argparse.Namespace) -> str:
    """Who acts: --as, else the user's name. Raises ``UsageError`` when neither is known."""
    name = " ".join((args.who or os.environ.get("USER") or "").split())
    if not name or not name.isprintable() or len(name) > 100:
        raise UsageError("say who acts, with --as NAME (a name of 1 to 100 characters)")
    return name
