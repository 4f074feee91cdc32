"""The use cases, from the outside: what is heard, which case it becomes, what sounds and what is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from listener import cases
from listener.cases import CASE, EVENT
from listener.clock import Policy
from listener.errors import DeliveryError, FetchError, Refused, RetryLater, SourceGone, UsageError
from listener.model import Author, Page, State
from listener.service import act, read
from listener.service.core import Source
from listener.storage import tables
from tests.world import World, refused


def rows(world: World, table: object) -> list[object]:
    with world.db.read() as connection:
        return list(connection.execute(select(table)).all())  # type: ignore[call-overload]


def test_a_complaint_becomes_a_case_with_a_clock_and_a_message(world: World) -> None:
    report = world.hear(world.mention(1))
    assert (report.new, report.cases, report.error) == (1, 1, None)
    case = world.case()
    assert case.state == State.OPEN
    assert case.next_clock is not None
    assert case.next_clock.due_at == world.now + timedelta(minutes=60)
    assert case.customer.name == "Mia"
    assert case.customer.bad_experiences == 1
    world.deliver()
    assert world.receiver.kinds == ["opened"]
    assert world.receiver.accepted[0].notice.case == case


def test_the_same_page_again_changes_nothing(world: World) -> None:
    world.hear(world.mention(1))
    again = world.hear(world.mention(1))
    assert (again.mentions, again.new, again.cases) == (1, 0, 0)
    assert len(world.cases()) == 1


def test_what_names_no_brand_is_not_stored(world: World) -> None:
    world.hear(world.mention(1, "The ferry was late, horrible."))
    assert rows(world, tables.mentions) == []


def test_a_complaint_about_a_competitor_is_counted_and_no_case(world: World) -> None:
    world.hear(world.mention(1, "Otherline never delivered, terrible service, I want a refund!"))
    (mention,) = rows(world, tables.mentions)
    assert mention.competitor is not None  # type: ignore[attr-defined]
    assert world.cases() == []


def test_praise_is_stored_and_opens_no_case(world: World) -> None:
    world.hear(world.mention(1, "Halcyon is wonderful, thank you so much for the great help!", rating=5.0))
    assert len(rows(world, tables.mentions)) == 1
    assert world.cases() == []


def test_the_first_poll_brings_history_but_no_storm(tmp_path: Path) -> None:
    world = World(tmp_path)
    old = [world.mention(n, published=world.now - timedelta(days=n)) for n in range(2, 5)]
    undated = world.mention(9, published=None)
    fresh = world.mention(1, published=world.now - timedelta(hours=3), author=Author("x", "ben", "Ben"))
    world.hear(*old, undated, fresh)
    assert [c.customer.name for c in world.cases()] == ["Ben"]
    assert len(rows(world, tables.mentions)) == 5
    kinds = sorted(r.kind for r in rows(world, tables.bad_experiences))  # type: ignore[attr-defined]
    assert kinds == ["complaint", *["history"] * 4]
    world.close()


def test_a_second_message_in_the_thread_joins_and_keeps_the_earlier_due_time(world: World) -> None:
    world.hear(world.mention(1))
    due = world.case().next_clock
    world.deliver()
    world.later(minutes=10)
    world.hear(world.mention(2, "Still nothing from Halcyon! This is a disgrace.", thread="t1"))
    assert len(world.cases()) == 1
    assert len(world.case().mentions) == 2
    assert world.case().next_clock == due
    world.deliver()
    assert world.receiver.kinds == ["opened", "joined"]


def test_a_near_duplicate_elsewhere_joins(world: World) -> None:
    text = "Halcyon lost my parcel three weeks ago, nobody answers my mails and I want my money back now!"
    world.hear(world.mention(1, text))
    world.hear(world.mention(2, text + " Please!", thread="elsewhere"))
    assert len(world.cases()) == 1


def test_another_matter_of_the_same_customer_is_another_case(world: World) -> None:
    world.hear(world.mention(1, "Halcyon charged my card twice, give my money back, this is fraud!"))
    world.hear(
        world.mention(2, "The Halcyon app crashes at each start since the update, it is useless and awful.")
    )
    assert len(world.cases()) == 2
    second = world.cases()[1]
    assert second.customer.bad_experiences == 2
    first = next(c for c in second.clocks if c.name == "first_response")
    assert first.target == timedelta(minutes=30), "the second bad experience gets a shorter target"


def test_the_third_bad_experience_calls_the_people_named_for_it(world: World) -> None:
    texts = [
        "Halcyon charged my card twice, give my money back, this is fraud!",
        "The Halcyon app crashes at each start since the update, it is useless and awful.",
        "Rude staff at Halcyon shouted at me today, terrible, I am angry and disappointed.",
    ]
    for number, text in enumerate(texts):
        world.hear(world.mention(number, text))
    world.deliver()
    assert world.cases()[2].customer.likely_to_leave
    (call,) = [d for d in world.receiver.accepted if d.notice.kind == "escalation"]
    assert [p.name for p in call.notice.call] == ["Senior"]


def test_the_default_steps_sound_once_each(world: World) -> None:
    world.hear(world.mention(1))
    seen = []
    for _ in range(20):
        world.later(minutes=10)
        world.tick()
        world.deliver()
        seen = world.receiver.kinds
    assert seen == ["opened", "reminder", "warning", "breach", "escalation"]
    keys = [(r.clock, r.step) for r in rows(world, tables.alarms)]  # type: ignore[attr-defined]
    assert len(keys) == len(set(keys)) == 4


def test_after_a_downtime_one_message_says_how_late_it_is(world: World) -> None:
    world.hear(world.mention(1))
    world.deliver()
    world.later(hours=5)
    world.tick()
    world.deliver()
    assert world.receiver.kinds == ["opened", "escalation"]
    assert "4 h" in world.receiver.texts[-1]
    alarms = {r.step: r for r in rows(world, tables.alarms)}  # type: ignore[attr-defined]
    breach = alarms["first_response:100%"]
    assert breach.due_at == world.now - timedelta(hours=4), "stamped with its true due time"  # type: ignore[attr-defined]
    assert breach.skipped  # type: ignore[attr-defined]


def test_a_claim_silences_the_reminder_and_not_the_clock(world: World) -> None:
    world.hear(world.mention(1))
    act.claim(world.core, 1, "Anna", world.now)
    for _ in range(7):
        world.later(minutes=10)
        world.tick()
        world.deliver()
    assert "reminder" not in world.receiver.kinds
    warning = next(d for d in world.receiver.accepted if d.notice.kind == "warning")
    assert [p.name for p in warning.notice.call] == ["Anna"]
    assert "breach" in world.receiver.kinds


def test_a_snooze_mutes_warnings_and_not_the_breach(world: World) -> None:
    world.hear(world.mention(1))
    act.snooze(world.core, 1, "Anna", world.now + timedelta(hours=2), world.now)
    for _ in range(7):
        world.later(minutes=10)
        world.tick()
        world.deliver()
    assert [k for k in world.receiver.kinds if k in ("reminder", "warning", "breach")] == ["breach"]


def test_an_answer_stops_the_clock_and_the_case_can_be_resolved(world: World) -> None:
    world.hear(world.mention(1))
    act.claim(world.core, 1, "Anna", world.now)
    world.later(minutes=20)
    act.respond(world.core, 1, "Anna", "https://forum.example/t/1#2", world.now, promise_minutes=120)
    case = world.case()
    assert case.state == State.RESPONDED
    assert case.clocks[0].met_at == world.now
    world.later(minutes=100)
    act.resolve(world.core, 1, "Anna", "refunded", world.now)
    assert world.case().state == State.RESOLVED
    world.later(hours=100)
    world.tick()
    world.deliver()
    assert world.receiver.kinds[-1] == "closed"
    assert not {"breach", "warning"} & set(world.receiver.kinds)
    kinds = [r.kind for r in rows(world, tables.bad_experiences)]  # type: ignore[attr-defined]
    assert kinds == ["complaint"], "the promise was kept"


def test_a_broken_promise_is_a_bad_experience(world: World) -> None:
    world.hear(world.mention(1))
    act.respond(world.core, 1, "Anna", "https://forum.example/t/1#2", world.now, promise_minutes=30)
    world.later(minutes=31)
    world.tick()
    world.tick()
    assert world.case().customer.bad_experiences == 2
    world.deliver()
    assert any("30 minutes is broken" in t for t in world.receiver.texts)


def test_waiting_pauses_the_resolution_clock_only(world: World) -> None:
    world.hear(world.mention(1))
    with refused(Refused, "Answer the customer first"):
        act.wait(world.core, 1, "Anna", world.now)
    world.later(hours=1)
    act.respond(world.core, 1, "Anna", "https://forum.example/t/1#2", world.now)
    act.wait(world.core, 1, "Anna", world.now)
    assert world.case().next_clock is None
    world.later(hours=50)
    world.tick()
    act.resume(world.core, 1, "Anna", world.now)
    clock = world.case().next_clock
    assert clock is not None
    assert clock.due_at == world.now + timedelta(hours=23)


def test_a_customer_who_writes_again_after_an_answer_starts_the_next_response_clock(world: World) -> None:
    world.hear(world.mention(1))
    act.respond(world.core, 1, "Anna", "https://forum.example/t/1#2", world.now)
    for run in (2, 3):
        world.later(minutes=30)
        world.hear(world.mention(run, "Halcyon, that is no answer, still broken!", thread="t1"))
        case = world.case()
        assert case.state == State.CLAIMED
        assert case.next_clock is not None
        assert case.next_clock.name == "next_response"
        world.later(minutes=70)
        world.tick()
        act.respond(world.core, 1, "Anna", f"https://forum.example/t/1#{run}", world.now)
    breaches = [r for r in rows(world, tables.alarms) if r.kind == "breach"]  # type: ignore[attr-defined]
    assert len(breaches) == 2, "each run of the clock has its own breach"


def test_a_customer_who_comes_back_reopens_the_case(world: World) -> None:
    world.hear(world.mention(1))
    act.respond(world.core, 1, "Anna", "https://forum.example/t/1#2", world.now)
    act.resolve(world.core, 1, "Anna", "explained", world.now)
    world.later(days=3)
    report = world.hear(world.mention(2, "Halcyon is broken again! Terrible, useless.", thread="t1"))
    assert report.cases == 1
    case = world.case()
    assert (case.state, case.cycle, case.customer.bad_experiences) == (State.OPEN, 2, 2)
    assert case.next_clock is not None
    assert case.next_clock.due_at == world.now + timedelta(minutes=30)
    history = read.story(world.core, 1, world.now).events
    assert [e.kind for e in history] == ["opened", "responded", "resolved", "reopened"]


def test_after_the_reopen_window_it_is_a_new_case(world: World) -> None:
    world.hear(world.mention(1))
    act.respond(world.core, 1, "Anna", "https://forum.example/t/1#2", world.now)
    act.resolve(world.core, 1, "Anna", "explained", world.now)
    world.later(days=8)
    world.hear(world.mention(2))
    assert [c.id for c in world.cases()] == [1, 2]


def test_better_stars_after_the_resolution_confirm_it(world: World) -> None:
    world.hear(world.mention(1, rating=1.0))
    act.respond(world.core, 1, "Anna", "https://forum.example/t/1#2", world.now)
    act.resolve(world.core, 1, "Anna", "replaced", world.now)
    world.hear(world.mention(1, "Halcyon sent a new one at once. Great!", rating=5.0))
    kinds = [e.kind for e in read.story(world.core, 1, world.now).events]
    assert kinds[-2:] == ["mention_changed", "recovered"]


def test_an_edit_that_turns_praise_into_a_complaint_opens_a_case(world: World) -> None:
    world.hear(world.mention(1, "Halcyon is wonderful, thank you, great help!", rating=5.0))
    assert world.cases() == []
    world.hear(world.mention(1, "It broke after a day. Halcyon refuses a refund, terrible!", rating=1.0))
    assert len(world.cases()) == 1


def test_not_a_complaint_takes_the_bad_experience_back_and_teaches(world: World) -> None:
    world.hear(world.mention(1))
    act.dismiss(world.core, 1, "Anna", "It is a joke between friends", world.now)
    case = world.case()
    assert case.state == State.DISMISSED
    assert case.customer.bad_experiences == 0
    (label,) = rows(world, tables.labels)
    assert (label.label, label.why) == ("not_complaint", "It is a joke between friends")  # type: ignore[attr-defined]
    world.later(days=2)
    world.tick()
    assert rows(world, tables.alarms) == []
    assert read.attainment(world.core, world.now - timedelta(days=9), world.now, world.now).opened == 0


def test_two_people_at_once_have_one_effect(world: World) -> None:
    world.hear(world.mention(1))
    act.claim(world.core, 1, "Anna", world.now)
    act.claim(world.core, 1, "Anna", world.now)
    with refused(Refused, "Anna has this case"):
        act.claim(world.core, 1, "Ben", world.now)
    kinds = [e.kind for e in read.story(world.core, 1, world.now).events]
    assert kinds == ["opened", "claimed"]


@pytest.mark.parametrize("url", ["", "yes", "javascript:alert(1)", "https://a b", "ftp://x"])
def test_a_response_needs_a_link(world: World, url: str) -> None:
    world.hear(world.mention(1))
    with refused(UsageError, "link"):
        act.respond(world.core, 1, "Anna", url, world.now)


def test_resolving_before_any_answer_is_refused(world: World) -> None:
    world.hear(world.mention(1))
    with refused(Refused, "Nobody has answered"):
        act.resolve(world.core, 1, "Anna", "refunded", world.now)


def test_editing_the_policy_touches_new_cases_only_until_it_is_reapplied(
    tmp_path: Path, world: World
) -> None:
    world.hear(world.mention(1))
    shorter = Policy(first_response=timedelta(minutes=20))
    world.core = replace(world.core, rules=replace(world.core.rules, policies={"default": shorter}))
    assert world.case().clocks[0].target == timedelta(minutes=60)
    assert act.reapply_policies(world.core, "Anna", world.now) == 1
    assert world.case().clocks[0].target == timedelta(minutes=20)
    assert act.reapply_policies(world.core, "Anna", world.now) == 0


def test_the_state_of_a_case_is_what_its_events_amount_to(world: World) -> None:
    world.hear(world.mention(1))
    act.claim(world.core, 1, "Anna", world.now)
    world.later(minutes=50)
    world.tick()
    act.respond(world.core, 1, "Anna", "https://forum.example/t/1#2", world.now, promise_minutes=10)
    world.later(minutes=50)
    world.tick()
    act.wait(world.core, 1, "Anna", world.now)
    act.resume(world.core, 1, "Anna", world.now)
    with world.db.read() as connection:
        row = connection.execute(select(tables.cases)).one()
        events = connection.execute(select(tables.events).order_by(tables.events.c.seq)).all()
    assert cases.replay([EVENT.validate_python(e.body) for e in events]) == CASE.validate_python(row.body)


# ---- sources that fail --------------------------------------------------------------------------------------


def source_row(world: World) -> object:
    return read.list_sources(world.core)[0]


def test_a_failing_source_backs_off_says_why_and_recovers(world: World) -> None:
    pauses = []
    for _ in range(4):
        world.source.pages = [FetchError("no answer", url="https://forum.example/")]
        report = world.poll()
        assert report.error is not None
        row = source_row(world)
        pauses.append(row.next_poll_at - world.now)  # type: ignore[attr-defined]
        assert "no answer" in row.error  # type: ignore[attr-defined]
    assert pauses[3] > pauses[0] * 4
    world.hear(world.mention(1))
    assert source_row(world).error is None  # type: ignore[attr-defined]
    assert len(world.cases()) == 1


def test_a_gone_source_stops_and_says_so(world: World) -> None:
    world.source.pages = [SourceGone("it is gone (410)", url="https://forum.example/")]
    world.poll()
    assert source_row(world).state == "stopped"  # type: ignore[attr-defined]
    world.deliver()
    assert world.receiver.kinds == ["system"]
    assert "forum" in world.receiver.texts[0]


def test_retry_later_is_obeyed(world: World) -> None:
    world.source.pages = [RetryLater("asked to wait", seconds=3600)]
    world.poll()
    row = source_row(world)
    assert row.next_poll_at == world.now + timedelta(hours=1)  # type: ignore[attr-defined]
    assert row.failures == 0  # type: ignore[attr-defined]


def test_a_bug_in_a_connector_parks_its_source_alone(world: World) -> None:
    world.source.pages = [ZeroDivisionError("oops")]
    report = world.poll()
    assert "bug" in (report.error or "")
    assert source_row(world).state == "parked"  # type: ignore[attr-defined]
    act.set_source_state(world.core, "forum", "active", world.now)
    world.hear(world.mention(1))
    assert len(world.cases()) == 1


def test_pages_follow_the_cursor_and_each_is_kept(world: World) -> None:
    world.source.pages = [
        Page((world.mention(1),), cursor="a", more=True),
        Page((world.mention(2, thread="t1"),), cursor="b", more=True),
        FetchError("down", url="https://forum.example/"),
    ]
    world.source.cursors.clear()
    report = world.poll()
    assert report.error is not None
    assert len(rows(world, tables.mentions)) == 2
    world.source.pages = [Page((), cursor="c")]
    world.poll()
    assert world.source.cursors == [None, "a", "b", "b"]


def test_a_lost_lease_writes_nothing(world: World) -> None:
    class Stealing:
        def poll(self, http: object, cursor: str | None) -> Page:
            with world.db.write() as connection:
                connection.execute(tables.sources.update().values(lease_token="other"))
            return Page((world.mention(1),))

    source = Source("forum", Stealing(), timedelta(minutes=5))
    world.core = replace(world.core, sources={"forum": source})
    report = world.poll()
    assert "another process" in (report.error or "")
    assert rows(world, tables.mentions) == []


@pytest.mark.parametrize(
    "text",
    [
        "Halcyon " + "x" * 100_000 + " terrible refund!",
        "Halcyon \x00 broke \ud800 terrible, give a refund!",
        "<!channel> <script>alert(1)</script> Halcyon is terrible, refund me!",
        "Halcyon 😡😡😡",
    ],
)
def test_hostile_text_is_stored_as_text(world: World, text: str) -> None:
    report = world.hear(world.mention(1, text))
    assert report.error is None
    (row,) = rows(world, tables.mentions)
    assert row.text.startswith(text[:7].replace("\x00", ""))  # type: ignore[attr-defined]
    world.deliver()


@pytest.mark.parametrize("year", [1793, 2099])
def test_impossible_dates_are_unknown(world: World, year: int) -> None:
    world.hear(world.mention(1, published=world.now.replace(year=year)))
    assert world.case().mentions[0].published is None


# ---- deliveries ---------------------------------------------------------------------------------------------


def test_a_failed_delivery_is_tried_again_in_order_and_nothing_is_lost(world: World) -> None:
    world.receiver.failures = [DeliveryError("down"), DeliveryError("down")]
    world.hear(world.mention(1))
    world.deliver()
    act.claim(world.core, 1, "Anna", world.now)
    for _ in range(10):
        world.later(seconds=20)
        world.deliver()
    assert world.receiver.kinds == ["opened", "changed"]
    assert [d.attempt for d in world.receiver.accepted] == [3, 1]


def test_after_an_outage_a_case_gets_its_latest_state_once(world: World) -> None:
    world.receiver.failures = [DeliveryError("down")] * 8
    world.hear(world.mention(1))
    for _ in range(20):
        world.later(minutes=10)
        world.tick()
        world.deliver()
    assert len(world.receiver.accepted) == 1
    notice = world.receiver.accepted[0].notice
    assert notice.kind == "escalation"
    assert [p.name for p in notice.call] == ["Senior"]
    assert "Earlier messages" in notice.text
    states = {r.state for r in rows(world, tables.deliveries)}  # type: ignore[attr-defined]
    assert states == {"accepted", "superseded"}


def test_a_permanent_failure_is_parked_shown_and_can_be_retried(world: World) -> None:
    world.receiver.failures = [DeliveryError("no such channel", permanent=True)]
    world.hear(world.mention(1))
    world.deliver()
    health = read.health(world.core, world.now, embedded=False)
    assert health.parked_deliveries == 1
    assert any("could not be delivered" in t.what for t in health.troubles)
    assert act.retry_parked(world.core, world.now) == 1
    world.deliver()
    assert world.receiver.kinds == ["opened"]


def test_retry_after_holds_the_whole_responder(world: World) -> None:
    world.receiver.failures = [DeliveryError("slow down", retry_after=120)]
    for number, who in enumerate("abc"):
        world.hear(world.mention(number, author=Author("x", who, who)))
    world.deliver()
    world.later(seconds=60)
    world.deliver()
    assert len(world.receiver.attempts) == 1
    world.later(seconds=61)
    world.deliver()
    assert len(world.receiver.accepted) == 3


def test_a_send_cut_off_by_a_crash_comes_back_as_uncertain(world: World) -> None:
    class Crash(BaseException):
        pass

    world.hear(world.mention(1))
    world.receiver.failures = [Crash()]  # type: ignore[list-item]
    with pytest.raises(Crash):
        world.deliver()
    world.later(minutes=1)
    world.deliver()
    assert world.receiver.accepted == [], "the lease still runs"
    world.later(minutes=10)
    world.deliver()
    assert world.receiver.accepted[0].uncertain


def test_the_fallback_gets_what_waits_too_long(tmp_path: Path) -> None:
    from tests.world import Receiver

    world = World(tmp_path, fallback="mail", fallback_after=timedelta(minutes=10))
    world.settled()
    mail = Receiver()
    world.core = replace(world.core, responders={"desk": world.receiver, "mail": mail})
    world.receiver.failures = [DeliveryError("down")] * 100
    world.hear(world.mention(1))
    for _ in range(12):
        world.later(minutes=1)
        world.tick()
        world.deliver()
    assert len(mail.accepted) == 1
    assert "not delivered by desk" in mail.texts[0]
    world.close()
