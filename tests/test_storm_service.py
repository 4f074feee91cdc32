"""Storm mode from the outside: polls, ticks and deliveries over hours, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from listener.clock import Policy
from listener.duty import Duty, Member
from listener.errors import DeliveryError
from listener.matching import BrandRules, Matcher
from listener.model import Author, Delivery, Mention, StormView
from listener.service import act, storm
from listener.service.core import Source
from listener.storage import storms
from listener.storm import StormRules
from tests.world import World

REASONS = (
    "Halcyon never delivered my order {n}, terrible service, where is my parcel?",
    "Halcyon charged my card twice for {n}, this is a scam, I want my refund!",
)


@dataclass
class Board:
    """A responder that threads: what it keeps is where each message went, and how often it was edited."""

    storms: dict[str, list[Delivery]] = field(default_factory=dict)  # by ref: the message and its edits
    threads: dict[str, list[Delivery]] = field(default_factory=dict)
    alone: list[Delivery] = field(default_factory=list)
    channels: dict[str, str] = field(default_factory=lambda: {"manager": "C2"})
    failures: list[DeliveryError] = field(default_factory=list)

    def send(self, delivery: Delivery) -> dict[str, str] | None:
        if self.failures:
            raise self.failures.pop(0)
        if delivery.notice.kind == "storm":
            ref = delivery.storm_ref or {"message": delivery.key}
            self.storms.setdefault(ref["message"], []).append(delivery)
            return ref
        if delivery.storm_ref:
            self.threads.setdefault(delivery.storm_ref["message"], []).append(delivery)
        else:
            self.alone.append(delivery)
        return {"message": delivery.key} if delivery.ref is None and delivery.notice.case else None

    @property
    def called(self) -> list[str]:
        """Everybody who was called, in any message."""
        every = [
            *self.alone,
            *(d for found in (self.storms, self.threads) for ds in found.values() for d in ds),
        ]
        return [person.name for d in every for person in d.notice.call]


class Weather(World):
    """A world with a board, a group to call, and people who write complaints."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        super().__init__(folder, **{"storm": StormRules(call=("escalation",))} | rules)
        self.folder = folder
        self.board = Board()
        self.core = replace(self.core, responders={"board": self.board})
        self.written = 0

    def complaints(self, number: int, **fields: Any) -> list[Mention]:
        found = []
        for _ in range(number):
            self.written += 1
            n = self.written
            text = fields.get("text") or REASONS[n % 3 == 0].format(n=n)
            author = Author("forum.example", f"u{n}", f"U {n}")
            found.append(self.mention(n, **{"author": author} | fields | {"text": text}))
        return found

    def restart(self) -> None:
        """Another process on the same database."""
        core = self.core
        self.close()
        again = World(self.folder)
        self.db, self.core = again.db, replace(core, db=again.db)

    def run(self, minutes: int, each: int = 0) -> None:
        """Poll, tick and deliver once a minute, as cron does; each poll finds so many complaints."""
        for _ in range(minutes):
            if each:
                self.hear(*self.complaints(each))
            self.tick()
            self.deliver()
            self.later(minutes=1)

    def storms(self) -> list[StormView]:
        return storm.storms_on(self.core, self.now)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Weather]:
    world = Weather(tmp_path)
    world.settled()
    yield world
    world.close()


def only(found: dict[str, list[Delivery]]) -> list[Delivery]:
    (single,) = found.values()
    return single


def test_two_hundred_complaints_in_ten_minutes_are_one_message_and_two_hundred_cases(world: Weather) -> None:
    world.run(1, each=5)
    assert (world.storms(), len(world.board.alone)) == ([], 5)
    world.run(10, each=20)
    (shown,) = world.storms()
    assert (shown.brand, shown.cases, shown.open_cases) == ("Halcyon", 205, 205)
    assert shown.per_hour == 410
    assert shown.usual_per_hour == 0
    assert [n for _, n in shown.reasons] == sorted((n for _, n in shown.reasons), reverse=True)
    assert sum(n for _, n in shown.reasons) == 205
    assert shown.sources == (("forum", 205),)
    message = only(world.board.storms)
    assert message[0].notice.text.startswith("Many complaints about Halcyon: 25 cases in 30 min.")
    assert [p.name for p in message[0].notice.call] == ["Senior"]
    assert 8 <= len(message) <= 11, "one message, edited at most once a minute"
    assert all(d.notice.storm is not None for d in message)
    assert message[-1].notice.storm is not None
    assert message[-1].notice.storm.cases == 205
    # Each case exists, with its clock, and is told in the thread; the first five were told before.
    told = [d.notice.case.id for d in only(world.board.threads) if d.notice.case]
    assert sorted(told) == list(range(6, 206))
    with world.db.read() as connection:
        assert storms.count_cases(connection, shown.id) == (205, 205)
    assert all(world.case(n).next_clock for n in (1, 6, 205))
    assert world.board.called == ["Senior"], "the storm calls; none of its cases does"


