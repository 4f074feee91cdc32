"""Reviews and forum postings that a web page carries as schema.org data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx
from bs4 import BeautifulSoup
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors._pages import Host, Html, WebUrl, author, digest, page_link, read, site, web_link
from connectors._schemaorg import Found, Node, types, values
from connectors._schemaorg import read as read_data
from connectors._selectors import Css, attribute
from connectors._text import parse_time, plain
from listener.errors import ParseError, RetryLater, SourceError
from listener.model import Answer, Author, Mention, Page, Skipped

_REVIEWS = frozenset(("Review", "UserReview", "CriticReview", "EmployerReview", "Recommendation"))
_POSTING = "DiscussionForumPosting"
# What tells a page about something that can have reviews, though it has none yet, from a log-in page, which carries
# schema.org data too (WebSite, Organization, BreadcrumbList).
_REVIEWED_BY_TYPE = {
    "Product", "ProductGroup", "LocalBusiness", "Restaurant", "Hotel", "Store", "Service",
    "SoftwareApplication", "MobileApplication", "WebApplication", "Book", "Movie", "Course", "Event",
}  # fmt: skip
_REVIEWED_BY_PROPERTY = {
    "aggregateRating",
    "review",
    "reviews",
    "offers",
    "sku",
    "priceRange",
    "openingHours",
}
_SEEN = 500  # ids that the cursor keeps: more than the reviews of any one page, under 8 kB
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
_MAX_RATING = 1e6
_POSITION = re.compile(r"(?:.*\D)?\d{1,3}")
_LANG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


class Reviews(BaseModel):
    """Reviews on any page that carries them as schema.org data, as most shops and review sites do for search engines.

    Reads Review (alone or inside a Product, LocalBusiness, ...) and DiscussionForumPosting with its comments, written
    as JSON-LD, microdata or RDFa; stars on any scale; owner's replies. Point ``url`` at the reviews sorted by
    newest first, so that a poll needs only the pages that hold something new.

    Limits: what scripts fill in after loading is not there to read; edits are noticed on the first page only.
    A review without an address of its own is known by author, date and text, so an edit of its text is a new one.
    Terms: read the site's terms of use first; robots.txt is obeyed. Where a site has an API, prefer its connector.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: WebUrl = Field(description="The page with the reviews, newest first if the site can sort.")
    next: Css | None = Field(
        default=None, description="CSS selector of the link to the next page. Default: the page's rel=next."
    )
    max_pages: int = Field(default=5, ge=1, le=1000, description="At most so many pages at a time.")
    time_zone: ZoneInfo = Field(
        default=ZoneInfo("UTC"), description="Zone of dates that name none, e.g. Europe/Oslo."
    )
    hosts: frozenset[Host] = Field(
        default=frozenset(), description="Other hosts that the link to the next page may lead to."
    )

    def poll(self, http: httpx.Client, cursor: str | None) -> Page:
        at = _Cursor.load(cursor, self.url)
        if at.next is None:
            html = read(http, self.url, if_changed=at.complete)
            return self._page(html, at, self._read(html))
        try:
            html = read(http, at.next)
            return self._page(html, at, self._read(html))
        except RetryLater:
            raise
        except SourceError as error:
            # The first page did well, so this one alone is bad: a retry of it must not keep us from the first.
            top = _Cursor(start=self.url, seen=at.seen)
            skipped = Skipped(f"page {at.number} of {self.url}", str(error))
            return Page((), cursor=top.model_dump_json(), skipped=(skipped,))

    def answer(self, http: httpx.Client, mention: Mention) -> Answer | None:
        """The newest reply to a review, looked for on the newest pages; its author tells if it is the owner's."""
        cursor: str | None = None
        for _ in range(self.max_pages):
            page = self.poll(http, cursor)
            found = next((m for m in page.mentions if m.external_id == mention.external_id), None)
            if found is not None:
                return found.answers[-1] if found.answers else None
            if not page.more:
                break
            cursor = page.cursor
        return None

    def _read(self, html: Html) -> tuple[Found, list[Mention], list[Skipped]]:
        found = read_data(html.text, html.url)
        # Many pages say the same in both ways, some only a part of it in one.
        readers = [_PageReader(html.url, self.time_zone, nodes) for nodes in (found.json_ld, found.markup)]
        reader = max(readers, key=lambda r: len(r.mentions))
        skipped = [Skipped(html.url, what) for what in found.broken] + reader.skipped
        nodes = found.json_ld + found.markup
        if not reader.mentions and not any(_reviewable(n) for n in nodes):
            raise ParseError(
                found.broken[0] if found.broken else "the page has no schema.org review data",
                url=html.url,
                advice="Is it a log-in or consent page, or are its reviews filled in by scripts? "
                "Then use the site's API, or the forum connector",
            )
        counted = max((_count(n) for n in nodes), default=0)
        if not reader.mentions and counted:
            why = (
                f"the page counts {counted} reviews but carries none as data: look for a page that lists them"
            )
            skipped.append(Skipped(html.url, why))
        return found, reader.mentions, skipped

    def _page(self, html: Html, at: _Cursor, content: tuple[Found, list[Mention], list[Skipped]]) -> Page:
        found, mentions, skipped = content
        ids = [digest(m.external_id) for m in mentions]
        chain = (at.chain + ids)[:_SEEN]
        home = at.site or site(html.url)
        sites = {site(self.url), home, *self.hosts}
        href = self._next(html, found)
        link = page_link(found.base, href, sites)
        if href and not link and (other := web_link(found.base, href)):
            why = "the next page is on another host: if it is the site's, name it in `hosts`"
            skipped.append(Skipped(other, why))
        is_new = not set(ids) <= set(at.seen)
        if link and link not in (html.url, at.next) and is_new and at.number < self.max_pages:
            after = at.model_copy(
                update={"chain": chain, "next": link, "number": at.number + 1, "site": home}
            )
        else:
            seen = list(dict.fromkeys(chain + at.seen))[:_SEEN]
            after = _Cursor(start=self.url, seen=seen, complete=True)
        more = after.next is not None
        return Page(tuple(mentions), after.model_dump_json(), more=more, skipped=tuple(skipped))

    def _next(self, html: Html, found: Found) -> str | None:
        if not self.next:
            return found.next
        link = BeautifulSoup(html.text, "lxml").select_one(self.next)
        return attribute(link, "href") if link else None


