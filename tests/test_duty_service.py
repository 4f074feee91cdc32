"""Who is called for a case, and how the rotation is configured and shown: from the outside."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from listener import app, cli, config
from listener.clock import Calendar, Policy, Window
from listener.duty import Duty, HandOver, Member, Override
from listener.errors import ConfigError
from listener.model import Author, OnDuty, Person, State
from listener.service import act, duty
from tests.dashboard import served
from tests.test_clock import at
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

    for number in range(2):
        (tmp_path / str(number)).mkdir()
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


def test_the_cases_of_one_page_are_shared_out_too(shift: Any) -> None:
    s = shift(BOTH)
    authors = [Author("forum.example", f"b{n}", f"B{n}") for n in range(6)]
    s.world.hear(*[s.world.mention(n, author=author) for n, author in enumerate(authors)])
    assert Counter(names[0] for _kind, names in s.told()) == {"Anna": 3, "Ben": 3}


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


def test_the_overview_says_who_is_on_duty(shift: Any) -> None:
    s = shift(replace(ALONE, overrides=(Override(START - HOUR, START + 2 * HOUR, away="Anna"),)))
    s.complain()
    with served(s.world) as dashboard:
        dashboard.log_in()
        page = " ".join(re.sub("<[^>]+>", "", dashboard.text("/")).split())
        assert "On duty: Ben (standing in), 1 open case, until" in page
        assert 'href="/cases?person=Ben"' in dashboard.text("/")
        assert "Ben is on duty and was asked to take it." in dashboard.text("/cases/1")
    without = shift(None)
    with served(without.world) as dashboard:
        dashboard.log_in()
        assert "On duty" not in dashboard.text("/")


# ---- configuration and command ------------------------------------------------------------------------------

CONFIG = """
[listener]
contact = "team@example.org"
[[brands]]
name = "Acme"
[people]
ada = {}
bob = {}
[calendars.office]
zone = "America/New_York"
windows = ["Mon-Fri 08:00-16:00"]
[duty]
zone = "Europe/Berlin"
"""
PEOPLE = """
[[duty.people]]
name = "ada"
weight = 4
calendar = "office"
quiet = ["daily 22:00-07:00"]
deputy = "bob"
[[duty.people]]
name = "bob"
"""


def read(text: str) -> config.Config:
    return config.parse(text, "listener.toml", Path())


def test_a_rotation_is_configured() -> None:
    text = f"""{CONFIG}
        hand_over = "daily 18:00"
        at_once = "all"
        starts = 2026-11-23
        {PEOPLE}
        [[duty.overrides]]
        from = 2026-12-24
        to = "2026-12-27 09:00"
        person = "off"
        [[duty.overrides]]
        from = 2026-12-28T09:00:00
        to = 2026-12-28T18:00:00Z
        away = "ada"
        """
    office = Calendar("America/New_York", (Window.parse("Mon-Fri 08:00-16:00"),))
    night = Calendar("America/New_York", (Window.parse("daily 22:00-07:00"),))
    overrides = (
        Override(at("2026-12-24T00:00", "Europe/Berlin"), at("2026-12-27T09:00", "Europe/Berlin"), "off"),
        Override(at("2026-12-28T09:00", "Europe/Berlin"), at("2026-12-28T18:00"), away="ada"),
    )
    expected = Duty(
        (Member("ada", 4, office, night, "bob"), Member("bob")),
        "Europe/Berlin",
        HandOver(None, 18 * 60),
        None,
        date(2026, 11, 23),
        overrides,
    )
    assert read(text).rotation() == expected
    assert app.rules(read(text)).duty == expected


@pytest.mark.parametrize(
    ("duty", "policy", "timeout"),
    [
        ("", "", None),
        ("", 'ack_timeout = "10m"', 10),
        (PEOPLE, "", 30),
        (PEOPLE, 'ack_timeout = "10m"', 10),
        (PEOPLE, 'ack_timeout = "0s"', None),
    ],
)
def test_a_claim_ends_where_there_is_somebody_else_to_ask(
    duty: str, policy: str, timeout: int | None
) -> None:
    head = CONFIG if duty else CONFIG.partition("[duty]")[0]
    found = read(f"{head}{duty}\n[policies.default]\n{policy}\n").policy()
    assert found.ack_timeout == (timedelta(minutes=timeout) if timeout else None)
    assert not found.outside_hours
    assert read(f"{head}{duty}\n[policies.default]\noutside_hours = true\n").policy().outside_hours


OVERRIDE = '[[duty.overrides]]\nfrom = "2026-12-24 09:00"\n'


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (CONFIG, ["duty.people: is missing: in the order of their turns, at least one"]),
        (f"{CONFIG}people = []", ["duty: a rotation needs people"]),
        (
            CONFIG.replace("Berlin", "Berln") + 'hand_over = "9:00"\nat_once = 0\n' + PEOPLE,
            [
                'duty.at_once: must be a number of people from 1 on, or "all"',
                "duty.hand_over: '9:00' is no time to hand over: write it like Mon 09:00 or daily 09:00",
                "duty.zone: no time zone is called 'Europe/Berln'; did you mean 'Europe/Berlin'?",
            ],
        ),
        (f"{CONFIG}at_once = 3\n{PEOPLE}", ["duty: at_once is 1 to 2, the number of people, or all"]),
        (
            f'{CONFIG}handover = "Mon 09:00"\n{PEOPLE}',
            ['duty.handover: unknown key; did you mean "hand_over"?'],
        ),
        (
            f'{CONFIG}[[duty.people]]\nname = "adda"\ndeputy = "bobb"\ncalendar = "ofice"\nweight = 0\n',
            [
                'duty.people[0] "adda".calendar: no calendar is called "ofice"; did you mean "office"?',
                'duty.people[0] "adda".deputy: no person is called "bobb"; did you mean "bob"?',
                'duty.people[0] "adda".name: no person is called "adda"; did you mean "ada"?',
                'duty.people[0] "adda".weight: must be greater than or equal to 1',
            ],
        ),
        (
            f'{CONFIG}[[duty.people]]\nname = "ada"\nquiet = ["22-7"]\ndeputy = "ada"\n',
            ["duty.people[0] \"ada\".quiet[0]: '22-7' is not a window: write it like Mon-Fri 08:00-16:00"],
        ),
        (
            f'{CONFIG}[[duty.people]]\nname = "ada"\ndeputy = "ada"\n',
            ['duty.people[0] "ada": ada can\'t be their own deputy'],
        ),
        (
            f'{CONFIG}{PEOPLE}{OVERRIDE}to = "tomorrow"\nperson = "bbo"\n',
            [
                'duty.overrides[0].person: no person is called "bbo"; did you mean "bob"?',
                'duty.overrides[0].to: must be a local time, like "2026-12-24 09:00"',
            ],
        ),
        (
            f'{CONFIG}{PEOPLE}{OVERRIDE}to = "2026-12-24 08:00"\nperson = "bob"\n',
            ["duty.overrides[0]: an override ends after it begins"],
        ),
        (
            f'{CONFIG}{PEOPLE}{OVERRIDE}to = "2026-12-25 08:00"\n',
            ["duty.overrides[0]: an override says who has the duty (person) or who hasn't (away)"],
        ),
        (
            (CONFIG + PEOPLE).replace("bob = {}", "bob = {}\noff = {}"),
            ["people.off: is a word with a meaning of its own"],
        ),
    ],
)
def test_every_mistake_in_a_rotation_is_named(text: str, lines: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.problems == lines


def test_who_calls_the_duty_without_one_is_warned() -> None:
    steps = '[policies.default]\nsteps = [{ clock = "resolution", at = "50%", kind = "warning", call = ["duty"] }]'
    warning = "policy default calls who is on duty, but there is no section duty"
    assert warning in read(CONFIG.partition("[duty]")[0] + steps).warnings()
    assert warning not in read(CONFIG + PEOPLE + steps).warnings()
    assert "Duty" in config.json_schema()["$defs"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_command_shows_who_is_on_duty(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "listener.toml"

    def run(text: str) -> str:
        path.write_text(text)
        args = ["--config", str(path), "duty", *(["--json"] if form == "json" else [])]
        assert cli.main(args) == 0
        return capsys.readouterr().out

    always = '[[duty.people]]\nname = "ada"\n[[duty.people]]\nname = "bob"\n'
    away = '[[duty.overrides]]\nfrom = "2020-01-01 09:00"\nto = "2099-01-01 09:00"\naway = "ada"\n'
    out = run(CONFIG + 'hand_over = "daily 09:00"\nat_once = 2\n' + always + away)
    off = run(CONFIG + always + away.replace('away = "ada"', 'person = "off"'))
    none = run(CONFIG.partition("[duty]")[0])
    if form == "json":
        (found,) = json.loads(out)["on_duty"]
        assert found | {"until": None} == {
            "person": "bob",
            "open_cases": 0,
            "until": None,
            "deputy": False,
            "in_hours": True,
        }
        assert json.loads(off) == json.loads(none) == {"on_duty": [], "next": []}
    else:
        assert re.search(r"bob +further notice +0", out)
        assert off == "Nobody is on duty now.\n"
        assert none == "Nobody has the duty: the configuration has no section duty.\n"
