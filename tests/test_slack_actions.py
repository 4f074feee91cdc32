"""People acting in Slack: the real slack_bolt and slack_sdk against a Slack on loopback, by socket and by HTTP."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from listener.model import Author, CaseView, Person, State
from listener.service import act, read
from listener.service.desk import ServiceDesk
from responders.slack import Slack, actions, blocks, modals
from responders.slack.actions import Where
from responders.slack.buttons import AT_ONCE, LABELS, LINKS, MENU, OFFERED, offered
from tests import blockkit
from tests.fake_slack import APP_TOKEN, SIGNING_SECRET, TOKEN, FakeSlack, Reply
from tests.notices import SAMPLES
from tests.world import World

ANSWERED = (State.RESPONDED, State.WAITING)
PEOPLE = {"Kari": Person("Kari", {"slack": "U0KARI"}), "Ben": Person("Ben", {"slack": "U0BEN"})}


def until(condition: Callable[[], object], what: str = "it to happen") -> Any:
    """What the condition gives, once it gives something: the work is done by threads."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError(f"waited in vain for {what}")


class Floor:
    """A world whose responder is Slack, with people in it. ``way``: socket or http."""

    def __init__(self, folder: Path, server: FakeSlack, way: str, **options: Any) -> None:
        self.world = World(folder, people=PEOPLE, public_url="https://listener.example.com")
        self.server = server
        secrets = {"app_token": SecretStr(APP_TOKEN)} if way == "socket" else {}
        if way == "http":
            secrets = {"signing_secret": SecretStr(SIGNING_SECRET)}
        self.slack = Slack(
            token=SecretStr(TOKEN), channel="C1", base_url=server.base_url, **(secrets | options)
        )
        self.world.core = replace(self.world.core, responders={"slack": self.slack})
        self.desk = ServiceDesk(self.world.core, lambda: self.world.now)
        self.world.settled()
        self.stop = self.slack.listen(self.desk)
        if way == "http":
            server.app = lambda body, headers: self.slack.handle(self.desk, body, headers)

    def complain(self, number: int = 1, **fields: Any) -> CaseView:
        """A customer complains, and Slack is told."""
        self.world.hear(self.world.mention(number, **fields))
        self.world.deliver()
        return self.world.cases()[-1]

    def case(self, number: int = 1) -> CaseView:
        return self.world.case(number)

    def events(self, number: int = 1) -> list[tuple[str, str | None]]:
        return [(e.kind, e.actor) for e in read.story(self.world.core, number, self.world.now).events]

    def told(self, user: str) -> list[str]:
        return [str(m["text"]) for m in self.server.ephemerals if m["user"] == user]

    def buttons(self, number: int = 0) -> list[str]:
        """The labels in the case's message, those of the menu last."""
        block = self.server.posted()[number]["blocks"][-1]
        menu = [o for e in block["elements"] for o in e.get("options", [])]
        return [e["text"]["text"] for e in [*block["elements"], *menu] if "text" in e]

    def opened(self, user: str, action: str, *, menu: bool = False, number: int = 1) -> dict[str, Any]:
        """Click what opens a form; the form."""
        before = set(self.server.views)
        if menu:
            self.server.click(user, MENU, chosen=f"{action}:{number}")
        else:
            self.server.click(user, f"case_{action}")
        fresh = until(lambda: set(self.server.views) - before, f"the form of {action}")
        return self.server.views[fresh.pop()]

    def close(self) -> None:
        if self.stop:
            self.stop()
        self.world.close()


@pytest.fixture
def server() -> Iterator[FakeSlack]:
    with FakeSlack() as server:
        yield server


@pytest.fixture
def floor(tmp_path: Path, server: FakeSlack) -> Iterator[Floor]:
    floor = Floor(tmp_path, server, "http")
    yield floor
    floor.close()


@pytest.fixture(params=["socket", "http"])
def each_way(tmp_path: Path, server: FakeSlack, request: pytest.FixtureRequest) -> Iterator[Floor]:
    floor = Floor(tmp_path, server, request.param)
    yield floor
    floor.close()


# ---- buttons


