"""What the reviews connector does with pages that are empty, broken, odd or hostile."""

from __future__ import annotations

import random
from collections.abc import Iterator

import httpx
import pytest

from connectors.reviews import Reviews
from listener.errors import ParseError
from listener.model import Mention
from tests.fakes import Answer, Request, Site, loopback_client
from tests.review_pages import ids, ld, next_link, page, poll, raw, review, walk


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with loopback_client() as http:
        yield http


# ---- pages that are empty, broken or hostile -------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        '{"@type": "Product", "name": "Mug", "offers": []}',
        '{"@type": "Thing", "review": []}',
        '[{"@type": "https://schema.org/Restaurant"}]',
        '{"@graph": [{"@type": "Hotel", "aggregateRating": null}]}',
    ],
)
def test_a_page_that_has_no_reviews_yet_is_fine(site: Site, http: httpx.Client, script: str) -> None:
    found = poll(site, http, ld(script))
    assert (found.mentions, found.skipped, found.more) == ((), (), False)


@pytest.mark.parametrize(
    "answer",
    [
        raw("<h1>Log in</h1><form></form>"),
        ld('{"@type": "WebSite", "name": "Shop", "publisher": {"@type": "Organization", "name": "Shop"}}'),
        ld("null"),
        raw('<div id="app"></div><script src="app.js"></script>'),
    ],
)
def test_a_page_without_such_data_is_an_error_with_advice(
    site: Site, http: httpx.Client, answer: Answer
) -> None:
    with pytest.raises(
        ParseError, match=r"no schema.org review data .*/all\). Is it a log-in or consent page"
    ):
        poll(site, http, answer)


def test_reviews_that_are_counted_but_not_there_are_told(site: Site, http: httpx.Client) -> None:
    found = poll(
        site,
        http,
        ld('{"@type": "Product", "aggregateRating": {"@type": "AggregateRating", "reviewCount": "280"}}'),
    )
    assert [s.why for s in found.skipped] == [
        "the page counts 280 reviews but carries none as data: look for a page that lists them"
    ]


def test_half_a_page_is_an_error_that_says_where(site: Site, http: httpx.Client) -> None:
    status, headers, body = page(review(1), review(2))
    with pytest.raises(ParseError, match=r"JSON-LD script 1 can't be read: .*column"):
        poll(site, http, (status, headers, body[:150]))


def test_one_broken_script_does_not_spoil_the_others(site: Site, http: httpx.Client) -> None:
    _, _, body = page(review(1))
    found = poll(site, http, raw(b'<script type="application/ld+json">{"a": }</script>' + body))
    assert ids([found]) == ["1"]
    assert [s.why.partition(":")[0] for s in found.skipped] == ["JSON-LD script 1 can't be read"]


def test_a_review_with_nothing_in_it_is_skipped(site: Site, http: httpx.Client) -> None:
    found = poll(site, http, page(review(1), {"@type": "Review", "author": "Kim"}))
    assert ids([found]) == ["1"]
    assert [s.why for s in found.skipped] == ["a review without text and stars"]


@pytest.mark.parametrize(
    ("charset", "header", "meta"),
    [
        ("utf-8", "iso-8859-1", ""),  # wrong header
        ("utf-8", "no-such-charset", ""),
        ("windows-1252", "", '<meta charset="iso-8859-1">'),
        ("windows-1252", "", ""),
        ("windows-1252", "zip", ""),
        ("utf-16", "", ""),  # by its byte order mark
        ("utf-8-sig", "", ""),
        ("iso-8859-2", "iso-8859-2", '<meta charset="utf-8">'),
    ],
)
def test_charsets(site: Site, http: httpx.Client, charset: str, header: str, meta: str) -> None:
    html = (
        meta
        + '<div itemscope itemtype="http://schema.org/Review"><p itemprop="reviewBody">Böse Überfahrt</p></div>'
    )
    found = poll(
        site, http, raw(html.encode(charset), "text/html" + (f"; charset={header}" if header else ""))
    )
    assert [m.text for m in found.mentions] == ["Böse Überfahrt"]


def test_one_damaged_byte_does_not_garble_the_page(site: Site, http: httpx.Client) -> None:
    _, _, body = page(review(1, "Ærlig talt: dårlig"))
    body = (
        body.replace(b"\\u00c6", "Æ".encode()).replace(b"\\u00e5", "å".encode()).replace(b"talt", b"t\xfflt")
    )
    assert poll(site, http, raw(body)).mentions[0].text == "Ærlig t\ufffdlt: dårlig"


