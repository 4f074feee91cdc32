"""What the tests of fetching share: a fetcher for loopback whose clock and stored host states the test holds."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import httpx

from listener.fetch import Fetcher, FetchSettings, HostState, SourceMemory
from tests.fakes import Answer

HEAD = b"HTTP/1.1 200 OK\r\n"
LOOPBACK = (ip_network("127.0.0.1/32"),)
# Short where a trap is meant to run into it, generous everywhere else.
SETTINGS = FetchSettings("ops@shop.example", allow_private=LOOPBACK, host_pace=0, deadline=20, robots=False)


def ok(body: bytes = b"hello", **headers: str) -> Answer:
    return 200, {name.replace("_", "-"): value for name, value in headers.items()}, body


def to(target: str, status: int = 302) -> Answer:
    return status, {"Location": target}, b""


class Lab:
    """One fetcher and all that lives around it. ``memory`` is that of the source which ``get`` polls."""

    def __init__(self, **settings: Any) -> None:
        self.now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
        self.saved: dict[str, HostState] = {}
        self.memory = SourceMemory()
        self._open: list[Fetcher] = []
        self.settings = dataclasses.replace(SETTINGS, **settings)
        self.fetcher = self.restart()

    def restart(self, ssl_context: ssl.SSLContext | None = None) -> Fetcher:
        """A new process: nothing is left but what was saved."""
        self.fetcher = Fetcher(
            self.settings,
            now=lambda: self.now,
            load_host=lambda origin: dataclasses.replace(s) if (s := self.saved.get(origin)) else None,
            save_host=lambda origin, state: self.saved.update({origin: dataclasses.replace(state)}),
            ssl_context=ssl_context,
        )
        self._open.append(self.fetcher)
        return self.fetcher

    def get(self, url: str, **options: Any) -> httpx.Response:
        """One poll of one request. Only a poll that ends well leaves something in the memory, as in the product."""
        memory = SourceMemory.from_json(self.memory.to_json())
        with self.fetcher.client(memory) as http:
            response = http.get(url, **options)
        self.memory = memory
        return response

    def get_if_changed(self, url: str, **options: Any) -> httpx.Response:
        return self.get(url, extensions={"listener_if_changed": True}, **options)

    def close(self) -> None:
        for fetcher in self._open:
            fetcher.close()


@contextlib.contextmanager
def lab(**settings: Any) -> Iterator[Lab]:
    made = Lab(**settings)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """The URL of a loopback port that is taken but not listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"
