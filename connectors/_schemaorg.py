"""schema.org data of a page, whichever way it is written: JSON-LD, microdata or RDFa Lite, all in JSON-LD's shape.

The page is read as a stream of tags, in one pass, because every way over a tree has its trap: with extruct 95 kB of
hostile microdata (200 nested items, 5,000 properties) took 140 s, with lxml one tag of 60,000 attributes 32 s, with
selectolax 8,000 unclosed <p><font> 9 s. A stream takes under 0.1 s for each. Not read: ``itemref``, and
JSON-LD contexts that rename schema.org's words.
"""

from __future__ import annotations

import html as entities
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import lxml.etree

from connectors._pages import web_link

Node = dict[str, Any]

# Properties whose value is what people read, also when the element is a link (`<a itemprop="author" href=..>`).
_READ = {
    "author", "creator", "name", "headline", "reviewBody", "description", "text", "articleBody",
    "ratingValue", "bestRating", "worstRating",
}  # fmt: skip
_LINKS = {"a": "href", "area": "href", "link": "href", "img": "src"}
_UNSEEN = frozenset(("script", "style", "noscript", "template"))
_INLINE = {
    "a", "abbr", "b", "bdi", "cite", "code", "data", "em", "font", "i", "mark", "meta", "q", "s", "small",
    "span", "strong", "sub", "sup", "time", "u", "var",
}  # fmt: skip
_SPACES = re.compile(r"[ \t\r\n\f]+")
_DEEPEST = 4  # properties inside properties: each copies the text once more, and pages need two


@dataclass(slots=True)
class Found:
    """What a page carries. ``json_ld`` and ``markup``: every item, nested ones after the one that holds
    them; texts of ``markup`` are HTML. ``broken``: what could not be read. ``next``: the page's own rel=next
    link, as written, and ``base`` what it is relative to.
    """

    base: str

    json_ld: list[Node] = field(default_factory=list)
    markup: list[Node] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    next: str | None = None


def read(html: str, base: str) -> Found:
    """Everything that ``html`` says in schema.org's words; links of microdata are resolved against ``base``."""
    reader = _Reader(base)
    parser = lxml.etree.HTMLParser(target=reader, encoding="utf-8", huge_tree=True)
    try:
        parser.feed(html.encode("utf-8", "replace"))
        parser.close()
    except lxml.etree.XMLSyntaxError as error:  # nothing in it that is HTML
        reader.found.broken.append(f"the page can't be read as HTML: {error}")
    return reader.finish()


def types(node: Node) -> frozenset[str]:
    """The node's schema.org types without their prefix (``https://schema.org/Review`` -> ``Review``)."""
    found = node.get("@type") or ()
    return frozenset(short(t) for t in ([found] if isinstance(found, str) else found) if isinstance(t, str))


def short(name: str) -> str:
    """A type or property without vocabulary: ``schema:Review`` and ``http://schema.org/Review`` are ``Review``."""
    return re.split(r"[/:#]", name.strip())[-1]


def values(node: Node, *names: str) -> list[Any]:
    """All values of the first of the properties that has any, never nested lists and never None."""
    for name in names:
        value = node.get(name)
        found = [v for v in (value if isinstance(value, list) else [value]) if v is not None and v != ""]
        if found:
            return found
    return []


# ---- JSON-LD ------------------------------------------------------------------------------------------------


def _linked(nodes: list[Node]) -> list[Node]:
    """The nodes with references (``{"@id": ...}`` alone) replaced by what they refer to."""
    by_id = {n["@id"]: n for n in nodes if len(n) > 1 and isinstance(n.get("@id"), str)}
    for node in nodes:
        for name, value in node.items():
            is_list = isinstance(value, list)
            node[name] = [_resolve(v, by_id) for v in value] if is_list else _resolve(value, by_id)
    return nodes


def parse_json(text: str) -> Any:
    """JSON as pages carry it: with control characters, comments around it, commas before a closing bracket.

    Raises ``ValueError`` with what is wrong and where.
    """
    text = text.strip().strip("\ufeff")
    if not text:
        return None
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError:
        pass  # mended below; what is wrong then is what is worth telling
    if '"' not in text:
        text = entities.unescape(text)
    for _ in range(3):  # as deep as `/*<![CDATA[*/`; a pattern for the end would take quadratic time
        for mark in ("<!--", "<![CDATA[", "/*", "*/", "//"):
            text = text.removeprefix(mark).lstrip()
        for mark in ("-->", "]]>", "/*", "*/", "//"):
            text = text.removesuffix(mark).rstrip("; \t\r\n")
    text = _TRAILING_COMMA.sub(lambda m: m[1] or "", text)
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|/\*[^*]*\*/|,(?=\s*[}\]])', re.DOTALL)


