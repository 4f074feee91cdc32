"""The forum connector: what is fetched again and what not, paging, failures, wrong selectors."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from pydantic import ValidationError

from listener.errors import FetchError, NotModified, ParseError, RetryLater, SourceGone
from listener.fetch import SourceMemory
from tests.boards import HTML, Board, forum, html, ids, post, walk, whys
from tests.fakes import Site, loopback_client


@pytest.fixture
def board() -> Iterator[Board]:
    with Site() as site:
        yield Board(site)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with loopback_client() as http:
        yield http


# ---- what is fetched ---------------------------------------------------------------------------------------


def test_only_threads_that_changed_are_fetched_again_from_where_they_ended(
    board: Board, http: httpx.Client
) -> None:
    board.write("long", ["l1", "l2"], ["l3"])
    board.write("short", ["s1"])
    connector = forum(board)
    pages, cursor = walk(connector, http)
    assert ids(pages) == ["l1", "l2", "l3", "s1"]
    assert board.fetched() == ["/long", "/long?p=2", "/short"]

    pages, cursor = walk(connector, http, cursor)
    assert (ids(pages), board.fetched()) == ([], [])

    board.write("long", ["l1", "l2"], ["l3", "l4"], ["l5"])
    board.write("new", ["n1"])
    pages, cursor = walk(connector, http, cursor)
    assert ids(pages) == ["l3", "l4", "l5", "n1"]
    assert board.fetched() == ["/long?p=2", "/long?p=3", "/new"]


def test_without_a_row_every_thread_is_read_each_time(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"])
    connector = forum(board, row=None, changed=None, thread="li a")
    _, cursor = walk(connector, http)
    walk(connector, http, cursor)
    assert board.fetched() == ["/a", "/a"]


def test_without_changed_the_whole_row_counts(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"])
    connector = forum(board, changed=None)
    _, cursor = walk(connector, http)
    walk(connector, http, cursor)
    assert board.fetched() == ["/a", "/a"], "the row counts views"


def test_an_unchanged_list_is_nothing_new_once_all_was_read(board: Board) -> None:
    board.site.routes["/list"] = html('<ul><li><a href="/a">a</a> <i>1</i></li></ul>')
    board.write("a", ["a1"])
    connector = forum(board)
    with loopback_client(SourceMemory()) as http:
        _, cursor = walk(connector, http)
        _, cursor = walk(connector, http, cursor)
        with pytest.raises(NotModified):
            connector.poll(http, cursor)


def test_work_is_handed_over_in_parts(board: Board, http: httpx.Client) -> None:
    for n in range(5):
        board.write(f"t{n}", [f"p{n}"])
    pages, _ = walk(forum(board, pages_per_poll=2), http)
    assert [ids([p]) for p in pages] == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    assert [p.more for p in pages] == [True, True, False]


def test_a_very_long_thread_goes_on_in_the_next_round(board: Board, http: httpx.Client) -> None:
    board.write("a", *([f"p{n}"] for n in range(5)))
    connector = forum(board, thread_pages=2)
    found, cursor = [], None
    for _ in range(4):
        pages, cursor = walk(connector, http, cursor)
        found.append(ids(pages))
    assert found == [["p0", "p1"], ["p2", "p3"], ["p4"], []]


def test_several_pages_of_the_list(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"])
    board.write("b", ["b1"])
    board.site.routes["/list"] = html('<li><a href="/a">a</a></li><p><a rel="next" href="/list2">2</a></p>')
    board.site.routes["/list2"] = html('<li><a href="/b">b</a></li><li><a href="/a">a</a></li>')
    pages, _ = walk(forum(board), http)
    assert ids(pages) == ["a1"]
    pages, _ = walk(forum(board, list_pages=3), http)
    assert ids(pages) == ["a1", "b1"]
    del board.site.routes["/list2"]
    pages, _ = walk(forum(board, list_pages=3), http)
    assert ids(pages) == ["a1"]
    assert [w for w in whys(pages) if "404" in w]


def test_a_thread_that_leads_in_a_circle_ends(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"], ["a2"])
    board.site.routes["/a?p=2"] = html(post("a2") + '<a rel="next" href="/a">again</a>')
    pages, _ = walk(forum(board, thread_pages=6), http)
    assert set(ids(pages)) == {"a1", "a2"}
    assert len(board.fetched()) == 6


@pytest.mark.parametrize(
    "cursor", ["", "{", "[]", '{"todo": 7}', '{"start": "http://x/", "todo": [{"thread": "http://x/"}]}']
)
def test_a_cursor_that_does_not_fit_means_from_the_top(board: Board, http: httpx.Client, cursor: str) -> None:
    board.write("a", ["a1"])
    pages, _ = walk(forum(board), http, cursor)
    assert ids(pages) == ["a1"]


def test_the_cursor_stays_small(board: Board, http: httpx.Client) -> None:
    connector, cursor = forum(board, pages_per_poll=100), None
    for batch in range(8):
        board.threads.clear()
        for n in range(60):
            board.write(f"thread-{batch}-{n}", [f"p{batch}-{n}"])
        _, cursor = walk(connector, http, cursor)
    assert len(cursor or "") < 20_000


# ---- threads and hosts that fail ---------------------------------------------------------------------------


def test_a_thread_that_fails_is_told_and_does_not_stop_the_others(board: Board, http: httpx.Client) -> None:
    for name in ("a", "gone", "private", "odd", "down", "z"):
        board.write(name, [f"{name}1"])
    board.site.routes["/gone"] = (410, HTML, b"")
    board.site.routes["/private"] = (403, HTML, b"")
    board.site.routes["/odd"] = html("<p>A poll</p>")
    board.site.routes["/down"] = (500, HTML, b"")
    connector = forum(board)
    pages, cursor = walk(connector, http)
    assert ids(pages) == ["a1", "z1"]
    assert [s.what for s in pages[0].skipped] == [
        board.site.url + f"/{n}" for n in ("gone", "private", "odd", "down")
    ]
    board.fetched()
    # What will not change by itself is left alone until its row changes; what may pass is tried again.
    board.write("down", ["down1"])
    pages, cursor = walk(connector, http, cursor)
    assert (ids(pages), board.fetched()) == (["down1"], ["/down"])
    board.write("private", ["private1", "private2"])
    pages, _ = walk(connector, http, cursor)
    assert ids(pages) == ["private1", "private2"]


def test_the_page_where_a_thread_ended_may_be_gone(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"], ["a2"])
    connector = forum(board)
    _, cursor = walk(connector, http)
    board.site.routes["/a?p=2"] = (404, HTML, b"")
    board.write("a", ["a1", "a3", "a4"])
    pages, _ = walk(connector, http, cursor)
    assert ids(pages) == ["a1", "a3", "a4"]


def test_a_later_page_that_is_gone_does_not_go_round_for_ever(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"], ["a2"], ["a3"])
    board.site.routes["/a?p=3"] = (404, HTML, b"")
    connector = forum(board)
    pages, cursor = walk(connector, http)
    assert ids(pages) == ["a1", "a2"]
    pages, _ = walk(connector, http, cursor)
    assert ids(pages) == []


def test_a_host_that_asks_for_a_pause_gets_it_and_nothing_read_is_lost(
    board: Board, http: httpx.Client
) -> None:
    for name in "abc":
        board.write(name, [f"{name}1"])
    board.site.routes["/b"] = (429, {"Retry-After": "600"}, b"")
    connector = forum(board)
    first = connector.poll(http, None)
    assert (ids([first]), first.more) == (["a1"], True)
    with loopback_client() as later, pytest.raises(RetryLater):
        connector.poll(later, first.cursor)
    board.write("b", ["b1"])
    with loopback_client() as later:
        pages, _ = walk(connector, later, first.cursor)
    assert ids(pages) == ["b1", "c1"]


@pytest.mark.parametrize(("status", "error"), [(410, SourceGone), (404, FetchError), (503, RetryLater)])
def test_errors_of_the_list_pass_through(
    board: Board, http: httpx.Client, status: int, error: type[Exception]
) -> None:
    board.site.routes["/list"] = (status, HTML, b"no")
    with pytest.raises(error):
        forum(board).poll(http, None)


def test_a_first_poll_that_reads_no_thread_is_an_error(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"])
    board.site.routes["/a"] = (403, HTML, b"")
    with pytest.raises(FetchError, match="403"):
        forum(board).poll(http, None)


# ---- selectors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "selector", "path", "how"),
    [
        ("row", ".none", "/list", "matches nothing"),
        ("thread", ".none", "/list", "matches no link to a page"),
        ("thread", "i", "/list", "matches no link to a page"),
        ("post", ".none", "/a", "matches nothing"),
        ("body", ".none", "/a", "matches nothing"),
    ],
)
def test_a_selector_that_matches_nothing_is_named(
    board: Board, http: httpx.Client, option: str, selector: str, path: str, how: str
) -> None:
    board.write("a", ["a1"])
    with pytest.raises(ParseError) as error:
        forum(board, **{option: selector}).poll(http, None)
    assert str(error.value).startswith(f"`{option}` ({selector}) {how} ({board.site.url}{path}). ")


def test_a_forum_with_a_new_look_is_an_error_and_then_heals(board: Board, http: httpx.Client) -> None:
    for name in "abc":
        board.write(name, [f"{name}1"])
    connector = forum(board)
    _, cursor = walk(connector, http)
    for name in "abc":
        board.write(name, [f"{name}1", f"{name}2"])
        board.site.routes[f"/{name}"] = html('<article class="comment">New look</article>')
    with pytest.raises(ParseError, match="`post`"):
        connector.poll(http, cursor)
    for name in "abc":
        board.write(name, [f"{name}1", f"{name}2"])
    pages, _ = walk(connector, http, cursor)
    assert ids(pages) == ["a1", "a2", "b1", "b2", "c1", "c2"]


@pytest.mark.parametrize("option", ["author", "author_id", "time"])
def test_an_optional_selector_that_matches_nothing_loses_no_post(
    board: Board, http: httpx.Client, option: str
) -> None:
    board.write("a", ["a1", "a2"])
    pages, _ = walk(forum(board, **{option: ".none"}), http)
    assert ids(pages) == ["a1", "a2"]
    assert whys(pages) == [f"`{option}` (.none) matches nothing in any post"]


def test_post_ids_that_are_all_the_same_are_refused(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1", "a2"])
    with pytest.raises(ParseError, match=r"`post_id` .* is the same for several posts"):
        forum(board, post_id="@class").poll(http, None)


def test_posts_without_an_id_are_known_by_what_they_say(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1", "a2"])
    connector = forum(board, post_id="@data-none", row=None, changed=None)
    pages, cursor = walk(connector, http)
    again, _ = walk(connector, http, cursor)
    assert ids(pages) == ids(again)
    assert len(set(ids(pages))) == 2


def test_attributes_can_be_picked(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"])
    board.site.routes["/a"] = html(
        '<div class="post" data-pid="77" data-user="u9" data-name="Liv" data-t="1780308000" lang="nb">'
        '<p class="body">Dårlig</p></div>'
    )
    options = {"post_id": "@data-pid", "author": "@data-name", "author_id": "@data-user", "time": "@data-t"}
    (mention,) = walk(forum(board, **options), http)[0][0].mentions
    assert mention.external_id.endswith("/a#77")
    assert mention.url == board.site.url + "/a#77"
    assert mention.author
    assert (mention.author.platform_id, mention.author.name) == ("u9", "Liv")
    assert mention.published
    assert mention.published.isoformat() == "2026-06-01T10:00:00+00:00"
    assert mention.lang == "nb"


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        ("<time>2026-06-01 12:00</time>", {}, "2026-06-01T12:00:00+00:00"),
        ("<time>2026-06-01 12:00</time>", {"time_zone": "Europe/Oslo"}, "2026-06-01T10:00:00+00:00"),
        ("<time>2026-06-01T12:00-02:00</time>", {"time_zone": "Europe/Oslo"}, "2026-06-01T14:00:00+00:00"),
        ("<time>6/1/26 at 3 PM</time>", {"time_format": "%m/%d/%y at %I %p"}, "2026-06-01T15:00:00+00:00"),
        ('<time title="2026-06-01 12:00Z">2 hours ago</time>', {}, "2026-06-01T12:00:00+00:00"),
        ("<time>2 hours ago</time>", {}, None),
        ("<time>31.02.2026</time>", {"time_format": "%d.%m.%Y"}, None),
        ("<time></time>", {}, None),
        ("", {}, None),
    ],
)
def test_times(
    board: Board, http: httpx.Client, given: str, options: dict[str, str], expected: str | None
) -> None:
    board.write("a", ["a1"])
    board.site.routes["/a"] = html(f'<div class="post" id="1">{given}<p class="body">Text</p></div>')
    (mention,) = walk(forum(board, author=None, **options), http)[0][0].mentions
    assert (mention.published.isoformat() if mention.published else None) == expected


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"thread": "a[["}, "thread\n.*not a CSS selector"),
        ({"post": ""}, "post\n.*needs a CSS selector"),
        ({"body": "p@class"}, "body\n.*without @attribute"),
        ({"time": "time[@datetime"}, "time\n.*not a CSS selector"),
        ({"strip": ["p", "??"]}, "strip.1\n.*not a CSS selector"),
        ({"row": None}, "`changed` is looked for in a row"),
        ({"hosts": ["a b"]}, "needs a host name"),
        ({"url": "ftp://x/"}, "starts with http"),
        ({"pages_per_poll": 0}, "greater than or equal to 1"),
        ({"thraed": "a"}, "thraed"),
    ],
)
def test_wrong_options_are_refused(board: Board, options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        forum(board, **options)
