"""Any forum, by CSS selectors."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self
from zoneinfo import ZoneInfo

import httpx
from bs4 import BeautifulSoup, Tag
from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors._pages import Host, Html, WebUrl, author, digest, page_link, read, site, web_link
from connectors._selectors import Css, Pick, attribute, find, pick
from connectors._text import clean, parse_time, plain
from connectors._threads import Threads, Visit
from listener.errors import ParseError, RetryLater, SourceError
from listener.model import Author, Mention, Page, Skipped

_NEXT = "a[rel~=next], link[rel~=next]"
_MOST = 3_000  # rows or posts on one page
_DEEPEST = 500  # elements within elements; threaded replies reach about 200
_MISSES = 3  # threads in a row that a selector does not fit before it counts as a forum with a new look


class Forum(BaseModel):
    """Posts of any forum, read by CSS selectors that you give for its pages.

    Point ``url`` at a list of threads, the latest active first. Open a thread in a browser, look at its source, and
    name the elements: a selector is CSS; ``CSS@attribute`` takes an attribute's value (``time@datetime``), and
    ``@attribute`` one of the row or post itself (``@data-author``). `listener try forum url=... thread=... ` shows
    what your selectors find.

    With ``row`` a thread is fetched again only when its row has changed; name in ``changed`` what counts (the number
    of replies, the time of the last post), for a row may also count views. A long thread is read on from the page
    where it ended last time, so edits of posts on earlier pages are not noticed.
    Limits: pages that scripts fill in can't be read, nor can what needs a log-in.
    Terms: read the forum's terms of use first; robots.txt is obeyed. Where it has a feed or an API, prefer that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: WebUrl = Field(description="The list of threads.")
    thread: Css = Field(description="In the list: the links to the threads (in a row, when `row` is given).")
    row: Css | None = Field(default=None, description="In the list: one thread's row.")
    changed: Css | None = Field(
        default=None, description="In a row: what changes with a new post. Default: its whole text."
    )
    list_next: Css = Field(default=_NEXT, description="In the list: the link to its next page.")
    list_pages: int = Field(default=1, ge=1, le=20, description="So many pages of the list are looked at.")
    post: Css = Field(description="In a thread: one post, with all that belongs to it.")
    body: Css = Field(description="In a post: what its author wrote.")
    strip: tuple[Css, ...] = Field(
        default=("blockquote",),
        description="In a body: what is not the author's own text (quotes, signatures).",
    )
    author: Pick | None = Field(
        default=None, description="In a post: the author's name; best the link to the profile."
    )
    author_id: Pick | None = Field(
        default=None,
        description="In a post: the forum's own id of the author. Default: the profile's address, else the name.",
    )
    time: Pick | None = Field(default=None, description="In a post: when it was written.")
    time_format: str | None = Field(
        default=None,
        description="How times are written, e.g. `%d.%m.%Y, %H:%M` (Python's strptime), if it isn't seen by itself.",
    )
    time_zone: ZoneInfo = Field(
        default=ZoneInfo("UTC"), description="Zone of times that name none, e.g. Europe/Oslo."
    )
    post_id: Pick = Field(default="@id", description="In a post: its id, which must stay the same.")
    title: Pick | None = Field(
        default=None, description="In a thread: its title. Default: the text of the link to it."
    )
    thread_next: Css = Field(default=_NEXT, description="In a thread: the link to its next page.")
    thread_pages: int = Field(
        default=20, ge=1, le=1000, description="At most so many pages of one thread at a time."
    )
    pages_per_poll: int = Field(
        default=20,
        ge=1,
        le=100,
        description="So many pages of threads are read before the posts are stored; then it goes on.",
    )
    hosts: frozenset[Host] = Field(
        default=frozenset(), description="Other hosts that threads and next pages may be on."
    )

    @model_validator(mode="after")
    def _changed_needs_row(self) -> Self:
        if self.changed and not self.row:
            raise ValueError("`changed` is looked for in a row: give `row` too")
        return self

    def poll(self, http: httpx.Client, cursor: str | None) -> Page:
        at = Threads.load(cursor, self.url)
        batch = _Batch()
        fresh = not at.todo
        if fresh:
            self._list(http, at, batch)
        for _ in range(self.pages_per_poll):
            if not at.todo:
                break
            visit = at.todo[0]
            try:
                more = self._visit(http, visit, at, batch)
            except RetryLater:
                if not batch.pages:
                    raise
                break  # what was read is kept; the next call meets the same answer, with nothing to lose
            except SourceError as error:
                batch.skipped.append(Skipped(visit.page, str(error)))
                batch.errors.append(error)
                at.failed(visit, error)
            else:
                at.read(visit, more, self.thread_pages)
        # On a first poll, or when the forum got a new look, the selectors are wrong and not the threads.
        misfit = next((e for e in batch.errors if isinstance(e, ParseError)), None)
        if fresh and batch.errors and not batch.pages and (not at.ever or (misfit and at.misses >= _MISSES)):
            raise misfit or batch.errors[0]
        at.forget()
        return Page(
            tuple(batch.mentions.values()),
            at.model_dump_json(exclude_defaults=True),
            more=bool(at.todo),
            skipped=tuple(batch.skipped + batch.remarks()),
        )

    # ---- the list of threads

    def _list(self, http: httpx.Client, at: Threads, batch: _Batch) -> None:
        """Put the threads that may have something new into ``at.todo``."""
        alone = self.list_pages == 1 and self.row is not None and at.complete
        at.complete = True
        url: str | None = self.url
        for number in range(self.list_pages):
            if url is None:
                break
            try:
                html = read(http, url, if_changed=alone)
            except SourceError as error:
                if number == 0:
                    raise
                batch.skipped.append(Skipped(url, str(error)))
                at.complete = False
                break
            if number == 0:
                at.site = site(html.url)
            url = self._list_page(html, at, batch)

    def _list_page(self, html: Html, at: Threads, batch: _Batch) -> str | None:
        soup = _soup(html)
        base = _base(soup, html.url)
        rows = _all(soup, "row" if self.row else "thread", self.row or self.thread, html.url)
        here, elsewhere = 0, set()
        for row in rows:
            link = row.select_one(self.thread) if self.row else row
            if link is None:
                continue  # a heading, an advertisement
            href = attribute(link, "href")
            if url := page_link(base, href, self._sites(at)):
                here += 1
                at.offer(url, self._stamp(row), clean(link.get_text(" ")))
            elif other := web_link(base, href):
                elsewhere.add(site(other))
        if elsewhere:
            hosts = ", ".join(sorted(elsewhere)[:3])
            why = f"threads on other hosts ({hosts}): if they are the forum's, name them in `hosts`"
            if not here:
                raise ParseError(f"all {why}", url=html.url)
            batch.skipped.append(Skipped(html.url, why))
        elif not here:
            raise _no_match("thread", self.thread, html.url, "matches no link to a page")
        return self._following(soup, self.list_next, base, at)

    def _stamp(self, row: Tag) -> str:
        """What tells whether a thread has changed; empty where that is not known."""
        if not self.row:
            return ""
        parts = row.select(self.changed) if self.changed else [row]
        text = " ".join(attribute(p, "datetime") or p.get_text(" ") for p in parts)
        return digest(clean(text)) if text.strip() else ""

    def _sites(self, at: Threads) -> set[str]:
        return {site(self.url), at.site, *self.hosts}

    # ---- a page of a thread

    def _visit(self, http: httpx.Client, visit: Visit, at: Threads, batch: _Batch) -> str | None:
        """Read one page; returns the address of the thread's next one."""
        html = read(http, visit.page)
        soup = _soup(html)
        posts = _all(soup, "post", self.post, html.url)
        base = _base(soup, html.url)
        title = (pick(soup, self.title) if self.title else None) or visit.title
        more = self._following(soup, self.thread_next, base, at)
        drafts: list[Mention | Skipped] = []
        ids: list[str] = []
        bodies = 0
        # Replies may stand inside the post that they answer. The innermost are read and taken out first, so that a
        # post has only its own text.
        for post in reversed(posts):
            body = post.select_one(self.body)
            bodies += body is not None
            own = clean(pick(post, self.post_id) or "")
            ids += [own] if own else []
            drafts.append(self._post(post, body, own, _Place(html.url, base, title, visit.thread), batch))
            post.extract()
        if not bodies:
            raise _no_match("body", self.body, html.url)
        if len(set(ids)) < len(ids):
            raise ParseError(f"`post_id` ({self.post_id}) is the same for several posts", url=html.url)
        for draft in reversed(drafts):
            if isinstance(draft, Mention):
                batch.mentions[draft.external_id] = draft
            else:
                batch.skipped.append(draft)
        batch.pages += 1
        return more if more not in (html.url, visit.page) else None

    def _following(self, soup: BeautifulSoup, selector: str, base: str, at: Threads) -> str | None:
        link = soup.select_one(selector)
        return page_link(base, attribute(link, "href") if link else None, self._sites(at))

    def _post(self, post: Tag, body: Tag | None, own: str, place: _Place, batch: _Batch) -> Mention | Skipped:
        who = self._author(post, place, batch)
        published = self._time(post, place.page, batch)
        anchor = attribute(post, "id") or own
        url = f"{place.page.partition('#')[0]}#{anchor}" if anchor else place.page
        if body and self.strip:
            for foreign in body.select(", ".join(self.strip)):
                foreign.decompose()
        text = plain(str(body)) if body else ""
        if not text:
            return Skipped(url, "a post without text of its own")
        known = own or digest("\x1f".join((who.name if who else "", str(published), text)), 24)
        return Mention(
            external_id=f"{place.thread.partition('://')[2]}#{known}",
            text=text,
            title=place.title,
            url=web_link(place.base, url),
            author=who,
            published=published,
            thread=place.thread,
            lang=attribute(post, "lang") or None,
        )

    def _author(self, post: Tag, place: _Place, batch: _Batch) -> Author | None:
        if not self.author:
            return None
        name, element = pick(post, self.author), find(post, self.author)
        batch.found("author", self.author, place.page, name)
        link = element if element is None or element.name == "a" else element.find("a")
        href = attribute(link, "href") if isinstance(link, Tag) else None
        identity = pick(post, self.author_id) if self.author_id else None
        if self.author_id:
            batch.found("author_id", self.author_id, place.page, identity)
        return author(place.page, name or "", web_link(place.base, href), identity)

    def _time(self, post: Tag, page: str, batch: _Batch) -> datetime | None:
        if not self.time:
            return None
        given, element = pick(post, self.time), find(post, self.time)
        batch.found("time", self.time, page, given)
        # Boards show "3 hours ago" and keep the instant in an attribute.
        kept = [attribute(element, name) for name in ("datetime", "title")] if element else []
        times = [self._instant(t) for t in ([given] if "@" in self.time else [*kept, given]) if t]
        found = next((t for t in times if t), None)
        if given and not found:
            batch.unread_times.setdefault(given[:60], page)
        return found

    def _instant(self, text: str) -> datetime | None:
        if self.time_format:
            try:
                told = datetime.strptime(clean(text), self.time_format)  # noqa: DTZ007  # the zone is an option
            except ValueError:
                return parse_time(text, default_tz=self.time_zone)
            return (told if told.tzinfo else told.replace(tzinfo=self.time_zone)).astimezone(UTC)
        return parse_time(text, default_tz=self.time_zone)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a post stands: its page, what links there start from, its thread and that one's title."""

    page: str
    base: str
    title: str
    thread: str