def _nodes(data: Any) -> Iterator[Node]:
    """Every object inside, outermost first, in the page's order; no recursion, for pages may nest deep."""
    todo = [data]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            yield here
            todo.extend(reversed(here.values()))
        elif isinstance(here, list):
            todo.extend(reversed(here))


def _resolve(value: Any, by_id: dict[str, Node]) -> Any:
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("@id"), str):
        return by_id.get(value["@id"], value)
    return value


# ---- the page ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """An element whose end has not come: the item it is, or the properties it is and their text so far."""

    item: Node | None = None
    names: list[str] = field(default_factory=list)
    text: list[str] | None = None


class _Reader:
    """Gets the page's tags one by one (lxml's target interface: start, data, end, close)."""

    def __init__(self, base: str) -> None:
        self.found = Found(base)
        self._open: list[_Open] = []
        self._items: list[Node] = []
        self._texts: list[list[str]] = []
        self._scripts: list[str] = []
        self._script: list[str] | None = None
        self._unseen = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        here = _Open()
        self._open.append(here)
        if tag in _UNSEEN:
            self._unseen += 1
            if tag == "script" and attributes.get("type", "").strip().lower().startswith(
                "application/ld+json"
            ):
                self._script = []
            return
        if (
            tag in ("a", "link")
            and "next" in attributes.get("rel", "").lower().split()
            and not self.found.next
        ):
            self.found.next = attributes.get("href")
        if tag == "base":
            self.found.base = web_link(self.found.base, attributes.get("href")) or self.found.base
        if tag not in _INLINE:
            self._say("<br>")
        here.names = [
            short(n) for n in (attributes.get("itemprop") or attributes.get("property") or "").split()
        ]
        if "itemscope" in attributes or "typeof" in attributes:
            here.item = {"@type": (attributes.get("itemtype") or attributes.get("typeof") or "").split()}
            identity = attributes.get("itemid") or attributes.get("resource") or attributes.get("about")
            if identity:
                here.item["@id"] = identity
            self._add(here.names, here.item)
            self._items.append(here.item)
            self.found.markup.append(here.item)
        elif here.names and self._items:
            value = _attribute_value(tag, attributes, here.names[0], self.found.base)
            if value is not None:
                self._add(here.names, value)
            elif len(self._texts) < _DEEPEST:
                here.text = []
                self._texts.append(here.text)

    def data(self, text: str) -> None:
        if self._script is not None:
            self._script.append(text)
        elif not self._unseen:
            self._say(entities.escape(_SPACES.sub(" ", text), quote=False))

    def end(self, tag: str) -> None:
        here = self._open.pop()
        if tag in _UNSEEN:
            self._unseen -= 1
            if self._script is not None:
                self._scripts.append("".join(self._script))
                self._script = None
        if here.text is not None:
            self._texts.pop()
            self._add(here.names, "".join(here.text))
        if here.item is not None:
            self._items.pop()

    def close(self) -> None:
        """All is gathered by then."""

    def finish(self) -> Found:
        for number, script in enumerate(self._scripts, 1):
            try:
                self.found.json_ld.extend(_nodes(parse_json(script)))
            except ValueError as error:
                self.found.broken.append(f"JSON-LD script {number} can't be read: {error}")
        _linked(self.found.json_ld)
        return self.found

    def _say(self, html: str) -> None:
        for text in self._texts:
            text.append(html)

    def _add(self, names: list[str], value: Node | str) -> None:
        for name in names if self._items else ():
            self._items[-1].setdefault(name, []).append(value)


def _attribute_value(tag: str, attributes: dict[str, str], name: str, base: str) -> str | None:
    """A property's value where an attribute holds it, else None; ``content`` wins, as in schema.org's examples."""
    if tag == "meta" or attributes.get("content"):
        return attributes.get("content", "")
    if tag in _LINKS and name not in _READ:
        return web_link(base, attributes.get(_LINKS[tag])) or ""
    if tag == "time":
        return attributes.get("datetime") or None
    if tag in ("data", "meter"):
        return attributes.get("value") or None
    return None
