"""The ``rss`` connector, from bytes (and from a real server) to mentions."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import _feed
from connectors._text import clean, parse_time, plain
from connectors.rss import Rss, parse
from listener.errors import NotModified, ParseError
from listener.fetch import SourceMemory
from listener.model import Author, Mention, Page
from listener.ports import Connector
from tests.fakes import Site, loopback_client

DATA = Path(__file__).parent / "data" / "feeds"
URL = "https://site.example/feeds/all.xml"


def read(body: str | bytes, charset: str | None = None, url: str = URL) -> Page:
    return parse(body.encode() if isinstance(body, str) else body, charset=charset, url=url, platform="site")


def sample(name: str) -> Page:
    return read((DATA / name).read_bytes())


def rss(*items: str, more: str = "") -> str:
    """An RSS 2.0 feed of these insides of items."""
    names = (
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:atom="http://www.w3.org/2005/Atom" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    )
    inside = "".join(f"<item>{item}</item>" for item in items)
    return f'<rss version="2.0" {names}><channel><title>Feed</title>{more}{inside}</channel></rss>'


def one(item: str, **how: Any) -> Mention:
    (mention,) = read(rss(item), **how).mentions
    return mention


def ids(*items: str) -> list[str]:
    return [mention.external_id for mention in read(rss(*items)).mentions]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.fixture(params=["the first parser", "the other parser"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test twice: as things are, and with the first parser refusing everything."""
    if request.param == "the other parser":
        monkeypatch.setattr(_feed, "_read_fast", lambda body: None)


# ---- the samples --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("either_parser")
def test_rss_2() -> None:
    page = sample("rss20.xml")
    first, second = page.mentions
    assert first == Mention(
        external_id="post-17",
        title="My Halcyon kettle leaks & nobody answers",
        text="It leaks from day one.\nThree mails,\nno answer.",
        url="https://kettles.example/talk/17",
        author=Author("site", "Mia K.", "Mia K."),
        published=at("2026-11-02T09:00:00+00:00"),
        thread="https://kettles.example/talk/17",
        lang="en",
    )
    assert second.external_id == "kettles.example/talk/18"
    assert second.url == "https://kettles.example/talk/18"
    assert second.author == Author("site", "olav@post.example", "Olav Ø")
    assert second.published == at("2026-11-02T13:00:00+00:00")
    assert page.poll_after == timedelta(minutes=15)
    assert not page.skipped


@pytest.mark.usefixtures("either_parser")
def test_rss_0_91_with_its_doctype_and_entities() -> None:
    (mention,) = sample("rss091.xml").mentions
    assert (mention.title, mention.text, mention.lang) == ("Halcyon déçoit & co", "Très lent…", "fr")


@pytest.mark.usefixtures("either_parser")
def test_rss_1() -> None:
    page = sample("rss10.xml")
    (mention,) = page.mentions
    assert mention.external_id == "board.example/t/5"
    assert mention.text == "Two weeks late"
    assert mention.published == at("2026-11-02T00:00:00+00:00")
    assert mention.author == Author("site", "kim", "kim")
    assert page.poll_after == timedelta(minutes=30)


@pytest.mark.usefixtures("either_parser")
def test_atom() -> None:
    post, reply = sample("atom.xml").mentions
    assert post.external_id == "tag:blog.example,2026:9"
    assert (post.title, post.text, post.lang) == ("Never again", "The app crashes.", "en")
    assert post.url == post.thread == "https://blog.example/en/posts/9"
    assert post.author == Author("site", "blog.example/people/ana", "Ana", "https://blog.example/people/ana")
    assert (post.published, post.edited) == (at("2026-11-02T09:00:00+00:00"), at("2026-11-02T11:30:00+00:00"))
    assert reply.thread == post.url  # an answer is in the thread of what it answers
    assert (reply.url, reply.text) == ("https://blog.example/c/10", "Same here")
    assert (reply.published, reply.edited) == (at("2026-11-02T11:00:00+00:00"), None)


