"""Who is called for a case, and how the rotation is configured and shown: from the outside."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from listener import app, config
from listener.clock import Calendar, Policy, Window
from listener.duty import Duty, HandOver, Member, Override
from listener.errors import ConfigError
from listener.model import Author, OnDuty, Person, State
from listener.service import act, duty
from tests.world import START, World

HOUR = timedelta(hours=1)
OFFICE = Calendar("UTC", (Window.parse("Mon-Fri 09:00-17:00"),))  # the world begins on a Monday at 8
BOTH = Duty((Member("Anna"), Member("Ben")), at_once=2)
ALONE = Duty((Member("Anna"), Member("Ben")), starts=date(2026, 2, 23))  # Anna's week, until 9 on this Monday
TEXTS = [
    "Halcyon charged my card twice, give my money back, this is fraud!",
    "The Halcyon app crashes at each start since the update, it is useless and awful.",
    "Rude staff at Halcyon shouted at me today, terrible, I am angry and disappointed.",
]


class Shift:
    """A world with somebody on duty."""

    def __init__(self, folder: Path, rotation: Duty | None, **policy: Any) -> None:
        policies = {"default": Policy(**({"ack_timeout": timedelta(minutes=20)} | policy))}
        self.world = World(folder, duty=rotation, policies=policies)
        self.world.settled()
        self.number = 0

    def complain(self, text: str = "", **fields: Any) -> None:
        self.number += 1
        author = Author("forum.example", f"a{self.number}", f"Author {self.number}")
        self.world.hear(self.world.mention(self.number, text, **({"author": author} | fields)))

    def told(self) -> list[tuple[str, list[str]]]:
        """What was told since the last look, and who was called."""
        self.world.receiver.accepted.clear()
        self.world.deliver()
        return [(d.notice.kind, [p.name for p in d.notice.call]) for d in self.world.receiver.accepted]

    def events(self, case_id: int = 1) -> list[Any]:
        from listener.service import read

        return list(read.story(self.world.core, case_id, self.world.now).events)


@pytest.fixture
def shift(tmp_path: Path) -> Any:
    made: list[Shift] = []

    def make(rotation: Duty | None, **policy: Any) -> Shift:
        made.append(Shift(tmp_path / str(len(made)), rotation, **policy))
        return made[-1]

    (tmp_path / "0").mkdir()
    yield make
    for one in made:
        one.world.close()


def test_without_a_rotation_nobody_is_called(shift: Any) -> None:
    s = shift(None)
    s.complain()
    assert s.told() == [("opened", [])]
    assert duty.on_duty(s.world.core, s.world.now) == []
    s.world.later(minutes=30)
    s.world.tick()
    assert s.told() == [("reminder", [])]


def test_a_new_case_calls_who_has_the_fewest_open_cases_for_their_weight(shift: Any) -> None:
    s = shift(Duty((Member("Anna", 3), Member("Ben")), at_once=None))
    called: Counter[str] = Counter()
    for _ in range(8):
        s.complain()
        called.update(name for _kind, names in s.told() for name in names)
    assert called == {"Anna": 6, "Ben": 2}
    assert [(d.person.name, d.open_cases) for d in duty.on_duty(s.world.core, s.world.now)] == [
        ("Anna", 6),
        ("Ben", 2),
    ]


def test_what_somebody_else_took_counts_for_them(shift: Any) -> None:
    s = shift(BOTH)
    s.complain()
    assert s.told() == [("opened", ["Anna"])]
    act.claim(s.world.core, 1, "Ben", s.world.now)
    s.complain()
    assert ("opened", ["Anna"]) in s.told()


def test_among_equals_those_who_had_fewer_of_late_are_next(shift: Any) -> None:
    s = shift(BOTH)
    called = []
    for number in range(1, 5):
        s.complain()
        called += [names for _kind, names in s.told()]
        act.dismiss(s.world.core, number, "Kim", "a test", s.world.now)
        s.told()
        s.world.later(minutes=5)
    assert called == [["Anna"], ["Ben"], ["Anna"], ["Ben"]]


def test_out_of_hours_nobody_is_called_until_somebody_may_be(shift: Any) -> None:
    s = shift(Duty((Member("Anna", hours=OFFICE),)), first_response=3 * HOUR)
    s.complain()
    s.complain()
    assert s.told() == [("opened", [])] * 2
    s.world.later(minutes=59)
    assert s.world.tick() == 0
    s.world.later(minutes=1)
    s.world.tick()
    assert s.told() == [("reminder", ["Anna"])] * 2
    assert s.world.tick() == 0, "once"
    assert [e.kind for e in s.events()] == ["opened", "called"]
    assert s.told() == []


def test_a_policy_may_call_outside_of_hours(shift: Any) -> None:
    s = shift(Duty((Member("Anna", hours=OFFICE),)), outside_hours=True)
    s.complain()
    assert s.told() == [("opened", ["Anna"])]


def test_after_half_of_the_time_who_is_on_duty_is_called_again(shift: Any) -> None:
    s = shift(ALONE)
    s.complain()
    assert s.told() == [("opened", ["Anna"])]
    s.world.later(minutes=30)
    s.world.tick()
    assert s.told() == [("reminder", ["Anna"])]


def test_a_claim_without_an_answer_is_released_and_the_next_one_asked(shift: Any) -> None:
    s = shift(BOTH)
    s.complain()
    s.told()
    s.world.later(minutes=2)
    act.claim(s.world.core, 1, "Anna", s.world.now)
    s.told()
    s.world.later(minutes=19, seconds=59)
    assert s.world.tick() == 0
    s.world.later(seconds=1)
    assert s.world.tick() == 1
    assert s.told() == [("warning", ["Ben"])]
    assert s.world.receiver.texts[-1] == (
        "Anna had it for 20 min and no answer came: it is free again. Ben, please take it."
    )
    case = s.world.case()
    assert (case.state, case.assignee) == (State.OPEN, None)
    assert [e.kind for e in s.events()] == ["opened", "called", "claimed", "released", "called"]
    assert s.events()[3].cause == "timeout"
    act.claim(s.world.core, 1, "Ben", s.world.now)
    s.told()
    s.world.later(minutes=20)
    s.world.tick()
    assert [names for _kind, names in s.told()] == [["Anna"]], (
        "and back, with the alarm that sounded in one message"
    )


def test_after_a_downtime_a_claim_ends_once_in_one_message(shift: Any) -> None:
    s = shift(BOTH)
    s.complain()
    act.claim(s.world.core, 1, "Anna", s.world.now)
    s.told()
    s.world.later(days=2)
    s.world.tick()
    told = s.told()
    assert [kind for kind, _names in told] == ["escalation"]
    assert set(told[0][1]) == {"Senior", "Ben"}
    assert "nobody is on it" in s.world.receiver.texts[-1]
    assert "Anna had it for 2 d and no answer came" in s.world.receiver.texts[-1]
    assert s.world.tick() == 0
    assert Counter(e.kind for e in s.events())["released"] == 1


def test_an_answer_in_time_keeps_the_claim(shift: Any) -> None:
    s = shift(BOTH)
    s.complain()
    act.claim(s.world.core, 1, "Anna", s.world.now)
    s.world.later(minutes=15)
    act.respond(s.world.core, 1, "Anna", "https://forum.example/a", s.world.now)
    s.world.later(hours=5)
    s.world.tick()
    assert s.world.case().assignee == "Anna"


def test_who_writes_again_gives_the_claim_its_time_anew(shift: Any) -> None:
    s = shift(BOTH)
    mia = Author("forum.example", "mia", "Mia")
    s.complain(author=mia)
    act.claim(s.world.core, 1, "Anna", s.world.now)
    act.respond(s.world.core, 1, "Anna", "https://forum.example/a", s.world.now)
    s.world.later(hours=3)
    s.complain("Still nothing from Halcyon! This is a disgrace.", author=mia, thread="t1")
    assert (s.world.case().state, s.world.case().assignee) == (State.CLAIMED, "Anna")
    s.world.later(minutes=19)
    s.world.tick()
    assert s.world.case().assignee == "Anna"
    s.world.later(minutes=1)
    s.world.tick()
    assert s.world.case().assignee is None


def test_the_time_out_is_working_time(shift: Any) -> None:
    s = shift(BOTH, calendar=OFFICE)
    s.complain()
    act.claim(s.world.core, 1, "Anna", s.world.now)
    s.world.later(hours=1, minutes=19)
    s.world.tick()
    assert s.world.case().assignee == "Anna"
    s.world.later(minutes=1)
    s.world.tick()
    assert s.world.case().assignee is None


def test_let_go_by_hand_asks_the_next_one_too(shift: Any) -> None:
    s = shift(BOTH)
    s.complain()
    act.claim(s.world.core, 1, "Anna", s.world.now)
    act.release(s.world.core, 1, "Anna", s.world.now)
    s.told()
    s.world.tick()
    assert s.told() == [("reminder", ["Ben"])]


def test_who_let_it_go_is_not_asked_again_though_alone(shift: Any) -> None:
    s = shift(ALONE)
    s.complain()
    act.claim(s.world.core, 1, "Anna", s.world.now)
    s.told()
    s.world.later(minutes=20)
    s.world.tick()
    assert s.told() == [("warning", [])]
    assert s.world.tick() == 0
    s.world.now = START + HOUR  # Ben's week begins
    s.world.tick()
    assert ["Ben"] in [[n for n in names if n != "Senior"] for _kind, names in s.told()]
    assert s.events()[-1].person == "Ben"


def test_a_customer_who_comes_back_calls_who_is_on_duty(shift: Any) -> None:
    s = shift(ALONE)
    mia = Author("forum.example", "mia", "Mia")
    s.complain(author=mia)
    act.respond(s.world.core, 1, "Anna", "https://forum.example/a", s.world.now)
    act.resolve(s.world.core, 1, "Anna", "refunded", s.world.now)
    s.told()
    s.world.later(days=3)
    s.complain("Halcyon took my money again, terrible, I want it back!", author=mia, thread="t1")
    assert s.told() == [("reopened", ["Ben"])]
    act.respond(s.world.core, 1, "Ben", "https://forum.example/b", s.world.now)
    act.resolve(s.world.core, 1, "Ben", "refunded", s.world.now)
    act.reopen(s.world.core, 1, "Kim", "she called", s.world.now)
    s.told()
    s.world.tick()
    assert s.told() == [("reminder", ["Ben"])], "by a person, too"


ASLEEP = Duty((Member("Anna"), Member("Senior", hours=OFFICE)), at_once=2)


def test_the_third_bad_experience_calls_the_senior_by_name_whatever_the_hour(shift: Any) -> None:
    s = shift(ASLEEP)
    mia = Author("forum.example", "mia", "Mia")
    for text in TEXTS:
        s.complain(text, author=mia)
    assert s.told()[-2:] == [("opened", ["Anna"]), ("escalation", ["Senior"])]


def test_the_third_bad_experience_may_be_a_reopening(shift: Any) -> None:
    s = shift(ASLEEP)
    mia = Author("forum.example", "mia", "Mia")
    for text in TEXTS[:2]:
        s.complain(text, author=mia)
    act.respond(s.world.core, 1, "Anna", "https://forum.example/a", s.world.now)
    act.resolve(s.world.core, 1, "Anna", "refunded", s.world.now)
    s.told()
    s.world.later(minutes=5)
    s.complain(TEXTS[0] + " Again!", author=mia, thread="t1")
    assert ("escalation", ["Senior"]) in s.told()


def test_the_third_bad_experience_may_be_confirmed_by_what_joins(shift: Any) -> None:
    s = shift(ASLEEP)
    mia = Author("forum.example", "mia", "Mia")
    for text in TEXTS[:2]:
        s.complain(text, author=mia)
    s.complain("Halcyon was slow this time, order 3.", author=mia, thread="third")
    assert s.world.case(3).complaint == "check"
    assert s.world.case(3).customer.bad_experiences == 2
    s.told()
    s.complain(TEXTS[2], author=mia, thread="third")
    assert len(s.world.cases()) == 3
    assert s.world.case(3).complaint == "complaint"
    assert ("escalation", ["Senior"]) in s.told()
    assert s.world.case(3).customer.bad_experiences == 3


def test_who_is_on_duty_and_until_when(shift: Any) -> None:
    away = Override(START - HOUR, START + 2 * HOUR, away="Anna")
    s = shift(replace(ALONE, overrides=(away,)))
    (found,) = duty.on_duty(s.world.core, s.world.now)
    assert found == OnDuty(Person("Ben", {"slack": "UBen"}), 0, START + HOUR + timedelta(days=7), deputy=True)
