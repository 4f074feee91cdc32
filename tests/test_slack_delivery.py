"""Deliveries into Slack that can be trusted: its pace, its refusals, its outages, and what nobody can be sure of."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import select

from listener.errors import DeliveryError
from listener.model import Author, Delivery
from listener.service import act, read
from listener.service.deliver import ALONE_ATTEMPTS
from listener.storage import outbox, tables
from responders.slack import Slack, refusals
from responders.slack.pace import Pace
from tests.chaos import outage
from tests.fake_slack import TOKEN, Failure, FakeSlack
from tests.notices import NOW, case, delivery
from tests.world import Receiver, World


@pytest.fixture
def server() -> Iterator[FakeSlack]:
    with FakeSlack() as server:
        server.channels["C3"] = type(server.channels["C1"])("spare")
        yield server


def responder(server: FakeSlack, **options: Any) -> Slack:
    settings = {"channel": "C1", "channels": {"manager": "C2"}, "base_url": server.base_url} | options
    return Slack(token=SecretStr(TOKEN), **settings)


@pytest.fixture
def slack(server: FakeSlack) -> Slack:
    return responder(server)


@pytest.fixture
def office(world: World, server: FakeSlack) -> World:
    """A world whose first responder is Slack, and whose second hears what the operator must know."""
    server.now = lambda: world.now.timestamp()
    world.core = replace(world.core, responders={"slack": responder(server), "desk": world.receiver})
    return world


def hear(world: World, *numbers: int) -> None:
    for number in numbers:
        world.hear(world.mention(number, author=Author("forum.example", f"c{number}", f"C{number}")))


def told(world: World) -> list[str]:
    """What the other responder heard that is not about a case."""
    return [d.notice.text for d in world.receiver.accepted if d.notice.kind == "system"]


def states(world: World, name: str = "slack") -> list[str]:
    query = select(tables.deliveries.c.state).where(tables.deliveries.c.responder == name)
    with world.db.read() as connection:
        return list(connection.execute(query).scalars())


# ---- the pace -----------------------------------------------------------------------------------------------


def test_a_channel_gets_one_message_a_second_from_all_threads(server: FakeSlack, slack: Slack) -> None:
    server.paced, server.now = True, Pace.clock
    threads = [
        threading.Thread(target=slack.send, args=(delivery(key=f"{n}", channel=channel),))
        for n, channel in enumerate([None, None, "manager"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(server.posted("C1")), len(server.posted("C2")), server.too_fast) == (2, 1, 0)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 2)), max_size=30))
def test_no_two_turns_are_closer_than_asked(calls: list[tuple[str, float]]) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    pace = Pace()
    ended: dict[str, float] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pace, "clock", staticmethod(lambda: now))
        patch.setattr(Pace, "sleep", staticmethod(sleep))
        for channel, length in calls:
            with pace.turn(channel, 1.0):
                assert now >= ended.get(channel, -1.0) + 1.0 - 1e-9
                now += length
            ended[channel] = now


def test_who_would_wait_for_long_goes_back_to_the_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("responders.slack.pace.LONGEST_SLEEP_S", 0.01)
    pace = Pace()
    with pace.turn("C1", 1.0), pytest.raises(DeliveryError) as caught, pace.turn("C1", 1.0):
        pytest.fail("it is not its turn")
    assert caught.value.retry_after == 1.0


# ---- what is uncertain --------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("kind", ["first", "reply", "pointer", "edit", "moved", "system"])
def test_after_a_lost_answer_there_is_one_message(
    kind: str, accepted: bool, server: FakeSlack, slack: Slack
) -> None:
    """``moved``: the case's message was deleted in Slack, so a new one takes its place."""
    ref = None if kind in ("first", "system") else slack.send(delivery())
    if kind == "moved":
        server.channels["C1"].messages.clear()
    told = {
        "first": delivery(),
        "reply": delivery("reminder", ref=ref),
        "pointer": delivery("escalation", channel="manager", ref=ref),
        "edit": delivery("changed", ref=ref),
        "moved": delivery("changed", ref=ref),
        "system": delivery("system", case=None),
    }[kind]
    told = replace(told, queued_at=NOW - timedelta(hours=3))
    method = "chat.update" if kind == "edit" else "chat.postMessage"
    server.fail[method].append(Failure(hang_up=True, accepted=accepted))
    with pytest.raises(DeliveryError) as caught:
        slack.send(told)
    assert caught.value.uncertain
    again = replace(told, uncertain=True, attempt=2)
    found = slack.find(again)
    assert (found is not None) == (accepted and kind != "edit")
    got = slack.send(again) if found is None else found or None
    assert (got is not None) == (kind in ("first", "moved"))
    keys = [
        m["metadata"]["event_payload"]["key"]
        for c in server.channels.values()
        for m in c.messages
        if m["metadata"]
    ]
    assert keys.count(told.key) == 1
    if got:
        assert got == {"channel": "C1", "ts": server.posted()[-1]["ts"]}


