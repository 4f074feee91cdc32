"""The network under the client: which addresses may be connected to, and a deadline on every socket
operation.
"""

from __future__ import annotations

import math
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore

from listener.fetch.turnstile import Turnstile

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# Everything in IANA's special-purpose address registries (RFC 6890 and its updates), the few globally
# reachable exceptions in them included: no customer complains there. Spelt out because ipaddress.is_global
# differs between Python's patch releases (3.11.10 and 3.12.4 changed it) and calls 64:ff9b::7f00:1 global.
_UNICAST6 = IPv6Network("2000::/3")  # all that IANA has given out as global unicast; what is outside is not
_SPECIAL: tuple[IPNetwork, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: the metadata services of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation, as 198.51.100/24 and 203.0.113/24
        "192.31.196.0/24",  # AS112, as 192.175.48/24
        "192.52.193.0/24",  # AMT relays
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries any IPv4 address, private ones too
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
# Outside 2000::/3 lie ::1, IPv4-mapped ::ffff:0:0/96, NAT64 64:ff9b::/96 and 64:ff9b:1::/48, fc00::/7,
# fe80::/10, ff00::/8.

_NEVER_WAITS = 8_000  # bytes; less than any system's buffer for what a socket is to send
_MAX_ADDRESSES = 4  # of one name; more would only spend the deadline


class AddressRefusedError(Exception):
    """A name leads to ``address``, which is not public and not on the allow-list."""

    def __init__(self, host: str, address: IPAddress) -> None:
        self.host = host
        self.address = address
        super().__init__(f"{host} is at {address}")


class Deadline(threading.local):
    """The instant (``time.monotonic``) by which this thread's request must be over, and what it has done so
    far.

    Thread-local because a kept-alive connection serves one request now and another's later, in another
    thread.
    """

    at = math.inf
    connected = False  # this hop opened its own connection, as opposed to reusing one

    def remaining(self) -> float:
        """Seconds left, below zero when it is over."""
        return self.at - time.monotonic()

    def limit(self, timeout: float | None) -> float:
        """Seconds that the next socket operation may take. Raises ``httpcore.ReadTimeout`` when none are
        left.
        """
        left = self.remaining() if timeout is None else min(self.remaining(), timeout)
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left


def is_public(address: IPAddress) -> bool:
    """Whether an address is ordinary global unicast, hence a host on the public internet."""
    if address.version == 6 and address not in _UNICAST6:
        return False
    return not any(address in network for network in _SPECIAL)


def resolve(host: str, port: int, timeout: float) -> list[IPAddress]:
    """The addresses of a host, in the system's order of preference.

    The system's look-up can't be interrupted, so it runs in a thread of its own, which is left behind when it
    takes too long (it ends by itself: resolvers give up after some 30 s).

    Raises ``httpcore.ConnectError`` when there is none, ``httpcore.ConnectTimeout`` when it takes too long.
    """
    try:
        return [ip_address(host)]
    except ValueError:
        pass  # a name; odd spellings of an address (127.1, 0x7f000001) are read by the resolver, then checked
    answer: queue.SimpleQueue[list[IPAddress] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.put([ip_address(str(sockaddr[0])) for *_, sockaddr in found])
        except (
            OSError,
            ValueError,
        ) as error:  # ValueError: a name that can't be encoded, a family without IP
            answer.put(error)

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    try:
        result = answer.get(timeout=min(timeout, threading.TIMEOUT_MAX))
    except queue.Empty:
        raise httpcore.ConnectTimeout("name look-up") from None
    if isinstance(result, Exception):
        raise httpcore.ConnectError(result) from result  # as httpcore does: the cause is its argument
    return list(dict.fromkeys(result))


class GuardedStream(httpcore.NetworkStream):
    """A socket stream on which no operation outlasts the deadline of the thread that asks for it.

    A read time-out alone does not bound an answer that drips a byte a second.
    """

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline, turnstile: Turnstile) -> None:
        self._inner = inner
        self._deadline = deadline
        self._turnstile = turnstile

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self._turnstile.outside():
            return self._inner.read(max_bytes, self._deadline.limit(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if len(buffer) <= _NEVER_WAITS:
            self._inner.write(buffer, self._deadline.limit(timeout))
            return
        with self._turnstile.outside():
            self._inner.write(buffer, self._deadline.limit(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        with self._turnstile.outside():
            inner = self._inner.start_tls(ssl_context, server_hostname, self._deadline.limit(timeout))
        return GuardedStream(inner, self._deadline, self._turnstile)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to the very address that was checked, so that no second look-up (DNS rebinding) can differ.

    The name stays in Host and SNI, which the layers above set.
    """

    def __init__(
        self, allow_private: tuple[IPNetwork, ...], deadline: Deadline, turnstile: Turnstile
    ) -> None:
        self._allow = allow_private
        self._deadline = deadline
        self._turnstile = turnstile
        self._sockets = httpcore.SyncBackend()

    def may_connect(self, address: IPAddress) -> bool:
        return is_public(address) or any(address in network for network in self._allow)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        with self._turnstile.outside():
            found = resolve(host, port, self._deadline.limit(timeout))
        addresses = [address for address in found if self.may_connect(address)][:_MAX_ADDRESSES]
        if not addresses:
            raise AddressRefusedError(host, found[0])
        self._deadline.connected = True
        for left in range(len(addresses), 0, -1):
            # A fair share each: an IPv6 address that swallows packets must not use up IPv4's time.
            share = self._deadline.limit(timeout) / left
            try:
                with self._turnstile.outside():
                    stream = self._sockets.connect_tcp(
                        str(addresses[-left]), port, share, local_address, socket_options
                    )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if left == 1:
                    raise
            else:
                return GuardedStream(stream, self._deadline, self._turnstile)
        raise AssertionError("unreachable: the last address returns or raises")

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        raise httpcore.UnsupportedProtocol("Unix sockets are never fetched from")
