"""Repairs that make one clean UTF-8 document of a feed as it arrived, before any parser sees it."""

from __future__ import annotations

import codecs
import re
from html.entities import html5

from listener.errors import ParseError

# ---- charset ------------------------------------------------------------------------------------------------


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("listener.windows-1252", _windows_1252)

_STARTS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
    (b"\x4c\x6f\xa7\x94", "cp037"),  # "<?xm" in EBCDIC
)
_DECLARATION = re.compile(rb"\s*<\?xml\b(?:[^>]*?\sencoding\s*=\s*[\"']\s*([\w.:-]+))?[^>]*>")
_LATIN = ("utf-8", "ascii", "iso8859-1", "cp1252")
_LARGER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
_CONTROLS = bytes(n for n in range(0x20) if n not in b"\t\n\r")  # XML forbids them


def utf8(body: bytes, charset: str | None) -> bytes:
    """The feed in UTF-8, without XML declaration, byte order mark and control characters.

    What is valid UTF-8 is UTF-8 whatever is claimed: wrong claims are common, and text in another charset is
    hardly ever valid by chance. Else HTTP's claim counts, then the XML declaration's (RFC 7303), as far as they fit.
    A claim of Latin-1 or ASCII is many a server's default: then, as without a claim, each byte that is not
    UTF-8 is Windows-1252, which suits all three and mixtures of them.
    """
    for start, encoding in _STARTS:
        if body.startswith(start):
            body = body.decode(encoding, "replace").lstrip("\ufeff").encode("utf-8", "replace")
            break
    body = body.removeprefix(codecs.BOM_UTF8)
    declaration = _DECLARATION.match(body)
    if declaration:
        body = body[declaration.end() :]
    claims = [charset, declaration[1].decode("ascii", "replace") if declaration and declaration[1] else None]
    return _decoded(body, claims).translate(None, _CONTROLS).strip()


def _decoded(body: bytes, claims: list[str | None]) -> bytes:
    if b"\x1b" not in body:  # as ISO 2022 has, whose bytes are all ASCII
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            pass  # then the claims decide
        else:
            return body
    for claim in claims:
        try:
            name = codecs.lookup(claim or "").name
            if name not in _LATIN:
                return body.decode(_LARGER.get(name, name)).encode()
        except (LookupError, ValueError):
            continue  # no such charset, no charset at all ("zip"), or it does not fit
    return body.decode("utf-8", "listener.windows-1252").encode()


# ---- entities -----------------------------------------------------------------------------------------------

PROLOG = rb"(?>\s*(?:<\?.*?\?>|<!--.*?-->))*+\s*"
_DOCTYPE = re.compile(
    PROLOG + rb"(<!DOCTYPE\b[^\[<>]*+(\[(?:<!--.*?-->|[^\]\"'<]++|\"[^\"]*+\"|'[^']*+'|<(?!!--))*+\]\s*)?>)",
    re.I | re.S,
)
_DECLARED_ENTITY = re.compile(rb"<!ENTITY\s+([^\s%\"'<>]+)\s+(?:\"([^\"]*)\"|'([^']*)'|(?:SYSTEM|PUBLIC)\b)")
_REFERENCE = re.compile(rb"&([^\s;&]+);")
_CDATA = rb"<!\[CDATA\[[^\]]*+(?:\](?!\]>)[^\]]*+)*+\]\]>"
_ODD_AMPERSAND = (
    rb"&(?!(?:lt|gt|amp|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)"
    rb"(?:([A-Za-z_][\w.-]{0,63}|#X[0-9a-fA-F]{1,6});)?"
)
_ODD = re.compile(_ODD_AMPERSAND)
_CDATA_OR_ODD = re.compile(_CDATA + rb"|" + _ODD_AMPERSAND)
# References to the halves of a UTF-16 pair, 0xD800 to 0xDFFF, as some programs write emoji; both parsers fail on one.
_HALF = (
    rb"&#(?:[xX]0*([dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|0*(55(?:29[6-9]|[3-9]\d\d)|56\d{3}|57(?:[0-2]\d\d|3[0-3]\d|34[0-3])));"
)
_HALVES = re.compile(
    _HALF + rb"(?:" + _HALF + rb")*"
)  # a "+" alone would hide the "&#" from the search: 30 times slower
_MAX_GROWTH = 1_000_000  # bytes that all entities of a document together may add


