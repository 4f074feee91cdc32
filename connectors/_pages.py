"""Web pages for connectors that read HTML: fetch one, decode it, follow its links without leaving the site."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

import httpx
from bs4.dammit import EncodingDetector
from pydantic import AfterValidator

from connectors._text import NOBODY, clean
from listener.errors import ParseError
from listener.model import Author
from listener.ports import get_if_changed

# Browsers read these as their larger relatives, because pages mean those (WHATWG Encoding, "names and labels").
_SUPERSET = {
    "ascii": "windows-1252",
    "iso8859-1": "windows-1252",
    "gb2312": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
_MAX_BYTES = 5_000_000  # beautifulsoup4 takes up to 1.5 s a MB; a page of 100 long posts has under 1 MB
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_SESSION = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Html:
    """A page as it arrived: ``url`` is where it was found in the end (after redirects)."""

    url: str
    text: str


def read(http: httpx.Client, url: str, *, if_changed: bool = False) -> Html:
    """Fetch ``url``. With ``if_changed``, raises ``NotModified`` when it is what it was at the last poll."""
    response = get_if_changed(http, url) if if_changed else http.get(url)
    kind = response.headers.get("content-type", "text/html").partition(";")[0].strip().lower()
    if not response.content.strip():
        raise ParseError("the page is empty", url=url)
    if len(response.content) > _MAX_BYTES:
        raise ParseError(f"the page is larger than {_MAX_BYTES // 1_000_000} MB", url=url)
    if not kind.startswith("text/") and "html" not in kind and "xml" not in kind:
        raise ParseError(f"the page is {kind}, not HTML", url=url)
    text = decode(response.content, response.charset_encoding)
    return Html(str(response.url), text.replace("\0", ""))  # parsers end a page at NUL, or show it as U+FFFD


def decode(content: bytes, header_charset: str | None = None) -> str:
    """The text of a page, whatever charset it claims; bytes that fit nowhere become U+FFFD.

    What is valid UTF-8 is read as such even when another charset is declared: wrong declarations are common,
    and text in another charset is hardly ever valid UTF-8 by chance (7-bit ones, which have NUL or ESC, excepted).
    """
    if not (b"\0" in content or b"\x1b" in content):
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass  # an older page, or one damaged byte: the declaration decides
    bom = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    meta = EncodingDetector.find_declared_encoding(content, is_html=True)
    for name in (bom, header_charset, meta, "utf-8" if b"\0" in content else None):
        try:
            if name:
                return content.decode(_SUPERSET.get(codecs.lookup(name).name, name), "replace").removeprefix(
                    "\ufeff"
                )
        except (LookupError, ValueError):
            continue  # no such charset, or a codec that is none ("zip")
    return content.decode("windows-1252", "replace")


def site(url: str) -> str:
    """Host and port in one form: ``www.`` and a default port do not make another site."""
    parsed = httpx.URL(url)
    port = f":{parsed.port}" if parsed.port else ""
    return parsed.host.lower().removeprefix("www.") + port


def web_link(base: str, href: str | None) -> str | None:
    """``href`` as an absolute http(s) URL without session ids, or None if it is none (javascript:, mailto:, broken).

    Boards put a session id (32 hex digits) into every link for visitors without cookies, so the same thread would
    look new at each poll.
    """
    if not href or not href.strip():
        return None
    try:
        url = httpx.URL(base).join(re.sub(r"[\t\r\n\0]", "", href).strip())
    except (httpx.InvalidURL, ValueError):
        return None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        return None
    query = url.query.decode("ascii", "replace")
    if _SESSION.search(query):
        pairs = [(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if not _SESSION.fullmatch(v)]
        url = url.copy_with(query=urlencode(pairs).encode() or None)
    return str(url)


def page_link(base: str, href: str | None, sites: Collection[str]) -> str | None:
    """Like ``web_link`` without the fragment, and None for every site but ``sites``: for what will be fetched."""
    link = web_link(base, href)
    if link is None or site(link) not in sites:
        return None
    return str(httpx.URL(link).copy_with(fragment=None))


def digest(text: str, length: int = 12) -> str:
    """The same short name for the same text, always."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:length]


def _check_url(url: str) -> str:
    if web_link("", url) is None:
        raise ValueError("needs a full address that starts with http:// or https://")
    return url


def _check_host(host: str) -> str:
    if not re.fullmatch(r"[\w.-]+(:\d{1,5})?", host):
        raise ValueError("needs a host name such as forum.example.com")
    return site(f"https://{host}")


WebUrl = Annotated[str, AfterValidator(_check_url)]
Host = Annotated[str, AfterValidator(_check_host)]


def author(page: str, name: str, link: str | None = None, identity: str | None = None) -> Author | None:
    """The author of something on ``page``; None for nobody. Known by ``identity``, else ``link``, else the name."""
    name = clean(name)
    if name.casefold() in NOBODY:
        return None
    # Without the scheme: a site that moves to https keeps its people.
    known = clean(identity or "") or (link or "").partition("://")[2].rstrip("/") or name
    platform = httpx.URL(page).host.removeprefix("www.")
    return Author(platform=platform, platform_id=known, name=name, url=link)
