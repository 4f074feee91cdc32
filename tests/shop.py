"""A small installation for tests of the command line: a feed and a receiver on loopback, a configuration, and ways to
run the command within the test or as a process of its own.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from listener.cli import main
from listener.logs import CHATTY
from tests.fakes import Answer, Request, Site

COMPLAINT = "Halcyon never delivered my order, terrible service, I want my money back!"


def item(number: int, text: str = COMPLAINT, author: str = "Mia") -> str:
    """An entry of the feed, published ten minutes ago."""
    published = format_datetime(datetime.now(UTC) - timedelta(minutes=10))
    return (
        f"<item><guid isPermaLink='false'>n{number}</guid><link>https://town.example/{number}</link>"
        f"<title>Letter {number}</title><author>{escape(author)}</author><pubDate>{published}</pubDate>"
        f"<description>{escape(text)}</description></item>"
    )


def feed(*items: str) -> Answer:
    body = f"<rss version='2.0'><channel><title>Letters</title>{''.join(items)}</channel></rss>"
    return (200, {"Content-Type": "application/rss+xml"}, body.encode())


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Shop:
    folder: Path
    site: Site
    capture: pytest.CaptureFixture[str]
    received: list[dict[str, Any]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    answers: int = 204  # of the receiver

    @property
    def config(self) -> Path:
        return self.folder / "listener.toml"

    @property
    def database(self) -> Path:
        return self.folder / "listener.db"

    def receive(self, request: Request) -> Answer:
        self.received.append(json.loads(request.body or b"{}"))
        self.arrived.release()
        return (self.answers, {}, b"")

    def configure(self, *, sources: Sequence[str] = ("letters",), extra: str = "", general: str = "") -> None:
        """One brand, a webhook, and sources whose feeds are /<name>.xml."""
        parts = [
            f"[listener]\ncontact = 'tests@example.com'\n{general}",
            "[[brands]]\nname = 'Halcyon'",
            f"[responders.desk]\nkind = 'webhook'\noptions = {{ url = '{self.site.url}/hook', "
            "secret = { env = 'SHOP_SECRET' } }",
            "[people]\nada = {}\nbob = {}",
            "[fetch]\nallow_private = ['127.0.0.0/8']\nhost_pace = '0s'\nhost_concurrency = 50",
            *(
                f"[[sources]]\nname = '{name}'\nconnector = 'rss'\noptions = {{ url = '{self.site.url}/{name}.xml' }}"
                for name in sources
            ),
            extra,
        ]
        self.config.write_text("\n".join(parts), encoding="utf-8")

    def __call__(self, *args: str) -> Ran:
        """Run the command in this process."""
        self.capture.readouterr()
        try:
            code = main(args)
        except SystemExit as error:  # argparse: help, wrong usage
            code = int(error.code or 0)
        out, err = self.capture.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    def process(self, *args: str, limit: str = "") -> subprocess.Popen[str]:
        """Start the command as a process of its own; ``limit`` is shell to run before it."""
        command = [sys.executable, "-m", "listener", *args]
        if limit:
            command = ["sh", "-c", f'{limit}; exec "$@"', "sh", *command]
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def apart(self, *args: str, limit: str = "") -> Ran:
        """Run the command as a process of its own."""
        with self.process(*args, limit=limit) as process:
            out, err = process.communicate(timeout=60)
            return Ran(process.returncode, out, err)


@contextmanager
def opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
) -> Iterator[Shop]:
    """A shop with one feed that has one complaint, in its own working directory."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SHOP_SECRET", "a-secret-of-many-letters")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setenv("USER", "ada")
    monkeypatch.delenv("LISTENER_CONFIG", raising=False)
    signals = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    root = logging.getLogger()
    handlers = root.handlers[:]
    levels = [(logger, logger.level) for logger in (root, *map(logging.getLogger, CHATTY))]
    with Site() as site:
        shop = Shop(folder, site, capture)
        site.routes |= {"/letters.xml": feed(item(1)), "/hook": shop.receive}
        shop.configure()
        try:
            yield shop
        finally:
            root.handlers[:] = handlers
            for logger, level in levels:
                logger.setLevel(level)
            for each, handler in signals.items():
                signal.signal(each, handler)