def test_only_messages_since_it_was_queued_are_looked_at(server: FakeSlack, slack: Slack) -> None:
    server.now = lambda: NOW.timestamp()
    for number in range(5):
        slack.send(delivery(key=f"old:{number}"))
    server.page_size = 1
    queued = replace(delivery(uncertain=True), queued_at=NOW + timedelta(hours=1))
    assert slack.find(queued) is None
    assert server.methods().count("conversations.history") == 1


# ---- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["channel_not_found", "not_in_channel", "is_archived", "restricted_action"])
def test_a_refused_channel_is_stood_in_for_and_it_is_said(error: str, server: FakeSlack) -> None:
    slack = responder(server, fallback_channel="C3")
    server.fail["chat.postMessage"].append(Failure.refused(error))
    ref = slack.send(delivery())
    [message] = server.posted("C3")
    assert ref == {"channel": "C3", "ts": message["ts"]}
    for words in (error, "C1", refusals.ADVICE[error][:20]):
        assert words in message["text"]
        assert words in json.dumps(message["blocks"], ensure_ascii=False)
    slack.send(delivery("reminder", "Half the time is gone.", ref=ref))
    assert len(server.replies(message["ts"], "C3")) == 1, "the case lives on there"


def test_a_case_moves_when_its_channel_is_archived(server: FakeSlack) -> None:
    slack = responder(server, fallback_channel="C3")
    ref = slack.send(delivery())
    server.channels["C1"].is_archived = True
    assert slack.send(delivery("breach", "Too late.", ref=ref)) == {
        "channel": "C3",
        "ts": server.posted("C3")[0]["ts"],
    }


def test_the_main_channel_stands_in_for_the_others(server: FakeSlack, slack: Slack) -> None:
    ref = slack.send(delivery())
    server.channels["C2"].is_member = False
    assert slack.send(delivery("escalation", channel="manager", ref=ref)) is None
    assert "refused C2 (not_in_channel)" in server.posted("C1")[-1]["text"]


@pytest.mark.parametrize("error", ["invalid_blocks", "msg_too_long"])
def test_an_edit_of_a_refused_form_goes_out_as_plain_text(
    error: str, server: FakeSlack, slack: Slack
) -> None:
    ref = slack.send(delivery())
    server.fail["chat.update"].append(Failure.refused(error))
    slack.send(delivery("changed", "Kari took it.", case=case(assignee="Kari"), ref=ref))
    assert "blocks" not in server.posted()[0]


def test_a_revoked_token_holds_everything_and_is_told_once(office: World, server: FakeSlack) -> None:
    server.fail["chat.postMessage"] += [Failure.refused("token_revoked")] * 3
    hear(office, 1, 2, 3)
    for _ in range(3):
        office.deliver()
        hear(office, *range(office.case(len(office.cases())).id + 1, office.case(len(office.cases())).id + 2))
        office.later(minutes=5)
    office.later(minutes=-4)
    office.deliver()
    assert server.methods().count("chat.postMessage") == 3, "one look each five minutes"
    assert set(states(office)) == {"pending"}, "nothing is parked"
    [text] = told(office)
    assert "slack takes no messages" in text
    assert "copy the Bot User OAuth Token" in text
    health = read.health(office.core, office.now, embedded=False)
    assert not health.ok
    assert "slack takes no messages" in [t.what for t in health.troubles]
    office.later(minutes=5)
    office.deliver()
    assert len(server.posted()) == len(office.cases()) == 6
    assert told(office)[1:] == ["slack takes messages again."]
    assert "slack takes no messages" not in [t.what for t in read.health(office.core, office.now).troubles]


def test_a_person_who_mended_it_need_not_wait(office: World, server: FakeSlack) -> None:
    server.fail["chat.postMessage"].append(Failure.refused("not_in_channel"))
    hear(office, 1)
    office.deliver()
    act.retry_parked(office.core, office.now)
    office.deliver()
    assert len(server.posted()) == 1


