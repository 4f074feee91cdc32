"""Fetching goes nowhere but to the public internet, follows no redirect for ever, and verifies TLS."""

from __future__ import annotations

import contextlib
import ipaddress
import math
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpcore
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from listener.errors import FetchError, FetchRefused
from listener.fetch import SourceMemory
from listener.fetch.guard import (
    AddressRefusedError,
    Deadline,
    GuardedBackend,
    IPAddress,
    IPNetwork,
    is_public,
)
from listener.fetch.turnstile import Turnstile
from tests.fakes import Site
from tests.fetching import HEAD, LOOPBACK, Lab, closed_port, lab

TLS = Path(__file__).parent / "data" / "tls"


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


@pytest.fixture
def careful() -> Iterator[Lab]:
    with lab() as made:
        yield made


# ---- addresses ----------------------------------------------------------------------------------------------

SPECIAL_TEXT = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1
172.31.9.9 192.0.0.1 192.0.0.9 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7
203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 :: ::1 ::7f00:1 ::ffff:127.0.0.1
::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:2::1
2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808:: 3fff::1 4000::1 5f00::1 fc00::1
fd12:3456::1 fe80::1 fec0::1 ff02::1 ff0e::1
"""
PUBLIC_TEXT = """
1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.32.0.1 192.0.1.1 2001:4860:4860::8888 2606:4700::1111
"""
SPECIAL, PUBLIC = SPECIAL_TEXT.split(), PUBLIC_TEXT.split()


@pytest.mark.parametrize("address", SPECIAL)
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


addresses: st.SearchStrategy[IPAddress] = st.one_of(
    st.ip_addresses(), st.sampled_from([ipaddress.ip_address(text) for text in SPECIAL + PUBLIC])
)
networks: st.SearchStrategy[IPNetwork] = st.builds(
    lambda address, length: ipaddress.ip_network((address, min(length, address.max_prefixlen)), strict=False),
    addresses,
    st.integers(0, 128),
)


@given(st.lists(addresses, min_size=1, max_size=6), st.lists(networks, max_size=2))
@example([ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("127.0.0.1")], [])
def test_nothing_is_connected_to_but_public_and_allowed_addresses(
    found: list[IPAddress], allowed: list[IPNetwork]
) -> None:
    """Whatever a name resolves to, and however often it is asked."""
    tried: list[IPAddress] = []

    def connect(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        tried.append(ipaddress.ip_address(address[0]))
        raise ConnectionRefusedError

    answers = [(0, 0, 0, "", (str(address), 80)) for address in found]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        patch.setattr(socket, "create_connection", connect)
        backend = GuardedBackend(tuple(allowed), Deadline(), Turnstile())
        with pytest.raises((httpcore.ConnectError, AddressRefusedError)):
            backend.connect_tcp("shop.example", 80, timeout=10)
    for address in tried:
        inside = any(address in network for network in allowed)
        assert inside or (address.is_global and not address.is_multicast and is_public(address))
    good = [a for a in dict.fromkeys(found) if is_public(a) or any(a in network for network in allowed)]
    assert tried == good[:4]


def test_unix_sockets_are_never_connected_to() -> None:
    with pytest.raises(httpcore.UnsupportedProtocol):
        GuardedBackend(LOOPBACK, Deadline(), Turnstile()).connect_unix_socket("/run/docker.sock")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ],
)
def test_our_own_network_is_out_of_reach_in_any_spelling(site: Site, host: str) -> None:
    with (
        lab(allow_private=()) as strict,
        pytest.raises(FetchRefused, match=r"fetch\.allow_private") as caught,
    ):
        strict.get(f"http://{host}:{site.port}/")
    assert "not on the public internet" in str(caught.value)
    assert site.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_into_our_network_is_refused(site: Site, careful: Lab, status: int) -> None:
    site.routes["/"] = (status, {"Location": f"http://127.0.0.2:{site.port}/admin"}, b"")
    with pytest.raises(FetchRefused, match=r"127\.0\.0\.2"):
        careful.get(site.url)


def test_robots_txt_may_not_redirect_into_our_network_either(site: Site) -> None:
    site.routes["/robots.txt"] = (302, {"Location": f"http://127.0.0.2:{site.port}/"}, b"")
    with lab(robots=True) as robot, pytest.raises(FetchRefused, match=r"127\.0\.0\.2"):
        robot.get(site.url)


def test_a_name_is_looked_up_once_and_the_checked_address_is_used(
    site: Site, careful: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second answer, which would be the one connected to, is never asked for."""
    real = socket.getaddrinfo
    asked: list[str] = []

    def rebinding(host: str, *args: Any, **options: Any) -> Any:
        if host != "shop.example":
            return real(host, *args, **options)
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    site.routes["/"] = (200, {}, b"hello")
    assert careful.get(f"http://shop.example:{site.port}/").text == "hello"
    assert asked == ["shop.example"]
    assert site.requests[0].headers["host"] == f"shop.example:{site.port}"


