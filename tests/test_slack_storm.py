"""A storm in Slack: its message within Block Kit's limits, and its thread, through the real slack_sdk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from listener.model import Delivery, Notice, Person, StormView
from responders.slack import Slack, storm
from tests.blockkit import problems
from tests.fake_slack import TOKEN, Failure, FakeSlack
from tests.notices import KARI, NOW, case, delivery, notice
from tests.test_storm_service import Weather

VIEW = StormView(
    id=3,
    brand="Acme",
    started_at=NOW,
    ended_at=None,
    cases=57,
    open_cases=41,
    per_hour=114.0,
    usual_per_hour=2.0,
    reasons=(("delivery", 40), ("billing", 17)),
    sources=(("trustpilot", 50), ("forum", 7)),
    url="https://listener.example.com/cases?storm=3",
)
OVER = replace(VIEW, ended_at=NOW + timedelta(hours=3), open_cases=2)


def told(view: StormView, text: str = "57 cases by now.", **changes: Any) -> Delivery:
    inner = Notice("storm", text, NOW, call=changes.pop("call", ()), storm=view)
    return replace(Delivery(f"storm-3-{text}", inner), **changes)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with FakeSlack() as server:
        yield server


@pytest.fixture
def slack(server: FakeSlack) -> Slack:
    return Slack(token=SecretStr(TOKEN), channel="C1", channels={"manager": "C2"}, base_url=server.base_url)


# ---- the message --------------------------------------------------------------------------------------------


def test_it_shows_how_many_how_fast_why_and_where() -> None:
    found = storm.message(told(VIEW, call=(KARI,)).notice, VIEW)
    assert problems(found.blocks, found.text) == []
    shown = json.dumps(found.blocks, ensure_ascii=False)
    for words in ("Acme", "57 cases", "41 open", "114 an hour (usually up to 2)", "delivery 40, billing 17"):
        assert words in shown
    assert "trustpilot 50, forum 7" in shown
    assert "<@U0KARI>" in shown
    assert found.text == (
        "Many complaints: Acme. 57 cases · 41 open · 114 an hour (usually up to 2). "
        "Mostly delivery 40, billing 17. <@U0KARI>"
    )


words = st.text(max_size=300)
counts = st.lists(st.tuples(words, st.integers(0, 10**6)), max_size=60).map(tuple)


@given(
    words, words, st.sampled_from([None, NOW + timedelta(days=400)]), counts, counts, st.floats(0, 1e6), words
)
def test_it_fits_block_kit_whatever_the_names_are(
    brand: str, text: str, ended: Any, reasons: Any, sources: Any, rate: float, person: str
) -> None:
    view = replace(
        VIEW,
        brand=brand,
        ended_at=ended,
        reasons=reasons,
        sources=sources,
        per_hour=rate,
        usual_per_hour=rate,
    )
    given_notice = told(view, text, call=tuple([Person(person)] * 30)).notice
    for found in (storm.message(given_notice, view), storm.summary(given_notice, view)):
        assert problems(found.blocks, found.text) == []
    assert "<!" not in json.dumps(storm.message(told(view, text).notice, view).blocks).replace("<!date^", "")


@pytest.mark.parametrize("kind", ["joined", "warning", "breach", "escalation", "reopened"])
def test_a_step_in_the_thread_of_many_names_its_case(kind: Any) -> None:
    found = storm.step(notice(kind, "The first answer was due now; nobody is on it."), case())
    assert problems(found.blocks, found.text) == []
    assert "*case 12* · Jane Doe" in found.blocks[0]["text"]["text"]
    assert found.text.startswith("Case 12, Jane Doe: ")


# ---- in the channel -----------------------------------------------------------------------------------------


def test_one_message_edited_and_at_its_end_told_to_the_channel(slack: Slack, server: FakeSlack) -> None:
    ref = slack.send(told(VIEW, call=(KARI,)))
    assert ref is not None
    assert slack.send(told(replace(VIEW, cases=80), "80 cases by now.", storm_ref=ref)) is None
    [message] = server.posted()
    assert "80 cases" in json.dumps(message["blocks"])
    assert server.replies(ref["ts"]) == []
    assert slack.send(told(OVER, "It is calm again after 3 h.", storm_ref=ref)) is None
    [end] = server.replies(ref["ts"])
    assert "It is calm again after 3 h." in end["text"]
    assert end["broadcast"] is True
    assert "calm again" in json.dumps(message["blocks"])


def test_its_cases_go_into_its_thread_and_say_which_case_they_are(slack: Slack, server: FakeSlack) -> None:
    place = slack.send(told(VIEW))
    assert place is not None
    ref = slack.send(delivery(storm_ref=place))
    assert ref is not None
    assert ref["thread"] == place["ts"]
    slack.send(delivery("reminder", "30 min left.", ref=ref, storm_ref=place))
    slack.send(delivery("changed", "Kari took it.", case=case(assignee="Kari"), ref=ref, storm_ref=place))
    slack.send(delivery("breach", "The first answer was due now.", ref=ref, storm_ref=place))
    assert len(server.posted()) == 1
    own, breach = server.replies(place["ts"])
    assert own["ts"] == ref["ts"]
    assert own["metadata"]["event_payload"]["case_id"] == 12
    assert "Case 12" in breach["text"]
    assert breach["broadcast"] is False


def test_a_case_told_before_the_storm_keeps_its_thread_but_is_not_loud(
    slack: Slack, server: FakeSlack
) -> None:
    ref = slack.send(delivery())
    place = slack.send(told(VIEW))
    assert ref is not None
    slack.send(delivery("breach", "It was due now.", ref=ref, storm_ref=place))
    [reply] = server.replies(ref["ts"])
    assert reply["broadcast"] is False


def test_after_an_uncertain_send_it_is_looked_for_in_the_thread(slack: Slack, server: FakeSlack) -> None:
    place = slack.send(told(VIEW))
    assert place is not None
    first = slack.send(delivery(storm_ref=place))
    again = delivery(storm_ref=place, uncertain=True)
    assert slack.find(again) == slack.send(again) == first
    end = told(OVER, "Over.", storm_ref=place)
    slack.send(end)
    assert slack.send(replace(end, uncertain=True)) is None
    assert len(server.replies(place["ts"])) == 2
    begun = replace(told(VIEW), uncertain=True)
    assert slack.find(begun) == place
    assert slack.find(replace(begun, key="another")) is None


@pytest.mark.parametrize("method", ["chat.update", "chat.postMessage"])
def test_where_somebody_deleted_the_storms_message_nothing_is_lost(
    method: str, slack: Slack, server: FakeSlack
) -> None:
    place = slack.send(told(VIEW))
    assert place is not None
    code = "message_not_found" if method == "chat.update" else "thread_not_found"
    server.fail[method].append(Failure.refused(code))
    if method == "chat.update":
        assert slack.send(told(VIEW, "more", storm_ref=place)) not in (None, place)
    else:
        ref = slack.send(delivery(storm_ref=place))
        assert ref is not None
        assert "thread" not in ref
    assert len(server.posted()) == 2


def test_a_storm_from_the_poll_to_the_thread(tmp_path: Path, server: FakeSlack, slack: Slack) -> None:
    world = Weather(tmp_path)
    world.settled()
    world.core = replace(world.core, responders={"slack": slack})
    world.hear(*world.complaints(12))
    world.deliver()
    (message,) = server.posted()
    assert len(server.replies(message["ts"])) == 12
    world.later(minutes=2)
    world.hear(*world.complaints(5))
    world.tick()
    world.deliver()
    assert "17 cases" in json.dumps(message["blocks"])
    assert len(server.replies(message["ts"])) == 17
    world.close()