def test_one_message_that_slack_refuses_oddly_stops_no_other(
    office: World, server: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    odd = Failure.refused("an_error_of_next_year")
    hear(office, 1)
    server.fail["chat.postMessage"].append(odd)
    office.deliver()
    hear(office, 2)
    office.deliver()
    assert [m["metadata"]["event_payload"]["case_id"] for m in server.posted()] == [2]
    server.fail["chat.postMessage"] += [odd] * (ALONE_ATTEMPTS - 1)
    for _ in range(ALONE_ATTEMPTS):
        office.later(minutes=20)
        office.deliver()
    assert sorted(states(office)) == ["accepted", "parked"]


# ---- order and outages --------------------------------------------------------------------------------------


def test_what_is_due_first_goes_out_first(office: World, server: FakeSlack) -> None:
    server.fail["chat.postMessage"].append(Failure(503, "down"))
    hear(office, 1)
    office.deliver()
    hear(office, 2)
    with office.db.write() as connection:  # the younger case has the shorter clock
        due = tables.cases.c.due_at
        connection.execute(
            tables.cases.update().where(tables.cases.c.id == 1).values(due_at=office.now + timedelta(9))
        )
        assert connection.execute(
            select(due).where(tables.cases.c.id == 2)
        ).scalar_one() < office.now + timedelta(9)
    office.later(minutes=1)
    office.deliver()
    assert [m["metadata"]["event_payload"]["case_id"] for m in server.posted()] == [2, 1]


def test_a_pause_that_slack_asks_for_holds_also_what_comes_later(office: World, server: FakeSlack) -> None:
    server.fail["chat.postMessage"].append(Failure.rate_limited(60))
    hear(office, 1)
    office.deliver()
    office.later(seconds=30)
    hear(office, 2)
    office.deliver()
    assert server.methods().count("chat.postMessage") == 1
    office.later(seconds=31)
    office.deliver()
    assert len(server.posted()) == 2


@pytest.mark.parametrize("accepted", [True, False])
def test_a_case_that_opened_and_closed_in_an_outage_is_told_once(
    accepted: bool, office: World, server: FakeSlack
) -> None:
    """Also when the outage began with a message of which nobody knows whether it arrived, and the end with one."""
    server.fail["chat.postMessage"].append(Failure(hang_up=True))
    hear(office, 1)
    office.deliver()
    server.meets = lambda _method: Failure(503, "down")
    for hours in range(3):
        office.later(hours=1)
        office.tick()
        office.deliver()
        if hours == 1:
            act.claim(office.core, 1, "Anna", office.now)
            act.respond(office.core, 1, "Anna", "https://forum.example/a", office.now)
            act.resolve(office.core, 1, "Anna", "refunded", office.now)
    server.meets = None
    server.fail["chat.postMessage"].append(Failure(hang_up=True, accepted=accepted))
    for _ in range(5):
        office.later(minutes=3)
        office.deliver()
    [message] = server.channels["C1"].messages
    assert "✅" in message["text"] + json.dumps(message["blocks"], ensure_ascii=False)
    assert "<@U" not in json.dumps(message), "nobody need look any more"
    assert set(states(office)) == {"accepted", "superseded"}
    with office.db.read() as connection:
        assert outbox.message_ref(connection, 1, "slack") == {"channel": "C1", "ts": message["ts"]}


def test_a_slow_responder_holds_up_no_other(world: World) -> None:
    """Forty messages for one that takes a minute each; the other gets what comes meanwhile."""

    class Slow(Receiver):
        def send(self, delivery: Delivery) -> dict[str, str] | None:
            world.later(seconds=10)
            if len(self.attempts) == 5:
                hear(world, 99)
            return super().send(delivery)

    slow = Slow()
    world.core = replace(world.core, responders={"slow": slow, "desk": world.receiver})
    hear(world, *range(1, 41))
    before = world.now
    world.deliver()
    assert world.now - before <= timedelta(minutes=2), "cron's call comes back"
    assert 4 < len(slow.accepted) < 40
    while len(slow.accepted) < 41:
        world.deliver()
    assert len(world.receiver.accepted) == 41


@pytest.mark.parametrize("uncertain", [0.0, 0.3])
def test_an_outage_ends_with_the_latest_state_of_each_case_once(
    uncertain: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    found = outage.check(tmp_path, cases=40, uncertain=uncertain, seed=4, hours=2)
    assert found.cases == 40
    assert found.delivered >= 32, "a fifth was told before"
    assert found.wrong == 0, found