@pytest.mark.usefixtures("either_parser")
def test_a_comments_feed_has_its_post_as_thread() -> None:
    page = sample("comments.xml")
    assert [m.thread for m in page.mentions] == ["https://shop.example/kettle/"] * 2
    assert [m.url for m in page.mentions] == [f"https://shop.example/kettle/#comment-{n}" for n in (51, 52)]
    assert page.mentions[0].text == "Mine broke 😡"
    assert page.poll_after == timedelta(hours=1)


@pytest.mark.usefixtures("either_parser")
def test_a_review_feed_has_stars_and_leaves_the_app_itself_out() -> None:
    page = sample("reviews.xml")
    (review,) = page.mentions
    assert (review.external_id, review.rating, review.lang) == ("6310006838", 1.0, "nb")
    assert (review.title, review.text) == ("Virker ikke", "Appen krasjer hele tiden")
    assert review.author == Author(
        "site", "store.example/reviews/id945", "Kari", "https://store.example/reviews/id945"
    )
    assert review.url == "https://store.example/review?id=1"
    assert [(s.what, s.why) for s in page.skipped] == [("Halcyon Home", "it is no review")]


def test_json_feed() -> None:
    page = sample("feed.json")
    first, second = page.mentions
    assert (first.external_id, first.url) == ("31", "https://board.example/t/31")
    assert first.text == "Paket <3 Wochen\nzu spät"  # plain text stays as it is
    assert first.author == Author("site", "board.example/u/uwe", "Uwe", "https://board.example/u/uwe")
    assert (first.lang, second.lang) == ("de", "en")
    assert (second.text, second.url) == ("Schlecht & teuer", "https://else.example/x")
    assert second.edited == at("2026-11-02T09:30:00+00:00")
    assert [s.what for s in page.skipped] == ['"no entry"']


@pytest.mark.usefixtures("either_parser")
def test_another_charset() -> None:
    (mention,) = sample("windows-1251.xml").mentions
    assert (mention.title, mention.text) == ("Ужасно", "Плохой сервис")


# ---- ids ----------------------------------------------------------------------------------------------------

_SAME = [
    ("http://a.example/1", "https://a.example/1"),
    ("https://a.example/1", "https://A.Example/1/"),
    ("https://a.example/1", "  https://a.example:443/1\n"),
    ("https://a.example/?a=1&amp;b=2", "https://a.example/?a=1&amp;amp;b=2"),
]


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(("one_day", "another"), _SAME)
@pytest.mark.parametrize("tag", ["guid", "link"])
def test_an_id_stays_when_its_address_changes_in_form_only(tag: str, one_day: str, another: str) -> None:
    assert ids(f"<{tag}>{one_day}</{tag}>") == ids(f"<{tag}>{another}</{tag}>")


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("<guid>http://a.example/1</guid>", "<guid>http://a.example/2</guid>"),
        ("<guid>http://a.example/p#c1</guid>", "<guid>http://a.example/p#c2</guid>"),
        ("<guid>Abc</guid>", "<guid>abc</guid>"),
        ("<title>a</title>", "<title>b</title>"),
        ("<guid>1</guid><title>x</title>", "<guid>2</guid><title>x</title>"),
    ],
)
def test_different_entries_have_different_ids(a: str, b: str) -> None:
    assert ids(a) != ids(b)


@pytest.mark.usefixtures("either_parser")
def test_without_guid_the_link_and_without_link_the_content_is_the_id() -> None:
    assert ids("<link>https://a.example/1</link><title>old</title>") == ["a.example/1"]
    assert ids("<link>https://a.example/1</link><title>edited</title>") == ["a.example/1"]
    assert ids("<guid>https://a.example/1</guid>") == ["a.example/1"]
    first, other = ids("<title>a</title><pubDate>{}</pubDate>", "<title>b</title>")
    assert first != other
    assert ids("<title>a</title>") == [first]
    assert first.startswith("sha256:")


