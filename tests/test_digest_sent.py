"""How digests reach people: Slack with a picture, through the real slack_sdk, and the plain responders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from listener import app, charts, config
from listener.errors import DeliveryError
from listener.model import Author, Delivery, DigestLine, DigestPart, DigestView, Notice
from listener.service import digest
from listener.service.core import Digests
from responders.apprise import message as apprise_message
from responders.console import Console
from responders.slack import Slack
from responders.slack import digest as slack_digest
from responders.webhook import payload
from tests import blockkit
from tests.fake_slack import ALL_SCOPES, TOKEN, Failure, FakeSlack
from tests.shop import Shop
from tests.world import World

HOSTILE = "<!channel> *Eve* _x_ `rm` & <@U1> https://evil.example @everyone \x1b[31m \u202e"
VIEW = DigestView(
    name="digest-daily-2026-03-17",
    title="Tuesday, 17 March 2026",
    summary="Tuesday, 17 March 2026: 3 new cases; 2 open now, 1 late.",
    alt="Cases by hour: 2 answered in time, 1 late",
    parts=(
        DigestPart(
            "Open now", (DigestLine(f"{HOSTILE} · due 10:05", "Case 12", "https://l.example/cases/12"),)
        ),
        DigestPart("Thank you", (DigestLine("“Great!”", HOSTILE, "https://forum.example/?a=1&b=2"),)),
    ),
    figures={"opened": 3, "as_of": datetime(2026, 3, 18, 8, tzinfo=UTC)},
)
NOTICE = Notice(
    "digest", VIEW.summary, datetime(2026, 3, 18, 8, tzinfo=UTC), digest=VIEW, picture=b"\x89PNG..."
)
DELIVERY = Delivery("digest-daily-2026-03-17:slack", NOTICE)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlack() as server:
        yield server


@pytest.fixture
def slack(server: FakeSlack) -> Slack:
    return Slack(token=SecretStr(TOKEN), channel="C1", channels={"manager": "C2"}, base_url=server.base_url)


def test_slack_gets_one_message_with_the_chart(slack: Slack, server: FakeSlack) -> None:
    assert slack.send(DELIVERY) is None
    [message] = server.posted()
    assert [file["name"] for file in message["files"]] == ["digest-daily-2026-03-17.png"]
    assert server.files[message["files"][0]["id"]]["data"] == b"\x89PNG..."
    assert message["blocks"][0]["text"]["text"] == VIEW.title
    assert "<https://l.example/cases/12|Case 12>" in json.dumps(message["blocks"])
    asked = dict(server.calls)["files.getUploadURLExternal"]
    assert asked["alt_txt"] == VIEW.alt


def test_it_goes_to_the_channel_that_it_is_for(slack: Slack, server: FakeSlack) -> None:
    slack.send(replace(DELIVERY, channel="manager"))
    assert (len(server.posted("C1")), len(server.posted("C2"))) == (0, 1)


def test_without_the_scope_the_words_go_out_and_say_so_once(slack: Slack, server: FakeSlack) -> None:
    server.scopes = ALL_SCOPES.replace("files:write", "")
    slack.send(DELIVERY)
    [message] = server.posted()
    assert "files" not in message
    assert json.dumps(message["blocks"]).count("files:write") == 1
    assert message["metadata"]["event_payload"]["key"] == DELIVERY.key


def test_without_a_picture_it_is_a_plain_message(slack: Slack, server: FakeSlack) -> None:
    slack.send(replace(DELIVERY, notice=replace(NOTICE, picture=None)))
    [message] = server.posted()
    assert message["text"] == VIEW.summary
    assert "files.getUploadURLExternal" not in server.methods()


def test_after_a_lost_answer_it_is_not_shared_twice(slack: Slack, server: FakeSlack) -> None:
    server.fail["files.completeUploadExternal"].append(Failure.lost_answer())
    with pytest.raises(DeliveryError) as caught:
        slack.send(DELIVERY)
    assert caught.value.uncertain
    again = replace(DELIVERY, attempt=2, uncertain=True)
    assert slack.find(again) is None, "a shared file has no metadata"
    slack.send(again)
    assert len(server.posted()) == 1


def test_a_picture_that_never_gets_through_keeps_no_words_back(slack: Slack, server: FakeSlack) -> None:
    for attempt in (1, 2, 3):
        server.fail["files.getUploadURLExternal"].append(Failure(status=503))
        with pytest.raises(DeliveryError) as caught:
            slack.send(replace(DELIVERY, attempt=attempt))
        assert (caught.value.permanent, caught.value.alone) == (False, True), "other messages go on"
    slack.send(replace(DELIVERY, attempt=4))
    [message] = server.posted()
    assert "Its chart could not be uploaded" in json.dumps(message["blocks"])


@pytest.mark.parametrize("note", ["", "Its chart is missing: " + HOSTILE])
def test_blocks_keep_slacks_limits_and_strangers_words_are_words(note: str) -> None:
    lines = tuple(
        DigestLine(HOSTILE * 20, HOSTILE * 5, f"https://forum.example/{'x' * 400}") for _ in range(40)
    )
    view = replace(VIEW, title=HOSTILE * 10, parts=tuple(DigestPart(HOSTILE, lines) for _ in range(12)))
    for each in (VIEW, view):
        message = slack_digest.message(replace(NOTICE, text=HOSTILE), each, note)
        assert blockkit.problems(message.blocks, message.text) == []
        shown = json.dumps(message.blocks[1:], ensure_ascii=False) + message.text
        assert "<!channel>" not in shown
        assert "<@U1>" not in shown
        assert "*Eve*" not in shown


def test_the_console_prints_it_part_by_part(capsys: pytest.CaptureFixture[str]) -> None:
    Console(color="never", zone="UTC").send(DELIVERY)
    printed = capsys.readouterr().out
    assert "DIGEST" in printed
    assert VIEW.summary in printed
    assert "Open now\n" in printed
    assert "Case 12 · " in printed
    assert "\x1b" not in printed
    assert "\u202e" not in printed


def test_the_webhook_gets_the_figures_and_no_picture() -> None:
    notice: dict[str, Any] = json.loads(payload(DELIVERY))["notice"]
    assert notice["digest"]["figures"] == {"opened": 3, "as_of": "2026-03-18T08:00:00Z"}
    assert "picture" not in notice


def test_other_services_get_the_words() -> None:
    title, body = apprise_message(NOTICE)
    assert title == VIEW.title
    assert body.startswith(VIEW.summary)
    assert "@everyone" not in body


def test_an_e_mail_carries_the_picture(server: FakeSlack) -> None:
    """Through apprise's JSON service, which sends attachments as base64."""
    import base64
    import http.server
    import threading

    from responders.apprise import Apprise

    bodies: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Silent."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as receiver:
        thread = threading.Thread(target=receiver.handle_request)
        thread.start()
        Apprise(urls=[SecretStr(f"json://127.0.0.1:{receiver.server_port}")]).send(DELIVERY)
        thread.join()
    [body] = bodies
    [attached] = body["attachments"]
    assert base64.b64decode(attached["base64"]) == b"\x89PNG..."
    assert attached["filename"] == "digest-daily-2026-03-17.png"


