"""What the forum connector does with pages that lead elsewhere, are odd or hostile."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from connectors.forum import Forum
from listener.errors import ParseError
from tests.boards import OPTIONS, Board, forum, html, ids, post, walk, whys
from tests.fakes import Answer, Request, Site, loopback_client


@pytest.fixture
def board() -> Iterator[Board]:
    with Site() as site:
        yield Board(site)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with loopback_client() as http:
        yield http


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