@pytest.mark.usefixtures("either_parser")
def test_entries_that_share_a_guid_are_all_kept() -> None:
    items = [
        "<guid>7</guid><link>https://a.example/1</link><title>one</title>",
        "<guid>7</guid><link>https://a.example/2</link><title>two</title>",
        "<guid>7</guid><link>https://a.example/2</link><title>three</title>",
        "<guid>8</guid><link>https://a.example/3</link><title>four</title>",
        "<title>same</title><pubDate>Mon, 02 Nov 2026 10:00:00 GMT</pubDate>",
        "<title>same</title><pubDate>Mon, 02 Nov 2026 11:00:00 GMT</pubDate>",
    ]
    found = ids(*items)
    assert len(set(found)) == 6
    assert found[0] == "7 a.example/1"
    assert found[3] == "8"
    assert ids(*reversed(items)) == found[::-1]  # the order does not count
    assert set(found[:4]) < set(ids("<guid>9</guid>", *items))


@pytest.mark.usefixtures("either_parser")
def test_an_entry_that_is_there_twice_is_one() -> None:
    page = read(rss("<guid>7</guid><title>one</title>", "<guid>7</guid><title>one</title>"))
    assert [m.external_id for m in page.mentions] == ["7"]
    assert [s.what for s in page.skipped] == ["1 of the entries"]


@pytest.mark.usefixtures("either_parser")
def test_an_entry_that_is_there_twice_with_two_times_of_change_is_one() -> None:
    entry = "<guid>7</guid><pubDate>2026-11-02</pubDate><atom:updated>2026-11-0{}T10:00:00Z</atom:updated>"
    page = read(rss(entry.format(4), entry.format(3)))
    assert [m.edited for m in page.mentions] == [at("2026-11-04T10:00:00+00:00")]


def test_a_huge_id_is_cut_down() -> None:
    (found,) = ids(f"<guid>{'x' * 100_000}</guid>")
    assert len(found) < 100


# ---- links, authors, dates ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("channel", "link", "url"),
    [
        ("", "<link>/p/1</link>", "https://site.example/p/1"),
        ("", "<link>p/1</link>", "https://site.example/feeds/p/1"),
        ("<link>https://other.example/b/</link>", "<link>p/1</link>", "https://other.example/b/p/1"),
        ("", "<link>//cdn.example/x</link>", "https://cdn.example/x"),
        ("", "<link>https://a.example/a b</link>", "https://a.example/a%20b"),
        ("", "<guid>https://a.example/1</guid>", "https://a.example/1"),
        ("", '<guid isPermaLink="true">17</guid>', None),
        ("", "<link>javascript:alert(1)</link>", None),
        ("", "<link>http://[broken</link>", None),
        ("", "<link>https://bank.example@evil.example/</link>", None),
    ],
)
def test_links(channel: str, link: str, url: str | None) -> None:
    (mention,) = read(rss(link + "<title>t</title>", more=channel)).mentions
    assert mention.url == url


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("author", "name", "identity"),
    [
        ("Jo", "Jo", "Jo"),
        ("jo@a.example (Jo)", "Jo", "jo@a.example"),
        ("Jo (JO@a.example)", "Jo", "jo@a.example"),
        ("Jo &lt;jo@a.example&gt;", "Jo", "jo@a.example"),
        ("jo@a.example", "jo@a.example", "jo@a.example"),
        ("noreply@blogger.example (Jo)", "Jo", "Jo"),  # an address of everybody
        ("&lt;b&gt;Jo &amp;amp; Al&lt;/b&gt;", "Jo & Al", "Jo & Al"),
    ],
)
def test_authors(author: str, name: str, identity: str) -> None:
    assert one(f"<author>{author}</author><guid>1</guid>").author == Author("site", identity, name)


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize("author", ["", "[deleted]", "Anonymous", "noreply@blogger.example"])
def test_no_author(author: str) -> None:
    assert one(f"<author>{author}</author><guid>1</guid>").author is None


