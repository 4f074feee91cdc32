"""The ``rss`` connector on feeds in wrong charsets, broken, cut, and made to harm."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from listener.errors import ParseError
from listener.model import Page
from tests.feeds import DATA, URL, either_parser, one, read, rss, sample

__all__ = ["either_parser"]

WORD = "Žluťoučký"
_FEED = '<?xml version="1.0"{}?>' + rss("<guid>1</guid><title>{}</title>")


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("declared", "http", "written"),
    [
        ("", None, "utf-8"),
        ("", None, "utf-8-sig"),
        ("utf-8", "iso-8859-1", "utf-8"),  # a server's default
        ("iso-8859-1", None, "utf-8"),  # a wrong declaration
        ("utf-16", None, "utf-8"),
        ("windows-1250", None, "windows-1250"),
        ("windows-1250", "iso-8859-1", "windows-1250"),
        ("utf-8", "windows-1250", "windows-1250"),
        ("bogus", "windows-1250", "windows-1250"),
        ("utf-16", None, "utf-16"),
        ("", None, "utf-16-be"),
        ("utf-32", None, "utf-32"),
    ],
)
def test_charsets(declared: str, http: str | None, written: str) -> None:
    body = _FEED.format(f' encoding="{declared}"' if declared else "", WORD).encode(written)
    (mention,) = read(body, charset=http).mentions
    assert mention.title == WORD


@pytest.mark.usefixtures("either_parser")
def test_mixed_charsets() -> None:
    body = _FEED.format("", "Zürich|Grüße").encode().replace("Zürich".encode(), "Zürich–".encode("cp1252"))
    (mention,) = read(body).mentions
    assert mention.title == "Zürich–|Grüße"


# ---- hostile and broken -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the answer is empty"),
        (b" \r\n\t", "the answer is empty"),
        (b"\0\0\0", "the answer is empty"),
        (b"\xef\xbb\xbf", "the answer is empty"),
        (b"<!DOCTYPE html><title>x</title>", "this is an HTML page, not a feed"),
        (b"\n<!-- x --><html><body>Log in</body></html>", "this is an HTML page, not a feed"),
        (b"<div>Log in</div><html></html>", "this is an HTML page, not a feed"),
        (b"Service unavailable", "this is neither RSS, Atom nor JSON Feed"),
        (b"/etc/passwd", "this is neither RSS, Atom nor JSON Feed"),
        (b"http://127.0.0.1:9/", "this is neither RSS, Atom nor JSON Feed"),
        (b"\x1f\x8b\x08\x00binary", "this is neither RSS, Atom nor JSON Feed"),
        (b'<?xml version="1.0"?><opml version="2.0"/>', "this is neither RSS, Atom nor JSON Feed"),
        (b'{"error": "no such feed"}', "this is JSON, but no JSON Feed"),
        (b'{"items": {}}', "this is JSON, but no JSON Feed"),
        (b"[1, 2]", "this is JSON, but no JSON Feed"),
        (b'{"items": [', "this is broken JSON"),
        (b'{"items": ' + b"[" * 200_000, "this is broken JSON"),
        (b"<rss><channel><item><title>My kettle le", "the feed ends before its first entry does"),
        (b"<rss><channel>" + b"<a>" * 100_000, "tags that are never closed"),
        (b"<rss><item " + b'a="" ' * 100_000 + b"/></rss>", "over a thousand attributes"),
    ],
)
def test_what_is_no_feed_is_named(body: bytes, words: str) -> None:
    with pytest.raises(ParseError) as error:
        read(body)
    assert words in str(error.value)
    assert URL in str(error.value)


def test_an_html_page_tells_where_its_feed_is() -> None:
    with pytest.raises(ParseError) as error:
        sample("page.html")
    assert error.value.advice == "Its feed is at https://site.example/talk/feed.xml"


@pytest.mark.parametrize("body", [rss(), '<feed xmlns="http://www.w3.org/2005/Atom"/>', '{"items": []}'])
def test_a_feed_without_entries_is_a_feed(body: str) -> None:
    assert read(body) == Page(())


@pytest.mark.usefixtures("either_parser")
def test_of_half_a_file_the_whole_entries_are_kept() -> None:
    page = sample("cut.xml")
    assert [m.external_id for m in page.mentions] == ["post-17"]
    assert [s.what for s in page.skipped] == ["the end of the feed"]


def test_every_beginning_of_a_feed_gives_whole_entries_or_an_error() -> None:
    body = (DATA / "rss20.xml").read_bytes()
    whole = sample("rss20.xml").mentions
    for end in range(1, len(body), 7):
        try:
            page = read(body[:end])
        except ParseError:
            continue
        assert page.mentions == whole[: len(page.mentions)]
        assert page.skipped or len(page.mentions) == len(whole)


def test_of_half_a_json_feed_the_whole_entries_are_kept() -> None:
    body = (DATA / "feed.json").read_bytes()
    page = read(body[: body.index(b'"no entry"') - 30])
    assert [m.external_id for m in page.mentions] == ["31"]
    assert [s.what for s in page.skipped] == ["the end of the feed"]


_BOMBS = {
    "levels": '<!ENTITY a "ha">' + "".join(f'<!ENTITY {b} "&{a};&{a};&{a};">' for a, b in ("ab", "bc", "cd")),
    "itself": '<!ENTITY d "x&d;">',
    "size": f'<!ENTITY d "{"x" * 10_000}">',
}


@pytest.mark.parametrize("bomb", _BOMBS)
def test_entity_bombs_are_refused(bomb: str) -> None:
    with pytest.raises(ParseError, match="entity bomb"):
        read(f"<!DOCTYPE rss [{_BOMBS[bomb]}]>" + rss(f"<title>{'&d;' * 1000}</title>"))


def test_outer_entities_are_not_read() -> None:
    doctype = '<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY % y SYSTEM "http://127.0.0.1:9/">%y;]>'
    (mention,) = read(doctype + rss("<title>a&x;b</title>")).mentions
    assert mention.title == "ab"


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("AT&T &lt;3", "AT&T <3"),
        ("a&nbsp;b &unknown; &#8364;", "a b &unknown; €"),
        ("<![CDATA[a & b &amp; c]]>", "a & b & c"),
        ("a\0b\x07c", "abc"),
        ("a&#xD800;b&#0;c", "abc"),
        ("&#xD83D;&#xDE21; &#55357;&#56865;", "😡 😡"),
        ("one <b>two</b> three", "one two three"),
        ("&lt;div&gt;" * 50_000 + "deep", "deep"),
        ("&#60;!channel&#62;", ""),
    ],
)
def test_text(markup: str, text: str) -> None:
    assert one(f"<guid>1</guid><description>{markup}</description>").text == text


@given(st.binary(max_size=300))
@example(b"</entry")
def test_any_bytes_in_a_feed_give_a_page_or_an_error(junk: bytes) -> None:
    for body in (junk, rss("<title>@</title><guid>@</guid><link>@</link>").encode().replace(b"@", junk)):
        try:
            page = read(body)
        except ParseError:
            continue
        assert len({m.external_id for m in page.mentions}) == len(page.mentions)
