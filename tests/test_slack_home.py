"""The Home tab: whose cases, in what order, and within Slack's limits however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from listener.model import OnDuty, Person, Today
from listener.service import act
from responders.slack.home import MOST, duty, figures, home
from tests import blockkit
from tests.render_slack import Reader, as_text
from tests.slack_desk import Office
from tests.world import START


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.close()


def shown(office: Office, who: str = "Anna") -> tuple[dict[str, Any], list[str]]:
    """The view and its lines as a reader in UTC sees them."""
    view = home(office.desk, who, office.now)
    assert blockkit.view_problems(view) == []
    return view, as_text(view["blocks"], Reader(office.now)).split("\n")


def buttons(view: dict[str, Any]) -> list[str]:
    return [b["accessory"]["value"] for b in view["blocks"] if "accessory" in b]


def test_an_empty_office_says_so_kindly(office: Office) -> None:
    _, lines = shown(office)
    assert lines[:4] == [
        "My cases",
        "You have no open case.",
        "Queue",
        "Nobody is waiting: every open case has somebody.",
    ]
    assert "0 new · 0 answered · none late now" in lines
    assert "Nobody is on duty just now." in lines


def test_my_cases_come_before_the_queue_and_the_soonest_due_comes_first(office: Office) -> None:
    office.claimed("Anna", name="Slow")
    office.later(minutes=10)
    office.complain(name="Queued")
    office.claimed("Ben", name="Bens")
    again = office.claimed("Anna", name="Slow", thread="other", text="Halcyon lost my refund. Useless!")
    assert office.case(again).customer.bad_experiences == 2, "whose second case is due in half the time"
    view, lines = shown(office)
    assert buttons(view) == [f"respond:{again}", "respond:1", "claim:2"]
    assert lines[0] == "My cases (2)"
    assert lines[1].startswith("🔵 Slow · ")
    assert lines[2].startswith("First response due Today 08:40 · “Halcyon lost my refund.")
    assert not any("Bens" in line for line in lines)


def test_what_waits_for_the_customer_comes_last(office: Office) -> None:
    waiting = office.claimed("Anna")
    act.respond(office.core, waiting, "Anna", "https://forum.example/a", office.now)
    act.wait(office.core, waiting, "Anna", office.now)
    office.later(minutes=5)
    fresh = office.claimed("Anna")
    view, lines = shown(office)
    assert buttons(view) == [f"respond:{fresh}", f"resolve:{waiting}"]
    assert any("waiting for the customer (Anna)" in line for line in lines)


def test_a_case_that_was_let_go_after_an_answer_can_be_claimed(office: Office) -> None:
    case_id = office.claimed("Anna")
    act.respond(office.core, case_id, "Anna", "https://forum.example/a", office.now)
    act.release(office.core, case_id, "Anna", office.now)
    view, _ = shown(office)
    assert buttons(view) == [f"claim:{case_id}"]


def test_the_sign_is_that_of_the_clock_now(office: Office) -> None:
    office.complain()
    for minutes, sign in ((0, "🔵"), (30, "🟡"), (15, "🟠"), (16, "🔴")):
        office.later(minutes=minutes)
        assert shown(office)[1][3].startswith(sign)
    assert any(line.endswith("1 late now") for line in shown(office)[1])


def test_hundreds_of_cases_fit_and_the_rest_is_counted(office: Office) -> None:
    office.hear(*(office.mention(n, author=None) for n in range(120)))
    for opened in office.cases()[:50]:
        act.claim(office.core, opened.id, "Anna", office.now)
    view, lines = shown(office)
    mine, queue = len(office.desk.mine("Anna")), len(office.desk.queue())
    assert mine == 50
    assert f"My cases ({mine})" in lines
    assert f"… and {mine - MOST} more, all due later." in lines
    assert f"… and {queue - MOST} more, all due later." in lines
    assert len(view["blocks"]) <= 100
    assert len(json.dumps(view)) < 250_000, "Slack's view_too_large"


def test_hostile_names_and_texts_arrive_as_text(office: Office) -> None:
    office.claimed(
        "Anna", "<!channel> *Halcyon* scam, terrible! `x` <@U1> " * 100, name="<!here> *Bob* _x_ " * 20
    )
    view, lines = shown(office)
    raw = json.dumps([block["text"] for block in view["blocks"] if "text" in block])
    assert not any(found in raw for found in ("<!channel", "<!here", "<@U1"))
    assert any("<!here> ∗Bob∗" in line for line in lines)


def test_each_button_tells_screen_readers_whose_case_it_is(office: Office) -> None:
    office.complain(name="Jane Doe " * 20)
    view, lines = shown(office)
    assert lines[1] == "You have no open case. Take one from the queue below."
    [label] = [b["accessory"]["accessibility_label"] for b in view["blocks"] if "accessory" in b]
    assert label.startswith("Claim case 1 of Jane Doe")
    assert len(label) <= 75


def test_who_is_on_duty() -> None:
    until = START + timedelta(hours=4)
    told = duty(
        [
            OnDuty(Person("Kari", {"slack": "U0KARI"}), 3, until),
            OnDuty(Person("<Ola>"), 1, deputy=True),
            OnDuty(Person("Per"), 0),
        ]
    ).split("\n")
    assert told[0].startswith(f"• <@U0KARI> · 3 open cases · until <!date^{int(until.timestamp())}^")
    assert told[1:] == ["• &lt;Ola&gt; (deputy) · 1 open case", "• Per · no open case"]
    crowd = duty([OnDuty(Person("<" * 200), 10**6, until, deputy=True)] * 40)
    assert len(crowd) <= 3000
    assert crowd.endswith("\n… and 25 more")


def test_the_days_figures() -> None:
    none = Today(12, 9, 8, 0, 5, 1, 0, 0)
    assert figures(none) == (
        "12 new · 9 answered, 8 of them in time · none late now\n5 resolved · 1 came back _(since midnight UTC)_"
    )
    some = figures(replace(none, late=2, promises_kept=3, promises_broken=1))
    assert "*2 late now*" in some
    assert "promises: 3 kept, 1 broken" in some


def test_the_figures_count_what_happened_since_midnight(office: Office) -> None:
    core = office.core
    yesterday = office.claimed("Anna")
    act.respond(core, yesterday, "Anna", "https://forum.example/y", office.now)
    office.later(days=1)
    quick, slow, promised, none = (office.claimed("Anna") for _ in range(4))
    act.dismiss(core, none, "Anna", "a joke", office.now)
    act.respond(core, quick, "Anna", "https://forum.example/q", office.now)
    act.respond(core, promised, "Anna", "https://forum.example/p", office.now, promise_minutes=30)
    office.later(minutes=70)
    office.tick()
    act.respond(core, slow, "Anna", "https://forum.example/s", office.now)
    for case_id in (yesterday, quick):
        act.resolve(core, case_id, "Anna", "explained", office.now)
    act.reopen(core, yesterday, "Anna", "it was not", office.now)
    fresh = office.claimed("Anna")
    office.later(minutes=61)
    today = office.desk.today()
    assert today == Today(
        opened=4,  # without the joke
        answered=3,
        in_time=2,
        late=2,  # the reopened one and the last
        resolved=2,
        reopened=1,
        promises_kept=0,
        promises_broken=1,
    )
    assert fresh
