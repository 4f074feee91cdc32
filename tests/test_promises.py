"""Promises: the waiting time that is offered would have been kept, and whether one was kept is measured, once."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import cases
from listener.clock import Calendar, Policy, Window
from listener.replies import ENOUGH, FIGURES, Past, count_and_unit, nine_of_ten, promise
from listener.service import act
from listener.service.replies import draft
from listener.service.tick import tick
from listener.storage import cases as case_rows
from listener.storage import customers as customer_rows
from listener.storage import tables
from tests.dashboard import rows
from tests.world import World

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # a Monday
OFFICE = Calendar("Europe/Oslo", windows=(Window.parse("Mon-Fri 08:00-16:00"),))
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ANSWER = "https://forum.example/t/1#2"


def past(age: timedelta, took: timedelta | None) -> Past:
    return Past(NOW - age, None if took is None else NOW - age + took)


# ---- the time that is offered -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("took", "found", "offered"),
    [
        ([*[5 * HOUR] * 18, 30 * HOUR, 31 * HOUR], 5 * HOUR, 8 * HOUR),
        ([n * HOUR for n in range(1, 21)], 18 * HOUR, DAY),
        ([MINUTE] * 20, MINUTE, 30 * MINUTE),
        ([30 * MINUTE] * 20, 30 * MINUTE, 30 * MINUTE),
        ([31 * MINUTE] * 20, 31 * MINUTE, HOUR),
        ([49 * HOUR] * 40, 49 * HOUR, 3 * DAY),
        ([6 * DAY] * 20, 6 * DAY, timedelta(weeks=1)),
        ([MINUTE] * 19, None, None),
        ([*[HOUR] * 18, None, None], HOUR, HOUR),
        ([*[HOUR] * 17, None, None, None], None, None),
    ],
)
def test_nine_of_ten_rounded_up_to_what_people_say(
    took: list[timedelta | None], found: timedelta | None, offered: timedelta | None
) -> None:
    usual = nine_of_ten([past(80 * DAY, t) for t in took], Calendar.ALWAYS, NOW)
    assert usual == (None if found is None else (found, len(took)))
    if usual is not None:
        assert promise(usual[0], Calendar.ALWAYS, NOW) == offered


def test_young_cases_do_not_make_it_look_shorter() -> None:
    """Of those opened within the last 3 hours only the quick ones are resolved yet."""
    slow = [past(20 * DAY, 10 * HOUR)] * 30
    young = [past(2 * HOUR, 10 * MINUTE)] * 200 + [past(2 * HOUR, None)] * 200
    assert nine_of_ten(slow + young, Calendar.ALWAYS, NOW) == (10 * HOUR, 30)


ages = st.timedeltas(timedelta(0), 90 * DAY)
histories = st.lists(st.tuples(ages, st.none() | st.floats(0.0, 1.0)), max_size=120)


@given(histories, st.sampled_from([Calendar.ALWAYS, OFFICE]), st.timedeltas(timedelta(0), 7 * DAY))
def test_over_its_history_the_promise_would_have_been_kept_nine_times_of_ten(
    history: list[tuple[timedelta, float | None]], calendar: Calendar, later: timedelta
) -> None:
    known = [past(age, None if share is None else age * share**4) for age, share in history]
    usual = nine_of_ten(known, calendar, NOW)
    if usual is None:
        return
    length, count = usual
    assert count >= ENOUGH
    figure = next(f for f in FIGURES if f >= length)
    old = [c for c in known if calendar.elapsed(c.opened_at, NOW) >= figure]
    assert len(old) <= count
    kept = 0
    for case in old:
        if case.closed_at is not None:
            replied = min(case.opened_at + later, case.closed_at)
            kept += case.closed_at <= replied + promise(length, calendar, replied)
    assert kept >= ceil(len(old) * 9 / 10)
    assert promise(length, calendar, NOW) in FIGURES


@pytest.mark.parametrize("seed", range(5))
def test_replayed_case_by_case_most_promises_are_kept(seed: int) -> None:
    """Each promise is made from what was known then; cases take minutes to weeks, as they do (log-normal)."""
    chance = random.Random(seed)
    lengths = [timedelta(hours=chance.lognormvariate(1.5, 1.0)) for _ in range(500)]
    opened = [NOW + n * 3 * HOUR for n in range(500)]
    kept = []
    for n in range(100, 500):
        at = opened[n] + 20 * MINUTE
        known = [
            Past(o, o + took if o + took <= at else None)
            for o, took in zip(opened[max(0, n - 300) : n], lengths[max(0, n - 300) : n], strict=True)
        ]
        usual = nine_of_ten(known, Calendar.ALWAYS, at)
        assert usual is not None
        kept.append(opened[n] + lengths[n] <= at + promise(usual[0], Calendar.ALWAYS, at))
    assert sum(kept) >= 0.9 * len(kept)


def test_working_time_becomes_plain_time_where_it_is_told() -> None:
    friday = datetime(2026, 3, 6, 14, 0, tzinfo=UTC)  # 15:00 in Oslo, an hour before the weekend
    assert promise(2 * HOUR, OFFICE, NOW) == 2 * HOUR
    assert promise(2 * HOUR, OFFICE, friday) == 3 * DAY, "on Monday at 9, which is 66 hours away"
    assert promise(10000 * HOUR, Calendar.ALWAYS, NOW) == FIGURES[-1]


@given(st.sampled_from(FIGURES))
def test_every_figure_is_a_count_and_a_unit(figure: timedelta) -> None:
    count, unit = count_and_unit(figure)
    size = {"minute": MINUTE, "hour": HOUR, "day": DAY, "week": 7 * DAY}[unit]
    assert count * size == figure
    assert figure <= timedelta(days=90), "the longest promise that can be recorded"


# ---- from the database --------------------------------------------------------------------------------------


def keep(world: World, took: timedelta | None, age: timedelta, **values: Any) -> None:
    """A case of the past, resolved after so long."""
    opened = world.now - age
    with world.db.write() as connection:
        customer = customer_rows.add_customer(connection, "Somebody", opened)
        row = {
            "brand": "Halcyon",
            "customer_id": customer,
            "state": "open" if took is None else "resolved",
            "cycle": 1,
            "reason": "billing",
            "severity": "low",
            "complaint": "complaint",
            "opened_at": opened,
            "changed_at": opened,
            "closed_at": None if took is None else opened + took,
            "body": {},
        }
        case_rows.add(connection, row | values)


@pytest.fixture
def billed(world: World) -> World:
    """Mia complains about a bill."""
    world.hear(world.mention(1, "Halcyon charged me twice on my credit card, I want a refund!", lang="en"))
    assert world.case().reason == "billing"
    return world


def test_the_history_of_the_same_brand_and_reason_counts(billed: World) -> None:
    for _ in range(36):
        keep(billed, 4.5 * HOUR, 10 * DAY)
    for _ in range(4):
        keep(billed, 4 * DAY, 10 * DAY)
    for other in ({"brand": "Other"}, {"reason": "delivery"}, {"state": "dismissed"}, {"state": "merged"}):
        for _ in range(40):
            keep(billed, MINUTE, 10 * DAY, **other)
    for _ in range(40):
        keep(billed, MINUTE, 91 * DAY)
    found = draft(billed.core, 1, "Anna", billed.now)
    assert found.promise_minutes == 8 * 60
    assert found.basis == "9 of 10 billing cases were resolved within 5 h (40 cases in 90 days)"
    assert "Within 8 hours you will hear" in found.text


@pytest.mark.parametrize(
    ("count", "took", "basis"),
    [
        (19, HOUR, "too few billing cases in 90 days (19) to go by"),
        (50, None, "too many billing cases in 90 days (50) are still open"),
    ],
)
def test_without_enough_history_the_policys_target_holds(
    billed: World, count: int, took: timedelta | None, basis: str
) -> None:
    for _ in range(count):
        keep(billed, took, 10 * DAY)
    found = draft(billed.core, 1, "Anna", billed.now)
    assert found.promise_minutes == 24 * 60
    assert found.basis.startswith("the policy's target for a resolution, 24 h; ")
    assert basis in found.basis


def test_the_policys_calendar_is_the_cases_own(tmp_path: Any) -> None:
    policy = Policy(resolution=timedelta(hours=16), calendar=OFFICE)
    world = World(tmp_path, policies={"default": policy})
    try:
        world.settled()
        world.hear(world.mention(1))
        world.now = datetime(2026, 3, 6, 14, 0, tzinfo=UTC)
        found = draft(world.core, 1, "Anna", world.now)
        assert found.promise_minutes == 5 * 24 * 60, "from Friday at 15 to Tuesday at 15, rounded up"
        assert "16 h of working time" in found.basis
    finally:
        world.close()


def test_the_history_is_read_by_the_index_and_bounded(world: World) -> None:
    with world.db.read() as connection:
        query = "EXPLAIN QUERY PLAN SELECT opened_at FROM cases WHERE opened_at >= 0 ORDER BY opened_at DESC LIMIT 9"
        assert "ix_cases_opened" in str(connection.exec_driver_sql(query).all())
    for n in range(30):
        keep(world, HOUR, n * HOUR)
    with world.db.read() as connection:
        found = case_rows.how_long(
            connection, "Halcyon", "billing", world.now - 90 * DAY, besides=1, limit=10
        )
    assert [world.now - r.opened_at for r in found] == [n * HOUR for n in range(1, 11)], "the newest"


# ---- whether it was kept ------------------------------------------------------------------------------------


Step = Callable[[World], None]


def respond(minutes: int | None, number: int = 2) -> Step:
    def step(world: World) -> None:
        link = f"https://forum.example/t/1#{number}"
        act.respond(world.core, 1, "Anna", link, world.now, promise_minutes=minutes)

    return step


def after(**length: float) -> Step:
    """Time passes, and the clock ticks as it does."""

    def step(world: World) -> None:
        world.later(**length)
        tick(world.core, world.now)

    return step


def asleep(**length: float) -> Step:
    """Time passes while nothing ticks."""
    return lambda world: world.later(**length)


def resolve(world: World) -> None:
    act.resolve(world.core, 1, "Anna", "refunded", world.now)


def dismiss(world: World) -> None:
    act.dismiss(world.core, 1, "Anna", "A joke.", world.now)


def reopen(world: World) -> None:
    act.reopen(world.core, 1, "Anna", "It is not solved.", world.now)


def wait(world: World) -> None:
    act.wait(world.core, 1, "Anna", world.now)


def comes_back(world: World) -> None:
    world.hear(world.mention(9, "Halcyon still has not refunded me, terrible service!", thread="t1"))


@pytest.mark.parametrize(
    ("steps", "ends", "broken"),
    [
        pytest.param([respond(30), after(minutes=29), resolve, after(days=9)], [True], 0, id="resolved in time"),
        pytest.param([respond(30), after(minutes=31), after(minutes=1)], [False], 1, id="nothing came"),
        pytest.param([respond(30), after(minutes=31), resolve], [False], 1, id="resolved too late"),
        pytest.param([respond(30), asleep(minutes=31), resolve, after(days=1)], [False], 1, id="before the tick"),
        pytest.param([respond(30), asleep(minutes=31), respond(60, 3), after(minutes=1)], [False], 1,
                     id="answered too late"),
        pytest.param([respond(30), after(minutes=30), resolve], [False], 1, id="at the very end a tick is first"),
        pytest.param([respond(30), asleep(minutes=30), resolve], [True], 0, id="at the very end"),
        pytest.param([respond(30), after(minutes=20), respond(60, 3), after(minutes=59), resolve], [True, True], 0,
                     id="answered in time, with a new promise that is kept"),
        pytest.param([respond(30), after(minutes=20), respond(60, 3), after(minutes=61)], [True, False], 1,
                     id="answered in time, with a new promise that is broken"),
        pytest.param([respond(30), after(minutes=20), respond(None, 3), after(days=2)], [True], 0,
                     id="no more promise"),
        pytest.param([respond(30), after(minutes=31), respond(30, 3), after(minutes=31)], [False, False], 2,
                     id="twice"),
        pytest.param([respond(30), after(minutes=5), respond(30), after(minutes=26)], [False], 1,
                     id="the same answer recorded again is no new one"),
        pytest.param([respond(30), wait, after(minutes=31)], [False], 1, id="waiting for the customer is no excuse"),
        pytest.param([respond(30), comes_back, after(minutes=31)], [False], 1, id="the customer writes again"),
        pytest.param([respond(30), dismiss, after(days=1)], [], 0, id="no complaint: nothing to keep"),
        pytest.param([respond(30), after(minutes=31), dismiss], [False], 0,
                     id="broken, then no complaint: taken back"),
        pytest.param([respond(30), asleep(minutes=31), dismiss, after(days=1)], [], 0, id="late, and no complaint"),
        pytest.param([respond(30), after(minutes=9), resolve, reopen, after(days=1)], [True], 0,
                     id="kept; the reopened case has no promise yet"),
        pytest.param([respond(30), after(minutes=9), resolve, comes_back, respond(30, 3), after(minutes=31)],
                     [True, False], 1, id="kept; broken in the next cycle"),
        pytest.param([respond(30), after(minutes=31), resolve, reopen, after(days=2)], [False], 1,
                     id="broken, resolved and reopened: counted once"),
    ],
)  # fmt: skip
def test_whether_a_promise_was_kept_is_measured_once(
    billed: World, steps: list[Step], ends: list[bool], broken: int
) -> None:
    for step in steps:
        step(billed)
    events = [cases.EVENT.validate_python(r.body) for r in rows(billed, tables.events) if r.case_id == 1]
    assert [e.kept for e in events if isinstance(e, cases.PromiseEnded)] == ends
    counted = [
        r for r in rows(billed, tables.bad_experiences) if r.kind == "promise" and r.taken_back_at is None
    ]
    assert len(counted) == broken
    told = [e.promised_until for e in events if isinstance(e, cases.PromiseEnded) and not e.kept]
    assert {r.at for r in counted} <= set(told), (
        "it was broken when its time was over, whenever that was seen"
    )
    assert cases.replay(events) == cases.CASE.validate_python(case_body(billed))


def case_body(world: World) -> Any:
    return next(r.body for r in rows(world, tables.cases) if r.id == 1)


def test_a_broken_promise_is_said_to_whoever_has_the_case_and_a_third_one_calls_the_senior(
    billed: World,
) -> None:
    for number in (2, 3):
        respond(30, number)(billed)
        billed.deliver()
        after(minutes=31)(billed)
        billed.deliver()
    told = [d.notice for d in billed.receiver.accepted if "promise" in d.notice.text]
    assert [p.name for n in told for p in n.call] == ["Anna", "Anna"]
    last = [d.notice for d in billed.receiver.accepted if "Likely to leave" in d.notice.text]
    assert [[p.name for p in n.call] for n in last] == [["Senior"]]
    assert billed.case().customer.bad_experiences == 3


def test_the_drafted_promise_is_the_one_that_is_measured(billed: World) -> None:
    for _ in range(20):
        keep(billed, 50 * MINUTE, 10 * DAY)
    found = draft(billed.core, 1, "Anna", billed.now)
    assert found.promise_minutes == 60
    act.respond(billed.core, 1, "Anna", ANSWER, billed.now, promise_minutes=found.promise_minutes)
    after(minutes=59)(billed)
    assert billed.case().customer.bad_experiences == 1
    after(minutes=1)(billed)
    assert billed.case().customer.bad_experiences == 2
