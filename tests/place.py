"""The whole product on a configuration of two sources, ``bad`` and ``good``, and two responders, console and Slack.

The sources' sites live on 127.0.0.2, which alone is allowed; 127.0.0.1 stands for our own network.
"""

from __future__ import annotations

import html
import json
import socket
from contextlib import ExitStack
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from listener import config
from listener.app import App, build
from listener.model import CaseView
from listener.running import Jobs
from listener.service import read
from listener.storage import tables
from tests.fake_slack import TOKEN, FakeSlack
from tests.fakes import Route, Site
from tests.world import START

HOST = "127.0.0.2"
COMPLAINT = "Halcyon never delivered my order, terrible service, I want my money back!"
RSS = {"Content-Type": "application/rss+xml"}


def rss(text: str = COMPLAINT, *, number: int = 1, date: str | None = None, head: str = "") -> str:
    when = date or format_datetime(START - timedelta(minutes=5))
    return (
        f"{head}<rss version='2.0'><channel><title>Letters</title><item><guid isPermaLink='false'>{number}</guid>"
        f"<author>Mia</author><pubDate>{when}</pubDate><description>{html.escape(text)}</description></item>"
        "</channel></rss>"
    )


GOOD: Route = (200, RSS, rss().encode())


def json_feed(text: str) -> Route:
    item = {
        "id": "1",
        "content_text": text,
        "title": text[:300],
        "date_published": (START - timedelta(minutes=5)).isoformat(),
        "authors": [{"name": text[:300]}],
    }
    feed = {"version": "https://jsonfeed.org/version/1.1", "title": "Letters", "items": [item]}
    return 200, {"Content-Type": "application/feed+json"}, json.dumps(feed).encode()


class Place:
    """Two sources, ``bad`` and ``good``, on one site each; two responders."""

    def __init__(self, folder: Path, stack: ExitStack, port: int = 0, deadline: str = "20s") -> None:
        self.now = START
        self.stack = stack
        self.port = port
        self.bad: Site | None = None
        self.good = stack.enter_context(Site({"/feed": GOOD}, HOST))
        self.slack = stack.enter_context(FakeSlack())
        self.folder = folder
        self.deadline = deadline
        self.app: App | None = None

    def listen(self, route: Route | None) -> None:
        """Start the product on a bad source that answers so; None: nothing listens at its port."""
        if route is None:
            with socket.socket() as probe:
                probe.bind((HOST, 0))
                self.port = probe.getsockname()[1]
        else:
            self.bad = self.stack.enter_context(Site({"/feed": route}, HOST))
            self.port = self.bad.port
        (self.folder / "token").write_text(TOKEN)
        text = f"""
[listener]
contact = "tests@example.com"
[[brands]]
name = "Halcyon"
[[sources]]
name = "bad"
connector = "rss"
brand = "Halcyon"
options = {{ url = "http://{HOST}:{self.port}/feed", platform = "bad.example" }}
[[sources]]
name = "good"
connector = "rss"
options = {{ url = "{self.good.url}/feed" }}
[responders.screen]
kind = "console"
options = {{ color = "never", zone = "UTC" }}
[responders.slack]
kind = "slack"
options = {{ token = {{ file = "token" }}, channel = "C1", base_url = "{self.slack.base_url}" }}
[fetch]
allow_private = ["{HOST}"]
deadline = "{self.deadline}"
host_pace = "0s"
"""
        self.app = build(config.parse(text, "listener.toml", self.folder), now=lambda: self.now)
        self.stack.callback(self.app.close)

    def poll(self) -> dict[str, str | None]:
        """Poll what is due; the error of each source polled."""
        assert self.app is not None
        jobs = Jobs(self.app.core, lambda: self.now, workers=2)
        errors: dict[str, str | None] = {}
        jobs.poll_all_due(lambda report: errors.update({report.source: report.error}))
        jobs.stop(5)
        return errors

    def deliver(self) -> None:
        assert self.app is not None
        jobs = Jobs(self.app.core, lambda: self.now, workers=2)
        sent = jobs.deliver()
        jobs.stop(5)
        assert sent.failed == 0

    def answers(self, route: Route) -> None:
        if self.bad is None:
            self.bad = self.stack.enter_context(Site({}, HOST, self.port))
        self.bad.routes["/feed"] = route

    def source(self, name: str) -> Any:
        assert self.app is not None
        return next(s for s in read.list_sources(self.app.core) if s.name == name)

    def mentions(self) -> list[Any]:
        assert self.app is not None
        with self.app.core.db.read() as connection:
            query = select(tables.mentions, tables.sources.c.name.label("source")).join(tables.sources)
            return list(connection.execute(query.order_by(tables.mentions.c.id)))

    def heard(self, source: str) -> list[str]:
        return [m.text for m in self.mentions() if m.source == source]

    def case(self, source: str) -> CaseView:
        assert self.app is not None
        found = read.list_cases(self.app.core, self.now, limit=10)
        return next(c for c in found if c.mentions[0].source == source)

    def troubles(self) -> list[str]:
        assert self.app is not None
        return [f"{t.what} {t.advice}" for t in read.health(self.app.core, self.now, embedded=False).troubles]