def test_a_click_is_acknowledged_done_recorded_and_told(each_way: Floor) -> None:
    each_way.complain()
    assert each_way.buttons()[:4] == ["Claim", "Draft a reply", "Responded…", "Open original"]
    reply = each_way.server.click("U0KARI", "case_claim")
    assert (reply.status, reply.body) == (200, {})
    [text] = until(lambda: each_way.told("U0KARI"))
    assert text.startswith("You have case 1 now. Kari has it · First response due <!date^")
    assert each_way.events()[-1] == ("claimed", "Kari")
    each_way.world.deliver()
    assert each_way.buttons()[0] == "Responded…"
    assert "Release" in each_way.buttons()


def test_without_a_way_back_there_are_only_links(tmp_path: Path, server: FakeSlack) -> None:
    floor = Floor(tmp_path, server, "none")
    assert floor.stop is None
    floor.complain()
    assert floor.buttons() == ["Open original", "Open in dashboard"]
    assert floor.slack.handle(floor.desk, b"{}", {})[0] == 404
    floor.close()


def test_who_is_not_in_the_configuration_is_called_as_in_slack(floor: Floor) -> None:
    floor.complain()
    floor.server.click("U0ANNA", "case_claim")
    until(lambda: floor.told("U0ANNA"))
    assert floor.case().assignee == "anna"


def test_what_is_no_longer_possible_is_refused_in_words(floor: Floor) -> None:
    floor.complain()
    request = floor.server.click_request("U0BEN", "case_claim")
    act.claim(floor.world.core, 1, "Kari", floor.world.now)
    assert floor.server.deliver(request).status == 200
    assert until(lambda: floor.told("U0BEN")) == ["Kari has this case already."]
    act.dismiss(floor.world.core, 1, "Kari", "A joke", floor.world.now)
    floor.server.click("U0BEN", "case_respond")
    assert until(lambda: floor.told("U0BEN")[1:]) == ["Case 1 is closed: not a complaint."]


def test_two_agents_at_once_and_one_gets_it(each_way: Floor) -> None:
    each_way.complain()
    clicks = [each_way.server.click_request(user, "case_claim") for user in ("U0KARI", "U0BEN")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(each_way.server.deliver, clicks))
    until(lambda: len(each_way.server.ephemerals) == 2)
    told = sorted(m["text"][:12] for m in each_way.server.ephemerals)
    winner, loser = each_way.case().assignee, {"Kari": "Ben", "Ben": "Kari"}[each_way.case().assignee or ""]
    assert told == sorted(["You have cas", f"{winner} has this case already."[:12]])
    assert [kind for kind, _ in each_way.events()].count("claimed") == 1
    assert loser not in {actor for _, actor in each_way.events()}


def test_a_repeated_request_has_one_effect(each_way: Floor) -> None:
    each_way.complain()
    click = each_way.server.click_request("U0KARI", "case_claim")
    for attempt in range(3):
        assert each_way.server.deliver(click, attempt).status == 200
    until(lambda: each_way.told("U0KARI"))
    each_way.server.click("U0KARI", "case_claim")  # a double click: another request, the same wish
    until(lambda: len(each_way.told("U0KARI")) == 2)
    assert [kind for kind, _ in each_way.events()].count("claimed") == 1


@pytest.mark.parametrize(
    ("state", "action", "kind"),
    [
        (State.CLAIMED, "release", "released"),
        (State.RESPONDED, "wait", "waited"),
        (State.WAITING, "resume", "resumed"),
    ],
)
def test_what_needs_no_form(state: State, action: str, kind: str, floor: Floor) -> None:
    floor.complain()
    act.claim(floor.world.core, 1, "Kari", floor.world.now)
    if state is not State.CLAIMED:
        act.respond(floor.world.core, 1, "Kari", "https://a.example", floor.world.now)
    if state is State.WAITING:
        act.wait(floor.world.core, 1, "Kari", floor.world.now)
    floor.world.deliver()
    in_menu = action not in OFFERED[state][:4]
    if in_menu:
        floor.server.click("U0BEN", MENU, chosen=f"{action}:1")
    else:
        floor.server.click("U0BEN", f"case_{action}")
    until(lambda: floor.told("U0BEN"))
    assert floor.events()[-1] == (kind, "Ben")


