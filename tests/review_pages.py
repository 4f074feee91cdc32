"""Pages with reviews, for the tests of the reviews connector."""

from __future__ import annotations

import json
from typing import Any

import httpx

from connectors.reviews import Reviews
from listener.model import Page
from tests.fakes import Answer, Site

HTML = {"Content-Type": "text/html; charset=utf-8"}


def review(number: int | str, text: str = "", star: object = 1, **more: object) -> dict[str, Any]:
    return {
        "@type": "Review",
        "@id": f"/r/{number}",
        "author": f"Author {number}",
        "reviewBody": text or f"Text {number}",
        "reviewRating": {"@type": "Rating", "ratingValue": star},
    } | more


def page(*items: object, head: str = "", body: str = "") -> Answer:
    script = json.dumps({"@context": "https://schema.org", "@type": "Product", "review": items})
    html = f'<html><head>{head}<script type="application/ld+json">{script}</script></head><body>{body}</body></html>'
    return 200, HTML, html.encode()


def raw(html: str | bytes, kind: str = "text/html; charset=utf-8") -> Answer:
    return 200, {"Content-Type": kind}, html if isinstance(html, bytes) else html.encode()


def ld(script: str) -> Answer:
    return raw(f'<script type="application/ld+json">{script}</script>')


def next_link(url: str) -> str:
    return f'<link rel="prefetch next" href="{url}">'


def walk(connector: Reviews, http: httpx.Client, cursor: str | None = None) -> tuple[list[Page], str | None]:
    pages = [connector.poll(http, cursor)]
    while pages[-1].more:
        assert len(pages) < 50
        pages.append(connector.poll(http, pages[-1].cursor))
    return pages, pages[-1].cursor


def ids(pages: list[Page]) -> list[str]:
    return [m.external_id.rpartition("/")[2] for p in pages for m in p.mentions]


def poll(site: Site, http: httpx.Client, answer: Answer) -> Page:
    site.routes["/all"] = answer
    return Reviews(url=site.url + "/all").poll(http, None)
