"""The fake Slack itself, by the real clients: what it grants, what it refuses, and how it fails."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web import WebClient

from tests.fake_slack import APP_TOKEN, SIGNING_SECRET, TOKEN, Failure, FakeSlack
from tests.fake_slack import sockets as socket_side

SAMPLES = (
    Path(__file__).resolve().parents[2] / "shared" / "data" / "api-samples" / "slack-inbound-payloads.json"
)
BUTTON = {
    "type": "button",
    "action_id": "claim",
    "text": {"type": "plain_text", "text": "Claim"},
    "value": "12",
}
BLOCKS = [{"type": "actions", "block_id": "case", "elements": [BUTTON]}]
FIELD = {
    "type": "input",
    "block_id": "link",
    "label": {"type": "plain_text", "text": "Link"},
    "element": {"type": "url_text_input", "action_id": "url"},
}
MODAL = {
    "type": "modal",
    "callback_id": "respond",
    "title": {"type": "plain_text", "text": "Responded"},
    "submit": {"type": "plain_text", "text": "Save"},
    "blocks": [FIELD],
}


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as server:
        yield server


@pytest.fixture
def web(slack: FakeSlack) -> WebClient:
    return WebClient(token=TOKEN, base_url=slack.base_url, retry_handlers=[])


class Listening:
    """A Socket Mode app that acknowledges what comes, with ``answer`` if there is one."""

    def __init__(self, web: WebClient, *, deaf: bool = False) -> None:
        self.seen: list[SocketModeRequest] = []
        self.came = threading.Condition()
        self.answer: dict[str, Any] | None = None
        self.deaf = deaf
        quiet = logging.getLogger("tests.socket_mode")
        quiet.setLevel(logging.CRITICAL)
        self.client = SocketModeClient(APP_TOKEN, web_client=web, ping_interval=0.2, logger=quiet)
        self.client.socket_mode_request_listeners.append(self._hear)

    def _hear(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        with self.came:
            self.seen.append(request)
            self.came.notify_all()
        if not self.deaf:
            client.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload=self.answer))

    def __enter__(self) -> Listening:
        self.client.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


def error_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(**arguments)
    return str(caught.value.response["error"])


def test_socket_mode_brings_what_people_do_and_takes_answers(slack: FakeSlack, web: WebClient) -> None:
    ts = web.chat_postMessage(channel="C1", text="case 12", blocks=BLOCKS)["ts"]
    with Listening(web) as app:
        slack.sockets.wait_connected()
        assert slack.click("U0KARI", "claim").status == 200
        opened = web.views_open(trigger_id=app.seen[0].payload["trigger_id"], view=MODAL)["view"]
        app.answer = {"response_action": "errors", "errors": {"link": "no link"}}
        assert slack.submit("U0KARI", opened, {"url": "hm"}).body["errors"] == {"link": "no link"}
        assert opened["id"] in slack.views
        app.answer = None
        slack.submit("U0KARI", opened, {"url": "https://forum.example/t/1"})
        assert slack.views == {}
        app.answer = {"response_type": "ephemeral", "text": "All quiet."}
        slack.command("U0KARI", "status")
        app.answer = None
        slack.react("U0KARI", "eyes", ts)
        slack.open_home("U0KARI")
    click, _, submitted, command, reaction, home = app.seen
    assert click.payload["actions"][0]["value"] == "12"
    assert click.payload["container"]["message_ts"] == ts
    assert submitted.payload["view"]["state"]["values"]["link"]["url"]["value"] == "https://forum.example/t/1"
    assert (command.type, command.payload["text"]) == ("slash_commands", "status")
    assert slack.ephemerals[0]["text"] == "All quiet."
    assert reaction.payload["event"]["item"]["ts"] == ts
    assert home.payload["event"]["type"] == "app_home_opened"


def test_events_come_twice_and_in_any_order(slack: FakeSlack, web: WebClient) -> None:
    first = slack.event_request({"type": "reaction_added"})
    second = slack.event_request({"type": "reaction_removed"})
    with Listening(web) as app:
        for request, attempt in ((second, 0), (first, 0), (first, 1)):
            slack.deliver(request, attempt)
    ids = [seen.payload["event_id"] for seen in app.seen]
    assert ids == [second.payload["event_id"], first.payload["event_id"], first.payload["event_id"]]
    assert [seen.retry_attempt for seen in app.seen] == [0, 0, 1]


def test_an_envelope_that_nobody_acknowledges_is_a_mistake(
    slack: FakeSlack, web: WebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_side, "LONGEST_S", 0.1)
    with Listening(web, deaf=True):
        assert slack.open_home("U0KARI").status == 0
    assert "not acknowledged" in slack.mistakes.pop()


def test_a_client_comes_back_after_a_drop_and_when_asked_to(slack: FakeSlack, web: WebClient) -> None:
    with Listening(web) as app:
        slack.sockets.wait_connected()
        slack.sockets.drop()
        slack.sockets.wait_connected(2)
        slack.sockets.ask_to_reconnect()
        slack.sockets.wait_connected(3)
        assert slack.open_home("U0KARI").status == 200
    assert len(app.seen) == 1


def test_a_socket_address_is_good_for_one_connection(slack: FakeSlack, web: WebClient) -> None:
    assert error_of(web.apps_connections_open, app_token=TOKEN) == "not_allowed_token_type"
    assert slack.sockets.new_url() != slack.sockets.new_url()


def test_over_http_requests_are_signed_as_slack_signs_them(slack: FakeSlack) -> None:
    came: list[tuple[bytes, dict[str, str]]] = []

    def app(body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        came.append((body, headers))
        return 200, "application/json", b'{"text": "Case 12 is open."}'

    slack.app = app
    assert slack.command("U0KARI", "case 12").body["text"] == "Case 12 is open."
    slack.open_home("U0KARI")
    verifier = SignatureVerifier(SIGNING_SECRET)
    assert all(verifier.is_valid_request(body, headers) for body, headers in came)
    body, headers = slack.signed(slack.command_request("U0KARI", "help"), at=1_700_000_000)
    assert not verifier.is_valid_request(body, headers), "too old"
    old = hmac.new(SIGNING_SECRET.encode(), b"v0:1700000000:" + body, hashlib.sha256).hexdigest()
    assert headers["X-Slack-Signature"] == f"v0={old}"


@pytest.mark.skipif(not SAMPLES.exists(), reason="the samples of Slack's own tests are not here")
def test_bodies_have_the_keys_that_slack_sends(slack: FakeSlack, web: WebClient) -> None:
    web.chat_postMessage(channel="C1", text="case 12", blocks=BLOCKS)
    samples = {
        p["payload"].get("type") or p["source"]: p["payload"]
        for p in reversed(json.loads(SAMPLES.read_text(encoding="utf-8"))["payloads"])
        if "payload" in p
    }
    view = web.views_open(trigger_id=slack.trigger(), view=MODAL)["view"]
    made = {
        "block_actions": slack.click_request("U0KARI", "claim").payload,
        "view_submission": slack.submit_request("U0KARI", view, {"url": "https://e.example"}).payload,
        "event_callback": slack.event_request({"type": "app_uninstalled"}).payload,
    }
    for kind, payload in made.items():
        assert set(samples[kind]) - {"enterprise_id", "authed_users"} <= set(payload), kind
    left = {"enterprise_id", "enterprise_name"}
    assert set(samples["block_actions"]["actions"][0]) <= set(made["block_actions"]["actions"][0])
    assert set(samples["view_submission"]["team"]) - left <= set(made["view_submission"]["team"])


def test_a_trigger_opens_one_view(slack: FakeSlack, web: WebClient) -> None:
    trigger = slack.trigger()
    view = web.views_open(trigger_id=trigger, view=MODAL)["view"]
    assert error_of(web.views_open, trigger_id=trigger, view=MODAL) == "exchanged_trigger_id"
    assert error_of(web.views_open, trigger_id="1.2", view=MODAL) == "invalid_trigger_id"
    web.views_update(view_id=view["id"], hash=view["hash"], view=MODAL | {"callback_id": "two"})
    assert error_of(web.views_update, view_id=view["id"], hash=view["hash"], view=MODAL) == "hash_conflict"
    assert slack.views[view["id"]]["callback_id"] == "two"
    home = {"type": "home", "blocks": BLOCKS}
    web.views_publish(user_id="U0KARI", view=home)
    assert slack.homes["U0KARI"]["blocks"] == BLOCKS
    assert (
        slack.click_request("U0KARI", "claim", view=slack.homes["U0KARI"]).payload["container"]["type"]
        == "view"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"title": {"type": "plain_text", "text": "x" * 25}},
        {"submit": {"type": "mrkdwn", "text": "*Save*"}},
        {"blocks": [FIELD, FIELD]},
        {"private_metadata": "x" * 3001},
        {"blocks": [FIELD | {"element": {"type": "plain_text_input", "action_id": "a", "max_length": 3001}}]},
        {"blocks": []},
        {"type": "home"},
    ],
    ids=str,
)
def test_a_view_past_the_limits_is_refused(change: dict[str, Any], slack: FakeSlack, web: WebClient) -> None:
    assert error_of(web.views_open, trigger_id=slack.trigger(), view=MODAL | change) == "invalid_arguments"


def test_a_required_field_and_an_unknown_one_are_seen(slack: FakeSlack, web: WebClient) -> None:
    view = web.views_open(trigger_id=slack.trigger(), view=MODAL)["view"]
    for values in ({}, {"url": "https://e.example", "other": "1"}):
        with pytest.raises(AssertionError):
            slack.submit_request("U0KARI", view, values)


def test_files_go_up_in_three_steps(slack: FakeSlack, web: WebClient) -> None:
    web.files_upload_v2(channel="C1", content=b"\x89PNG", filename="week.png", initial_comment="The week")
    [message] = slack.posted()
    assert (message["text"], message["files"]) == ("The week", [{"id": "F1", "name": "week.png"}])
    assert slack.files["F1"]["data"] == b"\x89PNG"


def test_messages_for_one_reader_and_answers_to_a_click(slack: FakeSlack, web: WebClient) -> None:
    ts = web.chat_postMessage(channel="C1", text="case 12", blocks=BLOCKS)["ts"]
    web.chat_postEphemeral(channel="C1", user="U0KARI", text="Ben has it.")
    url = slack.click_request("U0KARI", "claim").payload["response_url"]
    for body in ({"text": "Only you."}, {"text": "done", "replace_original": True}):
        request = HttpRequest(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=5) as answer:
            assert answer.read() == b"ok"
    assert [m["text"] for m in slack.ephemerals] == ["Ben has it.", "Only you."]
    assert slack.posted()[0]["text"] == "done"
    web.reactions_add(channel="C1", timestamp=ts, name="eyes")
    assert slack.posted()[0]["reactions"] == ["eyes"]
    assert web.users_info(user="U0BEN")["user"]["real_name"] == "Ben"


def test_a_channel_takes_one_message_a_second(slack: FakeSlack, web: WebClient) -> None:
    time = [1_800_000_000.0]
    slack.paced, slack.now = True, lambda: time[0]
    web.chat_postMessage(channel="C1", text="one")
    with pytest.raises(SlackApiError) as caught:
        web.chat_postMessage(channel="C1", text="two")
    assert (caught.value.response.status_code, caught.value.response.headers["Retry-After"]) == (429, "1")
    web.chat_postMessage(channel="C2", text="elsewhere")
    time[0] += 1
    assert web.chat_postMessage(channel="C1", text="two")["ts"].startswith("1800000001.")


def test_what_is_refused(slack: FakeSlack, web: WebClient) -> None:
    slack.channels["C2"].is_archived = True
    slack.scopes = "chat:write"
    refusals: list[tuple[Any, dict[str, Any], str]] = [
        (web.chat_postMessage, {"channel": "C9", "text": "x"}, "channel_not_found"),
        (web.chat_postMessage, {"channel": "C2", "text": "x"}, "is_archived"),
        (web.chat_postMessage, {"channel": "C1", "text": "x" * 40_001}, "msg_too_long"),
        (web.chat_postMessage, {"channel": "C1", "text": "x", "blocks": BLOCKS * 51}, "invalid_blocks"),
        (web.conversations_history, {"channel": "C1"}, "missing_scope"),
        (WebClient(token="xoxb-old", base_url=slack.base_url).auth_test, {}, "invalid_auth"),
    ]
    for call, arguments, error in refusals:
        assert error_of(call, **arguments) == error


def test_failures_come_when_asked_for(slack: FakeSlack, web: WebClient) -> None:
    slack.fail["chat.postMessage"] += [Failure.rate_limited(30), Failure(503, "down"), Failure.lost_answer()]
    for expected in (SlackApiError, SlackApiError, OSError):
        with pytest.raises(expected):
            web.chat_postMessage(channel="C1", text="x")
    assert len(slack.posted()) == 1, "the last one was taken before the line went dead"


def test_an_unexpected_method_fails_the_test() -> None:
    slack = FakeSlack().__enter__()
    assert error_of(WebClient(token=TOKEN, base_url=slack.base_url).api_call, api_method="admin.users.list")
    with pytest.raises(AssertionError, match=r"unexpected call of admin\.users\.list"):
        slack.__exit__(None, None, None)