@dataclass(slots=True)
class _Batch:
    """What one call of ``poll`` has gathered."""

    mentions: dict[str, Mention] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    errors: list[SourceError] = field(default_factory=list)
    pages: int = 0
    hits: dict[tuple[str, str], bool] = field(default_factory=dict)
    first_page: str = ""
    unread_times: dict[str, str] = field(default_factory=dict)

    def found(self, option: str, selector: str, page: str, value: str | None) -> None:
        """Note whether an optional selector matched."""
        self.first_page = self.first_page or page
        self.hits[option, selector] = self.hits.get((option, selector), False) or value is not None

    def remarks(self) -> list[Skipped]:
        """Optional selectors that never matched: no reason to lose the posts, but to say so."""
        missed = [
            Skipped(self.first_page, f"`{option}` ({selector}) matches nothing in any post")
            for (option, selector), hit in self.hits.items()
            if not hit
        ]
        unread = [
            Skipped(
                page,
                f"`time`: {text!r} is no time that can be read: set `time` to an attribute, or `time_format`",
            )
            for text, page in list(self.unread_times.items())[:1]
        ]
        return missed + unread


def _soup(html: Html) -> BeautifulSoup:
    """The page's tree. Raises ``ParseError`` for one nested so deep that selectors, which climb to its root each
    time, would take minutes (2,000 posts within each other, 140 kB: 113 s)."""
    soup = BeautifulSoup(html.text, "lxml")
    depths = {id(soup): 0}
    for tag in soup.find_all(True):
        depth = depths.get(id(tag.parent), 0) + 1
        if depth > _DEEPEST:
            raise ParseError(f"the page nests elements more than {_DEEPEST} deep", url=html.url)
        depths[id(tag)] = depth
    return soup


def _all(soup: BeautifulSoup, option: str, selector: str, url: str) -> list[Tag]:
    found = soup.select(selector)
    if not found:
        raise _no_match(option, selector, url)
    if len(found) > _MOST:
        raise _no_match(option, selector, url, f"matches {len(found)} elements, more than a page has")
    return list(found)


def _base(soup: BeautifulSoup, url: str) -> str:
    base = soup.select_one("base[href]")
    return web_link(url, attribute(base, "href") if base else None) or url


def _no_match(option: str, selector: str, url: str, how: str = "matches nothing") -> ParseError:
    return ParseError(
        f"`{option}` ({selector}) {how}",
        url=url,
        advice="Compare it with the page's source; a log-in page, or one filled in by scripts, can't be read",
    )
