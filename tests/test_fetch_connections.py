"""Connections that are kept alive, and the turnstile: what threads share while they fetch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpcore
import pytest

from listener.errors import FetchRefused
from listener.fetch import SourceMemory
from listener.fetch.connections import KEPT, Connections
from tests.fakes import Request, Site
from tests.fetching import Lab, lab, ok


class Counting(httpcore.SyncBackend):
    """Counts the connections that are made."""

    made = 0

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        self.made += 1
        return super().connect_tcp(*args, **options)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site({"/": ok()}) as site:
        yield site


@pytest.fixture
def polite() -> Iterator[Lab]:
    with lab(host_concurrency=50) as made:
        yield made


def fetch(connection: httpcore.HTTPConnection, url: str) -> bytes:
    response = connection.handle_request(httpcore.Request("GET", url, headers={"Host": "town.example"}))
    try:
        return response.read()
    finally:
        response.close()


def test_a_connection_has_one_user_at_a_time_and_is_used_again(site: Site) -> None:
    backend = Counting()
    connections, origin = Connections(backend), httpcore.URL(site.url).origin
    with connections.lend(origin) as first, connections.lend(origin) as second:
        assert first is not second
        assert fetch(first, site.url) == fetch(second, site.url) == b"hello"
    with connections.lend(origin) as third:
        assert third is first  # put back last, so the likeliest to live
        fetch(third, site.url)
    assert backend.made == 2
    with Site({"/": ok()}) as other, connections.lend(httpcore.URL(other.url).origin) as elsewhere:
        assert elsewhere not in (first, second)
    connections.close()
    with connections.lend(origin) as fresh:
        assert fresh not in (first, second)


def test_no_more_than_some_idle_ones_are_kept(site: Site) -> None:
    backend = Counting()
    connections, origin = Connections(backend), httpcore.URL(site.url).origin
    for _ in range(2):
        with ExitStack() as stack:
            for _ in range(KEPT + 5):
                fetch(stack.enter_context(connections.lend(origin)), site.url)
    assert backend.made == (KEPT + 5) + 5
    connections.close()


def test_one_that_failed_or_was_ended_by_the_server_is_not_used_again(site: Site) -> None:
    backend = Counting()
    connections, origin = Connections(backend), httpcore.URL(site.url).origin
    site.routes["/broken"] = lambda _: (
        lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    )
    with pytest.raises(httpcore.RemoteProtocolError), connections.lend(origin) as connection:
        fetch(connection, site.url + "/broken")
    site.routes["/last"] = ok(Connection="close")
    with connections.lend(origin) as connection:
        fetch(connection, site.url + "/last")
    with connections.lend(origin) as connection:
        fetch(connection, site.url)
    assert backend.made == 3
    connections.close()


def test_each_of_many_threads_gets_the_answer_to_its_own_request(site: Site, polite: Lab) -> None:
    def echo(request: Request) -> Any:
        return ok(request.path.encode())

    paths = [f"/{n}" for n in range(600)]
    site.routes |= dict.fromkeys(paths, echo)

    def get(path: str) -> str:
        with polite.fetcher.client(SourceMemory()) as http:
            return http.get(site.url + path).text

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(get, paths)) == paths


def test_while_one_poll_waits_another_computes_and_never_two(site: Site, polite: Lab) -> None:
    asked, go, order = threading.Event(), threading.Event(), []

    def slow(_request: Request) -> Any:
        asked.set()
        go.wait(10)
        return ok()

    site.routes["/slow"] = slow

    def poll() -> None:
        with polite.fetcher.computing(), polite.fetcher.client(SourceMemory()) as http:
            http.get(site.url + "/slow")
            order.append("the one that waited")

    thread = threading.Thread(target=poll)
    thread.start()
    assert asked.wait(10)
    with polite.fetcher.computing():  # not held back by the one that waits
        go.set()
        order.append("this one")
    thread.join(10)
    assert order == ["this one", "the one that waited"]


def test_threads_that_compute_and_wait_for_hosts_never_lock_each_other_out() -> None:
    """Robots.txt is read, places at a host and its pace are waited for, its state is saved."""
    with lab(robots=True, host_concurrency=1, host_pace=0.001) as polite, Site() as one, Site() as other:
        for site in (one, other):
            site.routes |= {"/robots.txt": ok(b"User-agent: *\nDisallow: /private"), "/": ok()}
            site.routes |= {"/old": (302, {"Location": "/"}, b"")}

        def poll(number: int) -> int:
            url = (one, other)[number % 2].url
            with polite.fetcher.computing(), polite.fetcher.client(SourceMemory()) as http:
                statuses = [http.get(url + path).status_code for path in ("/", "/old")]
                with pytest.raises(FetchRefused):
                    http.get(url + "/private")
                polite.fetcher.hosts.pause(url, 0)
            return sum(statuses)

        with ThreadPoolExecutor(20) as pool:
            assert list(pool.map(poll, range(120), timeout=60)) == [400] * 120
