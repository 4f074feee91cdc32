"""Feed bytes to entries: RSS 0.9x/1.0/2.0, Atom and JSON Feed, well-formed or not, never over the network.

fastfeedparser reads most feeds, 36 times as fast as feedparser, which reads what the first refuses, misreads or
finds nothing in. Both get the same repaired bytes, so that which of them read a feed does not show in the entries.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser

from connectors._feed_bytes import (
    PROLOG,
    complete,
    refuse_many_attributes,
    refuse_unclosed,
    utf8,
    without_dtd,
)
from connectors._text import parse_time
from listener.errors import ParseError


@dataclass(slots=True)
class Entry:
    """One entry as the feed tells it: raw strings (markup, relative links), "" for what it does not tell."""

    id: str = ""
    link: str = ""
    base: str = ""  # xml:base
    title: str = ""
    content: str = ""
    summary: str = ""
    markup: bool = True  # False: content is plain text
    published: datetime | None = None
    updated: datetime | None = None
    author: str = ""
    email: str = ""
    author_url: str = ""
    answers: str = ""  # what it is an answer to (Atom threading, RFC 4685): a URL or an id
    rating: str = ""
    lang: str = ""


@dataclass(slots=True)
class Feed:
    entries: list[Entry]
    link: str = ""
    lang: str = ""
    poll_after: timedelta | None = None
    cut: bool = False  # the file ends too early; the entries are those that arrived whole
    odd: list[str] = field(default_factory=list)  # items that are no entries, as far as they can be shown


def read(body: bytes, charset: str | None, url: str) -> Feed:
    """``charset`` is what HTTP says. Raises ``ParseError`` when it is no feed; a feed may have no entries."""
    body = utf8(body, charset)
    if not body:
        raise ParseError("the answer is empty", url=url)
    if body[:1] in b"{[":
        return _read_json(body, url)
    if _HTML_PAGE.match(body) and not _ROOT.search(body, 0, _HEAD):
        raise _is_html(body, url)
    refuse_many_attributes(body, url)
    body, cut = complete(without_dtd(body, url), url)
    feed = _read_fast(body) or _read_any(body, url)
    head = body[:_HEAD]
    feed.lang, feed.poll_after, feed.cut = _found(_LANGUAGE, head), _pause(head), cut
    return feed


# ---- the feed itself ----------------------------------------------------------------------------------------

_HEAD = 16_384  # bytes in which a feed's own fields are looked for
_HTML_PAGE = re.compile(PROLOG + rb"<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
_ROOT = re.compile(rb"<(?:rss|feed|rdf:RDF)[\s>]", re.I)
_LANGUAGE = re.compile(
    rb"<(?:dc:)?language>\s*(?:<!\[CDATA\[)?\s*([A-Za-z-]+)|<[^<>]*\sxml:lang=[\"']([A-Za-z-]+)"
)
_TTL = re.compile(rb"<ttl>\s*(?:<!\[CDATA\[)?\s*(\d{1,9})")
_PERIOD = re.compile(rb"<[\w-]+:updatePeriod>\s*(?:<!\[CDATA\[)?\s*(hourly|daily|weekly|monthly|yearly)")
_FREQUENCY = re.compile(rb"<[\w-]+:updateFrequency>\s*(?:<!\[CDATA\[)?\s*(\d{1,9})")
_HOURS = {"hourly": 1, "daily": 24, "weekly": 7 * 24, "monthly": 30 * 24, "yearly": 365 * 24}


def _found(pattern: re.Pattern[bytes], body: bytes) -> str:
    match = pattern.search(body)
    return next(group for group in match.groups() if group).decode() if match else ""


def _pause(head: bytes) -> timedelta | None:
    """The feed's own wish: ``ttl`` in minutes (RSS 2.0), else by RSS 1.0's syndication module; at most a day."""
    minutes = int(_found(_TTL, head) or 0)
    if not minutes and (period := _found(_PERIOD, head)):
        minutes = _HOURS[period] * 60 // max(int(_found(_FREQUENCY, head) or 1), 1)
    return timedelta(minutes=min(minutes, 24 * 60)) if minutes else None


def _is_html(body: bytes, url: str) -> ParseError:
    advice = None
    for link in LexborHTMLParser(body[:_HEAD].decode("utf-8", "replace")).css("link[rel~=alternate][href]"):
        kind = link.attributes.get("type") or ""
        if "rss" in kind or "atom" in kind or "feed+json" in kind:
            advice = f"Its feed is at {join(url, link.attributes['href'] or '')}"
            break
    return ParseError("this is an HTML page, not a feed", url=url, advice=advice)


# ---- fastfeedparser -----------------------------------------------------------------------------------------

# Markup that is not escaped (it reads the text up to the first tag), XHTML bodies, base64.
_BEYOND_FAST = re.compile(
    rb"<(?:title|description|summary|content:encoded|content(?![^<>]*xhtml))\b[^<>]*(?<!/)>[^<]*<(?!/|!\[CDATA)"
    rb"|<(?:[\w-]+:)?(?:body|fullitem)[\s>]"
    rb"|mode=[\"']base64|<(?:content|title|summary)\b[^<>]*\stype=[\"'](?!text|html|xhtml|[\w/+.-]*xml)"
)
_LIKE_A_DATE = re.compile(r"(?!https?:)(?=.*\d).{1,31}")  # 31: "Wed, 02 Oct 2002 13:00:00 +0000"
_DETAILS = (b"<rdf:RDF", b"xml:base", b"in-reply-to", b":rating>", b"uri>", b"email>")


def _read_fast(body: bytes) -> Feed | None:
    """None where feedparser has to read it."""
    if _BEYOND_FAST.search(body):
        return None
    import fastfeedparser  # 40 ms to import, which a poll that finds nothing new need not pay

    media = b":description>" in body  # YouTube has no other text
    try:
        found = fastfeedparser.parse(body, include_tags=False, include_enclosures=False, include_media=media)
    except Exception:  # noqa: BLE001  whatever it stumbles over, feedparser decides
        return None
    entries = [_from_fast(item) for item in found["entries"]]
    # A date that it makes of a bare guid ("1234": this day in the year 1234) or can't read is looked up.
    doubtful = any(not entry.published or _LIKE_A_DATE.fullmatch(entry.id) for entry in entries)
    if doubtful or any(name in body for name in _DETAILS):
        details = list(_details(body))
        if len(details) != len(entries):
            return None
        for entry, detail in zip(entries, details, strict=True):
            _add(entry, detail)
    return Feed(entries, link=found["feed"].get("link") or "") if entries else None


def _from_fast(item: dict[str, Any]) -> Entry:
    links = {li["href"]: li["rel"] for li in reversed(item["links"])}
    pages = [href for href, rel in links.items() if rel in (None, "", "alternate")]
    link = item.get("link") or ""
    if (pages and link not in pages) or links.get(link) == "enclosure":
        link = pages[-1] if pages else ""
    content = [c["value"] or "" for c in item.get("content", [])]
    media = [m["description"] for m in item.get("media_content", []) if m.get("description")]
    return Entry(
        id=(item.get("id") or "") if item.get("id") != item.get("link") else "",
        link=link,
        title=item["title"],
        content=content[0] if content else "",
        summary=item["description"] or (media[0] if media else ""),
        published=parse_time(item.get("published")),
        updated=parse_time(item.get("updated")),
        author=item.get("author") or "",
    )


def _is_text(kind: str | None) -> bool:
    return not kind or kind in ("html", "xhtml", "text") or kind.startswith("text/") or kind.endswith("xml")


def _details(body: bytes) -> Iterator[dict[str, str]]:
    """What fastfeedparser leaves out, for each entry."""
    from lxml import etree

    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True, collect_ids=False)
    root = etree.fromstring(body, parser)
    for item in () if root is None else root.iter("{*}item", "{*}entry"):
        detail: dict[str, str] = {"base": item.base or ""}
        for child in item.iterchildren(tag=etree.Element):
            name = _local(child.tag)
            if name == "author":
                for part in child.iterchildren(tag=etree.Element):
                    detail.setdefault("author-" + _local(part.tag), part.text or "")
            elif name == "guid":
                detail.setdefault("permalink", child.get("isPermaLink") or "true")
            elif name == "in-reply-to":
                detail.setdefault(name, child.get("href") or child.get("ref") or "")
            else:
                detail.setdefault(name, child.text or "")
        yield detail


def _local(tag: str) -> str:
    return tag.rpartition("}")[2].rpartition(":")[2].lower()  # ":" is left where the prefix is not declared


def _add(entry: Entry, detail: dict[str, str]) -> None:
    def first(*names: str) -> str:
        return next((detail[name] for name in names if detail.get(name)), "").strip()

    entry.base = first("base")
    if entry.base and entry.id and first("permalink") != "false":
        entry.id = join(entry.base, entry.id)
    entry.published = parse_time(first("pubdate", "published", "issued", "created", "date"))
    entry.updated = parse_time(first("updated", "modified", "lastbuilddate"))
    entry.author = first("author-name") or entry.author
    entry.email = first("author-email")
    entry.author_url = first("author-uri", "author-url")
    entry.answers = first("in-reply-to")
    entry.rating = first("rating")
    entry.content = entry.content or first("encoded")


def join(base: str, link: str) -> str:
    try:
        return urljoin(base, link)
    except ValueError:  # "http://[", for example
        return link


# ---- feedparser ---------------------------------------------------------------------------------------------


def _read_any(body: bytes, url: str) -> Feed:
    refuse_unclosed(body, url)
    import feedparser  # 80 ms to import, and most feeds need it never

    try:
        # A stream: bytes it would first try as the name of a file.
        found = feedparser.parse(
            io.BytesIO(body),
            response_headers={"content-type": "application/xml; charset=utf-8"},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as error:
        raise ParseError(f"no parser can read it: {error}", url=url) from error
    if not found.entries:
        head = body[:_HEAD]
        if _HTML_PAGE.match(head) or b"<html" in head.lower():
            raise _is_html(body, url)
        if not found.get("version") and not _ROOT.search(head):
            raise ParseError("this is neither RSS, Atom nor JSON Feed", url=url)
    is_atom = found.get("version", "").startswith("atom")
    return Feed(
        [_from_any(dict(entry), is_atom) for entry in found.entries], link=found.feed.get("link") or ""
    )


def _from_any(item: dict[str, Any], is_atom: bool) -> Entry:
    content = [c.get("value") or "" for c in item.get("content", []) if _is_text(c.get("type"))]
    links = [li for li in item.get("links", []) if li.get("href") and li.get("rel") != "enclosure"]
    link = item.get("link") or ""
    if item.get("guidislink") and link == item.get("id") and "//" not in link:
        link = ""  # an id that is only said to be a link
    link = link or (links[0]["href"] if links else "")
    person = (item.get("authors") or [{}])[0]
    if "@" in item.get("author", "") and not is_atom and "href" not in person:
        person = {"name": item["author"]}  # "mail (name)", of which it makes "jo@a.exam" and "ple (Jo"
    scope = item.get("title_detail") or (item.get("content") or [{}])[0]
    reply = item.get("thr_in-reply-to") or {}
    return Entry(
        id=item.get("id") or "",
        link=link,
        base=scope.get("base") or "",
        title=item.get("title") or "",
        content=content[0] if content else "",
        summary=item.get("summary") or "",
        published=parse_time(item.get("published") or item.get("created")),
        updated=parse_time(item.get("updated")),
        author=person.get("name") or item.get("author") or "",
        email=person.get("email") or "",
        author_url=person.get("href") or "",
        answers=reply.get("href") or reply.get("ref") or "" if isinstance(reply, dict) else "",
        rating=item.get("im_rating") or "",
    )


# ---- JSON Feed ----------------------------------------------------------------------------------------------


def _read_json(body: bytes, url: str) -> Feed:
    """https://www.jsonfeed.org/version/1.1/"""
    cut = False
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        data = {"items": _whole_items(body.decode("utf-8", "replace"))}
        if not data["items"]:
            raise ParseError(f"this is broken JSON: {error}", url=url) from error
        cut = True
    items = data.get("items") if isinstance(data, dict) else None
    if not isinstance(items, list):
        raise ParseError("this is JSON, but no JSON Feed: it has no list of items", url=url)
    return Feed(
        [_from_json(item) for item in items if isinstance(item, dict)],
        link=_string(data, "home_page_url"),
        lang=_string(data, "language"),
        cut=cut,
        odd=[json.dumps(item)[:80] for item in items if not isinstance(item, dict)],
    )