def test_a_hidden_mail_address_is_nobodys_identity() -> None:
    body = '<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>1</id>{}</entry></feed>'
    (mention,) = read(body.format("<author><name>Jo</name><email>hidden</email></author>")).mentions
    assert mention.author == Author("site", "Jo", "Jo")


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("date", "instant"),
    [
        ("Mon, 02 Nov 2026 10:00:00 CEST", "2026-11-02T08:00:00+00:00"),
        ("Wed, 02 Jan 1793 10:00:00 GMT", "1793-01-02T10:00:00+00:00"),
        ("2099-01-01T00:00:00Z", "2099-01-01T00:00:00+00:00"),
        ("2026-11-02 10:00:00", "2026-11-02T10:00:00+00:00"),
        ("1793648400", "2026-11-02T19:40:00+00:00"),
        ("2. November 2026, 10:00 Uhr", "2026-11-02T10:00:00+00:00"),
        ("soon", None),
        ("", None),
    ],
)
def test_dates_in_a_feed(date: str, instant: str | None) -> None:
    published = one(f"<guid>a</guid><pubDate>{date}</pubDate>").published
    assert published == (at(instant) if instant else None)


@pytest.mark.parametrize("guid", ["1234", "20261102", "2026-11-02", "10"])
def test_a_guid_is_not_taken_for_a_date(guid: str) -> None:
    assert one(f"<guid isPermaLink='false'>{guid}</guid><title>t</title>").published is None


@pytest.mark.parametrize(
    ("head", "minutes"),
    [
        ("<ttl>60</ttl>", 60),
        ("<ttl>0</ttl>", None),
        ("<ttl>often</ttl>", None),
        ("<ttl>999999999</ttl>", 24 * 60),
        ("<sy:updatePeriod>daily</sy:updatePeriod><sy:updateFrequency>4</sy:updateFrequency>", 6 * 60),
        ("<sy:updatePeriod>yearly</sy:updatePeriod>", 24 * 60),
        ("", None),
    ],
)
def test_the_feeds_wish_for_a_pause(head: str, minutes: int | None) -> None:
    names = '<channel xmlns:sy="http://purl.org/rss/1.0/modules/syndication/">'
    page = read(rss("<title>x</title>", more=head).replace("<channel>", names))
    assert page.poll_after == (timedelta(minutes=minutes) if minutes else None)


# ---- charsets -----------------------------------------------------------------------------------------------

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


# ---- text and times -----------------------------------------------------------------------------------------


@given(st.text())
def test_clean_text_is_fit_to_store_and_stays_as_it_is(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert "\0" not in once
    assert once.encode().decode() == once
    assert "  " not in once
    assert once == once.strip()


@given(st.text(alphabet="<>/!-&;ab= \n\"'pscrit", max_size=200))
def test_markup_never_raises_and_gives_clean_text(html: str) -> None:
    assert plain(html) == clean(plain(html))


@pytest.mark.parametrize("tail", ["", "<i></i>" * 2_000], ids=["by tree", "by cutting"])
@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>", "a\nb"),
        ("a<br>b<BR/>c", "a\nb\nc"),
        ("<ul><li>a<li>b</ul>", "a\nb"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a\nb"),
        ("a <b>bold</b><i>word</i>", "a boldword"),
        ("<p>a\n  b</p>", "a b"),
        ("&amp;lt; &#146; <3 &euro;<b></b>", "&lt; ’ <3 €"),
        ("a<!-- <p>x</p> --><b>b</b>", "ab"),
        ("<p>a</p><script>if (1<2) x('<p>')</script><style>p{}</style>b", "a\nb"),
    ],
)
def test_plain(html: str, text: str, tail: str) -> None:
    assert plain(html + tail) == text