class _Cursor(BaseModel):
    """Where a walk through the pages stands, and the ids of the newest reviews of the last complete walk."""

    start: str
    seen: list[str] = []
    complete: bool = False  # the last walk: only then is an unchanged first page nothing new
    chain: list[str] = []
    next: str | None = None
    number: int = 1
    site: str | None = None

    @classmethod
    def load(cls, cursor: str | None, start: str) -> _Cursor:
        try:
            at = cls.model_validate_json(cursor or "{}")
        except ValidationError:  # none yet, or that of another version
            at = cls(start=start)
        return at if at.start == start else cls(start=start)


# ---- items to mentions --------------------------------------------------------------------------------------


class _PageReader:
    """Turns the items of one page, as written in one way, into mentions, each once."""

    def __init__(self, url: str, zone: ZoneInfo, nodes: list[Node]) -> None:
        self.url = url
        self.zone = zone
        self.skipped: list[Skipped] = []
        self.mentions = self._once(list(self._drafts(nodes)))

    def _drafts(self, nodes: list[Node]) -> Iterator[tuple[str | None, Mention]]:
        """Each mention with the address that may be its id, and a digest in the id's place."""
        parents = {id(c): n for n in nodes for c in values(n, "review", "reviews") if isinstance(c, dict)}
        done: set[int] = set()
        for node in nodes:
            if id(node) in done:
                continue
            kinds = types(node)
            if kinds & _REVIEWS or (not kinds and id(node) in parents and _has_content(node)):
                done.add(id(node))
                parent = parents.get(id(node)) or _first_node(node, "itemReviewed")
                yield self._own_id(node, parent), self._review(node)
            elif _POSTING in kinds:
                yield from self._posting(node, done)

    def _once(self, drafts: list[tuple[str | None, Mention]]) -> list[Mention]:
        """Give each its id. An address that several different ones share (sloppy sites) identifies none of them."""
        digests: dict[str, set[str]] = {}
        for own, mention in drafts:
            if own:
                digests.setdefault(own, set()).add(mention.external_id)
        kept: dict[str, Mention] = {}
        for own, mention in drafts:
            if not (mention.text or mention.title or mention.rating):
                self.skipped.append(Skipped(own or self.url, "a review without text and stars"))
                continue
            unique = own is not None and len(digests[own]) == 1
            final = replace(mention, external_id=own) if own and unique else mention
            kept.setdefault(final.external_id, final)
        return list(kept.values())

    def _review(self, node: Node) -> Mention:
        return self._mention(node, rating=_stars_of(node), answers=tuple(self._answers(node)))

    def _posting(self, node: Node, done: set[int]) -> Iterator[tuple[str | None, Mention]]:
        """The posting and its comments at any depth, as mentions of one thread."""
        thread = self._link(node, "url", "@id") or self.url
        title = self._text(node, "headline", "name")
        todo = [node]
        while todo:
            post = todo.pop()
            if id(post) in done:
                continue
            done.add(id(post))
            own = self._own_id(post, None, page_is_it=post is node)
            yield own, self._mention(post, title=title, thread=thread)
            todo.extend(c for c in reversed(values(post, "comment")) if isinstance(c, dict))

    def _mention(
        self,
        node: Node,
        *,
        title: str | None = None,
        rating: float | None = None,
        thread: str | None = None,
        answers: tuple[Answer, ...] = (),
    ) -> Mention:
        text = self._text(node, "reviewBody", "articleBody", "text", "description")
        title = self._text(node, "name", "headline") if title is None else title
        who = self._author(node)
        published = self._time(node, "datePublished", "dateCreated")
        edited = self._time(node, "dateModified")
        parts = (who.name if who else "", published.isoformat() if published else "", title, text)
        return Mention(
            external_id=digest("\x1f".join(parts), 24),
            text=text,
            title=title,
            url=self._link(node, "url", "@id") or self.url,
            author=who,
            published=published,
            edited=edited if edited != published else None,
            rating=rating,
            thread=thread,
            lang=self._lang(node),
            answers=answers,
        )

    def _answers(self, node: Node) -> Iterator[Answer]:
        for reply in values(node, "comment"):
            if isinstance(reply, dict) and (text := self._text(reply, "text", "description")):
                yield Answer(
                    text,
                    self._link(reply, "url"),
                    self._time(reply, "datePublished", "dateCreated"),
                    self._author(reply),
                )

    def _text(self, node: Node, *names: str) -> str:
        return "\n".join(
            t for v in values(node, *names) if isinstance(v, str | int | float) and (t := plain(str(v)))
        )

    def _time(self, node: Node, *names: str) -> datetime | None:
        given = values(node, *names)
        value = plain(given[0]) if given and isinstance(given[0], str) else None
        return parse_time(value, default_tz=self.zone) if value else None

    def _lang(self, node: Node) -> str | None:
        given = values(node, "inLanguage")
        return given[0] if given and isinstance(given[0], str) and _LANG.fullmatch(given[0]) else None

    def _link(self, node: Node, *names: str) -> str | None:
        for name in names:
            for value in values(node, name):
                if (
                    isinstance(value, str)
                    and not value.startswith("_:")
                    and (link := web_link(self.url, value))
                ):
                    return link
        return None

    def _author(self, node: Node) -> Author | None:
        for who in values(node, "author", "creator"):
            if isinstance(who, dict):
                name, link = self._text(who, "name", "alternateName"), self._link(who, "url")
                if link and link.partition("#")[0] != self.url.partition("#")[0]:
                    return author(self.url, name, link)
                return author(self.url, name, identity=self._own_id(who, None))
            name = plain(str(who))
            if web_link("", name):  # an address in the name's place
                return author(self.url, name.rstrip("/").rpartition("/")[2], name)
            return author(self.url, name)
        return None

    def _own_id(self, node: Node, parent: Node | None, *, page_is_it: bool = False) -> str | None:
        """An address that is this item's alone, without scheme; None where it has none or one that will not last.

        Not lasting: the reviewed thing's address and the page's own (unless ``page_is_it``), blank nodes (``_:b0``),
        and fragments that count (``#review-2``), which pass to another review when a new one comes on top.
        """
        page = self.url.partition("#")[0]
        taken = {self._link(parent, name) for name in ("@id", "url")} if parent else set()
        taken |= set() if page_is_it else {page}
        for value in (*values(node, "@id"), *values(node, "url")):
            if not isinstance(value, str) or value.startswith("_:"):
                continue
            link = web_link(self.url, value) or value.strip()
            address, _, fragment = link.partition("#")
            if link in taken or (fragment and _POSITION.fullmatch(fragment)):
                continue
            own = f"#{fragment}" if fragment and address == page else link
            return re.sub(r"^https?://", "", own)
        return None


