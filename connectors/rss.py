"""Feeds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from connectors._feed import Entry, Feed, join, read
from connectors._news import digests, items, without_known
from connectors._text import NOBODY, clean, plain
from listener.model import Author, Mention, Page, Skipped
from listener.ports import get_if_changed, matched_text


class Rss(BaseModel):
    """Any feed: RSS 0.9x, 1.0 and 2.0, Atom, JSON Feed.

    Blogs, forums, news sites, review sites and code hosts have one, often also one for comments or for a search; look
    for the feed sign, or give the page's address and read in the message where its feed is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: HttpUrl = Field(description="the feed's address")
    platform: str | None = Field(
        default=None,
        min_length=1,
        description="what the authors' names belong to, when that is not the feed's host: give several feeds of one"
        " site the same platform, and their authors are the same people",
    )

    def poll(self, http: httpx.Client, cursor: str | None) -> Page:
        return self.select(http, cursor, _everything)

    def select(self, http: httpx.Client, cursor: str | None, wanted: Callable[[str], bool]) -> Page:
        response = get_if_changed(http, str(self.url))
        found = items(response.content)
        body = without_known(response.content, found, cursor)
        if body is None:
            return Page((), cursor=cursor)
        page = parse(
            body,
            charset=response.charset_encoding,
            url=str(response.url),
            platform=self.platform or _host(str(self.url)),
            wanted=wanted,
        )
        return replace(page, cursor=digests(found))


def parse(
    body: bytes,
    *,
    charset: str | None,
    url: str,
    platform: str,
    wanted: Callable[[str], bool] | None = None,
) -> Page:
    """A feed's bytes as a page of those mentions that are wanted. Raises ``ParseError`` when it is no feed.

    ``charset`` is what HTTP claims, ``url`` where it was found in the end (relative links start there).
    """
    feed = read(body, charset, url)
    skipped = [Skipped(item, "it is no entry") for item in feed.odd]
    if feed.cut:
        skipped.append(Skipped("the end of the feed", "the file is cut off; what arrived whole is kept"))
    if any(entry.rating for entry in feed.entries):  # the App Store's feeds begin with the app itself
        skipped += [Skipped(plain(e.title), "it is no review") for e in feed.entries if not e.rating]
        feed.entries = [entry for entry in feed.entries if entry.rating]
    ids = [entry.id or entry.link for entry in feed.entries]
    if wanted is None or len(set(ids)) < len(
        ids
    ):  # the same id: told apart by each other, so none may be left out
        wanted = _everything
    made = [m for entry in feed.entries if (m := _mention(entry, feed, url, platform, wanted)) is not None]
    found = dict.fromkeys(made)
    mentions: dict[str, Mention] = {}
    for mention in _told_apart(list(found)):
        mentions.setdefault(mention.external_id, mention)
    if repeated := len(made) - len(mentions):
        skipped.append(Skipped(f"{repeated} of the entries", "they repeat others of this feed word for word"))
    return Page(tuple(mentions.values()), skipped=tuple(skipped), poll_after=feed.poll_after)


def _everything(_text: str) -> bool:
    return True


def _mention(
    entry: Entry, feed: Feed, url: str, platform: str, wanted: Callable[[str], bool]
) -> Mention | None:
    title = " ".join(plain(entry.title).split())
    text = (plain if entry.markup else clean)(entry.content) or plain(entry.summary)
    if not wanted(matched_text(title, text)):
        return None
    base = join(url, entry.base or feed.link)
    link = _web(base, entry.link) or (_web(base, entry.id) if "//" in entry.id else None)
    published = entry.published or entry.updated
    author = _author(entry, base, platform)
    guid = entry.id if entry.id != entry.link else ""  # a relative link is made absolute first
    return Mention(
        external_id=_canonical(guid or link or "") or _digest(title, text, author.name if author else ""),
        text=text,
        title=title,
        url=link,
        author=author,
        published=published,
        edited=entry.updated if published and entry.updated and entry.updated > published else None,
        rating=_stars(entry.rating),
        thread=_web(base, entry.answers) or entry.answers or (link.partition("#")[0] if link else None),
        lang=(entry.lang or feed.lang).partition("-")[0].lower() or None,
    )


