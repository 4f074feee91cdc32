"""Every connector over recorded pages: one row a case. A new connector adds its pages and its row here."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from listener.errors import ParseError, SourceError
from listener.model import Mention, Skipped
from listener.ports import Connector
from listener.registry import connector_class, connector_kinds
from tests.fakes import Site, loopback_client

DATA = Path(__file__).parent / "data" / "connectors"


@dataclass(frozen=True)
class Row:
    """``options`` and ``expected`` say SITE for the host; ``pages`` maps paths to files of tests/data/connectors.

    ``expected``: for each mention, in order, the fields that are told here (author: id and name; times: ISO).
    """

    kind: str
    options: Mapping[str, object]
    pages: Mapping[str, str]
    expected: tuple[Mapping[str, object], ...]
    skipped: tuple[str, ...] = ()
    type: str = "text/html; charset=utf-8"
    name: str = field(default="", kw_only=True)


BOARD = {
    "url": "http://SITE/board/",
    "row": "tr.row",
    "thread": "a.topic",
    "changed": ".replies",
    "post": ".post",
    "body": ".content",
    "strip": ["blockquote", ".signature"],
    "author": ".author .username",
    "time": ".date",
    "time_format": "%d.%m.%Y, %H:%M",
    "time_zone": "Europe/Oslo",
    "title": "h2.topic-title",
}
BOARD_PAGES = {
    "/board/": "forum-list.html",
    "/board/viewtopic.php?t=1": "forum-thread-1.html",
    "/board/viewtopic.php?t=1&start=4": "forum-thread-1-2.html",
    "/board/viewtopic.php?t=2": "forum-thread-2.html",
}

ROWS = (
    Row(
        "rss",
        {"url": "http://SITE/feed.xml"},
        {"/feed.xml": "feed.xml"},
        (
            {
                "external_id": "letter-2",
                "title": "Late & rude",
                "text": "Two hours late.\nNo word.",
                "author": ("Unni", "Unni"),
                "published": "2026-03-02T09:00:00+00:00",
                "url": "http://SITE/letters/2",
                "lang": "en",
            },
            {"external_id": "SITE/letters/1", "text": "Fine", "author": None, "published": None},
        ),
        type="application/rss+xml",
        name="a feed",
    ),
    Row(
        "reviews",
        {"url": "http://SITE/mug"},
        {"/mug": "shop.html"},
        (
            {
                "external_id": "SITE/mug/reviews/1",
                "title": "Chipped",
                "text": 'Arrived chipped.\nNobody answers my "mails".',
                "author": ("SITE/people/kari", "Kari Holm"),
                "published": "2026-03-01T09:00:00+00:00",
                "edited": "2026-03-02T00:00:00+00:00",
                "rating": 1.5,
                "lang": "en",
                "answers": ("Sorry! A new one is on its way.",),
            },
            {
                "external_id": "SITE/mug/reviews/2",
                "text": "Fine mug",
                "author": ("Per", "Per"),
                "published": "2026-02-28T09:30:00+00:00",
                "rating": 4.2,
            },
            {"author": ("SITE/people/ida", "Ida & Ola"), "rating": 4.0, "url": "http://SITE/mug"},
            {"author": None, "text": "Meh // really, ] no", "published": None, "rating": 3.0},
        ),
        name="reviews as JSON-LD, with all that shops get wrong",
    ),
    Row(
        "reviews",
        {"url": "http://SITE/jacket"},
        {"/jacket": "microdata.html"},
        (
            {
                "external_id": "SITE/jacket/r/7",
                "title": "Wrong size",
                "text": "Ordered M, got XL <again>.\nNever more.",
                "author": ("SITE/u/eli", "Eli"),
                "published": "2026-04-01T08:00:00+00:00",
                "rating": 2.0,
                "url": "http://SITE/jacket/r/7",
            },
            {
                "author": ("Liv", "Liv"),
                "published": "2026-03-25T00:00:00+00:00",
                "rating": 5.0,
                "text": "Warm",
            },
        ),
        name="reviews as microdata",
    ),
    Row(
        "reviews",
        {"url": "http://SITE/jacket"},
        {"/jacket": "rdfa.html"},
        (
            {
                "external_id": "SITE/jacket/r/7",
                "title": "Wrong size",
                "text": "Ordered M, got XL.",
                "author": ("Eli", "Eli"),
                "published": "2026-04-01T08:00:00+00:00",
                "rating": 2.0,
            },
            {"author": ("Liv", "Liv"), "rating": 5.0, "text": "Warm"},
        ),
        name="reviews as RDFa",
    ),
    Row(
        "reviews",
        {"url": "http://SITE/t/9"},
        {"/t/9": "posting.html"},
        (
            {
                "external_id": "SITE/t/9",
                "title": "Ferry late",
                "text": "Two hours late again",
                "author": ("SITE/u/nils", "Nils"),
                "thread": "http://SITE/t/9",
                "rating": None,
            },
            {
                "external_id": "#c4711",
                "title": "Ferry late",
                "text": "Same here",
                "url": "http://SITE/t/9#c4711",
                "thread": "http://SITE/t/9",
            },
            {"external_id": "#c4712", "text": "And no word from them", "author": None},
        ),
        name="a forum posting and its comments as JSON-LD",
    ),
    Row(
        "forum",
        BOARD,
        BOARD_PAGES,
        (
            {
                "external_id": "SITE/board/viewtopic.php?t=1#p101",
                "title": "The box leaks",
                "text": "My box leaks.\nWho else?",
                "author": ("SITE/board/memberlist.php?u=5", "Kim"),
                "published": "2026-06-01T12:05:00+00:00",
                "url": "http://SITE/board/viewtopic.php?t=1#p101",
                "thread": "http://SITE/board/viewtopic.php?t=1",
            },
            {"text": "Mine does too", "published": "2026-06-02T07:00:00+00:00"},
            {"text": "Same here", "author": None, "published": "2026-06-02T07:30:00+00:00"},
            {
                "external_id": "SITE/board/viewtopic.php?t=1#p105",
                "text": "They never answer 😡",
                "author": ("SITE/board/memberlist.php?u=7", "Ås"),
                "published": "2026-06-02T22:10:00+00:00",
                "url": "http://SITE/board/viewtopic.php?t=1&start=4#p105",
                "thread": "http://SITE/board/viewtopic.php?t=1",
            },
            {"text": "All well", "published": None},
        ),
        (
            "http://SITE/board/viewtopic.php?t=1#p104: a post without text of its own",
            "http://SITE/board/viewtopic.php?t=2: `time`: 'Yesterday, 10:00' is no time that can be read: "
            "set `time` to an attribute, or `time_format`",
        ),
        name="a board with session ids, quotes, a guest and a second page",
    ),
)


def told(mention: Mention, name: str, host: str) -> Any:
    """A field in the table's form."""
    value = getattr(mention, name)
    if name == "author" and value:
        value = (value.platform_id, value.name)
    elif name in ("published", "edited") and value:
        value = value.isoformat()
    elif name == "answers":
        value = tuple(a.text for a in value)
    return at_site(value, host)