def _has_content(node: Node) -> bool:
    return any(values(node, "reviewBody", "reviewRating", "description"))


def _first_node(node: Node, name: str) -> Node | None:
    return next((v for v in values(node, name) if isinstance(v, dict)), None)


def _reviewable(node: Node) -> bool:
    """Whether the page is about something that reviews could be of, even when it has none yet."""
    return not _REVIEWED_BY_PROPERTY.isdisjoint(node) or not _REVIEWED_BY_TYPE.isdisjoint(types(node))


def _count(node: Node) -> int:
    """How many reviews an AggregateRating claims."""
    if "AggregateRating" not in types(node):
        return 0
    numbers = _numbers(values(node, "reviewCount"))
    return int(numbers[0]) if numbers else 0


# ---- stars ----------------------------------------------------------------------------------------------------


def stars(value: object, best: object = None, worst: object = None) -> float | None:
    """A rating on any scale as 1.0 (worst) to 5.0 (best) stars, or None where it can't be known.

    ``value`` may be a number or text ("4,5", "4/5", "80%"). ``best`` and ``worst`` default to 5 and 1, as schema.org
    says; a worst above the best is a scale where less is better. 0 below the worst means "not rated"; a
    value above the best means that the scale is unknown.
    """
    numbers = _numbers([value])
    if not numbers:
        return None
    percent = isinstance(value, str) and "%" in value
    bests = _numbers([best]) or numbers[1:2] or ([100.0] if percent else [5.0])
    worsts = _numbers([worst]) or ([0.0] if percent else [1.0])
    number, top, bottom = numbers[0], bests[0], worsts[0]
    if top == bottom:
        return None
    share = (number - bottom) / (top - bottom)
    if share > 1 or (share < 0 and number <= 0):
        return None
    return 1.0 + 4.0 * max(share, 0.0)


def _stars_of(node: Node) -> float | None:
    ratings = values(node, "reviewRating")
    # Several ratings are of aspects (service, price); the one of the whole names none.
    whole = [r for r in ratings if not (isinstance(r, dict) and "reviewAspect" in r)] or ratings
    for rating in whole or [node]:
        if not isinstance(rating, dict):
            return stars(rating)
        scale = [next(iter(values(rating, n)), None) for n in ("ratingValue", "bestRating", "worstRating")]
        return stars(*scale)
    return None


def _numbers(given: Iterable[object]) -> list[float]:
    """The numbers in ``given``, in their order; what is too large to be on any scale is left out."""
    texts = [str(v)[:50] for v in given if isinstance(v, str | int | float) and not isinstance(v, bool)]
    numbers = [float(n.replace(",", ".")) for text in texts for n in _NUMBER.findall(text)]
    return [n for n in numbers if abs(n) < _MAX_RATING]
