"""A loopback server of many feeds, in a process of its own, quick enough not to be what is measured.

``GET /N.xml`` is a feed; ``GET /mode/NAME`` changes what all of them answer: ``first`` (200 with validators),
``same`` (304 to a conditional request), ``again`` (200 with the same bytes, no validators), ``new`` (one new entry
in each feed). ``latency`` is added to each answer.
"""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

WORDS = """
the ferry was late again and nobody at the desk could say when the next one leaves while we stood in the rain with
two tired children and a dog waiting for coffee tickets parcel order refund train boat harbour window light music
garden bread sunday market winter holiday phone screen battery update password letter answer question
""".split()  # noqa: SIM905 - read as a text
START = datetime(2026, 11, 1, tzinfo=UTC)


def entry(rng: random.Random, feed: int, number: int, name: str | None) -> str:
    """One entry of about 290 characters of text, in markup as blogs write it; ``name`` is a brand that it names."""
    words = [rng.choice(WORDS) for _ in range(50)]
    if name:
        words[20] = name
    text = " ".join(words)
    at = format_datetime(START + timedelta(minutes=feed * 100 + number))
    return (
        f"<item><guid isPermaLink='false'>http://blog{feed}.example/?p={number}</guid>"
        f"<title>Post {number} of {feed}</title>"
        f"<link>http://blog{feed}.example/{number}</link><author>a{number}@blog{feed}.example</author>"
        f"<pubDate>{at}</pubDate><description>&lt;p&gt;{text[:150]}&lt;/p&gt;&lt;p&gt;{text[150:]}&lt;/p&gt;"
        f"</description></item>"
    )


def feed(number: int, entries: int, names: list[str], share: float, *, new: bool = False) -> bytes:
    rng = random.Random(number)
    items = [
        entry(rng, number, n, rng.choice(names) if rng.random() < share else None) for n in range(entries)
    ]
    if new:
        items.insert(0, entry(rng, number, entries, None))
        items.pop()
    return (
        f"<?xml version='1.0' encoding='utf-8'?><rss version='2.0'><channel><title>Blog {number}</title>"
        f"<link>http://blog{number}.example/</link><language>en-GB</language>{''.join(items)}</channel></rss>"
    ).encode()


class Server(asyncio.Protocol):
    mode = "first"
    latency = 0.0
    old: list[bytes] = []  # noqa: RUF012 - one server a process
    new: list[bytes] = []  # noqa: RUF012

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            answer = self.answer(head)
            if Server.latency and b".xml " in head:
                asyncio.get_running_loop().call_later(Server.latency, self.transport.write, answer)  # type: ignore[attr-defined]
            else:
                self.transport.write(answer)  # type: ignore[attr-defined]

    def answer(self, head: bytes) -> bytes:
        path = head.split(b" ", 2)[1].decode()
        if path.startswith("/mode/"):
            Server.mode = path[6:]
            return _response(200, b"ok")
        if not path.endswith(".xml"):
            return _response(404, b"")
        number = int(path[1:-4])
        etag = f'"{number}"'
        if Server.mode == "same" and etag.encode() in head:
            return _response(304, b"", f"ETag: {etag}\r\n")
        body = Server.new[number] if Server.mode == "new" else Server.old[number]
        headers = f"ETag: {etag}\r\n" if Server.mode in ("first", "same") else ""
        return _response(200, body, headers + "Content-Type: application/rss+xml\r\n")


def _response(status: int, body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def main(feeds: int, entries: int, names: int, share: float, latency: float) -> None:
    Server.latency = latency
    brands = [f"Brandname{n}" for n in range(names)]
    Server.old = [feed(n, entries, brands, share) for n in range(feeds)]
    Server.new = [feed(n, entries, brands, share, new=True) for n in range(feeds)]
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*(float(a) if "." in a else int(a) for a in sys.argv[1:])))  # type: ignore[arg-type]