def _stars(rating: str) -> float | None:
    return float(rating) if re.fullmatch(r"[1-5](\.\d)?", rating) else None


# ---- links --------------------------------------------------------------------------------------------------

# Without user name, which only serves to deceive.
_WEB = re.compile(r"https?://(?:[^\s/?#@\[\]<>\"]+|\[[0-9a-f:.]+\](?::\d+)?)(?:[/?#]|$)", re.IGNORECASE)


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")


def _web(base: str, link: str) -> str | None:
    """The link as an absolute web address, or None (nothing, javascript:, mailto:, tag:, broken)."""
    link = link.strip()
    if not link:
        return None
    if not link.startswith(("http://", "https://")):
        link = join(base, link)
    link = re.sub(r"\s", lambda m: "%20" if m[0] == " " else "", link)
    return link if _WEB.match(link) else None


# ---- ids ----------------------------------------------------------------------------------------------------

_LONG = 500  # characters; longer ids are known by their hash
_URL = re.compile(r"(?:https?:)?//([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


def _canonical(guid: str) -> str:
    """The same id for what differs only in http/https, the host's case, a default port or a trailing slash."""
    guid = guid.strip()
    if not guid.startswith("//"):
        guid = guid.lstrip("/")  # feedparser puts one before "t3_abc"
    if match := _URL.fullmatch(guid):
        host = match[1].lower().removesuffix(":80").removesuffix(":443")
        guid = host + match[2].replace("&amp;", "&").replace(" ", "%20").rstrip("/?#")
    return guid if len(guid) <= _LONG else _digest(guid)


def _digest(*parts: str) -> str:
    return "sha256:" + sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _told_apart(mentions: list[Mention]) -> list[Mention]:
    """Gives mentions that share a guid, which some feeds give to all, ids that also tell link, text and time."""
    more: list[Callable[[Mention], str]] = [
        lambda m: _canonical(m.url or ""),
        lambda m: _digest(m.title, m.text, m.author.name if m.author else ""),
        lambda m: m.published.isoformat() if m.published else "",
    ]
    ids = [mention.external_id for mention in mentions]
    for tell in more:
        counts = Counter(ids)
        if len(counts) == len(ids):
            return mentions
        ids = [f"{i} {tell(m)}" if counts[i] > 1 else i for i, m in zip(ids, mentions, strict=True)]
        mentions = [replace(m, external_id=i) for i, m in zip(ids, mentions, strict=True)]
    return mentions


# ---- authors ------------------------------------------------------------------------------------------------

_MAIL = r"(?P<mail>[^\s()<>@]+@[^\s()<>@]+)"
_PERSONS = [
    re.compile(form)
    for form in (
        rf"(?:mailto:)?{_MAIL}\s*[(<]?(?P<name>[^()<>]*)[)>]?",  # the form that RSS 2.0 asks for
        rf"(?P<name>.+?)\s*[(<]\s*(?:mailto:)?{_MAIL}\s*[)>]",
    )
]
_SHARED_MAIL = re.compile(
    r"(?:no[-_.]?reply|do[-_.]?not[-_.]?reply|nobody|unknown|webmaster|admin|info)@", re.IGNORECASE
)
_LONGEST_NAME = 200


def _author(entry: Entry, base: str, platform: str) -> Author | None:
    """Who wrote it, known by a page of their own, else by mail address (unless many share it), else by name."""
    name, mail = " ".join(entry.author[:_LONGEST_NAME].split()), entry.email.strip()
    for form in _PERSONS:
        if match := form.fullmatch(name):
            name, mail = match["name"].strip(" \"'"), mail or match["mail"]
            break
    name = " ".join(plain(name).split())
    url = _web(base, entry.author_url)
    if name.casefold() in NOBODY:
        name = ""
    if "@" not in mail or _SHARED_MAIL.match(mail):
        mail = ""
    identity = _canonical(url or "") or mail.lower() or name
    return Author(platform, identity, name or mail or identity, url) if identity else None