NOT_HTTP = """
ftp://shop.example/ file:///etc/passwd gopher://shop.example/ ws://shop.example/ javascript:alert(1)
http:// /feed feed https: http://shop.example:port/ http://127.0.0.1:999999/ http://[::1
data:text/plain,x unix:/run/x mailto:x@shop.example
"""


@pytest.mark.parametrize(
    "url",
    NOT_HTTP.split(),
)
def test_only_http_and_https(careful: Lab, url: str) -> None:
    with pytest.raises(FetchRefused):
        careful.get(url)


# ---- redirects ----------------------------------------------------------------------------------------------


def test_redirects_end(site: Site, careful: Lab) -> None:
    site.routes["/loop"] = (302, {"Location": "/loop"}, b"")
    site.routes |= {f"/{n}": (302, {"Location": f"/{n + 1}"}, b"") for n in range(9)}
    for path in ("/loop", "/0"):
        with pytest.raises(FetchError, match="more than 5 redirects"):
            careful.get(site.url + path)
    site.routes["/5"] = (200, {}, b"hello")
    assert careful.get(f"{site.url}/0").text == "hello"


@pytest.mark.parametrize(
    "headers",
    [{}, *({"Location": target} for target in NOT_HTTP.split() if "feed" not in target)],
)
def test_a_redirect_to_nowhere_is_an_error(site: Site, careful: Lab, headers: dict[str, str]) -> None:
    site.routes["/"] = (302, headers, b"")
    with pytest.raises(FetchError):
        careful.get(site.url)


# ---- connections --------------------------------------------------------------------------------------------


def test_a_host_that_is_down(careful: Lab) -> None:
    with (
        closed_port() as url,
        pytest.raises(FetchError, match=r"can't connect to 127\.0\.0\.1: Connection refused"),
    ):
        careful.get(url)


def test_a_name_that_does_not_exist(careful: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(FetchError, match=r"name shop\.example can't be found"):
        careful.get("http://shop.example/")
    monkeypatch.undo()
    with pytest.raises(FetchError, match="can't be found"):  # the resolver can't even encode it
        careful.get(f"http://{'a' * 70}.example/")


def test_a_kept_connection_that_the_host_has_dropped_is_no_error(site: Site, careful: Lab) -> None:
    served: dict[tuple[str, int], int] = {}

    def hang_up_on_the_second(handler: BaseHTTPRequestHandler) -> None:
        number = served[handler.client_address] = served.get(handler.client_address, 0) + 1
        if number == 1:
            handler.wfile.write(HEAD + b"Content-Length: 5\r\n\r\nhello")
            handler.close_connection = False

    site.routes["/"] = lambda _: hang_up_on_the_second
    with careful.fetcher.client(SourceMemory()) as http:
        assert [http.get(site.url).text for _ in range(4)] == ["hello"] * 4
        assert list(served.values()) == [2, 2, 2, 1]
        with pytest.raises(FetchError, match="cut off"):
            http.post(site.url)  # it may have been received: never sent again
    assert list(served.values()) == [2, 2, 2, 2]


@contextlib.contextmanager
def tls_site(names: list[str | None]) -> Iterator[int]:
    """A TLS server for shop.example; ``names`` receives the server name that each client asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            with (
                contextlib.suppress(OSError),
                client,
                context.wrap_socket(client, server_side=True) as stream,
            ):
                stream.recv(65536)
                stream.sendall(HEAD + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=[listening], daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_tls_is_verified_for_the_name_though_an_address_is_connected_to(
    careful: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _host, *args, **options: real("127.0.0.1", *args, **options)
    )
    names: list[str | None] = []
    with tls_site(names) as port:
        with pytest.raises(FetchError, match=r"certificate of shop\.example can't be trusted"):
            careful.get(f"https://shop.example:{port}/")
        careful.restart(ssl.create_default_context(cafile=TLS / "cert.pem"))
        assert careful.get(f"https://shop.example:{port}/").text == "hello"
        assert names == ["shop.example"] * 2
        with pytest.raises(FetchError, match=r"certificate of other\.example can't be trusted"):
            careful.get(f"https://other.example:{port}/")


def test_plain_http_where_tls_is_expected(site: Site, careful: Lab) -> None:
    with pytest.raises(FetchError, match=r"no TLS with 127\.0\.0\.1"):
        careful.get(site.url.replace("http:", "https:"))
    assert math.isinf(careful.fetcher.deadline.at)  # nothing is left of the failed request
