"""backup, retry, token."""

from __future__ import annotations

import argparse
from pathlib import Path

from listener.cli.output import count, say
from listener.cli.parts import Commands, command, opened
from listener.errors import ListenerError, UsageError


def add(commands: Commands) -> None:
    backs_up = command(
        commands,
        "backup",
        backup,
        "copy the database to a new file, while it is in use",
        "listener backup /backups/listener.db",
    )
    backs_up.add_argument(
        "file", nargs="?", type=Path, help="where to (default: beside the database, with the date)"
    )
    command(commands, "retry", retry, "send again what could not be delivered", "listener retry")
    tokens = command(
        commands, "token", token, "say how to log in to the dashboard, or make a new token", "listener token --reset"
    )  # fmt: skip
    tokens.add_argument(
        "--reset", action="store_true", help="make a new token and print it; logs everybody out"
    )


def backup(args: argparse.Namespace) -> int:
    with opened(args) as app:
        database = app.core.db.file
        target = args.file
        if target is None and database is not None:
            target = database.with_name(
                f"{database.stem}-{app.now().astimezone():%Y%m%d-%H%M%S}{database.suffix}"
            )
        try:
            app.core.db.backup(target or Path("listener.db"))
        except OSError as error:
            raise ListenerError(f"{target} can't be written: {error.strerror}") from error
        size = target.stat().st_size if target else 0
    say(f"Copied the database to {target} ({size / 1e6:.1f} MB).")
    return 0


def retry(args: argparse.Namespace) -> int:
    from listener.service import act

    with opened(args) as app:
        queued = act.retry_parked(app.core, app.now())
    say(f"{count(queued, 'message')} queued again." if queued else "There is nothing to send again.")
    return 0


def token(args: argparse.Namespace) -> int:
    from listener.web import WebSettings
    from listener.web.login import login_token

    with opened(args) as app:
        configured = app.config.web.token
        if configured is not None:
            if args.reset:
                raise UsageError("web.token is set in the configuration: change it there")
            say("The log-in token is web.token of the configuration.")
            return 0
        made = login_token(app.core, WebSettings(), reset=args.reset)
    if made is None:
        say(
            "A token was made and shown earlier; only its hash is kept. listener token --reset makes a new one."
        )
    else:
        say(made)
    return 0
