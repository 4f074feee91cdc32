"""The sample town as a web site: a paper with a feed, a review page, a forum; and the clock of the demo."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from listener.model import utc
from listener.town.script import DEMO, POSTS_PER_THREAD_PAGE, Post, Script

T = TypeVar("T")

LETTERS_IN_FEED = 15  # a feed shows its newest entries only, as most do
PER_PAGE = {"blog": 10, "reviews": 10, "forum": 12, "thread": POSTS_PER_THREAD_PAGE}
STARS = {"bestRating": 5, "worstRating": 1}


class QuickClock:
    """A clock that starts at ``start`` and runs ``speed`` times as fast as real time.

    Calling it gives the instant, in UTC. Raises ``ValueError`` for a naive start and a speed not above 0.
    """

    def __init__(
        self, start: datetime, speed: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.start = utc(start)
        self.speed = speed
        self._monotonic = monotonic
        self._origin = monotonic()

    def __call__(self) -> datetime:
        return self.start + timedelta(seconds=(self._monotonic() - self._origin) * self.speed)


@dataclass(frozen=True, slots=True)
class _Answer:
    body: str
    kind: str = "text/html"
    modified: datetime | None = None


class _Missing(Exception):
    pass


class Town:
    """The town as a web site on loopback: a context manager. ``url`` is its base, without a slash at the end.

    ``now`` tells the town's time; the script starts at ``start`` (when not given: now), cut to full seconds.
    """

    def __init__(self, script: Script, now: Callable[[], datetime], *, start: datetime | None = None) -> None:
        self.script = script
        self.now = now
        self.start = utc(start or now()).replace(microsecond=0)
        self._templates = Environment(
            loader=FileSystemLoader(DEMO / "pages"), autoescape=True, undefined=StrictUndefined
        )
        self._templates.filters["httpdate"] = _http_date
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("the town is not open: use it as a context manager")
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"town": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="town", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, target: str) -> _Answer:
        """The page at a request target as it stands now. Raises ``_Missing``."""
        split = urlsplit(target)
        page = parse_qs(split.query).get("page", ["1"])[0]
        if not re.fullmatch(r"[1-9]\d{0,5}", page):
            raise _Missing
        now = utc(self.now())
        posts = self.script.posts(self.start, now)
        posts.sort(key=lambda post: post.touched, reverse=True)  # news first, edits and replies too
        match split.path.strip("/").split("/"):
            case [""]:
                return self._home(posts, now)
            case ["robots.txt"]:
                return _Answer("User-agent: *\nDisallow: /people/\n", "text/plain")
            case ["blog", "feed.xml"]:
                letters = [p for p in posts if p.place == "feed"][:LETTERS_IN_FEED]
                return self._render("feed.xml", letters, base=self.url)
            case ["blog", *wanted]:
                letters = [p for p in posts if p.place == "feed"]
                return self._listing("blog", _chosen(letters, wanted), int(page))
            case ["reviews", *wanted]:
                return self._reviews([p for p in posts if p.place == "reviews"], wanted, int(page))
            case ["forum"]:
                return self._forum(posts, int(page))
            case ["forum", "t", number]:
                thread = [p for p in posts if str(p.thread) == number]
                return self._listing("thread", _some(sorted(thread, key=_written)), int(page))
            case ["people", number]:
                return self._render("person.html", _some([p for p in posts if str(p.author.id) == number]))
        raise _Missing

    def _home(self, posts: list[Post], now: datetime) -> _Answer:
        counts = {place: sum(p.place == place for p in posts) for place in ("feed", "reviews", "forum")}
        speed = self.now.speed if isinstance(self.now, QuickClock) else 1
        return _Answer(self._page("home.html", counts=counts, now=now, speed=speed))

    def _reviews(self, reviews: list[Post], wanted: list[str], page: int) -> _Answer:
        ratings = [p.rating for p in reviews if p.rating]
        average = sum(ratings) / len(ratings) if ratings else 0.0
        chosen = _chosen(reviews, wanted)
        data = self._schema_org(_cut(chosen, "reviews", page)[0], len(ratings), average)
        return self._listing("reviews", chosen, page, data=data, total=len(ratings), average=average)

    def _forum(self, posts: list[Post], page: int) -> _Answer:
        threads: dict[int, list[Post]] = {}
        for post in posts:
            if post.thread is not None:
                threads.setdefault(post.thread, []).append(post)
        shown, pages = _cut(list(threads.values()), "forum", page)
        everything = [post for thread in shown for post in thread]
        return self._render("forum.html", everything, threads=shown, page=page, pages=pages)

    def _listing(self, name: str, posts: list[Post], page: int, **values: object) -> _Answer:
        shown, pages = _cut(posts, name, page)
        return self._render(f"{name}.html", shown, page=page, pages=pages, **values)

    def _render(self, name: str, posts: list[Post], **values: object) -> _Answer:
        kind = "application/rss+xml" if name.endswith(".xml") else "text/html"
        body = self._page(name, posts=posts, **values)
        return _Answer(body, kind, max((p.touched for p in posts), default=None))

    def _page(self, name: str, **values: object) -> str:
        return self._templates.get_template(name).render(town=self.script.town, **values)

    def _schema_org(self, posts: list[Post], total: int, average: float) -> dict[str, Any]:
        rating = {"ratingValue": round(average, 2), "reviewCount": total, **STARS}
        return {
            "@context": "https://schema.org",
            "@type": "Organization",
            "name": self.script.town.staff,
            "url": f"{self.url}/reviews",
            **({"aggregateRating": {"@type": "AggregateRating", **rating}} if total else {}),
            "review": [self._schema_org_review(post) for post in posts],
        }

    def _schema_org_review(self, post: Post) -> dict[str, Any]:
        author = {"@type": "Person", "name": post.author.name, "url": f"{self.url}/people/{post.author.id}"}
        review = {
            "@type": "Review",
            "@id": f"{self.url}{post.url}",
            "url": f"{self.url}{post.url}",
            "author": author,
            "datePublished": post.published.isoformat(),
            "inLanguage": post.lang,
            "name": post.title,
            "reviewBody": post.text,
            "reviewRating": {"@type": "Rating", "ratingValue": post.rating, **STARS},
        }
        if post.edited:
            review["dateModified"] = post.edited.isoformat()
        if post.reply:
            review["comment"] = {
                "@type": "Comment",
                "text": post.reply.text,
                "datePublished": post.reply.published.isoformat(),
                "author": {"@type": "Organization", "name": self.script.town.staff},
            }
        return review


def _written(post: Post) -> tuple[datetime, str]:
    return post.published, post.id


def _some(posts: list[Post]) -> list[Post]:
    if not posts:
        raise _Missing
    return posts


def _chosen(posts: list[Post], wanted: list[str]) -> list[Post]:
    """All of them, or the one whose id is the rest of the path."""
    return _some([p for p in posts if wanted == [p.id]]) if wanted else posts


def _cut(items: list[T], name: str, page: int) -> tuple[list[T], int]:
    """One page of a list, and how many pages it has. Raises ``_Missing`` past the end."""
    size = PER_PAGE[name]
    pages = max(1, -(-len(items) // size))
    if page > pages:
        raise _Missing
    return items[(page - 1) * size : page * size], pages


def _http_date(instant: datetime) -> str:
    return format_datetime(instant.astimezone(UTC), usegmt=True)


class _Handler(BaseHTTPRequestHandler):
    town: Town

    def do_GET(self) -> None:
        try:
            answer = self.town.answer(self.path)
        except _Missing:
            self.send_error(HTTPStatus.NOT_FOUND, "The town has no such page")
            return
        body = answer.body.encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        same = self._unchanged(etag, answer.modified)
        self.send_response(HTTPStatus.NOT_MODIFIED if same else HTTPStatus.OK)
        self.send_header("ETag", etag)
        if answer.modified:
            self.send_header("Last-Modified", _http_date(answer.modified))
        self.send_header("Cache-Control", "no-cache")
        if not same:
            self.send_header("Content-Type", f"{answer.kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not same and self.command != "HEAD":
            try:
                self.wfile.write(body)
            except ConnectionError:
                self.close_connection = True  # the reader left before the end; nothing is lost here

    do_HEAD = do_GET  # noqa: N815

    def _unchanged(self, etag: str, modified: datetime | None) -> bool:
        """RFC 9110, 13.2.2: If-None-Match decides alone where it is given."""
        if known := self.headers.get("If-None-Match"):
            return known.strip() == "*" or etag in re.findall(r'"[^"]*"', known)
        since = self.headers.get("If-Modified-Since")
        if not since or not modified:
            return False
        try:
            return modified <= utc(parsedate_to_datetime(since))
        except ValueError:
            return False  # RFC 9110, 13.1.3: a date that can't be read is as good as none

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent: the demo's terminal belongs to the cases."""
