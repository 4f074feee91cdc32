"""try: poll a place once, without any configuration, and show what is found there. Nothing is stored."""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from listener.cli.output import at, count, json_line, paragraphs, plain, say, warn
from listener.cli.parts import Commands, command, number, set_up_logs
from listener.errors import FetchRefused, ListenerError, NotModified, UsageError

if TYPE_CHECKING:
    from listener.model import Mention, Skipped
    from listener.ports import Connector

SHOWN_LINES = 4  # of each text


def add(commands: Commands) -> None:
    tries = command(
        commands,
        "try",
        try_out,
        "poll a place once, without any configuration, and show what is found; stores nothing",
        "listener try rss url=https://example.org/feed.xml",
        "listener try reviews url=https://example.org/reviews --json",
    )
    tries.add_argument("kind", help="kind of connector; listener connectors lists them")
    tries.add_argument(
        "options",
        nargs="*",
        metavar="key=value",
        help='its options; a list as key=["a", "b"], a secret from the environment as key=env:NAME',
    )
    tries.add_argument("--pages", type=number, default=3, metavar="N", help="read at most so many pages (3)")
    tries.add_argument("--json", action="store_true", help="one mention a line, for programs")
    tries.add_argument(
        "--allow-private", action="store_true", help="reach private addresses too: an intranet, this computer"
    )


def try_out(args: argparse.Namespace) -> int:
    set_up_logs(args)
    connector = build(args.kind, args.options)
    started = time.monotonic()
    mentions, skipped, pages = read(connector, args.pages, allow_private=args.allow_private)
    for mention in mentions:
        if args.json:
            say(json_line(mention))
        else:
            show(mention)
    for item in skipped:
        warn(f"skipped {item.what}: {item.why}")
    parts = [f"{count(len(mentions), 'mention')} found", f"{len(skipped)} skipped", count(pages, "page")]
    warn(f"{', '.join(parts)}, {time.monotonic() - started:.1f} s. Nothing was stored.")
    return 0


def build(kind: str, options: list[str]) -> Connector:
    """The connector with these options. Raises ``UsageError`` and ``ConfigError``."""
    from listener import config, registry

    try:
        model = registry.connector_class(kind)
    except ValueError as error:
        raise UsageError(str(error)) from error
    given: dict[str, Any] = {}
    for option in options:
        key, sign, value = option.partition("=")
        if not sign or not key:
            raise UsageError(f"{option!r} is not key=value; listener connectors {kind} lists the options")
        if key in given:
            raise UsageError(f"{key} is given twice")
        given[key] = read_value(key, value)
    return cast("Connector", config.read_options(model, given, Path.cwd(), f"listener try {kind}"))


def read_value(key: str, text: str) -> Any:
    """Lists and tables are JSON, or written as in the configuration; the rest is text, which the option reads."""
    if text.startswith("env:"):
        return {"env": text.removeprefix("env:")}
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{key}: {text!r} is neither JSON nor TOML ({error})") from error


def read(connector: Connector, most: int, *, allow_private: bool) -> tuple[list[Mention], list[Skipped], int]:
    """What is found on the first pages, what was skipped, and how many pages those were.

    Raises ``SourceError``.
    """
    from listener.fetch import Fetcher, FetchSettings, HostState, SourceMemory

    hosts: dict[str, HostState] = {}
    settings = FetchSettings(
        contact="tried by hand",
        allow_private=(ip_network("0.0.0.0/0"), ip_network("::/0")) if allow_private else (),
    )
    fetcher = Fetcher(
        settings, now=lambda: datetime.now(UTC), load_host=hosts.get, save_host=hosts.__setitem__
    )
    mentions: list[Mention] = []
    skipped: list[Skipped] = []
    pages = 0
    cursor: str | None = None
    try:
        http = fetcher.client(SourceMemory())
        while pages < most:
            try:
                page = connector.poll(http, cursor)
            except NotModified:
                break
            pages += 1
            mentions += page.mentions
            skipped += page.skipped
            if not page.more or page.cursor == cursor:
                break
            cursor = page.cursor
    except FetchRefused as error:
        if error.advice is None or "fetch.allow_private" not in error.advice:
            raise
        told = str(error).removesuffix(error.advice)
        raise ListenerError(f"{told}If that is meant, add --allow-private") from error
    finally:
        fetcher.close()
    return mentions, skipped, pages


def show(mention: Mention) -> None:
    stars = f"{mention.rating:g} of 5 stars" if mention.rating is not None else None
    author = mention.author.name or mention.author.platform_id if mention.author else "unknown author"
    head = [at(mention.published) or "no time", author, stars, mention.title]
    say(" · ".join(plain(part) for part in head if part))
    lines = paragraphs(mention.text)
    for line in lines[:SHOWN_LINES]:
        say(f"    {line if len(line) <= 300 else f'{line[:299]}…'}")
    if len(lines) > SHOWN_LINES:
        say(f"    ({count(len(lines) - SHOWN_LINES, 'more line')})")
    for answer in mention.answers:
        say(f"    answered: {plain(answer.text)[:200]}")
    if mention.url:
        say(f"    {plain(mention.url)}")
    say()
