"""The reviews connector: paging, ids, ratings, and pages that are broken or hostile."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.reviews import Reviews, stars
from listener.errors import FetchError, NotModified, ParseError, RetryLater, SourceGone
from listener.fetch import SourceMemory
from listener.model import Mention, Page
from tests.fakes import Answer, Request, Site, loopback_client

HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with loopback_client() as http:
        yield http


def review(number: int | str, text: str = "", star: object = 1, **more: object) -> dict[str, Any]:
    return {
        "@type": "Review",
        "@id": f"/r/{number}",
        "author": f"Author {number}",
        "reviewBody": text or f"Text {number}",
        "reviewRating": {"@type": "Rating", "ratingValue": star},
    } | more


def page(*items: object, head: str = "", body: str = "") -> Answer:
    script = json.dumps({"@context": "https://schema.org", "@type": "Product", "review": items})
    html = f'<html><head>{head}<script type="application/ld+json">{script}</script></head><body>{body}</body></html>'
    return 200, HTML, html.encode()


def raw(html: str | bytes, kind: str = "text/html; charset=utf-8") -> Answer:
    return 200, {"Content-Type": kind}, html if isinstance(html, bytes) else html.encode()


def ld(script: str) -> Answer:
    return raw(f'<script type="application/ld+json">{script}</script>')


def next_link(url: str) -> str:
    return f'<link rel="prefetch next" href="{url}">'


def walk(connector: Reviews, http: httpx.Client, cursor: str | None = None) -> tuple[list[Page], str | None]:
    pages = [connector.poll(http, cursor)]
    while pages[-1].more:
        assert len(pages) < 50
        pages.append(connector.poll(http, pages[-1].cursor))
    return pages, pages[-1].cursor


def ids(pages: list[Page]) -> list[str]:
    return [m.external_id.rpartition("/")[2] for p in pages for m in p.mentions]


# ---- paging ----------------------------------------------------------------------------------------------


def three_pages(site: Site, first: int = 1) -> None:
    site.routes["/all"] = page(review(first), review(first + 1), head=next_link("?p=2"))
    site.routes["/all?p=2"] = page(review(first + 2), review(first + 3), head=next_link("?p=3"))
    site.routes["/all?p=3"] = page(review(first + 4))


def test_the_first_poll_reads_all_pages_and_the_next_stops_where_all_is_known(
    site: Site, http: httpx.Client
) -> None:
    three_pages(site)
    connector = Reviews(url=site.url + "/all")
    pages, cursor = walk(connector, http)
    assert ids(pages) == ["1", "2", "3", "4", "5"]
    site.requests.clear()
    site.routes["/all"] = page(review(0), review(1), head=next_link("?p=2"))
    pages, cursor = walk(connector, http, cursor)
    assert ids(pages) == ["0", "1", "3", "4"]
    assert site.paths() == ["/all", "/all?p=2"]


def test_an_edited_review_of_the_first_page_comes_again(site: Site, http: httpx.Client) -> None:
    three_pages(site)
    connector = Reviews(url=site.url + "/all")
    _, cursor = walk(connector, http)
    site.routes["/all"] = page(review(1, "Better now", 5), review(2), head=next_link("?p=2"))
    pages, _ = walk(connector, http, cursor)
    assert [(m.text, m.rating) for m in pages[0].mentions] == [("Better now", 5.0), ("Text 2", 1.0)]
    assert len(pages) == 1


def test_pages_are_read_up_to_the_limit(site: Site, http: httpx.Client) -> None:
    three_pages(site)
    pages, _ = walk(Reviews(url=site.url + "/all", max_pages=2), http)
    assert ids(pages) == ["1", "2", "3", "4"]


def test_the_next_page_may_be_named_by_a_selector(site: Site, http: httpx.Client) -> None:
    site.routes["/all"] = page(review(1), body='<a class="more" href="/second">More</a>')
    site.routes["/second"] = page(review(2))
    pages, _ = walk(Reviews(url=site.url + "/all", next="a.more"), http)
    assert ids(pages) == ["1", "2"]


def test_pages_that_lead_in_a_circle_end(site: Site, http: httpx.Client) -> None:
    site.routes["/a"] = page(review(1), head=next_link("/b"))
    site.routes["/b"] = page(review(2), head=next_link("/a"))
    pages, _ = walk(Reviews(url=site.url + "/a", max_pages=6), http)
    assert len(pages) == 6
    site.routes["/self"] = page(review(1), head=next_link("/self"))
    assert not Reviews(url=site.url + "/self").poll(http, None).more


@pytest.mark.parametrize(
    "link", ["{other}/x", "//{host}/x", "ftp://a/b", "javascript:go()", "http://u:p@{own}/x"]
)
def test_a_next_page_elsewhere_is_never_fetched(site: Site, http: httpx.Client, link: str) -> None:
    with Site() as other:
        own, host = (s.url.removeprefix("http://") for s in (site, other))
        site.routes["/all"] = page(
            review(1), head=next_link(link.format(other=other.url, host=host, own=own))
        )
        pages, _ = walk(Reviews(url=site.url + "/all"), http)
        assert not other.requests
    assert ids(pages) == ["1"]
    assert site.paths() == ["/all"]


def test_another_host_is_followed_when_it_is_named(site: Site, http: httpx.Client) -> None:
    with Site({"/x": page(review(2))}) as other:
        site.routes["/all"] = page(review(1), head=next_link(other.url + "/x"))
        (found,), _ = walk(Reviews(url=site.url + "/all"), http)
        assert [s.why for s in found.skipped] == [
            "the next page is on another host: if it is the site's, name it in `hosts`"
        ]
        hosts = frozenset({other.url.removeprefix("http://")})
        pages, _ = walk(Reviews(url=site.url + "/all", hosts=hosts), http)
    assert ids(pages) == ["1", "2"]


def test_a_broken_later_page_is_told_and_does_not_keep_us_from_the_first(
    site: Site, http: httpx.Client
) -> None:
    three_pages(site)
    site.routes["/all?p=2"] = (500, HTML, b"oops")
    connector = Reviews(url=site.url + "/all")
    pages, cursor = walk(connector, http)
    assert ids(pages) == ["1", "2"]
    (skipped,) = pages[-1].skipped
    assert skipped.what == f"page 2 of {site.url}/all"
    assert "500" in skipped.why
    # The walk was not complete: the next one passes the known page again.
    three_pages(site)
    pages, _ = walk(connector, http, cursor)
    assert ids(pages) == ["1", "2", "3", "4", "5"]


def test_a_host_that_asks_for_a_pause_gets_it_in_the_middle_too(site: Site, http: httpx.Client) -> None:
    three_pages(site)
    site.routes["/all?p=2"] = (429, {"Retry-After": "120"}, b"")
    connector = Reviews(url=site.url + "/all")
    first = connector.poll(http, None)
    with pytest.raises(RetryLater):
        connector.poll(http, first.cursor)


@pytest.mark.parametrize(("status", "error"), [(404, FetchError), (410, SourceGone), (500, FetchError)])
def test_errors_of_the_first_page_pass_through(
    site: Site, http: httpx.Client, status: int, error: type[Exception]
) -> None:
    site.routes["/all"] = (status, HTML, b"no")
    with pytest.raises(error):
        Reviews(url=site.url + "/all").poll(http, None)


def test_an_unchanged_first_page_is_nothing_new_once_all_pages_were_read(site: Site) -> None:
    memory = SourceMemory()
    three_pages(site)
    connector = Reviews(url=site.url + "/all")
    with loopback_client(memory) as http:
        _, cursor = walk(connector, http)
        _, cursor = walk(connector, http, cursor)
        with pytest.raises(NotModified):
            connector.poll(http, cursor)


@pytest.mark.parametrize(
    "cursor", ["", "{", "[]", '{"next": 7}', '{"start": "http://elsewhere/", "next": "http://x/"}']
)
def test_a_cursor_that_does_not_fit_means_from_the_top(site: Site, http: httpx.Client, cursor: str) -> None:
    three_pages(site)
    assert ids([Reviews(url=site.url + "/all").poll(http, cursor)]) == ["1", "2"]


def test_the_cursor_stays_small(site: Site, http: httpx.Client) -> None:
    site.routes["/all"] = page(*(review(n) for n in range(3000)))
    found = Reviews(url=site.url + "/all").poll(http, None)
    assert len(found.mentions) == 3000
    assert len(found.cursor or "") < 10_000


# ---- ids -------------------------------------------------------------------------------------------------


def anonymous(number: int) -> dict[str, object]:
    """A review without an address of its own."""
    return {k: v for k, v in review(number).items() if k != "@id"} | {"datePublished": "2026-01-02"}


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)), st.sampled_from(["own", "none", "position", "shared", "page"]))
def test_ids_do_not_depend_on_the_order(order: list[int], kind: str) -> None:
    def item(number: int, place: int) -> dict[str, object]:
        match kind:
            case "own":
                return review(number)
            case "none":
                return anonymous(number)
            case "position":
                return anonymous(number) | {"@id": f"#review-{place}"}
            case "shared":
                return anonymous(number) | {"url": "/some-product"}
            case _:
                return anonymous(number) | {"url": "/all", "@id": "_:b" + str(place)}

    with Site() as site, loopback_client() as http:
        found = []
        for numbers in (range(6), order):
            site.routes["/all"] = page(*(item(n, place) for place, n in enumerate(numbers)))
            mentions = Reviews(url=site.url + "/all").poll(http, None).mentions
            found.append({m.text: m.external_id for m in mentions})
    assert found[0] == found[1]
    assert len(set(found[0].values())) == 6


def test_a_site_that_moves_to_https_keeps_its_ids(site: Site, http: httpx.Client) -> None:
    site.routes["/all"] = page(review(1, **{"@id": "http://shop.example/r/1"}))
    (before,) = Reviews(url=site.url + "/all").poll(http, None).mentions
    site.routes["/all"] = page(review(1, **{"@id": "https://shop.example/r/1"}))
    (after,) = Reviews(url=site.url + "/all").poll(http, None).mentions
    assert before.external_id == after.external_id == "shop.example/r/1"


# ---- stars -----------------------------------------------------------------------------------------------

numbers = st.floats(-1e5, 1e5, allow_nan=False).map(lambda n: round(n, 4))


@pytest.mark.parametrize(
    ("given_rating", "expected"),
    [
        ((5,), 5.0),
        (("1",), 1.0),
        (("4,5",), 4.5),
        (("4.5 out of 5",), 4.5),
        (("4/10",), pytest.approx(1 + 4 * 3 / 9)),
        (("50%",), 3.0),
        ((0, 5, 0), 1.0),
        ((10, "10", "1"), 5.0),
        (("2", "1", "6"), 4.2),  # school marks: 1 is the best
        ((0.5,), 1.0),  # half stars below the lowest
        ((0,), None),  # not rated
        ((8,), None),  # of what?
        ((7, 5), None),
        ((3, 3, 3), None),
        ((True,), None),
        ((float("nan"),), None),
        ((10**400,), None),
        (("",), None),
        (("five",), None),
        ((None,), None),
        (({"a": 1},), None),
    ],
)
def test_stars(given_rating: tuple[object, ...], expected: float | None) -> None:
    assert stars(*given_rating) == expected


@given(numbers, numbers, numbers, numbers)
def test_stars_stay_in_range_and_follow_the_scale(one: float, two: float, best: float, worst: float) -> None:
    rated = [stars(n, best, worst) for n in sorted((one, two), reverse=best < worst)]
    assert all(s is None or 1.0 <= s <= 5.0 for s in rated)
    if rated[0] is not None and rated[1] is not None:
        assert rated[0] <= rated[1]


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.booleans()), st.text(), st.text())
def test_stars_of_anything(value: object, best: str, worst: str) -> None:
    found = stars(value, best, worst)
    assert found is None or 1.0 <= found <= 5.0


def test_the_rating_of_the_whole_is_taken_and_not_that_of_an_aspect(site: Site, http: httpx.Client) -> None:
    ratings = [{"ratingValue": 1, "reviewAspect": "price"}, {"ratingValue": 4}]
    site.routes["/all"] = page(review(1, reviewRating=ratings))
    assert Reviews(url=site.url + "/all").poll(http, None).mentions[0].rating == 4.0


# ---- pages that are empty, broken or hostile -------------------------------------------------------------


def poll(site: Site, http: httpx.Client, answer: Answer) -> Page:
    site.routes["/all"] = answer
    return Reviews(url=site.url + "/all").poll(http, None)


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


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "shop.example/reviews"}, "starts with http"),
        ({"url": "file:///etc/passwd"}, "starts with http"),
        ({"url": "http://x/", "next": "a[["}, "not a CSS selector"),
        ({"url": "http://x/", "next": "a@href"}, "without @attribute"),
        ({"url": "http://x/", "max_pages": 0}, "greater than or equal to 1"),
        ({"url": "http://x/", "time_zone": "Mars/Base"}, "time_zone"),
        ({"url": "http://x/", "nxt": "a"}, "nxt"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Reviews.model_validate(options)