def at_site(value: Any, host: str) -> Any:
    if isinstance(value, str):
        return value.replace(host, "SITE")
    return tuple(at_site(v, host) for v in value) if isinstance(value, tuple) else value


def build(kind: str, options: Mapping[str, object], site: Site) -> Connector:
    host = f"127.0.0.1:{site.port}"
    filled = {k: v.replace("SITE", host) if isinstance(v, str) else v for k, v in options.items()}
    connector = connector_class(kind).model_validate(filled)
    assert isinstance(connector, Connector)
    return connector


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.kind}: {r.name}")
def test_connector_finds_what_is_there(row: Row) -> None:
    with Site() as site, loopback_client() as http:
        host = f"127.0.0.1:{site.port}"
        for path, file in row.pages.items():
            body = (DATA / file).read_bytes().replace(b"SITE", host.encode())
            site.routes[path] = (200, {"Content-Type": row.type}, body)
        connector = build(row.kind, row.options, site)
        found: list[Mention] = []
        skipped: list[Skipped] = []
        cursor, more = None, True
        while more:
            page = connector.poll(http, cursor)
            found += page.mentions
            skipped += page.skipped
            cursor, more = page.cursor, page.more
        with loopback_client() as http_anew:
            again = connector.poll(http_anew, None)
    assert [
        {name: told(m, name, host) for name in e} for m, e in zip(found, row.expected, strict=True)
    ] == list(row.expected)
    assert [at_site(f"{s.what}: {s.why}", host) for s in skipped] == list(row.skipped)
    assert len({m.external_id for m in found}) == len(found)
    assert {m.external_id for m in again.mentions} <= {m.external_id for m in found}


@pytest.mark.parametrize("kind", sorted(connector_kinds()))
def test_connector_documents_itself(kind: str) -> None:
    connector = connector_class(kind)
    assert inspect.getdoc(connector), "the docstring is the user's help"
    assert connector.model_config.get("extra") == "forbid"
    assert [n for n, option in connector.model_fields.items() if not option.description] == []
    with pytest.raises(ValidationError, match="no_such_option"):
        connector.model_validate({"url": "https://example.com/", "no_such_option": 1})


@pytest.mark.parametrize("kind", sorted({row.kind for row in ROWS}))
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n ",
        b"\x00\xff\xfe\x00",
        b"<html>",
        b"<!--",
        b"%PDF-1.7",
        b'{"a": 1}',
        b"<h1>Log in</h1>",
        b"<" * 1000,
    ],
    ids=repr,
)
def test_what_is_not_a_connectors_page_is_an_error_and_never_an_empty_page(kind: str, body: bytes) -> None:
    row = next(r for r in ROWS if r.kind == kind)
    with Site() as site, loopback_client() as http:
        connector = build(kind, row.options, site)
        for path in row.pages:
            site.routes[path] = (200, {"Content-Type": row.type}, body)
        with pytest.raises(SourceError) as error:
            connector.poll(http, None)
    assert site.url in str(error.value)


def test_the_example_of_the_readme_works(monkeypatch: pytest.MonkeyPatch) -> None:
    readme = Path(inspect.getfile(connector_class("rss"))).with_name("README.md").read_text()
    module = ModuleType("acmedesk")
    monkeypatch.setitem(sys.modules, "acmedesk", module)
    exec(readme.split("```python\n")[1].split("```")[0], module.__dict__)
    desk = module.AcmeDesk
    ticket = {"id": 7, "html": "<p>Broken</p>", "url": "https://x/7", "user": {"id": 1, "name": "Kim"}}
    first = {"tickets": [ticket | {"created_at": "2026-01-02T03:04:05Z"}], "last": 7, "has_more": False}
    with Site() as site, loopback_client() as http:
        site.routes["/api/tickets?after=0"] = (200, {}, json.dumps(first).encode())
        site.routes["/api/tickets?after=7"] = (200, {}, b"[]")
        page = desk(url=site.url).poll(http, None)
        assert [(m.external_id, m.text, m.author.platform_id) for m in page.mentions] == [
            ("7", "Broken", "1")
        ]
        with pytest.raises(ParseError, match="not a list of tickets"):
            desk(url=site.url).poll(http, page.cursor)
