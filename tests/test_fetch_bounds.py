"""Fetching is bounded: hosts that drip, stall, send without end or send bombs."""

from __future__ import annotations

import gzip
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.errors import FetchError, FetchRefused, RetryLater
from listener.fetch import SourceMemory
from listener.fetch.body import BodyError, read_body
from tests.fakes import Answer, Request, Site, Stream
from tests.fetching import HEAD, Lab, lab

MB = 1_000_000


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


@pytest.fixture
def careful() -> Iterator[Lab]:
    with lab(max_bytes=2 * MB, max_decoded=5 * MB) as made:
        yield made


# ---- time ---------------------------------------------------------------------------------------------------

SHORT = 0.4  # s


def forever(first: bytes, drip: bytes) -> Callable[[Request], Stream]:
    """Writes ``drip`` each 20 ms until the client hangs up."""

    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(first)
        while True:
            handler.wfile.write(drip)
            threading.Event().wait(0.02)

    return lambda _: write


def silent(done: threading.Event) -> Callable[[Request], Stream]:
    def wait(_: BaseHTTPRequestHandler) -> None:
        done.wait(20)

    return lambda _: wait


@pytest.mark.parametrize(
    "drips",
    [
        pytest.param((HEAD + b"Content-Length: 100000\r\n\r\n", b"x"), id="a body byte by byte"),
        pytest.param((HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="chunk by chunk"),
        pytest.param((HEAD, b"X-More: x\r\n"), id="header by header"),
        pytest.param((HEAD + b"X-More: ", b"x"), id="one endless header"),
        pytest.param((b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="nothing but 100 Continue"),
    ],
)
def test_a_server_that_drips_does_not_hold_the_thread(site: Site, drips: tuple[bytes, bytes]) -> None:
    site.routes["/"] = forever(*drips)
    with lab(deadline=SHORT) as quick, pytest.raises(FetchError, match=r"within 0\.4 s"):
        quick.get(site.url)


def test_a_server_that_says_nothing_does_not_hold_the_thread(site: Site) -> None:
    done = threading.Event()
    site.routes["/"] = silent(done)
    with lab(deadline=SHORT) as quick, pytest.raises(FetchError, match=r"within 0\.4 s"):
        quick.get(site.url)
    done.set()


def test_the_deadline_spans_redirects(site: Site) -> None:
    pause = threading.Event()

    def slowly(request: Request) -> Answer:
        pause.wait(SHORT / 3)
        return 302, {"Location": f"{request.path}x"}, b""

    site.routes |= {"/" + "x" * n: slowly for n in range(20)}
    with lab(deadline=SHORT) as quick, pytest.raises(FetchError, match=r"within 0\.4 s"):
        quick.get(site.url)


def test_a_dripping_robots_txt_does_not_hold_the_thread(site: Site) -> None:
    site.routes |= {"/robots.txt": forever(HEAD + b"Content-Length: 9999\r\n\r\n", b"#"), "/": (200, {}, b"")}
    with lab(deadline=SHORT, robots=True) as quick, pytest.raises(RetryLater, match=r"robots\.txt.*0\.4 s"):
        quick.get(site.url)


def test_a_name_server_that_says_nothing_does_not_hold_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [done.wait(20)][1:])
    with lab(deadline=SHORT) as quick, pytest.raises(FetchError, match=r"within 0\.4 s"):
        quick.get("http://shop.example/")
    done.set()


def test_a_connector_may_ask_for_less_time(site: Site, careful: Lab) -> None:
    done = threading.Event()
    site.routes["/"] = silent(done)
    with pytest.raises(FetchError, match=r"within 0\.2 s"):
        careful.get(site.url, timeout=0.2)
    done.set()


def test_a_robots_txt_made_to_be_slow_is_read_all_the_same(site: Site) -> None:
    """Each of 14,000 agents over each of 15,000 rules: naively, minutes and gigabytes."""
    agents = "".join(
        f"{word} l{'*' * (n % 9)}x{n}\n" for n, word in enumerate(["user-agent:", "User agent"] * 7_000)
    )
    rules = "Disallow:/a\n" * 15_000
    site.routes["/robots.txt"] = (200, {}, f"{agents}user-agent: *\n{rules}".encode())
    site.routes["/b"] = (200, {}, b"hello")
    with lab(robots=True) as robot:
        assert robot.get(f"{site.url}/b").text == "hello"
        with pytest.raises(FetchRefused):
            robot.get(f"{site.url}/a")


# ---- size and encoding --------------------------------------------------------------------------------------


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def raw(data: bytes) -> Callable[[Request], Stream]:
    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(data)

    return lambda _: write


@pytest.mark.parametrize(
    ("route", "words"),
    [
        pytest.param(
            (200, {"Content-Length": "200000000"}, b"x"), "larger than 2,000,000", id="200 MB, announced"
        ),
        pytest.param(lambda _: endless, "larger than 2,000,000", id="no end"),
        pytest.param(raw(HEAD + b"X: y\r\n" * 50_000 + b"\r\n"), "not HTTP", id="headers without end"),
        pytest.param(raw(HEAD + b"X: " + b"y" * 300_000 + b"\r\n\r\n"), "not HTTP", id="a giant header"),
        pytest.param(
            raw(HEAD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n"), "not HTTP", id="a giant length"
        ),
        pytest.param(
            raw(HEAD + b"Content-Length: " + b"9" * 20 + b"\r\n\r\n"), "larger than", id="a great length"
        ),
        pytest.param(raw(HEAD + b"Content-Length: 100\r\n\r\nhalf"), "cut off", id="half a body"),
        pytest.param(raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"), "cut off", id="half a chunk"),
        pytest.param(raw(b"SSH-2.0-OpenSSH_9.9\r\n"), "not HTTP", id="another protocol"),
        pytest.param(raw(b"\0\xff" * 99), "not HTTP", id="noise"),
        pytest.param(raw(b""), "not HTTP", id="nothing"),
        pytest.param((200, {"Content-Encoding": "br"}, b"x"), "'br', which was not asked for", id="brotli"),
        pytest.param((200, {"Content-Encoding": "gzip, gzip"}, b"x"), "was not asked for", id="twice"),
        pytest.param(
            (200, {"Content-Encoding": "gzip"}, b"<rss/>"), "not the gzip that it claims", id="no gzip"
        ),
        pytest.param(
            (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 99)[:-9]), "cut off", id="half a gzip"
        ),
        pytest.param(
            (200, {"Content-Encoding": "gzip"}, gzip.compress(b"") * 3_000),
            "gzip members",
            id="too many members",
        ),
    ],
)
def test_answers_that_can_not_be_used(site: Site, careful: Lab, route: Any, words: str) -> None:
    site.routes["/"] = route
    with pytest.raises(FetchError, match=words) as caught:
        careful.get(site.url)
    assert site.url in str(caught.value)
    assert len(site.requests) == 1  # nothing is tried again at once
    site.routes["/"] = (200, {}, b"hello")
    assert careful.get(site.url).text == "hello"  # the connection that was left is not used again


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_never_gets_the_memory(site: Site, careful: Lab, coding: str) -> None:
    bomb = zlib.compressobj(9, wbits=31 if coding == "gzip" else 15)
    body = b"".join([*(bomb.compress(bytes(MB)) for _ in range(300)), bomb.flush()])
    assert len(body) < MB
    site.routes["/"] = (200, {"Content-Encoding": coding}, body)
    tracemalloc.start()
    try:
        with pytest.raises(FetchError, match="larger than 5,000,000 bytes when unpacked"):
            careful.get(site.url)
        assert tracemalloc.get_traced_memory()[1] < 20 * MB
    finally:
        tracemalloc.stop()


def pack(data: bytes, wbits: int) -> bytes:
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"hello")),
        ("x-gzip", gzip.compress(b"hello")),
        ("GZIP", gzip.compress(b"hel") + gzip.compress(b"lo")),
        ("gzip", gzip.compress(b"hello") + b"\0\0\0"),
        ("deflate", pack(b"hello", 15)),
        ("deflate", pack(b"hello", -15)),
        ("identity", b"hello"),
        ("", b"hello"),
    ],
)
def test_encodings(site: Site, careful: Lab, encoding: str, body: bytes) -> None:
    site.routes["/"] = (200, {"Content-Encoding": encoding, "Content-Type": "text/plain"}, body)
    response = careful.get(site.url)
    assert (response.text, response.headers["content-type"]) == ("hello", "text/plain")
    with careful.fetcher.client(SourceMemory()) as http, http.stream("GET", site.url) as streamed:
        assert b"".join(streamed.iter_bytes()) == b"hello"


@given(
    data=st.binary(max_size=300),
    wbits=st.sampled_from([31, 15, -15, 0]),
    cut=st.integers(1, 40),
    limit=st.integers(1, 300),
    truncate=st.booleans(),
)
def test_read_body_gives_the_data_within_the_limit_or_an_error(
    data: bytes, wbits: int, cut: int, limit: int, truncate: bool
) -> None:
    sent = pack(data, wbits) if wbits else data
    chunks = [sent[start : start + cut] for start in range(0, len(sent), cut)]
    encoding = {31: "gzip", 15: "deflate", -15: "deflate", 0: ""}[wbits]
    if len(data) <= limit or truncate:
        body = read_body(chunks, encoding, max_bytes=999, max_decoded=limit, truncate=truncate)
        assert body == data[:limit]
    else:
        with pytest.raises(BodyError):
            read_body(chunks, encoding, max_bytes=999, max_decoded=limit)