def test_alarms_of_its_cases_sound_in_the_thread_and_call_nobody_but_who_has_the_case(world: Weather) -> None:
    world.run(2, each=15)
    act.claim(world.core, 20, "Anna", world.now)
    world.run(95)
    thread = only(world.board.threads)
    by_case: dict[int, list[Delivery]] = {}
    for d in thread:
        assert d.notice.case is not None
        assert d.channel is None, "the managers hear of the storm, not of each case"
        by_case.setdefault(d.notice.case.id, []).append(d)
    kinds = [[d.notice.kind for d in by_case[n]] for n in (1, 15, 16, 30)]
    assert kinds == [["opened", "reminder", "warning", "breach", "escalation"]] * 4
    called = {n: [p.name for d in found for p in d.notice.call] for n, found in by_case.items()}
    assert {n for n, names in called.items() if names} == {20}
    assert set(called[20]) == {"Anna"}


def test_it_ends_when_calm_with_a_summary_and_the_next_one_is_another(world: Weather) -> None:
    world.run(5, each=12)
    for number in range(13, 53):
        act.claim(world.core, number, "Anna", world.now)
        act.respond(world.core, number, "Anna", f"https://forum.example/a/{number}", world.now)
    world.run(58)
    assert world.storms(), "an hour must be calm"
    for number in range(1, 6):
        act.claim(world.core, number, "Anna", world.now)
        act.respond(world.core, number, "Anna", f"https://forum.example/a/{number}", world.now)
    world.run(5)
    assert world.storms() == []
    message = only(world.board.storms)
    last = message[-1].notice
    assert last.storm is not None
    assert last.storm.ended_at is not None
    assert last.text.startswith("It is calm again after 1 h 4 min: 60 cases about Halcyon (")
    assert [p.name for p in last.call] == ["Senior"], "for those who still wait"
    assert "40 answered in time, 5 late, 15 still waiting for an answer. The longest wait: 1 h" in last.text
    edits = len(message)
    world.run(30)
    assert len(only(world.board.storms)) == edits, "over is over"
    world.hear(*world.complaints(3))
    world.deliver()
    assert [d.notice.kind for d in world.board.alone] == ["opened"] * 3
    world.run(2, each=12)
    assert len(world.board.storms) == 2


def test_a_restart_in_between_changes_nothing(world: Weather) -> None:
    for _ in range(5):
        world.run(2, each=6)
        world.restart()
    world.run(64)
    assert world.storms() == []
    message = only(world.board.storms)
    assert message[-1].notice.storm is not None
    assert message[-1].notice.storm.cases == 60
    assert 8 <= len(message) <= 11
    opened = [d for d in only(world.board.threads) if d.notice.kind == "opened"]
    assert len({d.key for d in opened}) == len(opened) == 54, "the first six were told before it began"


def test_two_brands_have_a_storm_each(tmp_path: Path) -> None:
    names = {"Halcyon": "default", "Brightwater": "default"}
    world = Weather(tmp_path, brand_policies=names)
    world.core = replace(world.core, matcher=Matcher([BrandRules(n, (n,)) for n in names]))
    world.settled()
    for _ in range(3):
        other = [replace(m, text=m.text.replace("Halcyon", "Brightwater")) for m in world.complaints(8)]
        world.hear(*world.complaints(6), *other)
        world.tick()
        world.deliver()
        world.later(minutes=1)
    assert [(s.brand, s.cases) for s in world.storms()] == [("Brightwater", 24), ("Halcyon", 18)]
    assert len(world.board.storms) == 2
    for ref, told in world.board.threads.items():
        brand = world.board.storms[ref][0].notice.storm
        assert brand is not None
        assert {d.notice.case.brand for d in told if d.notice.case} == {brand.brand}
    world.close()


def test_a_brand_that_hears_forty_an_hour_has_no_storm_at_forty_an_hour(world: Weather) -> None:
    """A week of it is learned; six times as many are a storm all the same."""
    world.core = replace(world.core, rules=replace(world.core.rules, storm=StormRules(enabled=False)))
    for _ in range(12):
        world.hear(*world.complaints(40))
        world.later(hours=1)
    world.core = replace(world.core, rules=replace(world.core.rules, storm=StormRules()))
    world.later(minutes=30)
    world.hear(*world.complaints(40))
    assert world.storms() == []
    world.later(minutes=1)
    world.hear(*world.complaints(20))
    (shown,) = world.storms()
    assert shown.usual_per_hour == 40


