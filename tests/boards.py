"""A small forum for the tests of the forum connector."""

from __future__ import annotations

from typing import Any

import httpx

from connectors.forum import Forum
from listener.model import Page
from tests.fakes import Answer, Site

HTML = {"Content-Type": "text/html; charset=utf-8"}
OPTIONS: dict[str, Any] = {
    "row": "li",
    "thread": "a",
    "changed": "i",
    "post": ".post",
    "body": ".body",
    "author": ".who",
    "time": "time",
}


class Board:
    """A small forum; tests change its threads (name -> pages of posts) and see what is fetched."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.threads: dict[str, list[list[str]]] = {}
        self.views = 0
        site.routes["/list"] = lambda request: self._list()

    def write(self, name: str, *pages: list[str]) -> None:
        self.threads[name] = list(pages)
        for number, posts in enumerate(pages, 1):
            more = f'<a rel="next" href="?p={number + 1}">next</a>' if number < len(pages) else ""
            path = f"/{name}" if number == 1 else f"/{name}?p={number}"
            self.site.routes[path] = html(f"<h1>{name}</h1>" + "".join(map(post, posts)) + more)

    def _list(self) -> Answer:
        self.views += 1
        rows = (
            f'<li><a href="/{name}">{name}</a> <i>{sum(map(len, pages))} posts</i> {self.views} views</li>'
            for name, pages in self.threads.items()
        )
        return html("<ul>" + "".join(rows) + "</ul>")

    def fetched(self) -> list[str]:
        """The pages asked for since the last call, the list left out."""
        paths = [p for p in self.site.paths() if p != "/list"]
        self.site.requests.clear()
        return paths


def html(body: str) -> Answer:
    return 200, HTML, f"<html><body>{body}</body></html>".encode()


def post(name: str) -> str:
    return (
        f'<div class="post" id="{name}"><a class="who" href="/u/{name}">User {name}</a>'
        f'<time datetime="2026-06-01T10:00:00Z">now</time><div class="body">Text {name}</div></div>'
    )


def forum(board: Board, **options: Any) -> Forum:
    return Forum.model_validate({"url": board.site.url + "/list", **OPTIONS, **options})


def walk(connector: Forum, http: httpx.Client, cursor: str | None = None) -> tuple[list[Page], str | None]:
    pages = [connector.poll(http, cursor)]
    while pages[-1].more:
        assert len(pages) < 50
        pages.append(connector.poll(http, pages[-1].cursor))
    return pages, pages[-1].cursor


def ids(pages: list[Page]) -> list[str]:
    return [m.external_id.rpartition("#")[2] for p in pages for m in p.mentions]


def whys(pages: list[Page]) -> list[str]:
    return [s.why for p in pages for s in p.skipped]
