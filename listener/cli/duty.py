"""duty: who takes new cases."""

from __future__ import annotations

import argparse
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from listener.cli.output import ago, at, json_line, plain, say, table
from listener.cli.parts import Commands, command, flag, opened

if TYPE_CHECKING:
    from listener.duty import Duty
    from listener.model import OnDuty

NEXT = 5


def add(commands: Commands) -> None:
    parser = command(
        commands, "duty", show, "show who is on duty, until when, with how many cases, and who is next",
        "listener duty --json",
    )  # fmt: skip
    flag(parser, "--json", action="store_true", help="for programs")


def show(args: argparse.Namespace) -> int:
    from listener.service import duty

    with opened(args) as app:
        now = app.now()
        found = duty.on_duty(app.core, now)
        rotation = app.core.rules.duty
    changes = list(islice(rotation.changes(now), NEXT)) if rotation is not None else []
    if args.json:
        shown = [
            {
                "person": one.person.name,
                "open_cases": one.open_cases,
                "until": one.until,
                "deputy": one.deputy,
                "in_hours": rotation is not None and rotation.in_hours(one.person.name, now),
            }
            for one in found
        ]
        after = [{"at": when, "people": [p.name for p in posts]} for when, posts in changes]
        say(json_line({"on_duty": shown, "next": after}))
        return 0
    if rotation is None:
        say("Nobody has the duty: the configuration has no section duty.")
        return 0
    table(
        ("on duty", "until", "open cases", ""),
        [
            (one.person.name, at(one.until) or "further notice", one.open_cases, _note(rotation, one, now))
            for one in found
        ],
        empty="Nobody is on duty now.",
    )
    if changes:
        say()
    for when, posts in changes:
        names = ", ".join(plain(p.name) for p in posts) or "nobody"
        say(f"from {at(when)} ({ago(when, now)}): {names}")
    return 0


def _note(rotation: Duty, one: OnDuty, now: datetime) -> str:
    notes = [
        f"instead of {post.instead_of}"
        for post in rotation.on_duty(now)
        if post.name == one.person.name and post.instead_of
    ]
    if not rotation.in_hours(one.person.name, now):
        notes.append("outside their hours now")
    return ", ".join(notes)
