"""Hostile sources, through the whole chain from the site on loopback to the stored rows and the messages.

What one source does never touches another, is told where the operator looks, and a good page later is heard.
"""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from listener.service import act
from tests.fakes import Request, Route, Site, Stream
from tests.place import COMPLAINT, GOOD, RSS, Place, rss


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # Slack's SDK obeys them
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


# ---- sources that can't be read -----------------------------------------------------------------------------


def endless(handler: BaseHTTPRequestHandler) -> None:
    """200 MB and more, whose length is not told before."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(4_000):
        handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        handler.wfile.write(b"<")
        time.sleep(0.05)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"")


def writes(stream: Stream) -> Route:
    return lambda _request: stream


def circle(request: Request) -> tuple[int, dict[str, str], bytes]:
    number = int(request.path.partition("=")[2] or 0)
    return 302, {"Location": f"/feed?n={number + 1}"}, b""


LAUGHS = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 9))
BOMB = f"<!DOCTYPE rss [<!ENTITY a0 'ha'>{LAUGHS}]>"

UNREADABLE: dict[str, tuple[Route | None, list[str]]] = {
    "HTML": (
        (200, {"Content-Type": "text/html"}, b"<html><body><h1>Welcome</h1></body></html>"),
        ["HTML", "feed"],
    ),
    "HTML that names its feed": (
        (200, {}, b"<html><link rel=alternate type='application/rss+xml' href='/real.xml'></html>"),
        ["/real.xml"],
    ),
    "nothing": ((200, RSS, b""), ["empty"]),
    "a word": ((200, RSS, b"soon"), ["feed"]),
    "noise": ((200, RSS, bytes(range(256)) * 40), ["feed"]),
    "another program's JSON": ((200, {"Content-Type": "application/json"}, b'{"error": "no"}'), ["feed"]),
    "half a file, before the first entry": ((200, RSS, rss().encode()[:80]), ["ends before its first entry"]),
    "200 MB": (writes(endless), ["larger than 20,000,000"]),
    "200 MB, announced": ((200, {"Content-Length": "200000000"}, b"x"), ["larger than 20,000,000"]),
    "a gzip bomb": (
        (200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(70_000_000))),
        ["larger than 60,000,000", "unpacked"],
    ),
    "down": (None, ["connect", "refused"]),
    "hangs up": (writes(hang_up), ["not HTTP"]),
    "redirects in a circle": (circle, ["more than 5 redirects", "circles"]),
    "redirects to a file": ((302, {"Location": "file:///etc/passwd"}, b""), ["http"]),
    "not there": ((404, {}, b"no"), ["404", "check the URL"]),
    "broken": ((500, {}, b"oops"), ["500", "fault of its own"]),
    "wants a log-in": ((401, {}, b"who?"), ["401", "token or password"]),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_can_not_be_read_is_told_at_its_source_and_nowhere_else(name: str, place: Place) -> None:
    route, words = UNREADABLE[name]
    place.listen(route)
    errors = place.poll()
    assert errors["good"] is None
    _fails_and_recovers(place, words)


def test_a_slow_source_is_given_up_at_the_deadline(place: Place) -> None:
    place.deadline = "1s"
    place.listen(writes(drip))
    place.poll()
    _fails_and_recovers(place, ["1 s"])


def test_a_redirect_into_our_network_is_refused_and_never_asked(place: Place) -> None:
    with Site({"/feed": GOOD}, "127.0.0.1") as ours:
        place.listen((302, {"Location": f"{ours.url}/feed"}, b""))
        place.poll()
        assert ours.requests == []
    _fails_and_recovers(place, ["127.0.0.1", "not on the public internet", "fetch.allow_private"])


def _fails_and_recovers(place: Place, words: list[str]) -> None:
    row = place.source("bad")
    missing = [word for word in words if word not in row.error]
    assert not missing, f"{row.error} does not name {missing}"
    assert re.search(r"//127\.0\.0\.[12]", row.error), "which address it was"
    assert (row.state, row.failures, row.error_at) == ("active", 1, place.now)
    assert row.next_poll_at - place.now >= timedelta(minutes=5), "it backs off"
    assert row.lease_until is None
    assert place.heard("bad") == []
    assert place.heard("good") == [COMPLAINT], "others go on"
    assert place.source("good").error is None
    place.answers(GOOD)
    assert "bad" not in place.poll(), "it is left alone for now"
    place.now = row.next_poll_at
    assert place.poll()["bad"] is None
    row = place.source("bad")
    assert (row.error, row.failures, row.state) == (None, 0, "active")
    assert place.heard("bad") == [COMPLAINT]
    assert place.case("bad").open
    place.deliver()


def test_a_failing_source_shows_in_the_health_report(place: Place) -> None:
    place.listen((404, {}, b"no"))
    for _ in range(12):
        place.poll()
        place.now = place.source("bad").next_poll_at
    assert place.source("bad").failures == 12
    assert place.source("bad").next_poll_at - place.now <= timedelta(hours=7), "it never gives up"
    assert any("bad" in trouble for trouble in place.troubles())


def test_a_host_that_wants_a_pause_gets_it_and_its_source_is_not_to_blame(place: Place) -> None:
    place.listen((429, {"Retry-After": "3600"}, b""))
    place.poll()
    row = place.source("bad")
    assert (row.failures, row.next_poll_at) == (0, place.now + timedelta(hours=1))
    assert "asks us to wait" in row.error
    assert place.heard("good") == [COMPLAINT]


def test_a_source_that_is_gone_stops_says_so_and_can_be_started_again(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.listen((410, {}, b""))
    place.poll()
    assert place.source("bad").state == "stopped"
    place.deliver()
    assert "Source bad stopped: HTTP 410: gone for good" in capsys.readouterr().out
    place.answers(GOOD)
    assert place.app is not None
    act.set_source_state(place.app.core, "bad", "active", place.now)
    assert place.poll()["bad"] is None
    assert place.heard("bad") == [COMPLAINT]


# ---- pages that can be read all the same --------------------------------------------------------------------

GERMAN = "Halcyon: völlig kaputt, größte Enttäuschung, ich will mein Geld zurück – “sofort”! €5"
CHARSETS = {
    "windows-1252 as utf-8": ("cp1252", "text/xml; charset=utf-8", "utf-8"),
    "utf-8 as latin-1": ("utf-8", "text/xml; charset=iso-8859-1", "utf-8"),
    "utf-16 as utf-8": ("utf-16", "text/xml", "utf-16"),
    "no such charset": ("utf-8", "text/xml; charset=klingon", "klingon"),
}


@pytest.mark.parametrize("name", CHARSETS)
def test_a_wrong_charset_is_read_all_the_same(name: str, place: Place) -> None:
    coding, content_type, declared = CHARSETS[name]
    body = rss(GERMAN, head=f"<?xml version='1.0' encoding='{declared}'?>").encode(coding)
    place.listen((200, {"Content-Type": content_type}, body))
    assert place.poll()["bad"] is None
    assert place.heard("bad") == [GERMAN]


def test_of_half_a_file_what_arrived_whole_is_kept_and_the_rest_is_heard_later(place: Place) -> None:
    items = [rss(f"{COMPLAINT} {n}", number=n) for n in range(3)]
    whole = items[0].replace("</channel></rss>", "") + "".join(
        "<item>" + item.partition("<item>")[2].replace("</channel></rss>", "") for item in items[1:]
    )
    whole += "</channel></rss>"
    place.listen((200, RSS, whole[: whole.rindex("my order")].encode()))
    assert place.poll()["bad"] is None
    assert len(place.heard("bad")) == 2
    place.answers((200, RSS, whole.encode()))
    place.now += timedelta(hours=1)
    place.poll()
    assert place.heard("bad") == [f"{COMPLAINT} {n}" for n in range(3)], "nothing lost, nothing doubled"


@pytest.mark.parametrize(
    "date", ["Mon, 21 Jan 1793 10:00:00 GMT", "Thu, 31 Dec 2099 23:59:59 GMT", "yesterday"]
)
def test_an_impossible_date_is_no_date(date: str, place: Place) -> None:
    place.listen(GOOD)
    place.poll()  # its history is known: what comes now is news
    place.answers((200, RSS, rss(f"{COMPLAINT} Again!", number=2, date=date).encode()))
    place.now += timedelta(hours=1)
    assert place.poll()["bad"] is None
    (found,) = [m for m in place.mentions() if m.external_id == "2"]
    assert found.published_at is None
    assert found.case_id is not None
    place.deliver()


def test_entities_that_grow_without_end_are_not_followed(place: Place) -> None:
    body = rss("&a8; " + COMPLAINT, head=BOMB).replace("&amp;a8;", "&a8;")
    place.listen((200, RSS, body.encode()))
    place.poll()
    row = place.source("bad")
    assert row.error is not None or all(len(text) < 10_000 for text in place.heard("bad"))
    assert place.heard("good") == [COMPLAINT]
