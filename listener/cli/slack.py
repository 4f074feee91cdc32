"""slack: what Slack asks for before Listener can work there."""

from __future__ import annotations

import argparse
import json
import re

from listener.cli.cases import inner_required
from listener.cli.output import say
from listener.cli.parts import Commands, command
from listener.errors import UsageError


def add(commands: Commands) -> None:
    top = command(commands, "slack", None, "set up the Slack app", "listener slack manifest")  # type: ignore[arg-type]
    prints = command(
        inner_required(top),
        "manifest",
        manifest,
        "print the Slack app's manifest, for api.slack.com/apps, Create New App, From a manifest",
        "listener slack manifest",
        "listener slack manifest --http https://listener.example.org",
    )
    prints.add_argument(
        "--http",
        metavar="URL",
        help="requests over HTTP to the dashboard at this address, not Socket Mode; where the responder is not "
        "called slack, end it with /responders/ and its name",
    )


def manifest(args: argparse.Namespace) -> int:
    from listener.resources import data_dir

    text = (data_dir() / "slack-app-manifest.yaml").read_text(encoding="utf-8")
    say((text if args.http is None else over_http(text, args.http)).rstrip("\n"))
    return 0


def over_http(text: str, public_url: str) -> str:
    """The manifest with Socket Mode off, and the address where the dashboard takes Slack's requests put in."""
    url = address(public_url)
    text = text.replace("socket_mode_enabled: true", "socket_mode_enabled: false")
    return re.sub(
        r"^( *)# (url|request_url): .*$",
        lambda found: f"{found[1]}{found[2]}: {json.dumps(url)}",
        text,
        flags=re.M,
    )


def address(public_url: str) -> str:
    """Raises ``UsageError``: Slack only asks public https addresses."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(public_url.strip())
        good = parts.scheme == "https" and parts.hostname and not parts.query and not parts.fragment
    except ValueError:
        good = False
    if not good or len(public_url) > 2000 or re.search(r"[\s\"\\\x00-\x20\x7f]", public_url.strip()):
        raise UsageError("give the dashboard's public address, like https://listener.example.org")
    url = public_url.strip().rstrip("/")
    return url if "/responders/" in url else f"{url}/responders/slack"