def without_dtd(body: bytes, url: str) -> bytes:
    """The document without its DOCTYPE, so that no parser meets a DTD, and with no entity but XML's own.

    Entities that the DOCTYPE declares are expanded here (old RSS 0.91 has them), as are HTML's, which feeds use
    undeclared; external ones become nothing; a lone ``&`` becomes ``&amp;``. Raises ``ParseError`` for an
    entity bomb.
    """
    declared: dict[bytes, bytes] = {}
    if doctype := _DOCTYPE.match(body):
        declared = {name: a or b for name, a, b in _DECLARED_ENTITY.findall(doctype[2] or b"")}
        body = body[: doctype.start(1)] + body[doctype.end(1) :]
        growth = sum(len(value) * body.count(b"&%s;" % name) for name, value in declared.items())
        references = {name for value in declared.values() for name in _REFERENCE.findall(value)}
        if growth > _MAX_GROWTH or references & declared.keys():
            raise ParseError("its entities expand to one another without end (an entity bomb)", url=url)
    body = _HALVES.sub(_joined, body)
    if not _ODD.search(body):
        return body

    def expand(match: re.Match[bytes]) -> bytes:
        name = match[1]
        if name is None:  # CDATA, or "&" alone
            return b"&amp;" if match[0] == b"&" else match[0]
        if name.startswith(b"#"):
            return match[0].lower()
        if name in declared:
            return declared[name]
        if characters := html5.get(name.decode("ascii", "replace") + ";"):
            return "".join(f"&#{ord(c)};" for c in characters).encode()
        return b"&amp;" + name + b";"

    return _CDATA_OR_ODD.sub(expand, body)


def _joined(halves: re.Match[bytes]) -> bytes:
    text = "".join(chr(int(h, 16) if h else int(d)) for h, d in re.findall(_HALF, halves[0]))
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore").encode()


# ---- cut files ----------------------------------------------------------------------------------------------

_END = re.compile(rb"</\s*(?:[\w.-]+:)?(?:rss|feed|rdf|channel)\s*>|<(?:rss|feed|rdf:RDF)\b[^<>]*/>", re.I)
_ENTRY = re.compile(rb"<(?:[\w.-]+:)?(?:item|entry)[\s>]", re.I)


def complete(body: bytes, url: str) -> tuple[bytes, bool]:
    """The part of an XML feed that arrived whole, and whether the rest is missing.

    A half entry is not kept: its text would be wrong, and without a guid it would come back as another one.
    Raises ``ParseError`` when not even the first entry is whole.
    """
    last = max(body.rfind(b"</item"), body.rfind(b"</entry"))
    if _END.search(body, max(last, 0)):
        return body, False
    if last < 0:
        if _ENTRY.search(body):
            raise ParseError("the feed ends before its first entry does", url=url)
        return body, True
    end = body.find(b">", last) + 1
    return (body[:end] if end else body[:last]), True


# ---- hostile files ------------------------------------------------------------------------------------------

# Both parsers take quadratic time for the attributes of one tag (feedparser 4 s for 20,000), and feedparser for
# tags that are never closed (6 s for 40,000).
_MANY_ATTRIBUTES = re.compile(rb"<[a-zA-Z][^<>=]*+(?:=[^<>=]*+){1000}")
_OPENING = re.compile(rb"<[a-zA-Z][^<>]*+(?<!/)>")
_MAX_UNCLOSED = 10_000


def refuse_many_attributes(body: bytes, url: str) -> None:
    """Raises ``ParseError`` for what would keep any parser busy."""
    if _MANY_ATTRIBUTES.search(body):
        raise ParseError("a tag with over a thousand attributes: this is no feed", url=url)


def refuse_unclosed(body: bytes, url: str) -> None:
    """Raises ``ParseError`` for what would keep feedparser busy."""
    elements = sum(1 for _ in _OPENING.finditer(body)) - body.count(b"</")
    brackets = body.count(b"<") - body.count(b">")
    if max(elements, brackets) > _MAX_UNCLOSED:
        raise ParseError(f"over {_MAX_UNCLOSED:,} tags that are never closed: this is no feed", url=url)
