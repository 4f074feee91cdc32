"""The desk: what a responder may ask for people, over a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from listener.errors import FetchError, NotModified, Refused, SourceError, UsageError
from listener.model import Answer, Author, ClockName, Mention, Person, State
from listener.ports import Desk
from listener.service import act, read
from listener.service.core import Source
from listener.service.desk import ServiceDesk
from tests.world import ScriptedSource, World, refused

URL = "https://forum.example/t/1#reply"


@pytest.fixture
def desk(world: World) -> Desk:
    return ServiceDesk(world.core, lambda: world.now)


# ---- who, and once


def test_a_key_counts_once(desk: Desk) -> None:
    assert desk.once("slack:click:1")
    assert not desk.once("slack:click:1")
    assert desk.once("slack:click:2")
    assert desk.once("x" * 5000 + "1")
    assert desk.once("x" * 5000 + "2")
    assert not desk.once("x" * 5000 + "2")
    assert desk.once("\ud800" * 300)


def test_of_many_at_once_one_is_first(desk: Desk) -> None:
    with ThreadPoolExecutor(8) as pool:
        firsts = list(pool.map(desk.once, ["the same"] * 40))
    assert firsts.count(True) == 1


def test_a_key_is_forgotten_in_the_end(world: World, desk: Desk) -> None:
    assert desk.once("k")
    world.later(days=30)
    world.tick()
    assert desk.once("k")


@pytest.mark.parametrize(
    ("handle", "shown", "who"),
    [
        ("UAnna", "whatever", "Anna"),
        ("U9", "Ole", "Ole"),
        ("U9", "  Ole \n\u202e Olsen ", "Ole Olsen"),
        ("U9", "", "U9"),
        ("U9", "\x00", "U9"),
        ("U9", "x" * 500, "x" * 100),
        ("U9", "Anna", "Anna (U9)"),  # a name alone makes nobody Anna
    ],
)
def test_who_somebody_is(desk: Desk, handle: str, shown: str, who: str) -> None:
    assert desk.person("slack", handle, shown) == who


def test_a_person_without_an_id_there_is_known_by_name(world: World) -> None:
    world.core = replace(world.core, rules=replace(world.core.rules, people={"Ole": Person("Ole")}))
    assert ServiceDesk(world.core, lambda: world.now).person("slack", "U9", "Ole") == "Ole"


# ---- doing


def test_everything_is_recorded_with_who_did_it(world: World, desk: Desk) -> None:
    world.hear(world.mention())
    desk.claim(1, "Anna")
    desk.note(1, "Ben", "She is a regular.")
    desk.snooze(1, "Anna", 30)
    desk.respond(1, "Anna", URL, 60)
    desk.wait(1, "Anna")
    desk.resume(1, "Ben")
    desk.assign(1, "Anna", "Ben")
    desk.release(1, "Ben")
    desk.resolve(1, "Anna", "refunded", "", "billing")
    desk.reopen(1, "Ben", "She called.")
    desk.dismiss(1, "Anna", "A joke")
    events = read.story(world.core, 1, world.now).events
    assert [(e.kind, e.actor) for e in events[1:]] == [
        ("claimed", "Anna"),
        ("noted", "Ben"),
        ("snoozed", "Anna"),
        ("responded", "Anna"),
        ("waited", "Anna"),
        ("resumed", "Ben"),
        ("assigned", "Anna"),
        ("released", "Ben"),
        ("promise_ended", None),
        ("resolved", "Anna"),
        ("reopened", "Ben"),
        ("dismissed", "Anna"),
    ]
    assert desk.now() == world.now
    assert set(desk.people()) == {"Anna", "Ben", "Senior"}


def test_what_can_not_be_says_so(world: World, desk: Desk) -> None:
    world.hear(world.mention())
    desk.claim(1, "Anna")
    with refused(Refused, "Anna has this case"):
        desk.claim(1, "Ben")
    with refused(UsageError, "no case 9"):
        desk.case(9)
    for minutes in (0, -5, 10**12):
        with refused(UsageError, "7 days"):
            desk.snooze(1, "Anna", minutes)
    with refused(UsageError, "Nobody is called"):
        desk.assign(1, "Anna", "Zoe")


def test_merge_and_draft_are_at_hand(world: World, desk: Desk) -> None:
    world.hear(world.mention(1))
    world.hear(world.mention(2, "The Halcyon lamp broke at once, awful quality, I am furious!"))
    desk.merge(2, "Anna", 1)
    assert desk.case(2).state is State.MERGED
    draft = desk.draft(1, "Anna")
    assert draft.text
    assert draft.promise_minutes > 0


def test_lists(world: World, desk: Desk) -> None:
    world.hear(world.mention(1))
    world.hear(world.mention(2, "The Halcyon lamp broke at once, awful quality, I am furious!"))
    desk.claim(2, "Anna")
    assert [c.id for c in desk.mine("Anna")] == [2]
    assert [c.id for c in desk.queue()] == [1]
    assert [c.id for c in desk.search("lamp")] == [2]
    [mia] = desk.customers("mia")
    assert {c.id for c in desk.cases_of(mia.id)} == {1, 2}
    assert desk.today().opened == 2
    assert list(desk.on_duty()) == [] or desk.on_duty()[0].person.name


# ---- the public answer


@dataclass
class Finder(ScriptedSource):
    """A source that can tell whether the brand has answered."""

    found: Answer | Exception | None = None
    asked: tuple[Mention, ...] = ()

    def answer(self, http: httpx.Client, mention: Mention) -> Answer | None:
        self.asked += (mention,)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def finder(tmp_path: Path, world: World) -> Finder:
    finder = Finder()
    world.source = finder
    source = Source("forum", finder, timedelta(minutes=5))
    world.core = replace(world.core, sources={"forum": source})
    return finder


@pytest.fixture
def asking(world: World, finder: Finder) -> Desk:
    world.hear(world.mention())
    return ServiceDesk(world.core, lambda: world.now)


def test_an_answer_that_is_seen_stops_the_clock_at_its_own_time(
    world: World, asking: Desk, finder: Finder
) -> None:
    published = world.now + timedelta(minutes=4)
    finder.found = Answer("We are sorry.", URL, published)
    world.later(minutes=20)
    assert asking.look_for_answer(1)
    case = asking.case(1)
    assert (case.state, case.verified, case.answer_url) == (State.RESPONDED, True, URL)
    [clock] = [c for c in case.clocks if c.name is ClockName.FIRST_RESPONSE]
    assert clock.met_at == published
    [asked] = finder.asked
    assert (asked.external_id, asked.thread, asked.author and asked.author.platform_id) == ("1", "t1", "mia")
    assert asking.look_for_answer(1)
    kinds = [e.kind for e in read.story(world.core, 1, world.now).events]
    assert kinds == ["opened", "verified"], "seen twice, recorded once"


def test_no_answer_yet(world: World, asking: Desk, finder: Finder) -> None:
    for found in (None, NotModified(URL)):
        finder.found = found
        assert not asking.look_for_answer(1)
    assert asking.case(1).state is State.OPEN


def test_an_answer_from_before_is_no_answer_to_what_came_after(
    world: World, asking: Desk, finder: Finder
) -> None:
    finder.found = Answer("We are sorry.", URL, world.now + timedelta(minutes=1))
    world.later(minutes=2)
    assert asking.look_for_answer(1)
    world.hear(world.mention(2, "Halcyon still never delivered my order, terrible!", thread="t1"))
    assert not asking.look_for_answer(1)
    finder.found = Answer("We are sorry.", URL)
    assert not asking.look_for_answer(1), "without a date it may be the old one"
    finder.found = Answer("It is on its way.", URL + "2", world.now + timedelta(seconds=5))
    assert asking.look_for_answer(1)
    assert asking.case(1).answer_url == URL + "2"


def test_an_answer_without_a_date_counts_for_the_only_mention(
    world: World, asking: Desk, finder: Finder
) -> None:
    finder.found = Answer("We are sorry.")
    world.later(minutes=5)
    assert asking.look_for_answer(1)
    assert asking.case(1).verified


@pytest.mark.parametrize(
    ("name", "ours"), [("Joe Passerby", False), ("halcyon", True), ("Halcyon Care", True), ("Anna", False)]
)
def test_a_stranger_s_comment_stops_no_clock(
    name: str, ours: bool, world: World, asking: Desk, finder: Finder
) -> None:
    own = replace(world.core.sources["forum"], own_accounts=frozenset({"Halcyon Care"}))
    world.core.sources["forum"] = own  # type: ignore[index]
    finder.found = Answer("Same here!", URL, world.now, Author("forum.example", name.lower(), name))
    assert asking.look_for_answer(1) is ours
    assert asking.case(1).verified is ours


def test_a_recorded_answer_becomes_verified(world: World, asking: Desk, finder: Finder) -> None:
    asking.respond(1, "Anna", URL, 60)
    finder.found = Answer("We are sorry.", None, world.now)
    assert asking.look_for_answer(1)
    case = asking.case(1)
    assert (case.verified, case.answer_url, case.promise_minutes) == (True, URL, 60)


@pytest.mark.parametrize("error", [FetchError("it is down", url=URL), SourceError("it makes no sense")])
def test_a_source_that_can_not_be_read(error: Exception, asking: Desk, finder: Finder) -> None:
    finder.found = error
    with refused(Refused, "can't be read just now", str(error)):
        asking.look_for_answer(1)


def test_a_source_that_can_not_tell(world: World, desk: Desk) -> None:
    world.hear(world.mention())
    with refused(Refused, "can't see answers there (forum)", "link"):
        desk.look_for_answer(1)
    world.core = replace(world.core, sources={})
    with refused(Refused, "can't see answers there (forum)"):
        ServiceDesk(world.core, lambda: world.now).look_for_answer(1)


def test_a_closed_case_is_not_looked_for(world: World, asking: Desk, finder: Finder) -> None:
    act.dismiss(world.core, 1, "Anna", "praise", world.now)
    with refused(Refused, "closed"):
        asking.look_for_answer(1)
    assert finder.asked == ()
