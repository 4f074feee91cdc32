"""The forum connector: what is fetched again and what not, paging, failures, wrong selectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from connectors.forum import Forum
from listener.errors import FetchError, NotModified, ParseError, RetryLater, SourceGone
from listener.fetch import SourceMemory
from listener.model import Page
from tests.fakes import Answer, Request, Site, loopback_client

HTML = {"Content-Type": "text/html; charset=utf-8"}
OPTIONS: dict[str, Any] = {
    "row": "li",
    "thread": "a",
    "changed": "i",
    "post": ".post",
    "body": ".body",
    "author": ".who",
    "time": "time",
}


class Board:
    """A small forum; tests change its threads (name -> pages of posts) and see what is fetched."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.threads: dict[str, list[list[str]]] = {}
        self.views = 0
        site.routes["/list"] = lambda request: self._list()

    def write(self, name: str, *pages: list[str]) -> None:
        self.threads[name] = list(pages)
        for number, posts in enumerate(pages, 1):
            more = f'<a rel="next" href="?p={number + 1}">next</a>' if number < len(pages) else ""
            path = f"/{name}" if number == 1 else f"/{name}?p={number}"
            self.site.routes[path] = html(f"<h1>{name}</h1>" + "".join(map(post, posts)) + more)

    def _list(self) -> Answer:
        self.views += 1
        rows = (
            f'<li><a href="/{name}">{name}</a> <i>{sum(map(len, pages))} posts</i> {self.views} views</li>'
            for name, pages in self.threads.items()
        )
        return html("<ul>" + "".join(rows) + "</ul>")

    def fetched(self) -> list[str]:
        """The pages asked for since the last call, the list left out."""
        paths = [p for p in self.site.paths() if p != "/list"]
        self.site.requests.clear()
        return paths


def html(body: str) -> Answer:
    return 200, HTML, f"<html><body>{body}</body></html>".encode()


def post(name: str) -> str:
    return (
        f'<div class="post" id="{name}"><a class="who" href="/u/{name}">User {name}</a>'
        f'<time datetime="2026-06-01T10:00:00Z">now</time><div class="body">Text {name}</div></div>'
    )


@pytest.fixture
def board() -> Iterator[Board]:
    with Site() as site:
        yield Board(site)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with loopback_client() as http:
        yield http


def forum(board: Board, **options: Any) -> Forum:
    return Forum.model_validate({"url": board.site.url + "/list", **OPTIONS, **options})


def walk(connector: Forum, http: httpx.Client, cursor: str | None = None) -> tuple[list[Page], str | None]:
    pages = [connector.poll(http, cursor)]
    while pages[-1].more:
        assert len(pages) < 50
        pages.append(connector.poll(http, pages[-1].cursor))
    return pages, pages[-1].cursor


def ids(pages: list[Page]) -> list[str]:
    return [m.external_id.rpartition("#")[2] for p in pages for m in p.mentions]


def whys(pages: list[Page]) -> list[str]:
    return [s.why for p in pages for s in p.skipped]


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


# ---- hostile pages -----------------------------------------------------------------------------------------


def test_threads_on_other_hosts_are_never_fetched_unless_named(board: Board, http: httpx.Client) -> None:
    with Site({"/x": html(post("x1"))}) as other:
        board.write("a", ["a1"])
        there = f'<li><a href="{other.url}/x">x</a></li>'
        board.site.routes["/list"] = html(f'<li><a href="/a">a</a></li>{there}')
        pages, _ = walk(forum(board), http)
        assert (ids(pages), other.requests) == (["a1"], [])
        assert "name them in `hosts`" in whys(pages)[0]
        board.site.routes["/list"] = html(there)
        with pytest.raises(ParseError, match=r"all threads on other hosts .* name them in `hosts`"):
            forum(board).poll(http, None)
        assert not other.requests
        pages, _ = walk(forum(board, hosts=[other.url.removeprefix("http://")]), http)
        assert ids(pages) == ["x1"]


def test_a_base_that_points_elsewhere_steers_nothing(board: Board, http: httpx.Client) -> None:
    with Site() as other:
        board.write("a", ["a1"])
        board.site.routes["/list"] = html(
            f'<base href="{other.url}/"><li><a href="/a">a</a></li><li><a href="{board.site.url}/a">a</a></li>'
        )
        pages, _ = walk(forum(board), http)
        assert (ids(pages), other.requests) == (["a1"], [])


def test_a_list_that_has_moved_is_read_where_it_is(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"])
    with Site() as old:

        def moved(request: Request) -> Answer:
            return 302, {"Location": board.site.url + "/list"}, b""

        old.routes["/list"] = moved
        pages, _ = walk(Forum.model_validate({"url": old.url + "/list", **OPTIONS}), http)
    assert ids(pages) == ["a1"]


def test_replies_inside_the_post_that_they_answer(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"])
    inner = '<li class="post" id="2"><b class="who">Bo</b><div class="body">Reply</div></li>'
    board.site.routes["/a"] = html(
        f'<ul><li class="post" id="1"><div class="body">First{inner}</div></li></ul>'
    )
    found = walk(forum(board, time=None), http)[0][0].mentions
    assert [(m.text, m.author and m.author.name) for m in found] == [("First", None), ("Reply", "Bo")]


HOSTILE = {
    "posts within posts": ('<div class="post"><div class="body">x' * 2_000, "more than 500 deep"),
    "elements within elements": (post("1") + "<i>" * 100_000, "more than 500 deep"),
    "too many posts": (post("1") * 3_001, "`post` .* matches 3001 elements"),
    "one tag of 60,000 attributes": (
        "<p " + " ".join(f"a{n}=1" for n in range(60_000)),
        "`post` .* matches nothing",
    ),
}


@pytest.mark.parametrize(("body", "problem"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pages_end_soon_and_in_an_error(
    board: Board, http: httpx.Client, body: str, problem: str
) -> None:
    board.write("a", ["a1"])
    board.site.routes["/a"] = html(body)
    with pytest.raises(ParseError, match=problem):
        forum(board).poll(http, None)


def test_very_long_and_strange_posts(board: Board, http: httpx.Client) -> None:
    board.write("a", ["a1"])
    body = (
        "Bad \x00\x07<b>!</b> <blockquote><blockquote>x</blockquote></blockquote>" * 2_000
        + "<script>no()</script>"
    )
    board.site.routes["/a"] = html(
        f'<div class="post" id="a b&quot;<"><p class="who">\x01 </p><div class="body">{body}</div></div>'
        '<div class="post" id="2"><div class="body">' + "<i>" * 300 + "deep</div></div>"
    )
    found = walk(forum(board), http)[0][0].mentions
    assert len(found) == 2
    assert found[0].text.startswith("Bad ! Bad !")
    assert "no()" not in found[0].text
    assert "x" not in found[0].text
    assert found[0].author is None


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
