"""The Slack responder, through the real slack_sdk, against a Web API on loopback."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from listener.errors import DeliveryError
from listener.model import State
from responders.slack import Slack
from tests.fake_slack import TOKEN, Failure, FakeSlack
from tests.notices import KARI, LATE, SENIORS, THIRD_STRIKE, case, delivery


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def slack_server() -> Iterator[FakeSlack]:
    with FakeSlack() as server:
        yield server


@pytest.fixture
def slack(slack_server: FakeSlack) -> Slack:
    return Slack(
        token=SecretStr(TOKEN), channel="C1", channels={"manager": "C2"}, base_url=slack_server.base_url
    )


def test_a_case_is_one_message_edited_in_place_with_its_timeline_below(
    slack: Slack, slack_server: FakeSlack
) -> None:
    ref = slack.send(delivery(call=(KARI,)))
    assert ref is not None
    [parent] = slack_server.posted()
    assert ref == {"channel": "C1", "ts": parent["ts"]}
    assert parent["metadata"] == {
        "event_type": "listener_delivery",
        "event_payload": {"key": "case:12:opened", "case_id": 12},
    }
    assert "<@U0KARI>" in json.dumps(parent["blocks"])
    claimed = case(state=State.CLAIMED, assignee="Kari")
    assert slack.send(delivery("changed", "Kari took the case.", case=claimed, ref=ref)) is None
    assert len(slack_server.posted()) == 1
    assert "Kari has it" in json.dumps(parent["blocks"])
    assert "<@U0KARI>" not in json.dumps(parent["blocks"]), "nobody is called by an edit"
    [reply] = slack_server.replies(ref["ts"])
    assert reply["text"] == "Kari took the case."
    first = next(arguments for method, arguments in slack_server.calls if method == "chat.postMessage")
    assert (first["unfurl_links"], first["unfurl_media"], first["parse"]) == (False, False, "none")


@pytest.mark.parametrize(("kind", "seen"), [("breach", True), ("reopened", True), ("reminder", False)])
def test_a_breach_is_seen_in_the_channel_too(
    kind: Any, seen: bool, slack: Slack, slack_server: FakeSlack
) -> None:
    ref = slack.send(delivery())
    assert ref
    slack.send(delivery(kind, "Look.", ref=ref, call=(SENIORS,)))
    [reply] = slack_server.replies(ref["ts"])
    assert reply["broadcast"] is seen
    assert "<!subteam^S0SENIORS>" in reply["text"]


def test_another_mention_is_quoted_in_the_thread(slack: Slack, slack_server: FakeSlack) -> None:
    ref = slack.send(delivery(case=THIRD_STRIKE))
    assert ref
    slack.send(delivery("joined", "Wrote again.", case=THIRD_STRIKE, ref=ref))
    assert "Still nothing." in json.dumps(slack_server.replies(ref["ts"])[0]["blocks"])


def test_managers_get_a_pointer_to_the_thread(slack: Slack, slack_server: FakeSlack) -> None:
    ref = slack.send(delivery())
    assert ref
    assert slack.send(delivery("escalation", "Nobody answered.", ref=ref, channel="manager", at=LATE)) is None
    [pointer] = slack_server.posted("C2")
    assert f"https://t.example.com/archives/C1/p{ref['ts'].replace('.', '')}" in json.dumps(pointer["blocks"])
    assert "chat.update" not in slack_server.methods()


def test_a_pointer_without_a_thread_is_sent_all_the_same(slack: Slack, slack_server: FakeSlack) -> None:
    gone = {"channel": "C1", "ts": "1.1"}
    slack_server.fail["chat.getPermalink"].append(Failure.refused("message_not_found"))
    for ref in (None, gone):
        assert slack.send(delivery("escalation", channel="manager", ref=ref)) is None
    assert len(slack_server.posted("C2")) == 2
    assert slack_server.posted("C1") == []


def test_a_channel_that_nobody_configured_does_not_swallow_an_alarm(
    slack: Slack, slack_server: FakeSlack
) -> None:
    ref = slack.send(delivery())
    assert ref
    slack.send(delivery("breach", "Too late.", ref=ref, channel="boss"))
    [reply] = slack_server.replies(ref["ts"])
    assert reply["text"] == "🔴 Too late. (meant for the channel “boss”, which is not configured)"


def test_a_notice_without_a_case(slack: Slack, slack_server: FakeSlack) -> None:
    assert slack.send(delivery("system", "Source <x> stopped.", case=None)) is None
    assert slack_server.posted()[0]["text"] == "Source &lt;x&gt; stopped."


@pytest.mark.parametrize("error", ["message_not_found", "cant_update_message", "edit_window_closed"])
def test_a_message_that_is_gone_is_posted_anew(error: str, slack: Slack, slack_server: FakeSlack) -> None:
    ref = slack.send(delivery())
    slack_server.fail["chat.update"].append(Failure.refused(error))
    new = slack.send(delivery("changed", "Kari took the case.", ref=ref))
    assert new is not None
    assert new != ref
    assert [message["ts"] for message in slack_server.posted()][-1] == new["ts"]


def test_an_answer_that_was_lost_leads_to_no_second_message(slack: Slack, slack_server: FakeSlack) -> None:
    slack_server.fail["chat.postMessage"].append(Failure.lost_answer())
    with pytest.raises(DeliveryError) as caught:
        slack.send(delivery())
    assert caught.value.uncertain
    ref = slack.send(delivery(uncertain=True, attempt=2))
    assert ref == {"channel": "C1", "ts": slack_server.posted()[0]["ts"]}
    assert len(slack_server.posted()) == 1
    slack_server.fail["chat.postMessage"].append(Failure.lost_answer())
    with pytest.raises(DeliveryError):
        slack.send(delivery("reminder", ref=ref))
    slack.send(delivery("reminder", ref=ref, uncertain=True, attempt=2))
    assert ref
    assert len(slack_server.replies(ref["ts"])) == 1


def test_an_uncertain_message_that_never_arrived_is_sent(slack: Slack, slack_server: FakeSlack) -> None:
    for number in range(5):
        slack.send(delivery(key=f"other:{number}"))
    slack_server.page_size = 2
    assert slack.send(delivery(uncertain=True)) is not None
    assert len(slack_server.posted()) == 6
    assert slack_server.methods().count("conversations.history") == 3, "all pages were looked at"
    found = slack.send(delivery(key="other:0", uncertain=True))
    assert found == {"channel": "C1", "ts": slack_server.posted()[0]["ts"]}


def test_without_the_history_scope_a_double_beats_silence(slack: Slack, slack_server: FakeSlack) -> None:
    slack_server.scopes = "chat:write"
    assert slack.send(delivery(uncertain=True)) is not None


def test_uncertainty_outlives_a_failure_that_came_before_the_look(
    slack: Slack, slack_server: FakeSlack
) -> None:
    slack_server.fail["conversations.history"].append(Failure.rate_limited(60))
    with pytest.raises(DeliveryError) as caught:
        slack.send(delivery(uncertain=True))
    assert (caught.value.uncertain, caught.value.retry_after) == (True, 60)


def test_a_long_rate_limit_goes_back_to_the_outbox(slack: Slack, slack_server: FakeSlack) -> None:
    slack_server.fail["chat.postMessage"].append(Failure.rate_limited(30))
    with pytest.raises(DeliveryError) as caught:
        slack.send(delivery())
    error = caught.value
    assert (error.permanent, error.retry_after, error.uncertain) == (False, 30, False)
    assert slack_server.methods() == ["chat.postMessage"]


def test_a_short_rate_limit_is_waited_for_by_the_sdk(
    slack: Slack, slack_server: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("slack_sdk.http_retry.builtin_handlers.time.sleep", waits.append)
    slack_server.fail["chat.postMessage"].append(Failure.rate_limited(2))
    assert slack.send(delivery()) is not None
    assert len(waits) == 1
    assert 2 <= waits[0] <= 3


@pytest.mark.parametrize(
    ("error", "says", "held"),
    [
        ("channel_not_found", "About", True),
        ("not_in_channel", "/invite", True),
        ("is_archived", "unarchive", True),
        ("restricted_action", "admin", True),
        ("no_permission", "Install App", False),
        ("invalid_auth", "Bot User OAuth Token", True),
        ("token_revoked", "Install App", True),
        ("account_inactive", "removed from the workspace", True),
        ("msg_too_long", "report", False),
    ],
)
def test_a_refusal_for_good_says_what_to_do(
    error: str, says: str, held: bool, slack: Slack, slack_server: FakeSlack
) -> None:
    slack_server.fail["chat.postMessage"] += [Failure.refused(error)] * 2  # plain text is refused too
    with pytest.raises(DeliveryError, match=f"{error}.*{says}") as caught:
        slack.send(delivery())
    assert (caught.value.permanent, caught.value.held) == (not held, held)


def test_a_missing_scope_is_named(slack: Slack, slack_server: FakeSlack) -> None:
    slack_server.fail["chat.postMessage"].append(Failure.refused("missing_scope", needed="chat:write"))
    with pytest.raises(DeliveryError, match=r"missing_scope chat:write.*OAuth & Permissions") as caught:
        slack.send(delivery())
    assert caught.value.held


@pytest.mark.parametrize("error", ["invalid_blocks", "msg_blocks_too_long", "msg_too_long"])
def test_refused_blocks_go_out_as_plain_text(error: str, slack: Slack, slack_server: FakeSlack) -> None:
    slack_server.fail["chat.postMessage"].append(Failure.refused(error))
    assert slack.send(delivery()) is not None
    [message] = slack_server.posted()
    assert "blocks" not in message
    assert "My parcel never arrived" in message["text"]


@pytest.mark.parametrize(
    ("failure", "uncertain"),
    [
        (Failure.refused("internal_error"), True),
        (Failure.refused("fatal_error"), True),
        (Failure.refused("service_unavailable"), True),
        (Failure.refused("an_error_of_next_year"), False),
        (Failure(503, "<html><body>Service unavailable</body></html>", {"Content-Type": "text/html"}), True),
        (Failure(200, "<html>Please log in to the hotel's network</html>"), True),
        (Failure(200, '{"ok": tr'), True),
        (Failure(502, ""), True),
        (Failure(429, "", {"Retry-After": "soon"}), False),
    ],
    ids=lambda value: value.body[:20] if isinstance(value, Failure) else str(value),
)
def test_a_passing_failure_is_tried_again(
    failure: Failure, uncertain: bool, slack: Slack, slack_server: FakeSlack
) -> None:
    slack_server.fail["chat.postMessage"].append(failure)
    with pytest.raises(DeliveryError) as caught:
        slack.send(delivery())
    assert (caught.value.permanent, caught.value.uncertain) == (False, uncertain)


def test_slack_down_is_certain_to_have_sent_nothing() -> None:
    slack = Slack(token=SecretStr(TOKEN), channel="C1", base_url=f"http://127.0.0.1:{free_port()}/api/")
    with pytest.raises(DeliveryError, match="not reachable") as caught:
        slack.send(delivery())
    assert (caught.value.permanent, caught.value.uncertain) == (False, False)
    assert slack.check() == [(False, str(caught.value))]


def test_a_silent_server_is_a_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}/api/"
        slack = Slack(token=SecretStr(TOKEN), channel="C1", base_url=address, timeout_seconds=1)
        with pytest.raises(DeliveryError, match="timed out") as caught:
            slack.send(delivery())
    assert caught.value.uncertain


def test_slack_wants_channel_ids() -> None:
    for options in ({"channel": "#support"}, {"channel": "C1", "channels": {"manager": "@boss"}}):
        with pytest.raises(ValidationError, match="About, at the bottom"):
            Slack(token=SecretStr(TOKEN), **options)


def test_the_slack_token_is_never_shown(
    slack: Slack, slack_server: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    slack_server.fail["chat.postMessage"].append(Failure(500, ""))
    with caplog.at_level(logging.DEBUG), pytest.raises(DeliveryError) as caught:
        slack.send(delivery())
    assert TOKEN not in repr(slack) + str(caught.value) + str(caught.value.__cause__) + caplog.text
