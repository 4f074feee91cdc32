"""A feed that is polled again and again tells each item once, and the same as when it is read whole."""

from __future__ import annotations

import httpx
from hypothesis import given
from hypothesis import strategies as st

from connectors.rss import Rss, parse
from listener.model import Mention

URL = "https://blog.example/feed.xml"


class Fixed(httpx.BaseTransport):
    body = b""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=self.body)


def feed(items: list[str]) -> bytes:
    head = "<rss version='2.0'><channel><title>B</title>"
    return f"{head}{''.join(items)}</channel></rss>".encode()


def item(guid: int, text: str) -> str:
    head = f"<item><guid isPermaLink='false'>g{guid}</guid><title>T{guid}</title>"
    return f"{head}<description>{text}</description></item>"


TEXTS = st.sampled_from(
    ["plain", "&lt;p&gt;x&lt;/p&gt;", "<![CDATA[<b>bold</b>]]>", "<![CDATA[</item>]]>", "<!-- -->y"]
)
VERSIONS = st.lists(st.dictionaries(st.integers(0, 6), TEXTS, min_size=1, max_size=6), min_size=1, max_size=5)


@given(VERSIONS)
def test_each_poll_brings_what_is_new_or_edited_and_nothing_is_lost(versions: list[dict[int, str]]) -> None:
    transport = Fixed()
    http = httpx.Client(transport=transport)
    rss = Rss(url=URL)  # type: ignore[arg-type]
    cursor = None
    heard: dict[str, Mention] = {}
    for version in versions:
        transport.body = feed([item(guid, text) for guid, text in version.items()])
        whole = parse(transport.body, charset=None, url=URL, platform="blog.example").mentions
        page = rss.poll(http, cursor)
        cursor = page.cursor
        heard |= {m.external_id: m for m in page.mentions}
        assert set(page.mentions) <= set(whole)
        for mention in whole:
            assert heard[mention.external_id] == mention


def test_what_stood_there_at_the_last_poll_is_not_told_again() -> None:
    transport = Fixed()
    http = httpx.Client(transport=transport)
    rss = Rss(url=URL)  # type: ignore[arg-type]
    old = [item(n, "old") for n in range(5)]
    transport.body = feed(old)
    first = rss.poll(http, None)
    assert len(first.mentions) == 5
    assert rss.poll(http, first.cursor).mentions == ()
    transport.body = feed([item(9, "new"), *old[:4]])
    second = rss.poll(http, first.cursor)
    assert [m.title for m in second.mentions] == ["T9"]
    assert rss.poll(http, second.cursor).mentions == ()


def test_items_that_share_a_guid_are_always_read_together() -> None:
    transport = Fixed()
    http = httpx.Client(transport=transport)
    rss = Rss(url=URL)  # type: ignore[arg-type]
    transport.body = feed([item(1, "a"), item(1, "b")])
    first = rss.poll(http, None)
    transport.body = feed([item(1, "c"), item(1, "a"), item(1, "b")])
    second = rss.poll(http, first.cursor)
    assert {m.external_id for m in first.mentions} < {m.external_id for m in second.mentions}
