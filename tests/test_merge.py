"""Two cases that are one incident: what merging does to both, in any state, and what people see of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import select

from listener import cases
from listener.cases import EVENT, Case, Event
from listener.clock import Calendar, Policy
from listener.errors import ListenerError, Refused, UsageError
from listener.model import Author, ClockName, State
from listener.service import act, read
from listener.storage import cases as case_rows
from listener.storage import tables
from responders.slack import blocks
from tests.dashboard import Dashboard, served
from tests.shop import feed, item
from tests.shop import opened as opened_shop
from tests.test_cases import OFFICE, POLICIES, RESPONSES, START, Life, opened, people, promises
from tests.world import World, refused

ANSWER = "https://forum.example/a"
BEN = Author("forum.example", "ben", "Ben")
STEPS = st.lists(
    st.sampled_from(["claim", "respond", "promise", "wait", "again", "resolve", "dismiss"]), max_size=5
)
HOUR = timedelta(hours=1)


def lived(policy: Policy, age: timedelta, steps: Sequence[str], now: Any = START) -> Case:
    """A case that is so old, after these steps (those that are refused are left out)."""
    case = cases.apply(None, opened(policy, at=now - age))
    for number, step in enumerate(steps):
        at = now - age + age * (number + 1) / (len(steps) + 1)
        try:
            case = _after(case, step, at)
        except Refused:
            continue
    return case


def _after(case: Case, step: str, at: Any) -> Case:
    done: list[Event] = {
        "claim": lambda: cases.claim(case, "Kim", at),
        "respond": lambda: cases.respond(case, "Kim", f"{ANSWER}/{at}".replace(" ", ""), at),
        "promise": lambda: cases.respond(case, "Kim", ANSWER, at, promise_minutes=300),
        "wait": lambda: cases.wait(case, "Kim", at),
        "resolve": lambda: cases.resolve(case, "Kim", "refunded", at),
        "dismiss": lambda: cases.dismiss(case, "Kim", "a joke", at),
        "again": lambda: [
            cases.Joined(at=at, mention_id=900, starts_at=at, awaits_answer=case.open),
        ],
    }[step]()
    for one in done:
        case = cases.apply(case, one)
    return case


def due(case: Case, *names: ClockName) -> Any:
    return min((c.due_at for c in case.clocks if c.running and c.due_at and c.name in names), default=None)


class MergingLife(Life):
    """Anything that may happen to a case, and at times another is merged into it, or it into another."""

    @rule(
        who=people,
        policy=st.sampled_from(POLICIES),
        age=st.timedeltas(timedelta(0), timedelta(days=4)),
        steps=STEPS,
    )
    def another_is_merged_into_it(self, who: str, policy: Policy, age: timedelta, steps: list[str]) -> None:
        other = lived(policy, age, steps, self.now)
        try:
            lost, gained = cases.merge(other, self.case, who, self.now, number=77, into=1)
        except Refused:
            assert not (other.open and self.case.open)
            return
        for one in gained:
            before, self.case = self.case, cases.apply(self.case, one)
            self.events.append(one)
            if isinstance(one, cases.MergedFrom):
                check_gained(before, other, self.case)
        closed = other
        for one in lost:
            closed = cases.apply(closed, one)
        assert (closed.state, closed.merged_into, closed.mention_ids) == (State.MERGED, 1, ())
        assert [c for c in closed.clocks if c.met_at] == [c for c in other.clocks if c.met_at]
        assert not [c for c in closed.clocks if c.running]
        assert closed.promised_until is None

    @precondition(lambda self: len(self.events) > 10 and self.case.open)
    @rule(who=people, age=st.timedeltas(timedelta(0), timedelta(days=4)))
    def it_is_merged_into_another(self, who: str, age: timedelta) -> None:
        other = lived(POLICIES[0], age, [], self.now)
        lost, _gained = cases.merge(self.case, other, who, self.now, number=1, into=88)
        for one in lost:
            self.case = cases.apply(self.case, one)
            self.events.append(one)

    @precondition(lambda self: self.case.state == State.MERGED)
    @rule(who=people)
    def merged_is_for_ever(self, who: str) -> None:
        for attempt in (
            lambda: cases.claim(self.case, who, self.now),
            lambda: cases.resolve(self.case, who, "refunded", self.now),
            lambda: cases.reopen(
                self.case, self.now, starts_at=self.now, first_response_target=HOUR, who=who, why="why"
            ),
        ):
            with refused(Refused, "case 88"):
                attempt()


def check_gained(before: Case, other: Case, after: Case) -> None:
    """The earlier due time stays, for the answer and for the resolution; nothing that was met changes."""
    same_hours = before.policy["calendar"] == other.policy["calendar"]
    for names in (RESPONSES, (ClockName.RESOLUTION,)):
        ours, theirs, now_due = due(before, *names), due(other, *names), due(after, *names)
        if ours is None and names == (ClockName.RESOLUTION,):
            continue  # paused: it goes on with what was left when the customer is answered
        expected = min((d for d in (ours, theirs) if d is not None), default=None)
        if same_hours or expected == ours:
            assert now_due == expected
        else:
            assert now_due <= expected, "other hours never make it later"
    assert after.mention_ids == (*before.mention_ids, *other.mention_ids)
    assert [c for c in after.clocks if c.met_at] == [c for c in before.clocks if c.met_at]
    assert (after.cycle, after.alarmed, after.reason) == (before.cycle, before.alarmed, before.reason)
    promised = [c.promised_until for c in (before, other) if c.promised_until]
    assert after.promised_until == min(promised, default=None)


MergingLife.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestMergingLife = MergingLife.TestCase


@pytest.mark.parametrize("hours", [Calendar.ALWAYS, OFFICE])
def test_an_answered_case_waits_again_for_the_answer_of_the_one_merged_into_it(hours: Calendar) -> None:
    policy = Policy(calendar=hours)
    other = lived(policy, timedelta(minutes=20), [])
    case = lived(policy, 2 * HOUR, ["claim", "respond", "wait"])
    assert case.state == State.WAITING
    for one in cases.merge(other, case, "Kim", START, number=2, into=1)[1]:
        case = cases.apply(case, one)
    assert case.state == State.CLAIMED
    clock = case.clock(ClockName.NEXT_RESPONSE)
    assert clock is not None
    assert clock.due_at == START + timedelta(minutes=40)
    assert case.clock(ClockName.RESOLUTION).running  # type: ignore[union-attr]


# ---- in the database ----------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, public_url="https://desk.example/")
    world.settled()
    yield world
    world.close()


PARCEL = "Halcyon never delivered my parcel, terrible service, I want my money back!"
APP = "The Halcyon app crashes at each start since the update, it is useless and awful."


def two_cases(world: World, second: Author | None = None) -> None:
    """Case 1 (parcel) and, twenty minutes later, case 2 (app); of Mia, or the second of somebody else."""
    world.hear(world.mention("p", PARCEL))
    world.later(minutes=20)
    fields: dict[str, Any] = {"author": second} if second else {}
    world.hear(world.mention("a", APP, **fields))
    assert len(world.cases()) == 2


def counted(world: World) -> list[tuple[int, int, str]]:
    """(customer, case, kind) of the bad experiences that count."""
    with world.db.read() as connection:
        found = connection.execute(select(tables.bad_experiences)).all()
    return [(r.customer_id, r.case_id, r.kind) for r in found if r.taken_back_at is None]


def check_history(world: World) -> None:
    """Each case is what its events amount to, and each mention is where its case says."""
    with world.db.read() as connection:
        for row in connection.execute(select(tables.cases)).all():
            events = [EVENT.validate_python(r.body) for r in case_rows.history(connection, row.id)]
            case = cases.replay(events)
            assert case == cases.CASE.validate_python(row.body)
            query = select(tables.mentions.c.id).where(tables.mentions.c.case_id == row.id)
            assert sorted(connection.execute(query).scalars()) == sorted(case.mention_ids)
            assert (row.due_at, row.next_alarm_at) == (case.due_at, cases.next_alarm_at(case))


def test_one_incident(world: World) -> None:
    two_cases(world)
    world.deliver()
    first_due = world.case(1).next_clock
    act.merge(world.core, 1, "Anna", 2, world.now)
    merged, other = world.case(1), world.case(2)
    assert (merged.state, merged.merged_into, merged.outcome) == (State.MERGED, 2, "merged into case 2")
    assert (merged.mentions, len(other.mentions)) == ((), 2)
    assert other.next_clock is not None
    assert first_due is not None
    assert other.next_clock.due_at == world.now + timedelta(minutes=30), (
        "its own: a second time is due sooner"
    )
    assert first_due.due_at == world.now + timedelta(minutes=40)
    assert [m.text for m in other.mentions] == [APP, PARCEL], "what it is about comes first, as before"
    assert counted(world) == [(1, 2, "complaint")], "one incident, counted once"
    assert other.customer.bad_experiences == 1
    figures = read.attainment(world.core, world.now - HOUR, world.now + HOUR, world.now + 9 * HOUR)
    assert (figures.opened, figures.late) == (1, 1)
    check_history(world)
    world.receiver.accepted.clear()
    world.deliver()
    told = {d.notice.case.id: d.notice for d in world.receiver.accepted if d.notice.case}
    assert told[1].kind == "closed"
    assert told[1].text == ("Anna merged it into case 2, where it goes on: https://desk.example/cases/2")
    assert told[2].text == "Anna merged case 1 into it, with 1 mention."
    message = json.dumps(blocks.case_message(told[1], merged).blocks, ensure_ascii=False)
    assert "Merged into case 2 · <https://desk.example/cases/2|go on there>" in message


def test_the_earlier_due_time_stays_and_its_alarms_sound(world: World) -> None:
    two_cases(world, BEN)
    act.merge(world.core, 1, "Anna", 2, world.now)
    clock = world.case(2).next_clock
    assert clock is not None
    assert clock.due_at == world.now + timedelta(minutes=40)
    world.deliver()
    assert "It is due sooner now." in world.receiver.texts[-1]
    world.later(minutes=41)
    world.tick()
    world.deliver()
    assert [
        d.notice.case.id for d in world.receiver.accepted if d.notice.kind == "breach" and d.notice.case
    ] == [2]
    check_history(world)


def test_customers_apart_stay_counted_each(world: World) -> None:
    two_cases(world, BEN)
    before = counted(world)
    act.merge(world.core, 2, "Anna", 1, world.now)
    assert counted(world) == before
    act.dismiss(world.core, 1, "Anna", "a game between two friends", world.now)
    assert counted(world) == [], "no complaint of either"


def test_what_is_written_later_in_the_merged_thread_joins_where_it_goes_on(world: World) -> None:
    two_cases(world, BEN)
    act.merge(world.core, 2, "Anna", 1, world.now)
    world.later(minutes=5)
    again = "Still nothing from Halcyon! This is a disgrace."
    world.hear(world.mention("a2", again, author=BEN, thread="ta"))
    world.hear(world.mention("p2", again + " Hello?", thread="tp"))
    assert len(world.cases()) == 2
    assert len(world.case(1).mentions) == 4
    act.respond(world.core, 1, "Anna", ANSWER, world.now)
    act.resolve(world.core, 1, "Anna", "refunded", world.now)
    world.later(hours=30)
    world.hear(world.mention("a3", "Halcyon, it crashes again, useless and awful!", author=BEN, thread="ta"))
    assert (len(world.cases()), world.case(1).state, world.case(1).cycle) == (2, State.OPEN, 2)
    check_history(world)


def test_another_matter_does_not_reopen_the_case_of_somebody_else(world: World) -> None:
    two_cases(world, BEN)
    act.merge(world.core, 2, "Anna", 1, world.now)
    act.respond(world.core, 1, "Anna", ANSWER, world.now)
    act.resolve(world.core, 1, "Anna", "refunded", world.now)
    world.hear(world.mention("x", "Rude staff at Halcyon shouted at me, terrible, I am angry!", author=BEN))
    assert [(c.state, c.customer.name) for c in world.cases()][2:] == [(State.OPEN, "Ben")]


def test_an_edited_mention_tells_the_case_where_it_goes_on(world: World) -> None:
    two_cases(world)
    act.merge(world.core, 1, "Anna", 2, world.now)
    world.hear(world.mention("p", PARCEL + " Now!", edited=world.now))
    events = read.story(world.core, 2, world.now).events
    assert isinstance(events[-1], cases.MentionChanged)


def test_who_was_on_it_stays_on_it(world: World) -> None:
    two_cases(world)
    act.claim(world.core, 1, "Ben", world.now)
    act.merge(world.core, 1, "Anna", 2, world.now)
    assert (world.case(2).state, world.case(2).assignee) == (State.CLAIMED, "Ben")
    world.deliver()
    assert [p.name for p in world.receiver.accepted[-1].notice.call] == ["Ben"]


def test_a_confirmed_complaint_stays_counted_when_it_goes_on_in_a_doubtful_case(world: World) -> None:
    world.hear(world.mention("p", PARCEL))
    world.hear(world.mention("d", "The Halcyon parcel was slow.", author=BEN))
    assert world.case(2).complaint == "check"
    assert counted(world) == [(1, 1, "complaint")]
    with world.db.write() as connection:  # somebody has found out that both are one customer
        connection.execute(tables.cases.update().values(customer_id=1))
    act.merge(world.core, 1, "Anna", 2, world.now)
    assert counted(world) == [(1, 2, "complaint")]


def test_a_broken_promise_and_a_reopening_stay_counted(world: World) -> None:
    two_cases(world)
    act.respond(world.core, 1, "Anna", ANSWER, world.now, promise_minutes=10)
    world.later(minutes=11)
    world.tick()
    act.merge(world.core, 1, "Anna", 2, world.now)
    assert sorted(counted(world)) == [(1, 1, "promise"), (1, 2, "complaint")]


def test_a_promise_goes_on_with_the_case(world: World) -> None:
    two_cases(world)
    act.respond(world.core, 1, "Anna", ANSWER, world.now, promise_minutes=10)
    act.merge(world.core, 1, "Anna", 2, world.now)
    world.later(minutes=11)
    world.tick()
    assert sorted(counted(world)) == [(1, 2, "complaint"), (1, 2, "promise")]


def test_two_people_merge_them_both_ways_at_once(world: World) -> None:
    two_cases(world)
    together = Barrier(2)

    def merge(case: int, into: int) -> str:
        together.wait()
        try:
            act.merge(world.core, case, "Anna", into, world.now)
        except Refused as error:
            return str(error)
        return "merged"

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(merge, (1, 2), (2, 1)), key=len)
    assert said[0] == "merged"
    assert "was merged into case" in said[1]
    assert sorted(c.state for c in world.cases()) == [State.MERGED, State.OPEN]
    check_history(world)


CHANGES: list[tuple[str, int, int, type[ListenerError], str]] = [
    ("", 1, 1, UsageError, "itself"),
    ("", 1, 99, UsageError, "There is no case 99"),
    ("", 99, 1, UsageError, "There is no case 99"),
    ("close 2", 1, 2, Refused, "Case 2 is closed (not a complaint)"),
    ("close 1", 1, 2, Refused, "The case is closed (not a complaint)"),
    ("merge 2 3", 1, 2, Refused, "Case 2 was merged into case 3"),
    ("merge 1 3", 1, 2, Refused, "merged into case 3"),
    ("merge 2 3, merge 3 4", 1, 2, Refused, "Case 2 was merged into case 4"),
    ("merge 1 2", 2, 1, Refused, "Case 1 was merged into case 2"),
]


@pytest.mark.parametrize(("first", "case", "into", "error", "words"), CHANGES)
def test_what_is_refused_changes_nothing(
    world: World, first: str, case: int, into: int, error: type[ListenerError], words: str
) -> None:
    for number in range(4):
        author = Author("forum.example", f"a{number}", f"Author {number}")
        world.hear(world.mention(number, author=author))
    for step in first.split(", ") if first else []:
        verb, *numbers = step.split()
        if verb == "close":
            act.dismiss(world.core, int(numbers[0]), "Anna", "a joke", world.now)
        else:
            act.merge(world.core, int(numbers[0]), "Anna", int(numbers[1]), world.now)
    with world.db.read() as connection:
        before = [
            connection.execute(select(t)).all() for t in (tables.cases, tables.mentions, tables.deliveries)
        ]
    with refused(error, words):
        act.merge(world.core, case, "Anna", into, world.now)
    with world.db.read() as connection:
        after = [
            connection.execute(select(t)).all() for t in (tables.cases, tables.mentions, tables.deliveries)
        ]
    assert after == before


def test_a_merged_case_is_not_reopened_and_names_where_it_goes_on(world: World) -> None:
    for number in range(3):
        world.hear(world.mention(number, author=Author("forum.example", f"a{number}", f"Author {number}")))
    act.merge(world.core, 1, "Anna", 2, world.now)
    act.merge(world.core, 2, "Anna", 3, world.now)
    with refused(Refused, "Case 1 was merged into case 3"):
        act.reopen(world.core, 1, "Anna", "more came", world.now)
    assert len(world.case(3).mentions) == 3
    events = read.story(world.core, 3, world.now).events
    assert [e.cases for e in events if isinstance(e, cases.MergedFrom)] == [(2, 1)]


@settings(max_examples=12, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["merge", "merge", "claim", "respond", "resolve", "dismiss", "write", "wait"]),
            st.integers(1, 6),
            st.integers(1, 6),
        ),
        min_size=8,
        max_size=20,
    ),
    promise=promises,
)
def test_no_order_of_merging_loses_anything(steps: list[tuple[str, int, int]], promise: int | None) -> None:
    """Six cases of three customers: mentions, events and counts stay consistent whatever is merged into what."""
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            world.settled()
            _merge_at_random(world, steps, promise)
        finally:
            world.close()


def _merge_at_random(world: World, steps: list[tuple[str, int, int]], promise: int | None) -> None:
    authors = [Author("forum.example", f"a{n}", f"Author {n}") for n in range(3)]
    for number in range(6):
        world.hear(world.mention(number, (PARCEL, APP)[number // 3], author=authors[number % 3]))
    written = 6
    for verb, one, two in steps:
        world.later(minutes=7)
        try:
            match verb:
                case "merge":
                    act.merge(world.core, one, "Anna", two, world.now)
                case "claim":
                    act.claim(world.core, one, "Ben", world.now)
                case "respond":
                    act.respond(world.core, one, "Ben", ANSWER, world.now, promise_minutes=promise)
                case "resolve":
                    act.resolve(world.core, one, "Ben", "refunded", world.now)
                case "dismiss":
                    act.dismiss(world.core, one, "Ben", "a joke", world.now)
                case "write":
                    thread = f"t{two - 1}"
                    text = f"Halcyon, still nothing, terrible and useless! {written}"
                    world.hear(
                        world.mention(f"w{written}", text, author=authors[(two - 1) % 3], thread=thread)
                    )
                    written += 1
                case "wait":
                    world.tick()
        except (Refused, UsageError):
            pass
        check_history(world)
    with world.db.read() as connection:
        found = connection.execute(select(tables.mentions)).all()
    assert len(found) == written
    merged = {c.id for c in world.cases() if c.state == State.MERGED}
    assert not [m for m in found if m.case_id in merged or m.case_id is None]
    complaints = [(customer, case) for customer, case, kind in counted(world) if kind == "complaint"]
    assert len(complaints) == len(set(complaints)), "never counted twice"


# ---- what people see ----------------------------------------------------------------------------------------


@pytest.fixture
def anna(world: World) -> Iterator[Dashboard]:
    two_cases(world)
    with served(world) as dashboard:
        dashboard.log_in("Anna")
        yield dashboard


def test_on_the_dashboard(anna: Dashboard) -> None:
    assert "Merge into another case" in anna.text("/cases/1")
    wrong = anna.post("/cases/1/merge", into="two")
    assert (wrong.status_code, "number of the other case" in wrong.text) == (400, True)
    assert anna.post("/cases/1/merge", into="1").status_code == 400
    done = anna.post("/cases/1/merge", into="#2")
    assert (done.status_code, done.headers["location"]) == (303, "/cases/1?done=merge")
    page = anna.text("/cases/1?done=merge")
    assert 'href="/cases/2"' in page
    assert "Open it again" not in page
    assert 'href="/cases/1"' in anna.text("/cases/2")
    late = anna.post("/cases/1/respond", url=ANSWER)
    assert (late.status_code, "merged into case 2" in late.text, ANSWER in late.text) == (409, True, True)


def test_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened_shop(tmp_path, monkeypatch, capsys) as shop:
        shop.site.routes["/letters.xml"] = feed(item(1, author="Mia"), item(2, author="Ben"))
        shop("poll", "--once")
        assert "can't be merged into itself" in shop("cases", "merge", "1", "1").err
        assert shop("cases", "merge", "1", "99").code == 2
        done = shop("cases", "merge", "1", "2", "--as", "Anna")
        assert (done.code, " · merged · " in done.out) == (0, True)
        assert "outcome" in (shown := shop("cases", "show", "1").out)
        assert "merged into case 2" in shown
        assert "merged from · by Anna · cases" in shop("cases", "show", "2").out
        assert "merged into case 2: go on there" in shop("cases", "reopen", "1", "--why", "x").err
        assert [c["merged_into"] for c in shop("cases", "--json", "--state", "merged").json()] == [2]