def test_a_link_and_what_is_not_ours_are_only_acknowledged(floor: Floor) -> None:
    floor.complain()
    assert floor.server.click("U0KARI", "open_original").status == 200
    request = floor.server.click_request("U0KARI", "case_claim")
    for value in ("", "claim", "claim:x", "claim:-1", "claim:" + "9" * 30, "delete:1", "original:1"):
        request.payload["actions"][0]["value"] = value
        assert floor.server.deliver(request).status == 200
    assert (
        floor.server.deliver(floor.server.event_request({"type": "message", "user": "U0KARI"})).status == 200
    )
    request.payload["actions"][0]["value"] = "claim:4711"
    floor.server.deliver(request)
    assert until(lambda: floor.told("U0KARI")) == ["There is no case 4711."]
    assert len(floor.events()) == 1


def test_the_acknowledgement_waits_for_nothing(floor: Floor, server: FakeSlack) -> None:
    floor.complain()
    busy, waiting = threading.Event(), threading.Event()

    def hold() -> None:
        with floor.world.db.write():
            waiting.set()
            busy.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    waiting.wait(10)
    clicks = [server.click("U0KARI", "case_claim") for _ in range(20)]
    assert [c.status for c in clicks] == [200] * 20
    assert floor.told("U0KARI") == []
    busy.set()
    holder.join()
    until(lambda: len(floor.told("U0KARI")) == 20)
    assert [kind for kind, _ in floor.events()].count("claimed") == 1


def test_what_was_acknowledged_is_finished_when_it_stops(tmp_path: Path, server: FakeSlack) -> None:
    floor = Floor(tmp_path, server, "http")
    floor.complain()
    for _ in range(5):
        server.click("U0KARI", "case_claim")
    assert floor.stop
    floor.stop()
    assert floor.case().assignee == "Kari"
    assert len(floor.told("U0KARI")) == 5
    assert server.click("U0BEN", "case_claim").status == 500, "not acknowledged, so Slack tells the person"
    floor.world.close()


