"""Responders against real servers on loopback: what arrives, and what each failure becomes."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import logging
import socket
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError

from listener.errors import DeliveryError
from listener.model import Delivery, State
from listener.ports import Responder
from responders._text import clip, duration, web_url
from responders.apprise import Apprise
from responders.console import Console, notice_lines
from responders.slack import Slack
from responders.webhook import Webhook
from tests.fake_slack import TOKEN
from tests.fakes import Site
from tests.notices import CASE, KARI, LATE, LONG, NOW, SENIORS, THIRD_STRIKE, case, delivery, mention, notice

SECRET = "a-secret-of-the-tests"
HOSTILE = "\x1b[2J\x1b]0;gotcha\x07 red\x9b31m \x00nul \u202eright to left \ud800half\r\nnext\tline"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---- all of them


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Console, {}),
        (Slack, {"token": TOKEN, "channel": "C1"}),
        (Webhook, {"url": "http://127.0.0.1/", "secret": SECRET}),
        (Apprise, {"urls": ["json://127.0.0.1/"]}),
    ],
)
def test_each_is_a_responder_that_explains_itself(kind: type[BaseModel], options: dict[str, Any]) -> None:
    assert isinstance(kind(**options), Responder)
    assert kind.__doc__
    assert all(field.description for field in kind.model_fields.values())
    with pytest.raises(ValidationError, match="colour"):
        kind(**options, colour="red")


# ---- console


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, out: io.StringIO, console: Console, *given: Delivery) -> str:
    monkeypatch.setattr(sys, "stdout", out)
    for one in given:
        console.send(one)
    return out.getvalue()


def test_console_shows_a_new_case_in_five_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, io.StringIO(), Console(zone="Europe/Oslo"), delivery(call=(KARI,)))
    assert text.splitlines() == [
        "14:05 ● NEW  Acme · delivery · high · case 12 · Jane Doe · ★☆☆☆☆ · trustpilot",
        "      2nd bad experience in 365 days · new customer, day 12",
        "      “Never again My parcel never arrived and nobody answers. I have called three times; "
        "I want my money back.”",
        "      First response due 15:05 (in 1 h) · nobody has it yet → Kari",
        "      https://listener.example.com/cases/12",
    ]


@pytest.mark.parametrize(
    "one",
    [
        delivery("joined", case=THIRD_STRIKE),
        delivery("changed", "Kari took the case.", case=THIRD_STRIKE),
        delivery("reminder"),
        delivery("warning", case=LONG),
        delivery("breach", case=THIRD_STRIKE, at=LATE, call=(SENIORS,)),
        delivery("escalation", case=THIRD_STRIKE, at=LATE),
        delivery("reopened"),
        delivery("closed", case=case(state=State.RESOLVED, outcome="refunded", clocks=(), mentions=())),
        delivery("system", "The source reviews stopped: 410.", case=None),
    ],
    ids=lambda one: one.notice.kind,
)
def test_console_blocks_are_compact(one: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, io.StringIO(), Console(), one).splitlines()
    assert 1 <= len(lines) <= 5
    assert all(line.startswith("      ") for line in lines[1:])


def test_console_tells_lateness_and_other_days(monkeypatch: pytest.MonkeyPatch) -> None:
    late = delivery("breach", case=THIRD_STRIKE, at=LATE)
    overnight = delivery("changed", at=NOW + timedelta(days=1))
    text = shown(monkeypatch, io.StringIO(), Console(zone="UTC"), late, overnight)
    assert "First response was due 14:05 (1 min ago) · Kari has it · 1 more mention" in text
    assert "was due 22 Nov 14:05 (23 h ago)" in text


@pytest.mark.parametrize(
    ("color", "tty", "environment", "coloured"),
    [
        ("auto", False, {}, False),
        ("auto", True, {}, True),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("never", True, {}, False),
        ("always", False, {}, True),
        ("always", False, {"NO_COLOR": "1"}, True),
    ],
)
def test_console_colours(
    color: Any, tty: bool, environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm-256color"} | environment).items():
        monkeypatch.setenv(name, value)
    text = shown(monkeypatch, Tty() if tty else io.StringIO(), Console(color=color), delivery())
    assert ("\x1b[1;94m" in text or "\x1b[33m" in text) is coloured


def hostile_delivery(text: str) -> Delivery:
    view = case(
        brand=text,
        reason=text,
        assignee=text,
        state=State.CLAIMED,
        mentions=(mention(text=text, title=text, source=text, author=text, url=text),),
        url=None,
    )
    return delivery("breach", text, case=view, at=LATE)


@given(st.one_of(st.just(HOSTILE), st.text(st.characters(exclude_categories=[]), max_size=50)))
def test_no_control_character_of_a_stranger_reaches_the_terminal(text: str) -> None:
    for line in notice_lines(hostile_delivery(text).notice, NOW.tzinfo):
        assert not [
            char for char in line.plain if ord(char) < 32 or 127 <= ord(char) < 160 or char == "\u202e"
        ]
        line.plain.encode()  # no half surrogates


def test_console_on_a_terminal_that_knows_ascii_only(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Console().send(delivery())
    assert b"NEW  Acme" in raw.getvalue()


def test_console_says_when_output_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    out.close()
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(DeliveryError, match="standard output") as caught:
        Console().send(delivery())
    assert not caught.value.permanent


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_console_refuses_an_unknown_zone() -> None:
    with pytest.raises(ValidationError, match="Europe/Oslo"):
        Console(zone="Mars/Olympus")


# ---- webhook


def webhook(site: Site, path: str = "/hook") -> Webhook:
    return Webhook(url=f"{site.url}{path}", secret=SecretStr(SECRET))  # type: ignore[arg-type]


def test_webhook_sends_signed_json() -> None:
    with Site({"/hook": (204, {}, b"")}) as site:
        webhook(site).send(delivery("breach", "Late.", channel="manager", call=(KARI,)))
        [request] = site.requests
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "case:12:breach"
    stamp = request.headers["listener-timestamp"]
    assert abs(int(stamp) - time.time()) < 600
    expected = hmac.new(SECRET.encode(), stamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["listener-signature"] == f"v1={expected}"
    body = json.loads(request.body)
    assert (body["version"], body["key"], body["channel"]) == (1, "case:12:breach", "manager")
    sent = body["notice"]
    assert sent["at"] == "2026-11-22T13:05:00Z"
    assert sent["call"] == [{"name": "Kari", "handles": {"slack": "U0KARI"}}]
    assert sent["case"]["clocks"][0]["target"] == "PT1H"
    assert sent["case"]["customer"]["bad_experiences"] == 2


def test_the_webhook_shape_is_that_of_version_1() -> None:
    """Readers out there rely on these names: a new one may be added here, none may go without a new version."""
    with Site({"/hook": (200, {}, b"")}) as site:
        webhook(site).send(delivery(call=(KARI,)))
        body = json.loads(site.requests[0].body)
    view = body["notice"]["case"]
    assert set(body) == {"version", "key", "channel", "notice"}
    assert set(body["notice"]) >= {"kind", "text", "at", "case", "call"}
    names = {
        "id brand state cycle reason severity complaint why customer mentions clocks opened_at": view,
        "assignee answer_url verified promise_minutes snoozed_until outcome url": view,
        "id source author title text url rating lang compound published seen deleted edited": view[
            "mentions"
        ][0],
        "id name bad_experiences window_days day_as_customer new tier": view["customer"],
    }
    for known, found in names.items():
        assert set(known.split()) <= set(found)
    assert set(view["clocks"][0]) >= {"name", "started_at", "due_at", "target", "met_at"}
    assert set(view["why"][0]) == {"rule", "words", "share"}


def test_webhook_survives_hostile_text() -> None:
    with Site({"/hook": (200, {}, b"")}) as site:
        webhook(site).send(hostile_delivery(HOSTILE))
        body = json.loads(site.requests[0].body.decode("utf-8"))
    assert body["notice"]["text"] == HOSTILE.replace("\ud800", "?")


@pytest.mark.parametrize(
    ("status", "headers", "permanent", "retry_after"),
    [
        (400, {}, True, None),
        (401, {}, True, None),
        (404, {}, True, None),
        (408, {}, False, None),
        (410, {}, True, None),
        (425, {}, False, None),
        (429, {"Retry-After": "17"}, False, 17),
        (429, {"Retry-After": "later"}, False, None),
        (500, {}, False, None),
        (503, {"Retry-After": "120"}, False, 120),
        (503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, False, 0),
        (301, {"Location": "http://169.254.169.254/"}, True, None),
        (307, {"Location": "/elsewhere"}, True, None),
    ],
)
def test_webhook_answers(
    status: int, headers: dict[str, str], permanent: bool, retry_after: float | None
) -> None:
    with Site({"/hook": (status, headers, b"no")}) as site:
        with pytest.raises(DeliveryError, match=str(status)) as caught:
            webhook(site).send(delivery())
        assert len(site.requests) == 1, "redirects are not followed"
    error = caught.value
    assert (error.permanent, error.retry_after, error.uncertain) == (permanent, retry_after, False)


def test_webhook_that_does_not_answer_may_have_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/hook"
        hook = Webhook(url=url, secret=SecretStr(SECRET), timeout_seconds=0.05)  # type: ignore[arg-type]
        with pytest.raises(DeliveryError, match=r"127\.0\.0\.1") as caught:
            hook.send(delivery())
        assert (caught.value.permanent, caught.value.uncertain) == (False, True)


def test_webhook_that_is_down_has_not() -> None:
    hook = Webhook(url=f"http://127.0.0.1:{free_port()}/", secret=SecretStr(SECRET))  # type: ignore[arg-type]
    with pytest.raises(DeliveryError, match="not reachable") as caught:
        hook.send(delivery())
    assert (caught.value.permanent, caught.value.uncertain) == (False, False)
    [(good, text)] = hook.check()
    assert not good
    assert "check url" in text


def test_webhook_check_delivers_nothing() -> None:
    with Site({"/hook": (405, {}, b"")}) as site:
        [(good, _)] = webhook(site).check()
        assert good
        assert [request.method for request in site.requests] == ["HEAD"]


def test_webhook_refuses_a_short_secret_without_showing_it() -> None:
    with pytest.raises(ValidationError) as caught:
        Webhook(url="https://example.com/", secret=SecretStr("hunter2"))  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)


# ---- apprise


def apprise_to(*sites: Site) -> Apprise:
    return Apprise(urls=[SecretStr(site.url.replace("http://", "json://") + "/in") for site in sites])


def test_apprise_sends_title_and_text() -> None:
    with Site({"/in": (200, {}, b"")}) as site:
        apprise_to(site).send(
            delivery("breach", "Nobody answered.", case=THIRD_STRIKE, at=LATE, call=(KARI,))
        )
        body = json.loads(site.requests[0].body)
    assert body["title"] == "Late: Acme, delivery complaint, case 12"
    assert body["type"] == "failure"
    lines = body["message"].splitlines()
    assert lines[:4] == [
        "Nobody answered.",
        "First response was due 2026-11-22 14:05 UTC; Kari has it",
        "likely to leave · 3rd bad experience in 365 days · gold",
        "For Kari",
    ]
    assert "> الطرد لم يصل بعد" in body["message"]
    assert lines[-1] == "Dashboard: https://listener.example.com/cases/12"


def test_apprise_breaks_the_commands_of_chat_services() -> None:
    with Site({"/in": (200, {}, b"")}) as site:
        hostile = case(brand="A\r\nBcc: x", mentions=(mention(text="@everyone <!channel> <@U1> @here \x00"),))
        apprise_to(site).send(delivery(text="@channel", case=hostile))
        body = json.loads(site.requests[0].body)
    assert "\n" not in body["title"]
    for command in ("@everyone", "<!channel>", "<@U1>", "@here", "@channel", "\x00"):
        assert command not in body["message"]


def test_apprise_sends_a_notice_without_a_case() -> None:
    with Site({"/in": (200, {}, b"")}) as site:
        apprise_to(site).send(delivery("system", "The source reviews stopped.", case=None))
        assert json.loads(site.requests[0].body)["title"] == "Listener: The source reviews stopped."


def test_apprise_does_not_repeat_what_one_address_took_when_another_refused() -> None:
    with Site({"/in": (200, {}, b"")}) as good, Site({"/in": (503, {}, b"")}) as bad:
        both = apprise_to(good, bad)
        with pytest.raises(DeliveryError, match=r"not accepted by JSON.*503") as caught:
            both.send(delivery())
        assert not caught.value.permanent
        bad.routes["/in"] = (200, {}, b"")
        both.send(delivery(attempt=2))
        both.send(delivery(key="another"))
        assert (len(good.requests), len(bad.requests)) == (2, 3)


@pytest.mark.parametrize(
    "url", ["mailto//me:hunter2@example.com", "nosuch://hunter2@example.com", "tgram://hunter2/"]
)
def test_apprise_refuses_what_it_does_not_understand_without_showing_it(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = io.StringIO()  # what an operator's log would hold: caplog listens to silenced loggers too
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        for given_url in (SecretStr(url), url):
            with pytest.raises(ValidationError, match="address 2 of urls") as caught:
                Apprise(urls=[SecretStr("json://127.0.0.1/"), given_url])  # type: ignore[list-item]
            printed = capsys.readouterr()
            assert "hunter2" not in str(caught.value) + log.getvalue() + printed.out + printed.err
    finally:
        logging.getLogger().removeHandler(handler)


def test_apprise_needs_an_address() -> None:
    with pytest.raises(ValidationError):
        Apprise(urls=[])


# ---- words


@given(st.text(max_size=300), st.integers(1, 100))
def test_clip_keeps_the_limit_and_the_beginning(text: str, limit: int) -> None:
    short = clip(text, limit)
    assert len(short) <= limit
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("one two three", 13, "one two three"),
        ("one two three", 12, "one two…"),
        ("onetwothreefour", 8, "onetwot…"),
        ("ab 👩‍👩‍👧‍👦 cd", 6, "ab…"),
        ("cafe\u0301 noir", 5, "caf…"),
    ],
)
def test_clip_cuts_well(text: str, limit: int, expected: str) -> None:
    assert clip(text, limit) == expected


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (0.5, "less than a minute"),
        (40, "40 min"),
        (65, "1 h 5 min"),
        (1440, "1 d"),
        (1440 * 2 + 61, "2 d 1 h"),
    ],
)
def test_durations_are_short(minutes: float, expected: str) -> None:
    assert duration(timedelta(minutes=minutes)) == expected


def test_only_web_addresses_become_links() -> None:
    assert web_url("https://a.example.com/x?y=z#w") == "https://a.example.com/x?y=z#w"
    for bad in (None, "", "javascript:x", "https://", "http://[", "http://a b", "http://a/\n", "file:///etc"):
        assert web_url(bad) is None


def test_samples_are_whole() -> None:
    assert notice().case is CASE