# ---- all the way --------------------------------------------------------------------------------------------


def test_from_the_tick_to_slack(tmp_path: Path, slack: Slack, server: FakeSlack) -> None:
    world = World(tmp_path, digests=Digests("Europe/Berlin", time(9), (0, time(9))))
    world.core = replace(world.core, responders={"slack": slack})
    world.settled()
    world.now = datetime(2026, 3, 15, 9, tzinfo=UTC)
    world.tick()
    text = f"My parcel from Halcyon never arrived, the courier is terrible! {HOSTILE}"
    world.hear(world.mention(1, text, author=Author("forum.example", "eve", HOSTILE)))
    world.deliver()
    world.now = datetime(2026, 3, 16, 8, tzinfo=UTC)  # Monday, 9:00 in Berlin
    for _ in range(2):
        world.tick()
        world.deliver()
    files = [message["files"][0] for message in server.posted() if "files" in message]
    assert [file["name"] for file in files] == ["digest-daily-2026-03-15.png", "digest-weekly-2026-03-15.png"]
    assert "<!channel>" not in json.dumps([m["blocks"] for m in server.posted()], ensure_ascii=False)
    drawn = charts.draw(digest.daily(world.core, world.now))
    assert server.files[files[0]["id"]]["data"] == drawn
    world.close()


def test_the_command_prints_a_digest_and_sends_nothing(shop: Shop) -> None:
    shop.configure(extra="[digest]\nzone = 'Europe/Berlin'\ndaily = '09:00'")
    assert shop("poll", "--once").code == 0
    sent = len(shop.received)
    ran = shop("digest", "daily", "--chart", "day.png")
    assert ran.code == 0, ran.err
    assert "Open now" in ran.out
    assert "Case 1 · Mia · " in ran.out
    assert (shop.folder / "day.png").read_bytes().startswith(b"\x89PNG")
    [figures] = shop("digest", "daily", "--json").json()
    assert (figures["open"], figures["soonest"][0]["customer"]) == (1, "Mia")
    [week] = shop("digest", "weekly", "--date", "2026-01-31", "--json").json()
    assert (week["first"], week["last"], week["opened"]) == ("2026-01-25", "2026-01-31", 0)
    assert len(shop.received) == sent


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["daily", "--date", "2999-01-01"], "that day is not over yet"),
        (["daily", "--date", "0001-01-01"], "before anything was heard"),
        (["weekly", "--date", "yesterday"], "is not a date like 2026-01-31"),
        ([], "required"),
    ],
)
def test_the_command_says_what_is_wrong(shop: Shop, args: list[str], says: str) -> None:
    ran = shop("digest", *args)
    assert ran.code == 2
    assert says in ran.err


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("daily = '9'", "digest.daily: must be a time of the day, such as 09:00"),
        ("daily = '24:00'", "digest.daily: must be a time of the day"),
        ("weekly = 'someday 09:00'", "digest.weekly: must be a weekday and a time, such as monday 09:00"),
        ("weekly = 'monday'", "digest.weekly: must be a time of the day"),
        ("zone = 'Mars'", "digest.zone"),
        ("dayly = '09:00'", "digest.dayly: unknown key"),
    ],
)
def test_a_wrong_configuration_is_named(shop: Shop, section: str, says: str) -> None:
    shop.configure(extra=f"[digest]\n{section}")
    ran = shop("check")
    assert ran.code == 2
    assert says in ran.err + ran.out


@pytest.mark.parametrize(
    ("section", "daily", "weekly"),
    [
        ("", None, None),
        ("daily = '07:30'", time(7, 30), None),
        ("weekly = 'Friday 16:00'", None, (4, time(16))),
        ("enabled = false\ndaily = '07:30'\nweekly = 'friday 16:00'", None, None),
    ],
)
def test_each_is_off_by_leaving_it_out(
    section: str, daily: time | None, weekly: tuple[int, time] | None, tmp_path: Path
) -> None:
    text = f"[listener]\ncontact = 'a@b.example'\n[[brands]]\nname = 'B'\n[digest]\n{section}"
    found = app.rules(config.parse(text, "listener.toml", tmp_path)).digests
    assert (found.daily, found.weekly) == (daily, weekly)
