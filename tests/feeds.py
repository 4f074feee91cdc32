"""What the tests of the ``rss`` connector share: feeds written on the spot, samples, and both parsers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors import _feed
from connectors.rss import parse
from listener.model import Mention, Page

DATA = Path(__file__).parent / "data" / "feeds"
URL = "https://site.example/feeds/all.xml"


def read(body: str | bytes, charset: str | None = None, url: str = URL) -> Page:
    return parse(body.encode() if isinstance(body, str) else body, charset=charset, url=url, platform="site")


def sample(name: str) -> Page:
    return read((DATA / name).read_bytes())


def rss(*items: str, more: str = "") -> str:
    """An RSS 2.0 feed of these insides of items."""
    names = (
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:atom="http://www.w3.org/2005/Atom" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    )
    inside = "".join(f"<item>{item}</item>" for item in items)
    return f'<rss version="2.0" {names}><channel><title>Feed</title>{more}{inside}</channel></rss>'


def one(item: str, **how: Any) -> Mention:
    (mention,) = read(rss(item), **how).mentions
    return mention


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.fixture(params=["the first parser", "the other parser"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test twice: as things are, and with the first parser refusing everything."""
    if request.param == "the other parser":
        monkeypatch.setattr(_feed, "_read_fast", lambda body: None)
