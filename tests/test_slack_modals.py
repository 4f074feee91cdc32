"""The forms in Slack: within its limits for any text, and doing what they ask for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.errors import UsageError
from listener.model import CaseView, Draft, State
from listener.service import act, read
from listener.service.desk import ServiceDesk
from listener.triage import REASONS
from responders.slack import modals
from responders.slack.actions import Kept, Where
from responders.slack.blocks import escape
from responders.slack.buttons import LABELS, LINKS, PREFIX
from tests import blockkit
from tests.fake_slack import FakeSlack
from tests.notices import LONG, SAMPLES, THIRD_STRIKE, case, mention
from tests.test_slack_actions import Floor, server, until
from tests.test_slack_blocks import TEXTS

__all__ = ["server"]

KEPT = Kept(12, Where("U0KARI", "C1", "1.000001"))
DRAFT = Draft("Dear Jane,\n\nthank you. We are sorry.", "en", 90, "90 min", "90% of such cases took less")


@pytest.fixture
def floor(tmp_path: Path, server: FakeSlack) -> Iterator[Floor]:
    floor = Floor(tmp_path, server, "http")
    floor.complain()
    yield floor
    floor.close()


def every_form(shown: CaseView, draft: Draft, names: list[str]) -> list[dict[str, Any]]:
    return [
        modals.respond(shown, KEPT),
        modals.respond(shown, replace(KEPT, promise=90)),
        modals.resolve(shown, KEPT),
        modals.dismiss(shown, KEPT),
        modals.snooze(shown, KEPT),
        modals.assign(shown, KEPT, names),
        modals.merge(shown, KEPT, [shown, case(id=13)] * 20),
        modals.reopen(shown, KEPT),
        modals.draft(shown, KEPT, draft),
        modals.notice(escape(draft.basis, 1000) or "x"),
    ]


# ---- how they look


@pytest.mark.parametrize("name", SAMPLES)
def test_the_forms_of_the_samples_fit(name: str) -> None:
    shown = SAMPLES[name].case
    assert shown
    for form in every_form(shown, DRAFT, ["Kari", "Ben"]):
        assert blockkit.view_problems(form) == []


@settings(max_examples=30, deadline=None)
@given(TEXTS, TEXTS, TEXTS, st.lists(TEXTS, max_size=120, unique=True))
def test_a_form_fits_whatever_strangers_write(name: str, text: str, url: str, people: list[str]) -> None:
    shown = case(
        brand=name,
        reason=text or "other",
        assignee=name,
        customer=replace(LONG.customer, name=text),
        mentions=(mention(text=text, url=url),),
    )
    draft = Draft(text, "en", 1, name, name)
    for form in every_form(shown, draft, people):
        assert blockkit.view_problems(form) == [], form["title"]
        assert "<!" not in json.dumps([b for b in form["blocks"] if b["type"] in ("section", "context")])


def test_a_draft_is_text_to_copy_and_leads_on_to_the_answer() -> None:
    form = modals.draft(THIRD_STRIKE, KEPT, DRAFT)
    assert form["blocks"][1]["elements"][0]["elements"] == [{"type": "text", "text": DRAFT.text}]
    assert "Listener never posts in public" in json.dumps(form)
    assert Kept.read(form["private_metadata"]) == replace(KEPT, promise=90)
    minutes = modals.respond(THIRD_STRIKE, replace(KEPT, promise=90))["blocks"][2]["element"]
    assert minutes["initial_value"] == "90"


def test_the_reason_is_that_of_the_case_until_it_is_corrected() -> None:
    reason = modals.resolve(case(reason="parking"), KEPT)["blocks"][2]["element"]
    assert reason["initial_option"]["value"] == "parking"
    assert [o["value"] for o in reason["options"]] == ["parking", *REASONS]


def test_words_are_those_of_the_core() -> None:
    assert modals.OUTCOMES == act.OUTCOMES
    assert modals.REASONS == REASONS
    assert {f"{PREFIX}{name}" for name in modals.FIRST_FIELD} <= {f"{PREFIX}{name}" for name in LABELS}


def test_each_form_has_the_field_where_errors_are_shown() -> None:
    forms = every_form(THIRD_STRIKE, DRAFT, ["Ben"])
    by_action = {form.get("callback_id", "").removeprefix(PREFIX): form for form in forms}
    for action, field in modals.FIRST_FIELD.items():
        assert field in [block.get("block_id") for block in by_action[action]["blocks"]]


def test_too_many_people_for_a_menu_are_typed() -> None:
    for people in ([], [f"P{n}" for n in range(101)]):
        element = modals.assign(case(), KEPT, people)["blocks"][1]["element"]
        assert element["type"] == "plain_text_input"
    shown = modals.assign(case(assignee="Ben"), KEPT, ["Ben", "Kari"])["blocks"][1]["element"]["options"]
    assert [o["value"] for o in shown] == ["Kari"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "[1]", '["x", "U", null, null, null]', "é"])
def test_metadata_that_is_not_ours(text: str) -> None:
    with pytest.raises(UsageError, match="out of date"):
        Kept.read(text)


# ---- what is wrong


@pytest.mark.parametrize(
    ("action", "fields", "wrong"),
    [
        ("respond", {}, "url"),
        ("respond", {"promise": "30"}, "url"),
        ("respond", {"promise": "30", "look": "yes"}, "promise"),
        ("respond", {"url": "https://a.example", "promise": "0"}, "promise"),
        ("respond", {"url": "https://a.example", "promise": "²"}, "promise"),
        ("respond", {"url": "https://a.example", "promise": "129601"}, "promise"),
        ("respond", {"url": "https://a.example", "promise": "30"}, None),
        ("respond", {"look": "yes"}, None),
        ("merge", {"into": "x"}, "into"),
        ("merge", {"into": "-3"}, "into"),
        ("merge", {"into": "9" * 30}, "into"),
        ("merge", {"into": "3"}, None),
        ("dismiss", {"why": "other"}, "words"),
        ("dismiss", {"why": "praise"}, None),
    ],
)
def test_what_the_form_alone_can_tell(action: str, fields: dict[str, str], wrong: str | None) -> None:
    assert next(iter(modals.mistakes(action, fields)), None) == wrong


def test_empty_fields_are_not_filled_in() -> None:
    values = {
        "a": {"a": {"type": "plain_text_input", "value": None}},
        "b": {"b": {"type": "plain_text_input", "value": "  "}},
        "c": {"c": {"type": "static_select", "selected_option": None}},
        "d": {"d": {"type": "checkboxes", "selected_options": []}},
        "e": {"e": {"type": "checkboxes", "selected_options": [{"value": "yes"}]}},
        "f": {"f": {"type": "url_text_input", "value": " https://a.example "}},
    }
    assert modals.entered({"state": {"values": values}}) == {"e": "yes", "f": "https://a.example"}
    assert modals.entered({}) == {}


# ---- doing it


def answered(floor: Floor) -> None:
    act.claim(floor.world.core, 1, "Kari", floor.world.now)
    act.respond(floor.world.core, 1, "Kari", "https://a.example/1", floor.world.now)
    floor.world.deliver()


def test_an_answer_with_its_promise(floor: Floor) -> None:
    form = floor.opened("U0KARI", "respond")
    reply = floor.server.submit("U0KARI", form, {"url": "https://forum.example/t/1#2", "promise": "45"})
    assert (reply.status, reply.body) == (200, {})
    assert form["id"] not in floor.server.views, "closed"
    [text] = until(lambda: floor.told("U0KARI"))
    assert text.startswith("Your answer to case 1 is recorded. Answered by Kari · Resolution due")
    found = floor.case()
    assert (found.state, found.answer_url, found.promise_minutes) == (
        State.RESPONDED,
        "https://forum.example/t/1#2",
        45,
    )


def test_what_is_wrong_is_shown_in_the_form_and_can_be_mended(floor: Floor) -> None:
    form = floor.opened("U0KARI", "respond")
    reply = floor.server.submit("U0KARI", form, {})
    assert reply.body == {
        "response_action": "errors",
        "errors": {"url": "Give the link of the answer, or let Listener look for it."},
    }
    reply = floor.server.submit("U0KARI", form, {"url": "ftp://a.example"})
    assert "beginning with https://" in reply.body["errors"]["url"]
    assert floor.case().state is State.OPEN
    assert floor.server.submit("U0KARI", form, {"url": "https://a.example"}).body == {}
    assert floor.case().state is State.RESPONDED


def test_looking_where_the_source_can_not_tell(floor: Floor) -> None:
    form = floor.opened("U0KARI", "respond")
    reply = floor.server.submit("U0KARI", form, {"look": ["yes"]})
    assert "can't see answers there (forum)" in reply.body["errors"]["url"]
    values = {"look": ["yes"], "url": "https://a.example/1"}
    assert floor.server.submit("U0KARI", form, values).body == {}, "the link is enough"
    [text] = until(lambda: floor.told("U0KARI"))
    assert "can't see answers there" in text
    assert floor.case().answer_url == "https://a.example/1"


def test_a_resolution(floor: Floor) -> None:
    answered(floor)
    form = floor.opened("U0BEN", "resolve")
    values = {"outcome": "refunded", "reason": "quality", "gesture": "A voucher", "note": "All well."}
    assert floor.server.submit("U0BEN", form, values).body == {}
    event = read.story(floor.world.core, 1, floor.world.now).events[-1]
    assert event.kind == "resolved"
    assert (event.actor, event.outcome, event.reason) == ("Ben", "refunded", "quality")
    assert event.note == "Gesture: A voucher\nAll well."
    floor.world.deliver()
    assert floor.buttons()[0] == "Reopen…"
    form = floor.opened("U0BEN", "reopen")
    floor.server.submit("U0BEN", form, {"why": "She wrote an e-mail"})
    assert floor.case().state is State.OPEN


def test_a_form_that_comes_too_late_is_refused_and_stays_open(floor: Floor) -> None:
    answered(floor)
    form = floor.opened("U0BEN", "resolve")
    act.dismiss(floor.world.core, 1, "Kari", "praise", floor.world.now)
    reply = floor.server.submit("U0BEN", form, {"outcome": "refunded"})
    assert "The case is closed (not a complaint)" in reply.body["errors"]["outcome"]
    assert form["id"] in floor.server.views
    assert floor.case().state is State.DISMISSED


def test_not_a_complaint_asks_why(floor: Floor) -> None:
    form = floor.opened("U0KARI", "dismiss", menu=True)
    reply = floor.server.submit("U0KARI", form, {"why": "other"})
    assert reply.body["errors"] == {"words": "Say why, in a few words."}
    floor.server.submit("U0KARI", form, {"why": "praise", "words": "It is irony."})
    event = read.story(floor.world.core, 1, floor.world.now).events[-1]
    assert event.kind == "dismissed"
    assert (event.actor, event.why) == ("Kari", "praise: It is irony.")


def test_snoozing_twice_is_snoozing_once(floor: Floor) -> None:
    form = floor.opened("U0KARI", "snooze", menu=True)
    for _ in range(2):
        request = floor.server.submit_request("U0KARI", form, {"minutes": "120"})
        assert floor.server.deliver(request).body == {}
    assert floor.case().snoozed_until == floor.world.now + timedelta(hours=2)
    assert floor.events()[1:] == [("snoozed", "Kari")]


def test_a_repeated_form_has_one_effect(floor: Floor) -> None:
    answered(floor)
    request = floor.server.submit_request(
        "U0KARI", floor.opened("U0KARI", "resolve"), {"outcome": "explained"}
    )
    for attempt in range(3):
        assert floor.server.deliver(request, attempt).body == {}
    until(lambda: floor.told("U0KARI"))
    assert [kind for kind, _ in floor.events()].count("resolved") == 1


def test_a_case_is_handed_over(floor: Floor) -> None:
    form = floor.opened("U0KARI", "assign", menu=True)
    floor.server.submit("U0KARI", form, {"to": "Ben"})
    assert floor.case().assignee == "Ben"
    assert floor.events()[-1] == ("assigned", "Kari")


def test_cases_are_merged(floor: Floor) -> None:
    floor.complain(2, text="Halcyon broke my new lamp, awful quality, I am furious!")
    form = floor.opened("U0KARI", "merge", menu=True, number=2)
    assert form["blocks"][1]["hint"]["text"].endswith("Open cases of this customer: 1.")
    reply = floor.server.submit("U0KARI", form, {"into": "77"})
    assert "There is no case 77." in reply.body["errors"]["into"]
    assert floor.server.submit("U0KARI", form, {"into": "1"}).body == {}
    assert (floor.case(2).state, floor.case(1).state) == (State.MERGED, State.OPEN)


def test_a_draft_is_shown_and_its_answer_recorded(floor: Floor) -> None:
    form = floor.opened("U0KARI", "draft")
    reply = floor.server.submit("U0KARI", form, {})
    assert reply.body["response_action"] == "update"
    form = floor.server.views[form["id"]]
    assert form["title"]["text"] == "Responded"
    floor.server.submit("U0KARI", form, {"url": "https://a.example/1"})
    assert floor.case().promise_minutes == Kept.read(form["private_metadata"]).promise
    assert floor.case().promise_minutes


def test_a_form_that_takes_long_is_answered_later(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("responders.slack.app.FORM_WAIT_S", 0.05)
    answered(floor)
    forms = [floor.opened("U0BEN", "resolve") for _ in range(2)]
    free, held = threading.Event(), threading.Event()

    def hold() -> None:
        with floor.world.db.write():
            held.set()
            free.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    replies = [floor.server.submit("U0BEN", form, {"outcome": "explained"}) for form in forms]
    assert [r.body for r in replies] == [{}, {}]
    free.set()
    holder.join()
    told = until(lambda: sorted(floor.told("U0BEN")) if len(floor.told("U0BEN")) == 2 else None)
    assert told[0].startswith("Case 1 is resolved.")
    assert told[1].startswith("The case is closed")


def test_slack_being_slow_is_told(floor: Floor) -> None:
    request = floor.server.click_request("U0KARI", "case_respond")
    floor.server._triggers[request.payload["trigger_id"]] -= 10
    floor.server.deliver(request)
    assert until(lambda: floor.told("U0KARI")) == ["Slack gave the form no time to open. Please click again."]


def test_every_action_has_its_form_or_none(floor: Floor) -> None:
    desk = ServiceDesk(floor.world.core, lambda: floor.world.now)
    at_once = {"claim", "release", "wait", "resume"}
    for action in LABELS.keys() - LINKS - at_once - {"reopen"}:
        assert modals.opened(desk, action, 1, "Kari", KEPT.where)["callback_id"] == PREFIX + action
    for action in ("reopen", "rob"):
        with pytest.raises(UsageError):
            modals.opened(desk, action, 1, "Kari", KEPT.where)
