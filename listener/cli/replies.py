"""draft."""

from __future__ import annotations

import argparse
import os

from listener.cli.output import json_line, paragraphs, say
from listener.cli.parts import Commands, command, flag, number, opened


def add(commands: Commands) -> None:
    drafts = command(
        commands,
        "draft",
        draft,
        "draft a public reply to a customer: look it over, change it, and send it yourself",
        "listener draft 12",
        "listener draft 12 --lang de --json",
    )
    drafts.add_argument("case", type=number)
    drafts.add_argument("--lang", metavar="CODE", help="in this language (default: the customer's)")
    flag(drafts, "--as", dest="who", metavar="NAME", help="who signs it (default: $USER)")
    flag(drafts, "--json", action="store_true", help="for programs")


def draft(args: argparse.Namespace) -> int:
    from listener.service import replies

    with opened(args) as app:
        who = args.who or os.environ.get("USER") or ""
        found = replies.draft(app.core, args.case, who, app.now(), lang=args.lang)
    if args.json:
        say(json_line(found))
        return 0
    for part in found.text.split("\n\n"):
        say("\n".join(paragraphs(part)))
        say()
    say(f"It tells a wait of {found.wait}: {found.basis}.")
    say("Once it stands in public, record it:")
    say(f"  listener cases respond {args.case} LINK --promise {found.promise_minutes}")
    return 0
