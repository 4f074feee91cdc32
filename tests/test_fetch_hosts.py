"""Manners towards hosts: robots.txt, pace, concurrency."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from listener.errors import FetchRefused, RetryLater
from listener.fetch import SourceMemory
from tests.fakes import Answer, Request, Site
from tests.fetching import Lab, lab, ok, to


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


# ---- robots.txt ---------------------------------------------------------------------------------------------

ROBOTS = b"User-agent: *\nDisallow: /private\n\nUser-agent: SomeoneElse\nDisallow: /\n"


@pytest.fixture
def robot() -> Iterator[Lab]:
    with lab(robots=True) as made:
        yield made


@pytest.mark.parametrize(
    ("robots", "path", "allowed"),
    [
        (ok(ROBOTS), "/public", True),
        (ok(ROBOTS), "/private/x", False),
        (
            ok(b"User-agent: *\nDisallow: /\n\nUser-agent: Listener/1.0\nAllow: /public\nDisallow: /"),
            "/public",
            True,
        ),
        (ok(b"User-agent: a\nUser-agent: listener\nUser-agent: b\nDisallow: /public"), "/public", False),
        (ok(b"User-agent:\nDisallow: /public"), "/public", True),
        (ok(b"\xef\xbb\xbfUser-agent: *\nDisallow: /public"), "/public", False),
        (ok(b"<html>not a robots file</html>"), "/public", True),
        (ok(b"\0\xff\xfe"), "/public", True),
        (
            ok(b"#" * 500 * 1024 + b"\nUser-agent: *\nDisallow: /"),
            "/public",
            True,
        ),  # past the limit of 500 KiB
        (ok(b"User-agent: *\nDisallow: /public\n" + b"#" * 30_000_000), "/public", False),  # the head counts
        ((404, {}, b""), "/public", True),
        ((401, {}, b""), "/public", True),
        (to("/robots-there", 301), "/public", False),
        (to("/robots.txt"), "/public", True),  # a loop
        (to("http://x:port/", 301), "/public", True),
    ],
)
def test_robots_txt_is_obeyed(site: Site, robot: Lab, robots: Answer, path: str, allowed: bool) -> None:
    site.routes |= {"/robots.txt": robots, "/robots-there": ok(b"User-agent: *\nDisallow: /"), path: ok()}
    for _ in range(2):
        if allowed:
            assert robot.get(site.url + path).text == "hello"
        else:
            with pytest.raises(FetchRefused, match=r"robots\.txt forbids"):
                robot.get(site.url + path)
        robot.restart()
    assert len(site.paths()) - site.paths().count("/robots-there") == (2 if allowed else 0)


def test_robots_txt_is_read_once_a_day_by_all_processes(site: Site, robot: Lab) -> None:
    site.routes |= {"/robots.txt": ok(ROBOTS), "/": ok()}
    for _ in range(3):
        robot.get(site.url)
        robot.restart()
    robot.now += timedelta(hours=23)
    robot.get(site.url)
    assert [r.path for r in site.requests].count("/robots.txt") == 1
    site.routes["/robots.txt"] = ok(b"User-agent: *\nDisallow: /")
    robot.now += timedelta(hours=1)
    with pytest.raises(FetchRefused):
        robot.get(site.url)


def test_robots_txt_that_another_process_has_read_anew_is_not_read_again(site: Site, robot: Lab) -> None:
    site.routes |= {"/robots.txt": ok(ROBOTS), "/": ok()}
    robot.get(site.url)
    one, two = robot.fetcher, robot.restart()
    robot.get(site.url)
    robot.now += timedelta(days=1)
    for fetcher in (two, one):
        fetcher.client(SourceMemory()).get(site.url)
    assert [r.path for r in site.requests].count("/robots.txt") == 2


def test_threads_read_robots_txt_once(site: Site, robot: Lab) -> None:
    site.routes |= {"/robots.txt": ok(ROBOTS), "/": ok()}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(robot.get, [site.url] * 16))
    assert [r.path for r in site.requests].count("/robots.txt") == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failing_robots_txt_forbids_for_a_while(site: Site, robot: Lab, status: int) -> None:
    site.routes |= {"/robots.txt": (status, {}, b""), "/": ok()}
    for _ in range(2):
        with pytest.raises(RetryLater, match=r"robots\.txt can't be read") as caught:
            robot.get(site.url)
        assert caught.value.seconds == 300
        robot.restart()
    assert len(site.requests) == 1
    site.routes["/robots.txt"] = ok(ROBOTS)
    robot.now += timedelta(minutes=5)
    assert robot.get(site.url).text == "hello"
    # Later an old copy serves while a new one can't be had.
    site.routes["/robots.txt"] = (500, {}, b"")
    robot.now += timedelta(days=2)
    assert robot.get(site.url).text == "hello"
    with pytest.raises(FetchRefused):
        robot.get(f"{site.url}/private")


def test_robots_txt_of_each_site_on_the_way_counts(site: Site, robot: Lab) -> None:
    with Site({"/robots.txt": ok(b"User-agent: *\nDisallow: /"), "/": ok()}) as other:
        site.routes["/"] = to(other.url)
        with pytest.raises(FetchRefused):
            robot.get(site.url)
        assert other.paths() == []


def test_robots_txt_is_not_for_apis_nor_for_writing(site: Site, robot: Lab) -> None:
    site.routes |= {"/robots.txt": ok(b"User-agent: *\nDisallow: /"), "/api": ok()}
    assert robot.get(f"{site.url}/api", extensions={"listener_api": True}).text == "hello"
    with robot.fetcher.client(SourceMemory()) as http:
        assert http.post(f"{site.url}/api", json={}).text == "hello"
    assert site.paths() == ["/api", "/api"]


def test_a_crawl_delay_is_kept_up_to_a_limit(site: Site, robot: Lab) -> None:
    site.routes |= {"/robots.txt": ok(b"User-agent: *\nCrawl-delay: 3600"), "/": ok()}
    robot.get(site.url)
    with pytest.raises(RetryLater) as caught:
        robot.get(site.url)
    assert 2 < caught.value.seconds <= 10


# ---- pace and concurrency -----------------------------------------------------------------------------------


def test_pace_sends_the_thread_away_instead_of_holding_it(site: Site) -> None:
    site.routes["/"] = ok()
    with lab(host_pace=500.0, deadline=400.0) as slow, Site({"/": ok()}) as other:
        slow.get(site.url)
        with slow.fetcher.client(SourceMemory()) as http, pytest.raises(RetryLater) as caught:
            http.get(site.url)
        assert 300 < caught.value.seconds <= 500
        assert slow.get(other.url).text == "hello"  # each host has a pace of its own
    assert len(site.paths()) == 1


def test_a_poll_that_has_begun_waits_for_its_next_turn(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a source of several pages could never be read to its end at a slow host."""
    monkeypatch.setattr("listener.fetch.client.PATIENCE", 0.01)
    site.routes["/"] = ok()
    with lab(host_pace=0.1) as brisk:
        with brisk.fetcher.client(SourceMemory()) as http:
            for _ in range(3):
                assert http.get(site.url).text == "hello"
        with pytest.raises(RetryLater):
            brisk.get(site.url)


def test_no_more_requests_at_a_time_than_a_host_may_get(site: Site) -> None:
    lock, too_many = threading.Lock(), threading.Event()
    running = most = 0

    def slow(request: Request) -> Answer:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running > 3:
                too_many.set()
        too_many.wait(0.05)  # room for a fourth to come in
        with lock:
            running -= 1
        return ok()

    site.routes["/"] = slow
    with lab(host_concurrency=3) as crowd, ThreadPoolExecutor(9) as pool:
        assert len(list(pool.map(crowd.get, [site.url] * 12))) == 12
    assert most == 3