def test_a_bug_is_logged_and_told_without_details(
    floor: Floor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.complain()
    monkeypatch.setattr(ServiceDesk, "claim", lambda *_: 1 / 0)
    floor.server.click("U0KARI", "case_claim")
    assert until(lambda: floor.told("U0KARI")) == [
        "That failed in Listener, and nothing was done. It is in its log."
    ]
    assert "ZeroDivisionError" in caplog.text


def test_a_click_silences_no_log_but_the_library_s(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    floor.complain()
    floor.server.click("U0KARI", "case_claim")
    until(lambda: floor.told("U0KARI"))
    for name in ("listener", "listener.web", "responders.slack", "connectors"):
        logging.getLogger(name).warning("%s speaks", name)
        assert f"{name} speaks" in caplog.text


def test_nothing_secret_and_no_words_of_people_are_logged(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        floor.complain()
        floor.server.click("U0KARI", "case_claim")
        until(lambda: floor.told("U0KARI"))
        floor.slack.handle(floor.desk, b'{"token": "verification_token"}', {})
    for secret in (TOKEN, SIGNING_SECRET, "verification_token", "terrible service"):
        assert secret not in caplog.text


# ---- emoji


@pytest.mark.parametrize(
    ("emoji", "event"), [("eyes", "claimed"), ("eyes::skin-tone-3", "claimed"), ("zzz", "snoozed")]
)
def test_an_emoji_is_a_shortcut(each_way: Floor, emoji: str, event: str) -> None:
    each_way.complain()
    ts = each_way.server.posted()[0]["ts"]
    reaction = each_way.server.react_request("U0KARI", emoji, ts)
    for attempt in range(2):
        assert each_way.server.deliver(reaction, attempt).status == 200
    until(lambda: each_way.told("U0KARI"))
    assert each_way.events()[1:] == [(event, "Kari")]


def test_an_emoji_that_can_not_be_says_which(floor: Floor) -> None:
    floor.complain()
    floor.server.react("U0ANNA", "white_check_mark", floor.server.posted()[0]["ts"])
    [text] = until(lambda: floor.told("U0ANNA"))
    assert text.startswith("Your :white_check_mark: at case 1: Nobody has answered this customer yet.")
    act.respond(floor.world.core, 1, "Kari", "https://a.example", floor.world.now)
    floor.server.react("U0ANNA", "white_check_mark", floor.server.posted()[0]["ts"])
    until(lambda: floor.told("U0ANNA")[1:])
    assert (floor.case().state, floor.events()[-1]) == (State.RESOLVED, ("resolved", "anna"))


def test_other_emoji_and_other_messages_mean_nothing(tmp_path: Path, server: FakeSlack) -> None:
    floor = Floor(tmp_path, server, "http", reactions={"hand": "claim"})
    floor.complain()
    ts = server.posted()[0]["ts"]
    server.react("U0KARI", "eyes", ts)
    server.react("U0KARI", "hand", "1.000001")
    server.channels["C1"].messages.append(
        {"type": "message", "ts": "2.000001", "text": "hello", "user": "U0BEN"}
    )
    server.react("U0KARI", "hand", "2.000001")
    server.react("U0BEN", "hand", ts)
    until(lambda: floor.told("U0BEN"))
    floor.close()
    assert server.ephemerals[0]["user"] == "U0BEN"
    assert len(server.ephemerals) == 1


# ---- commands and the Home tab


def test_a_command_is_answered_to_its_user_alone(each_way: Floor) -> None:
    each_way.complain()
    command = each_way.server.command_request("U0KARI", "case 1")
    for _ in range(2):
        assert each_way.server.deliver(command).status == 200
    [answer] = until(lambda: each_way.server.responses)
    assert answer["response_type"] == "ephemeral"
    assert "case 1" in json.dumps(answer["blocks"])
    each_way.server.command("U0KARI", "status")
    until(lambda: len(each_way.server.responses) == 2)


def test_the_home_tab_shows_and_takes_clicks(each_way: Floor) -> None:
    each_way.complain()
    each_way.server.open_home("U0KARI")
    view = until(lambda: each_way.server.homes.get("U0KARI"))
    each_way.server.click("U0KARI", "case_claim", view=view)
    until(lambda: each_way.server.homes["U0KARI"]["hash"] != view["hash"], "the tab to follow")
    assert each_way.case().assignee == "Kari"
    assert "case_claim" not in json.dumps(each_way.server.homes["U0KARI"]["blocks"])
    each_way.server.click("U0BEN", "case_claim", view=view)
    shown = until(lambda: list(each_way.server.views.values()))
    assert "Kari has this case already." in json.dumps(shown)


# ---- signed HTTP


def ask(floor: Floor, **how: Any) -> Reply:
    body, headers = floor.server.signed(floor.server.click_request("U0KARI", "case_claim"), **how)
    status, _, answer = floor.slack.handle(floor.desk, body, headers)
    return Reply(status, {"text": answer.decode()}, 0)


def test_only_what_slack_has_signed_lately_is_taken(floor: Floor) -> None:
    floor.complain()
    now = time.time()
    for how in ({"secret": "another"}, {"at": now - 302}, {"at": now + 330}, {"at": 0}):
        reply = ask(floor, **how)
        assert (reply.status, reply.body["text"]) == (401, "The signature is wrong, or older than 5 minutes.")
    assert ask(floor, at=now - 280).status == 200
    until(lambda: floor.told("U0KARI"))


@pytest.mark.parametrize(
    "change",
    [
        {"X-Slack-Signature": ""},
        {"X-Slack-Signature": "v0=ünïcode"},
        {"X-Slack-Request-Timestamp": ""},
        {"X-Slack-Request-Timestamp": "soon"},
        {"X-Slack-Request-Timestamp": "1e9"},
        {"X-Slack-Request-Timestamp": "9" * 5000},
    ],
    ids=str,
)
def test_nonsense_is_no_signature(floor: Floor, change: dict[str, str]) -> None:
    floor.complain()
    body, headers = floor.server.signed(floor.server.click_request("U0KARI", "case_claim"))
    assert floor.slack.handle(floor.desk, body, headers | change)[0] == 401
    assert floor.slack.handle(floor.desk, body + b"&ssl_check=1", headers)[0] == 401
    assert floor.slack.handle(floor.desk, b"ssl_check=1", {})[0] == 401
    assert floor.slack.handle(floor.desk, b"\xff\xfe", headers)[0] == 401
    assert floor.slack.handle(floor.desk, body, {})[0] == 401
    assert floor.told("U0KARI") == []


def test_slack_may_check_the_address(floor: Floor) -> None:
    payload = {"type": "url_verification", "challenge": "3eZbrw1a", "token": "t"}
    request = replace(floor.server.event_request({}), payload=payload)
    assert floor.server.deliver(request).body == {"challenge": "3eZbrw1a"}


# ---- the socket


def test_a_lost_socket_is_made_anew_and_the_log_says_so(
    tmp_path: Path, server: FakeSlack, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("responders.slack.socket_mode.PING_S", 0.2)
    caplog.set_level(logging.INFO)
    floor = Floor(tmp_path, server, "socket")
    floor.complain()
    server.sockets.wait_connected(1)
    server.sockets.drop()
    server.sockets.wait_connected(2)
    server.click("U0KARI", "case_claim")
    until(lambda: floor.told("U0KARI"))
    server.sockets.ask_to_reconnect()  # as Slack does every few hours: no news
    server.sockets.wait_connected(3)
    server.click("U0BEN", "case_claim")
    until(lambda: floor.told("U0BEN"))
    floor.close()
    mine = [r.getMessage() for r in caplog.records if r.name == "responders.slack.socket_mode"]
    assert mine[0] == "Slack: listening"
    assert [text for text in mine if "lost" in text] == [mine[1]], "told once"


def test_slack_down_at_the_start_is_tried_again(
    tmp_path: Path, server: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.fake_slack import Failure

    server.fail["apps.connections.open"].append(Failure.refused("invalid_auth"))
    floor = Floor(tmp_path, server, "socket")
    server.sockets.wait_connected(1)
    floor.close()
    [error] = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "invalid_auth" in error
    assert "connections:write" in error


def test_every_state_offers_something_and_every_action_is_offered_somewhere() -> None:
    assert set(OFFERED) == set(State)
    assert {name for names in OFFERED.values() for name in names} == set(LABELS)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("answer", [None, "https://a.example"])
@pytest.mark.parametrize("holder", [None, "Kari"])
def test_the_message_with_buttons_fits(state: State, answer: str | None, holder: str | None) -> None:
    for sample in SAMPLES.values():
        assert sample.case
        shown = replace(sample.case, state=state, answer_url=answer, assignee=holder)
        found = blocks.case_message(sample, shown, acting=True)
        assert blockkit.problems(found.blocks, found.text) == []
        names = offered(shown)
        assert len(names) == len(set(names))
        assert len(found.blocks[-1]["elements"]) <= 5, "four buttons and the menu: three seconds"
        assert ("resolve" in names) == (shown.open and (answer is not None or state in ANSWERED))
        assert "reopen" not in names or not shown.open


def test_what_is_offered_is_possible(floor: Floor) -> None:
    """Whatever state people bring a case to: what needs no form is not refused, and each form opens."""
    floor.complain()
    for step in ("claim", "release", "claim", "respond", "wait", "resume", "resolve", "reopen", "dismiss"):
        case = floor.case()
        assert step in offered(case), f"{step} when {case.state}"
        for name in offered(case):
            if name not in AT_ONCE | LINKS:
                modals.opened(floor.desk, name, 1, "Kari", Where("U0KARI", "C1"))
        if step in AT_ONCE:
            actions.do(floor.desk, step, 1, "Kari")
        else:
            fields = {"url": "https://a.example", "outcome": "other", "why": "praise"}
            modals.do(floor.desk, step, 1, "Kari", fields)


@pytest.mark.parametrize("name", [":eyes:", "eyes", " eyes "])
def test_an_emoji_may_be_written_with_its_colons(name: str) -> None:
    slack = Slack(token=SecretStr(TOKEN), channel="C1", reactions={name: "release"})
    assert slack.reactions == {"eyes": "release"}
    with pytest.raises(ValidationError):
        Slack(token=SecretStr(TOKEN), channel="C1", reactions={name: "merge"})


def test_another_customer_s_case_is_claimed_by_its_own_button(floor: Floor) -> None:
    floor.complain(1)
    floor.complain(2, author=Author("forum.example", "ole", "Ole"))
    ts = floor.server.posted()[0]["ts"]
    floor.server.click("U0KARI", "case_claim", ts=ts)
    until(lambda: floor.told("U0KARI"))
    assert [c.assignee for c in floor.world.cases()] == ["Kari", None]