@pytest.mark.parametrize("spread", ["days", "hours"])
def test_no_storm_on_day_one(spread: str, tmp_path: Path) -> None:
    """The first poll of a source brings its last hours at once."""
    world = Weather(tmp_path)
    apart = timedelta(hours=12) if spread == "days" else timedelta(minutes=28)
    found = [m for n in range(50) for m in world.complaints(1, published=world.now - n * apart)]
    world.hear(*found)
    world.run(5)
    assert world.board.storms == {}
    assert world.cases()
    world.close()


def test_what_is_told_before_the_storm_is_known_is_told_once_and_quietly(tmp_path: Path) -> None:
    """The cases of one page: their messages are not out yet, so they go into the thread and call nobody."""
    policy = Policy(third_call=("Senior",), third_channel="manager")
    world = Weather(tmp_path, policies={"default": policy})
    world.settled()
    again = Author("forum.example", "mia", "Mia")
    same = [world.mention(f"m{n}", text=REASONS[n % 2].format(n=f"m{n}"), author=again) for n in range(3)]
    same = [replace(m, thread=f"x{n}", text=f"{m.text} {'abc'[n] * 40}") for n, m in enumerate(same)]
    world.hear(*same, *world.complaints(20))
    world.deliver()
    assert world.board.alone == []
    assert len(only(world.board.storms)) == 1
    assert world.board.called == ["Senior"]
    assert all(d.channel is None for d in only(world.board.threads))
    world.close()


def test_after_an_outage_its_message_says_it_all_and_comes_before_the_cases(world: Weather) -> None:
    world.board.failures = [DeliveryError("down") for _ in range(200)]
    world.hear(*world.complaints(30))
    world.run(70)
    world.board.failures.clear()
    world.later(hours=1)
    world.run(3)
    (message,) = only(world.board.storms)
    assert message.notice.text.startswith("It is calm again")
    assert [p.name for p in message.notice.call] == ["Senior"]
    assert world.board.alone == []
    assert len(only(world.board.threads)) == 30


def test_a_storm_message_that_is_refused_holds_up_no_case(world: Weather) -> None:
    world.board.failures = [DeliveryError("no such channel", permanent=True)]
    world.run(1, each=12)
    assert [d.notice.kind for d in world.board.alone].count("opened") == 12


def test_a_reopened_case_is_a_case_by_itself_again(world: Weather) -> None:
    world.run(1, each=12)
    act.claim(world.core, 3, "Anna", world.now)
    act.respond(world.core, 3, "Anna", "https://forum.example/a/3", world.now)
    act.resolve(world.core, 3, "Anna", "helped", world.now)
    world.run(70)
    act.reopen(world.core, 3, "Ben", "still broken", world.now)
    world.run(95)
    late = [d for d in only(world.board.threads) if d.notice.case and d.notice.case.id == 3]
    assert late[-1].notice.kind == "escalation"
    assert [p.name for p in late[-1].notice.call] == ["Senior"]


def test_two_processes_begin_one_storm(world: Weather) -> None:
    other = replace(world.core, sources={"forum": Source("forum", world.source, timedelta(minutes=5))})
    world.hear(*world.complaints(12))
    with world.db.write() as connection:
        storm.look(other, connection, {"Halcyon"}, world.now)
    assert len(world.storms()) == 1


def test_switched_off_there_are_only_cases(tmp_path: Path) -> None:
    world = Weather(tmp_path, storm=StormRules(enabled=False))
    world.settled()
    world.run(2, each=20)
    assert world.storms() == []
    assert len(world.board.alone) == 40
    world.close()


def test_with_a_rotation_who_is_on_duty_is_called_by_the_storm_and_not_by_each_case(tmp_path: Path) -> None:
    duty = Duty((Member("Anna"), Member("Ben")), at_once=2)
    world = Weather(tmp_path, duty=duty, storm=StormRules(call=("duty", "escalation")))
    world.settled()
    world.run(3, each=12)
    world.run(70)
    begun, *_, over = only(world.board.storms)
    assert [p.name for p in begun.notice.call] == ["Anna", "Ben", "Senior"]
    assert [p.name for p in over.notice.call] == ["Anna", "Ben", "Senior"]
    assert len(world.board.called) == 6
    world.close()


def test_a_storm_message_that_is_refused_again_and_again_holds_up_no_case_for_long(world: Weather) -> None:
    """The storm's own message is refused again and again, and nothing else is."""
    send = world.board.send

    def refuse(delivery: Delivery) -> dict[str, str] | None:
        if delivery.notice.kind == "storm":
            raise DeliveryError("invalid", alone=True)
        return send(delivery)

    world.board.send = refuse  # type: ignore[method-assign]
    world.run(1, each=12)
    assert world.board.alone == []
    world.run(5)
    assert [d.notice.kind for d in world.board.alone] == ["opened"] * 12
