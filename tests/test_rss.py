"""The ``rss`` connector, from a feed's bytes (and from a real server) to mentions."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pytest
from pydantic import ValidationError

from connectors.rss import Rss
from listener.errors import NotModified
from listener.fetch import SourceMemory
from listener.model import Author, Mention
from listener.ports import Connector
from tests.fakes import Site, loopback_client
from tests.feeds import URL, at, either_parser, one, read, rss, sample

__all__ = ["either_parser"]


def ids(*items: str) -> list[str]:
    return [mention.external_id for mention in read(rss(*items)).mentions]


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