def test_very_long_and_strange_texts(site: Site, http: httpx.Client) -> None:
    long = "Bad \x00\x07\ud800<b>!</b> &amp; " * 5_000
    mention = poll(site, http, page(review(1, long))).mentions[0]
    assert mention.text.startswith("Bad ! & Bad")
    assert len(mention.text) > 30_000
    mention.text.encode()


def many(seed: int) -> str:
    pieces = [
        "<div itemscope>",
        "<b itemprop=review itemscope>",
        "</b>",
        "{",
        "<script type=application/ld+json>",
        "<!--",
    ]
    return "".join(random.Random(seed).choices(pieces, k=2000))


HOSTILE = {
    "items inside items": '<div itemscope itemprop="a">' * 200 + "<b itemprop=x></b>" * 5000,
    "properties inside properties": "<div itemscope>" + "<b itemprop=reviewBody>t" * 50_000,
    "one tag of 60,000 attributes": "<p " + " ".join(f"a{n}=1" for n in range(60_000)) + ">",
    "unclosed font": "".join(f"<p><font a={n}>" for n in range(8_000)),
    "deep JSON": '<script type="application/ld+json">' + "[" * 200_000,
    "blanks in broken JSON": '<script type="application/ld+json">{' + " \n" * 500_000 + "x</script>",
    "commas": '<script type="application/ld+json">[' + ", " * 500_000 + "}</script>",
    "quotes": '<script type="application/ld+json">[' + '"' * 500_001 + "</script>",
    "a huge number": '<script type="application/ld+json">{"a": ' + "9" * 10_000 + "}</script>",
    "comments": "<!--" * 200_000,
    **{f"random {seed}": many(seed) for seed in range(5)},
}


@pytest.mark.parametrize("html", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pages_end_soon_and_in_an_error(site: Site, http: httpx.Client, html: str) -> None:
    with pytest.raises(ParseError):
        poll(site, http, raw(html))


def test_data_that_refers_to_itself_ends(site: Site, http: httpx.Client) -> None:
    loop = """[{"@type": "DiscussionForumPosting", "@id": "#p", "text": "One", "comment": {"@id": "#q"}},
               {"@type": "DiscussionForumPosting", "@id": "#q", "text": "Two", "comment": {"@id": "#p"}}]"""
    assert [m.text for m in poll(site, http, ld(loop)).mentions] == ["One", "Two"]


def test_a_page_that_is_no_html_or_too_large(site: Site, http: httpx.Client) -> None:
    with pytest.raises(ParseError, match="application/pdf, not HTML"):
        poll(site, http, raw(b"%PDF", "application/pdf"))
    with pytest.raises(ParseError, match="larger than 5 MB"):
        poll(site, http, raw(b" x" * 3_000_000))


def test_a_site_that_redirects_is_read_where_it_is(site: Site, http: httpx.Client) -> None:
    with Site() as home:
        home.routes["/all"] = page(review(1), head=next_link("?p=2"))
        home.routes["/all?p=2"] = page(review(2))

        def moved(request: Request) -> Answer:
            return 302, {"Location": home.url + request.path}, b""

        site.routes["/all"] = moved
        pages, _ = walk(Reviews(url=site.url + "/all"), http)
    assert ids(pages) == ["1", "2"]


def test_an_owners_reply_is_an_answer_and_not_a_mention(site: Site, http: httpx.Client) -> None:
    reply = {
        "@type": "Comment",
        "text": "Sorry!",
        "author": {"@type": "Organization", "name": "Shop"},
        "url": "/r/1#a",
    }
    (mention,) = poll(site, http, page(review(1, comment=[reply]))).mentions
    (answer,) = mention.answers
    assert (answer.text, answer.author and answer.author.name, answer.url) == (
        "Sorry!",
        "Shop",
        site.url + "/r/1#a",
    )


@pytest.mark.parametrize("name", ["[deleted]", "", "Anonymous", "GUEST", None, {"@type": "Person"}, []])
def test_nobody_is_not_an_author(site: Site, http: httpx.Client, name: object) -> None:
    mentions: tuple[Mention, ...] = poll(site, http, page(review(1, author=name))).mentions
    assert mentions[0].author is None
