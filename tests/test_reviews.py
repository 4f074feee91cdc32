"""The reviews connector: paging, ids, options."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.reviews import Reviews
from listener.errors import FetchError, NotModified, RetryLater, SourceGone
from listener.fetch import SourceMemory
from listener.ports import AnswerFinder
from tests.fakes import Site, loopback_client
from tests.review_pages import HTML, ids, next_link, page, review, walk


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with loopback_client() as http:
        yield http


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


def test_the_owner_s_reply_is_found_on_whatever_page_the_review_stands_by_now(
    site: Site, http: httpx.Client
) -> None:
    three_pages(site)
    connector = Reviews(url=site.url + "/all")
    assert isinstance(connector, AnswerFinder)
    pages, _ = walk(connector, http)
    mentions = {m.external_id.rpartition("/")[2]: m for each in pages for m in each.mentions}
    assert connector.answer(http, mentions["1"]) is None
    reply = {
        "@type": "Comment",
        "text": "We are sorry. It is on its way.",
        "dateCreated": "2026-06-01T10:00Z",
    }
    site.routes["/all?p=2"] = page(review(0), review(1, comment=[reply]), head=next_link("?p=3"))
    site.routes["/all"] = page(review(7), review(8), head=next_link("?p=2"))
    answer = connector.answer(http, mentions["1"])
    assert answer is not None
    assert answer.text == "We are sorry. It is on its way."
    assert answer.published == datetime(2026, 6, 1, 10, tzinfo=UTC)
    site.routes["/all?p=2"] = page(review(0))
    assert connector.answer(http, mentions["1"]) is None  # the review is gone


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