@given(st.datetimes(min_value=datetime(1974, 1, 1), max_value=datetime(2099, 1, 1)))  # noqa: DTZ001
def test_every_usual_form_of_an_instant_is_read(naive: datetime) -> None:
    when = naive.replace(microsecond=0, tzinfo=UTC)
    forms: list[object] = [
        when.isoformat(),
        when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        when.strftime("%Y-%m-%d %H:%M:%S +0000"),
        when.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        when.strftime("%d %B %Y %H:%M:%S +0000"),
        when.strftime("%a %b %d %H:%M:%S %Y"),
        when.strftime("%d.%m.%Y %H:%M:%S"),
        when.strftime("%b %d, %Y %I:%M:%S %p"),
        when.strftime("%Y%m%dT%H%M%SZ"),
        (when + timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S CEST"),
        int(when.timestamp()),
        int(when.timestamp() * 1000),
        str(int(when.timestamp())) if when.year > 2001 else when,
        when,
    ]
    assert {parse_time(form) for form in forms} == {when}, forms


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2 de noviembre de 2026", "2026-11-02T00:00:00+00:00"),
        ("lun., 2 nov. 2026 10:00:00 +0200", "2026-11-02T08:00:00+00:00"),
        ("2026년 11월 2일 오후 3:05", "2026-11-02T15:05:00+00:00"),
        ("2026年11月2日 10時00分", "2026-11-02T10:00:00+00:00"),
        ("Mon Nov 02 2026 10:00:00 GMT+0100 (Central European Standard Time)", "2026-11-02T09:00:00+00:00"),
        ("Fri, 31 Dec 2026 24:00:00 GMT", "2027-01-01T00:00:00+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2026-11-02T10:00:00.123456789Z", "2026-11-02T10:00:00.123456+00:00"),
        ("2026-11", "2026-11-01T00:00:00+00:00"),
    ],
)
def test_less_usual_times(text: str, instant: str) -> None:
    assert parse_time(text) == at(instant)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        1e300,
        float("nan"),
        [],
        "",
        "yesterday",
        "10:30",
        "2 May",
        "2026-02-30",
        "1 " * 99_999,
        "0" * 15,
    ],
)
def test_no_time(value: object) -> None:
    assert parse_time(value) is None


# ---- as a connector -----------------------------------------------------------------------------------------


def test_polls_over_http_with_the_charset_of_the_header_and_where_it_was_found() -> None:
    memory = SourceMemory()
    body = rss("<link>/1</link><title>Zażółć</title>").encode("iso-8859-2")
    with Site() as site, loopback_client(memory) as http:
        kind = {"Content-Type": "application/rss+xml; charset=iso-8859-2", "ETag": '"1"'}
        site.routes["/old"] = (302, {"Location": "/new/feed"}, b"")
        site.routes["/new/feed"] = (200, kind, body)
        connector = Rss.model_validate({"url": f"{site.url}/old"})
        assert isinstance(connector, Connector)
        (mention,) = connector.poll(http, None).mentions
        assert (mention.title, mention.url) == ("Zażółć", f"{site.url}/1")


def test_an_unchanged_feed_is_not_parsed_again() -> None:
    with Site() as site, loopback_client() as http:
        site.routes["/feed"] = (200, {"ETag": '"1"'}, rss("<guid>1</guid>").encode())
        connector = Rss.model_validate({"url": f"{site.url}/feed"})
        assert len(connector.poll(http, None).mentions) == 1
        with pytest.raises(NotModified):
            connector.poll(http, None)


@pytest.mark.parametrize(("options", "platform"), [({}, "127.0.0.1"), ({"platform": "forum"}, "forum")])
def test_authors_belong_to_the_host_or_to_the_platform_that_is_named(
    options: dict[str, str], platform: str
) -> None:
    with Site() as site, loopback_client() as http:
        site.routes["/feed"] = (200, {}, rss("<guid>1</guid><author>Jo</author>").encode())
        (mention,) = Rss.model_validate({"url": f"{site.url}/feed", **options}).poll(http, None).mentions
    assert mention.author == Author(platform, "Jo", "Jo")


@pytest.mark.parametrize(
    "options", [{}, {"url": "feed.xml"}, {"url": "ftp://a.example/"}, {"url": URL, "uri": 1}]
)
def test_wrong_options(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Rss.model_validate(options)


def test_parsers_are_imported_only_when_there_is_something_to_parse() -> None:
    code = "import sys, json, connectors.rss; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"feedparser", "fastfeedparser", "lxml", "dateutil", "bs4"} & set(json.loads(done.stdout))
