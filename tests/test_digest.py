"""Digests: a scripted fortnight whose figures are worked out by hand, and when digests go out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import digest_words, digests
from listener.digests import Reason, Tally
from listener.model import Author, Mention
from listener.service import act, digest, digest_times
from listener.service import tick as tick_job
from listener.service.core import Core, Digests
from listener.storage import outbox
from listener.storage.database import Database
from tests.test_charts import DAY
from tests.world import World

BERLIN = ZoneInfo("Europe/Berlin")
BOTH = Digests("Europe/Berlin", time(9), (0, time(9)))
LATE = "My parcel from Halcyon never arrived, the courier is terrible and the delivery three days late!"
BILLED = "Halcyon charged my card twice on the invoice, this is a scam, refund me now!"


def local(day: int, hour: int = 0, minute: int = 0) -> datetime:
    """Of March 2026 in Berlin."""
    return datetime(2026, 3, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


class Town(World):
    """A world in which several people write."""

    heard = 0

    def writes(self, name: str, text: str, at: datetime, **fields: Any) -> Mention:
        """``name`` has written ``text``, and it is heard at ``at``."""
        self.now = at
        self.heard += 1
        author = Author("forum.example", name.lower(), name)
        fields = {"published": at, "thread": f"of {name}"} | fields
        mention = self.mention(self.heard, text, author=author, **fields)
        self.hear(mention)
        return mention

    def answered(self, case_id: int, who: str, at: datetime, *, promise: int | None = None) -> None:
        self.now = at
        url = f"https://forum.example/answer/{case_id}"
        act.respond(self.core, case_id, who, url, at, promise_minutes=promise)

    def resolved(self, case_id: int, who: str, at: datetime) -> None:
        self.now = at
        act.resolve(self.core, case_id, who, "refunded", at)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    world = Town(tmp_path, digests=BOTH, public_url="https://listener.example")
    world.settled()
    yield world
    world.close()


def fortnight(town: Town) -> None:
    """Two weeks of March 2026: the 9th to the 15th, and the 16th to the 22nd."""
    town.writes("Zed", "Halcyon has moved to the station.", local(2, 12))
    # The week before: three cases, all of them answered in time and closed.
    town.writes("Mia", LATE, local(9, 10))  # case 1
    town.answered(1, "Anna", local(9, 10, 30))
    town.resolved(1, "Anna", local(9, 11))
    town.writes("Tom", LATE, local(10, 10))  # case 2
    town.answered(2, "Ben", local(10, 10, 10))
    town.resolved(2, "Ben", local(10, 12))
    town.writes("Kim", BILLED, local(11, 10))  # case 3
    town.answered(3, "Ben", local(11, 10, 20))
    town.resolved(3, "Ben", local(11, 10, 40))
    # The week. Mia comes back within seven days; the clock of her second cycle is missed.
    town.writes("Mia", LATE + " Again!", local(16, 9), thread="of Mia, again")
    town.writes("Tom", "Thank you Halcyon, great help, I am happy now!", local(16, 11))
    # Zoe: seen 40 minutes after it was written, taken by nobody for 2 h 30, answered after 3 h.
    town.writes("Zoe", LATE, local(17, 9), published=local(17, 8, 20))  # case 4
    for minute in (30, 45, 60, 90):
        town.now = local(17, 9) + timedelta(minutes=minute)
        town.tick()
    town.now = local(17, 11, 30)
    act.claim(town.core, 4, "Ben", town.now)
    town.answered(4, "Ben", local(17, 12))
    # Three more on the 18th; two are none, and a promise is broken.
    town.writes("Ann", BILLED, local(18, 9))  # case 5
    act.dismiss(town.core, 5, "Anna", "Not about us.", local(18, 9, 10))
    town.writes("Bob", LATE, local(18, 10))  # case 6
    act.dismiss(town.core, 6, "Anna", "not about us", local(18, 10, 10))
    town.writes("Cat", BILLED, local(18, 11))  # case 7
    town.answered(7, "Anna", local(18, 11, 30), promise=60)
    town.now = local(18, 13)
    town.tick()
    # Uma: one star, helped, five stars.
    stars = town.writes("Uma", LATE, local(19, 14), rating=1.0)  # case 8
    town.answered(8, "Anna", local(19, 14, 40))
    town.resolved(8, "Anna", local(19, 15))
    town.now = local(20, 10)
    town.hear(replace(stars, rating=5.0, text="Halcyon refunded me at once. Great!"))
    # Praise out of the blue, and praise of another.
    town.writes("Joy", "I love Halcyon, wonderful bread and fantastic people!", local(20, 11))
    town.writes("Max", "Otherline is wonderful, I love it!", local(20, 12))
    town.writes("Pip", LATE, local(22, 23, 30))  # case 9, open and not late


def test_a_week_by_hand(town: Town) -> None:
    fortnight(town)
    week = digest.weekly(town.core, local(23, 0, 10))
    assert (week.first, week.last) == (date(2026, 3, 16), date(2026, 3, 22))
    assert (week.start, week.end) == (local(16), local(23))
    # Opened: Zoe, Cat, Uma and Pip (Ann and Bob are none); the week before: Mia, Tom and Kim.
    assert (week.opened, week.before) == (4, 3)
    assert week.reasons == (Reason("delivery", 3, 2), Reason("billing", 1, 1))
    # Kept: Cat's and Uma's. Missed: Zoe's, and Mia's second cycle.
    assert week.first_response == Tally(kept=2, missed=2)
    assert week.median_answer == timedelta(minutes=40), "of 180, 30 and 40"
    assert (week.reopened, week.promises) == (1, Tally(0, 1))
    worst = week.worst
    assert worst is not None
    # Mia was answered in her first cycle; Zoe waited 3 h 40 from when she wrote.
    assert (worst.case_id, worst.customer, worst.waited) == (4, "Zoe", timedelta(hours=3, minutes=40))
    assert worst.answered
    assert worst.story == (
        "seen 40 min after it was written; Ben took it after 2 h 30 min; answered by Ben; 4 alarms sent."
    )
    # Mia: a complaint and a return. Cat: a complaint and a broken promise.
    assert [(s.customer, s.bad_experiences) for s in week.sufferers] == [("Mia", 2), ("Cat", 2)]
    assert [(r.customer, r.helpers) for r in week.recovered] == [("Uma", ("Anna",))]
    assert (week.dismissed, week.dismissals) == (2, (("Not about us", 2),))
    [lag] = week.lags
    assert (lag.source, lag.median, lag.mentions) == ("forum", timedelta(0), 10)
    text = json.dumps([[line.text for line in part.lines] for part in digest_words.of_week(week).parts])
    assert "delivery: 3, 1 more than the week before" in text
    assert "billing: 1, as many as the week before" in text
    assert "%" not in text, "of fewer than five cases"


def test_days_by_hand(town: Town) -> None:
    fortnight(town)
    tuesday = digest.daily(town.core, local(18, 9))
    assert (tuesday.day, tuesday.start, tuesday.end) == (date(2026, 3, 17), local(17), local(18))
    assert tuesday.opened == 1
    assert tuesday.first_response == Tally(0, 1), "Zoe's; Mia's was due the day before"
    assert tuesday.resolution == Tally(0, 1), "Mia's second cycle was to be over by 9:00"
    assert tuesday.hours[9] == digests.Hour(late=1)
    # Open at 9:00 on the 18th are Mia's, Zoe's and, opened that very minute, Ann's: as they stood then.
    assert (tuesday.open, tuesday.nobody) == (3, 2)
    assert [(c.id, c.customer) for c in tuesday.soonest] == [(1, "Mia"), (4, "Zoe"), (5, "Ann")]
    assert tuesday.late == 1, "Mia's; Zoe's resolution is due at this very minute"
    wednesday = digest.daily(town.core, local(19, 9))
    assert (wednesday.opened, wednesday.promises) == (1, Tally(0, 1))
    assert wednesday.first_response == Tally(1, 0), "a dismissed case's clock is none"
    monday = digest.daily(town.core, local(17, 8))
    assert (monday.opened, monday.reopened) == (0, 1)
    assert [(t.customer, t.helpers, t.case_id) for t in monday.thanks] == [("Tom", ("Ben",), 2)]
    friday = digest.daily(town.core, local(21, 9))
    assert [(t.customer, t.helpers) for t in friday.thanks] == [("Uma", ("Anna",)), ("Joy", ())]
    assert friday.helpers == (("Anna", 1),)
    sunday = digest.daily(town.core, local(23, 0, 10))
    assert (sunday.opened, sunday.hours[23]) == (1, digests.Hour(waiting=1))


def test_what_happens_later_changes_no_digest(town: Town) -> None:
    fortnight(town)
    at = local(23, 0, 10)
    day, week = digest.daily(town.core, at), digest.weekly(town.core, at)
    town.answered(9, "Ben", local(23, 9))
    town.resolved(9, "Ben", local(23, 9, 5))
    town.resolved(4, "Ben", local(23, 9, 6))
    town.writes("Pip", LATE + " Again!", local(23, 12))
    act.dismiss(town.core, 7, "Anna", "spam", local(23, 13))
    assert digest.daily(town.core, at) == day
    assert digest.weekly(town.core, at) == week


def test_an_empty_week_says_so(town: Town) -> None:
    at = local(23, 9)
    week, day = digest.weekly(town.core, at), digest.daily(town.core, at)
    assert (week.opened, week.before, week.reasons, week.worst, week.lags) == (0, None, (), None, ())
    told = digest_words.of_week(week)
    assert "0 cases" in told.summary
    lines = [line.text for part in told.parts for line in part.lines]
    assert lines == ["No cases this week.", "No first answer was due."]
    assert [line.text for line in digest_words.of_day(day).parts[0].lines] == ["Nothing is open. Well done."]


def test_without_a_whole_week_before_nothing_is_compared(town: Town) -> None:
    town.writes("Mia", LATE, local(10, 10))
    for number in range(5):
        town.writes(f"P{number}", LATE, local(17, 9 + number))
    week = digest.weekly(town.core, local(23, 9))
    assert (week.opened, week.before) == (5, None)
    [first, *_] = digest_words.of_week(week).parts[0].lines
    assert first.text == "delivery: 5 of 5 (100%)"


# ---- when ---------------------------------------------------------------------------------------------------


def sent(town: Town) -> list[str]:
    town.deliver()
    return [d.key.split(":")[0] for d in town.receiver.accepted if d.notice.kind == "digest"]


def test_each_goes_out_once_at_its_local_time(town: Town) -> None:
    for day in range(8, 11):  # Sunday to Tuesday
        for hour in range(24):
            town.now = local(day, hour)
            town.tick()
            town.tick()
    assert sent(town) == [
        "digest-daily-2026-03-07",
        "digest-daily-2026-03-08",
        "digest-weekly-2026-03-08",
        "digest-daily-2026-03-09",
    ]
    [_, first, *_] = [d for d in town.receiver.accepted if d.notice.kind == "digest"]
    assert first.notice.digest is not None
    assert first.notice.digest.name == "digest-daily-2026-03-08"
    assert first.notice.text.startswith("Daily digest for Sunday, 8 March 2026: ")


def test_after_a_downtime_only_the_latest_goes_out(town: Town) -> None:
    town.now = local(8, 9)
    town.tick()
    town.now = local(28, 15)
    town.tick()
    assert sent(town) == ["digest-daily-2026-03-27", "digest-weekly-2026-03-22"]


def test_turning_it_on_sends_nothing_of_the_time_before(town: Town) -> None:
    town.now = local(10, 15)
    town.tick()
    assert sent(town) == []


def test_processes_that_tick_at_once_send_it_once(town: Town) -> None:
    """Each with a database of its own, as processes have it: nothing but the file is shared."""
    town.now = local(8, 10)
    town.tick()
    town.now = local(9, 9)
    cores = [replace(town.core, db=Database(str(town.db.url))) for _ in range(4)]
    together = threading.Barrier(len(cores))

    def tick(core: Core) -> None:
        together.wait()
        tick_job.tick(core, town.now)

    threads = [threading.Thread(target=tick, args=[core]) for core in cores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for core in cores:
        core.db.close()
    assert sent(town) == ["digest-daily-2026-03-08", "digest-weekly-2026-03-08"]


def test_the_same_digest_queued_by_a_slower_process_is_there_already(town: Town) -> None:
    """On PostgreSQL two may see that it is due; the key lets one of their deliveries in."""
    rows = list(digest_times._rows(town.core, "daily", date(2026, 3, 8), town.now))
    for _ in range(2):
        with town.db.write() as connection:
            outbox.add(connection, rows)
    assert sent(town) == ["digest-daily-2026-03-08"]


def test_it_goes_to_its_channel_where_that_is_known(tmp_path: Path) -> None:
    world = Town(tmp_path, digests=replace(BOTH, weekly=None, channel="team"))
    other = type(world.receiver)()
    world.core = replace(world.core, responders={"desk": world.receiver, "screen": other})
    world.receiver.channels = {"team": "C1"}
    for day in (9, 10):
        world.now = local(day, 9)
        world.tick()
    world.deliver()
    assert [d.channel for d in world.receiver.accepted] == ["team"]
    assert [d.channel for d in other.accepted] == [None]
    world.close()


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 7, 1), 24)]
)
def test_a_day_is_from_midnight_to_midnight(day: date, hours: int) -> None:
    start, end = digest_times.period("daily", day, BERLIN)
    assert end - start == timedelta(hours=hours)
    assert digest_times.period("weekly", day, BERLIN)[1] == end


def test_an_hour_that_comes_twice_is_one_bar(town: Town) -> None:
    for number, minute in enumerate((30, 90)):  # 2:30 summer time, and 2:30 winter time
        town.writes(f"P{number}", LATE, datetime(2026, 10, 25, 0, 0, tzinfo=UTC) + timedelta(minutes=minute))
    day = digest.daily(town.core, datetime(2026, 10, 26, 8, tzinfo=UTC))
    assert (day.day, day.opened, len(day.hours)) == (date(2026, 10, 25), 2, 24)
    assert day.hours[2] == digests.Hour(late=2)


@given(
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kolkata"]
    ),
    st.integers(0, 730 * 24),
    st.times(timezones=st.none()),
    st.integers(0, 6),
)
def test_a_digest_is_due_once_a_day_and_once_a_week(zone: str, start: int, at: time, weekday: int) -> None:
    """Whatever the clocks do: in 15 days of ticks each day and each of the weeks comes up, none twice, in order."""
    at = at.replace(second=0, microsecond=0)
    rule = Digests(zone, at, (weekday, at))
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=start)
    seen: dict[str, list[date]] = {"daily": [], "weekly": []}
    for hour in range(15 * 24):
        for kind, day in digest_times.latest(rule, now + timedelta(hours=hour)):
            if not seen[kind] or seen[kind][-1] != day:
                seen[kind].append(day)
    for kind, step in (("daily", 1), ("weekly", 7)):
        days = seen[kind]
        assert all(b - a == timedelta(days=step) for a, b in pairwise(days)), days
    assert len(seen["daily"]) in (15, 16)
    assert len(seen["weekly"]) in (3, 4)


# ---- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tally", "words"),
    [
        (Tally(0, 0), "no first answer was due"),
        (Tally(1, 0), "1 of 1 first answer in time"),
        (Tally(3, 1), "3 of 4 first answers in time"),
        (Tally(4, 1), "4 of 5 first answers in time (80%)"),
        (Tally(999, 1), "999 of 1000 first answers in time (99%)"),
        (Tally(0, 6), "0 of 6 first answers in time (0%)"),
    ],
)
def test_a_share_is_told_only_of_enough(tally: Tally, words: str) -> None:
    assert digest_words.kept(tally, "first answer") == words


def test_stars_alone_are_thanks_too() -> None:
    praise = digests.Thanks("Mia", "", 5.0, (), None, None)
    better = replace(praise, rating=None, helpers=("Anna", "Ben"))
    day = replace(DAY, thanks=(praise, better))
    lines = digest_words.of_day(day).parts[-1].lines
    assert [line.text for line in lines] == [
        "5 of 5 stars",
        "gives better stars than before · helped by Anna, Ben",
    ]