def _whole_items(text: str) -> list[Any]:
    """The items of a file that ends in the middle of them."""
    items: list[Any] = []
    start = re.search(r'"items"\s*:\s*\[\s*', text)
    while start:
        try:
            item, end = json.JSONDecoder().raw_decode(text, start.end())
        except (ValueError, RecursionError):
            break
        items.append(item)
        start = re.compile(r"\s*,\s*").match(text, end)
    return items


def _string(data: dict[str, Any], *names: str) -> str:
    values = (data.get(name) for name in names)
    return next((str(v) for v in values if isinstance(v, str | int | float) and v != ""), "")


def _from_json(item: dict[str, Any]) -> Entry:
    authors = item.get("authors")
    author = authors[0] if isinstance(authors, list) and authors else item.get("author")
    html = _string(item, "content_html")
    return Entry(
        id=_string(item, "id"),
        link=_string(item, "url", "external_url"),
        title=_string(item, "title"),
        content=html or _string(item, "content_text"),
        summary=_string(item, "summary"),
        markup=bool(html),
        published=parse_time(item.get("date_published")),
        updated=parse_time(item.get("date_modified")),
        author=_string(author, "name") if isinstance(author, dict) else "",
        author_url=_string(author, "url") if isinstance(author, dict) else "",
        lang=_string(item, "language"),
    )
