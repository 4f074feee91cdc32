"""What people are shown: cases, customers, today's figures, health. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from listener.cases import CASE, EVENT, Case, Event
from listener.errors import UsageError
from listener.model import CaseView, ClockView, CustomerView, MentionView, Today, Why
from listener.service.core import Core
from listener.service.incidents import is_new
from listener.service.listing import Listing
from listener.storage import Connection, Row, household, outbox
from listener.storage import cases as case_rows
from listener.storage import customers as customer_rows
from listener.storage import mentions as mention_rows
from listener.storage import sources as source_rows


def case_view(core: Core, connection: Connection, case_id: int, now: datetime) -> CaseView:
    """One case. Raises ``UsageError`` when there is none with that number."""
    row = case_rows.get(connection, case_id)
    if row is None:
        raise UsageError(f"There is no case {case_id}.")
    return case_views(core, connection, [row], now)[0]


def case_views(core: Core, connection: Connection, rows: Sequence[Row[Any]], now: datetime) -> list[CaseView]:
    """The cases as people see them, in the same order, with a fixed number of queries."""
    customers = customer_views(core, connection, {r.customer_id for r in rows}, now)
    mentions = mention_rows.of_cases(connection, [r.id for r in rows])
    return [_case_view(core, r, customers[r.customer_id], mentions.get(r.id, [])) for r in rows]


def _case_view(core: Core, row: Row[Any], customer: CustomerView, mentions: list[Row[Any]]) -> CaseView:
    case: Case = CASE.validate_python(row.body)
    place = {mention_id: number for number, mention_id in enumerate(case.mention_ids)}
    mentions = sorted(mentions, key=lambda m: place.get(m.id, len(place)))
    clocks = [
        ClockView(c.name, c.started_at, c.due_at, c.target, c.met_at)
        for c in case.clocks
        if c is case.clock(c.name)  # of several next-response runs only the last one
    ]
    return CaseView(
        id=row.id,
        brand=row.brand,
        state=case.state,
        cycle=case.cycle,
        reason=case.reason,
        severity=case.severity,
        complaint=case.complaint,
        why=tuple(Why(**w) for w in mentions[0].why) if mentions else (),
        customer=customer,
        mentions=tuple(mention_view(m) for m in mentions),
        clocks=tuple(clocks),
        opened_at=case.opened_at,
        assignee=case.assignee,
        answer_url=case.answer_url,
        verified=case.verified,
        promise_minutes=case.promise_minutes,
        snoozed_until=case.snoozed_until,
        outcome=case.outcome,
        url=core.rules.case_url(row.id),
        merged_into=case.merged_into,
        merged_url=core.rules.case_url(case.merged_into) if case.merged_into else None,
    )


def mention_view(row: Row[Any]) -> MentionView:
    return MentionView(
        id=row.id,
        source=row.source,
        author=row.author or "unknown",
        title=row.title,
        text=row.text,
        url=row.url,
        rating=row.rating,
        lang=row.lang,
        compound=row.compound,
        published=row.published_at,
        seen=row.seen_at,
        deleted=row.deleted_at is not None,
        edited=row.edited_at is not None,
    )


def customer_views(
    core: Core, connection: Connection, ids: Iterable[int], now: datetime
) -> dict[int, CustomerView]:
    rules = core.rules
    rows = customer_rows.get_many(connection, ids)
    counts = customer_rows.counts_of_bad_experiences(connection, rows, now - rules.bad_experience_window)
    return {
        i: CustomerView(
            id=i,
            name=r.name,
            bad_experiences=counts.get(i, 0),
            window_days=rules.bad_experience_window.days,
            day_as_customer=(now - r.since).days + 1 if r.since is not None and r.since <= now else None,
            new=is_new(r.since, now, rules.new_customer_days),
            tier=r.tier,
        )
        for i, r in rows.items()
    }


# ---- pages --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Story:
    """A case with all that happened, in order, and what became of its messages."""

    case: CaseView
    policy: dict[str, Any]
    events: tuple[Event, ...]
    deliveries: Sequence[Row[Any]]
    error: str | None


def story(core: Core, case_id: int, now: datetime) -> Story:
    """Raises ``UsageError`` when there is no such case."""
    with core.db.read() as connection:
        view = case_view(core, connection, case_id, now)
        row = case_rows.get(connection, case_id)
        events = tuple(EVENT.validate_python(r.body) for r in case_rows.history(connection, case_id))
        deliveries = outbox.of_case(connection, case_id)
    if row is None:
        raise UsageError(f"There is no case {case_id}.")
    return Story(view, row.body["policy"], events, deliveries, row.error)


def open_cases(core: Core, now: datetime, *, limit: int = 50) -> list[CaseView]:
    """Open cases, the soonest due first."""
    with core.db.read() as connection:
        return case_views(core, connection, case_rows.open_by_due(connection, limit=limit), now)


def list_cases(core: Core, now: datetime, **filters: Any) -> list[CaseView]:
    """Cases, the newest first; the filters are those of ``storage.cases.page``."""
    with core.db.read() as connection:
        return case_views(core, connection, case_rows.page(connection, **filters), now)


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """Everything about one customer."""

    customer: CustomerView
    since: datetime | None
    note: str | None
    identities: Sequence[Row[Any]]
    cases: list[CaseView]
    mentions: Sequence[Row[Any]]
    bad_experiences: Sequence[Row[Any]]


def customer_page(core: Core, customer_id: int, now: datetime) -> CustomerPage:
    """Raises ``UsageError`` when there is no such customer."""
    with core.db.read() as connection:
        row = customer_rows.get(connection, customer_id)
        if row is None:
            raise UsageError(f"There is no customer {customer_id}.")
        return CustomerPage(
            customer=customer_views(core, connection, [customer_id], now)[customer_id],
            since=row.since,
            note=row.note,
            identities=customer_rows.identities(connection, customer_id),
            cases=case_views(
                core, connection, case_rows.of_customer(connection, customer_id, limit=100), now
            ),
            mentions=customer_rows.mentions_of(connection, customer_id, limit=200),
            bad_experiences=customer_rows.bad_experiences_of(connection, customer_id),
        )


@dataclass(frozen=True, slots=True)
class CustomerLine:
    customer: CustomerView
    open_cases: int


def list_customers(
    core: Core, now: datetime, *, words: str = "", after: tuple[int, int] | None = None, limit: int = 50
) -> list[CustomerLine]:
    """Customers with the most bad experiences first; ``after`` is (bad experiences, id) of the last one shown."""
    with core.db.read() as connection:
        since = now - core.rules.bad_experience_window
        rows = customer_rows.page(connection, since=since, words=words, after=after, limit=limit)
        views = customer_views(core, connection, [r.id for r in rows], now)
        return [CustomerLine(views[r.id], r.open_cases) for r in rows]


def list_mentions(core: Core, **filters: Any) -> list[Row[Any]]:
    """Mentions, the newest first; the filters are those of ``storage.mentions.page``."""
    with core.db.read() as connection:
        return list(mention_rows.page(connection, **filters))


def list_sources(core: Core) -> Sequence[Row[Any]]:
    """The configured sources as they stand."""
    with core.db.read() as connection:
        return source_rows.all_sources(connection)


# ---- what people ask for at a responder ---------------------------------------------------------------------

MOST_FOUND = 10


def mine(core: Core, who: str, now: datetime) -> Sequence[CaseView]:
    """The open cases of a person, the soonest due first."""
    return _open_of(core, who, now)


def queue_of(core: Core, now: datetime) -> Sequence[CaseView]:
    """The open cases that nobody has, the soonest due first."""
    return _open_of(core, None, now)


def _open_of(core: Core, who: str | None, now: datetime) -> Sequence[CaseView]:
    def load(ids: Sequence[int]) -> list[CaseView]:
        with core.db.read() as connection:
            rows = {row.id: row for row in case_rows.get_many(connection, ids)}
            return case_views(core, connection, [rows[i] for i in ids], now)

    with core.db.read() as connection:
        return Listing(case_rows.open_ids_of(connection, who), load)


def cases_of(core: Core, customer_id: int, now: datetime) -> list[CaseView]:
    """A customer's cases, the last changed first."""
    with core.db.read() as connection:
        rows = case_rows.of_customer(connection, customer_id, limit=MOST_FOUND)
        return case_views(core, connection, rows, now)


def search_cases(core: Core, words: str, now: datetime) -> list[CaseView]:
    """The newest cases of which one mention holds all the words."""
    with core.db.read() as connection:
        rows = case_rows.newest_with_words(connection, words, limit=MOST_FOUND)
        return case_views(core, connection, rows, now)


def find_customers(core: Core, name: str, now: datetime) -> list[CustomerView]:
    """Those whose name holds all these words, the most let down first."""
    return [found.customer for found in list_customers(core, now, words=name, limit=MOST_FOUND)]


def today(core: Core, now: datetime) -> Today:
    """The figures since midnight UTC; ``opened`` is without what was no complaint."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with core.db.read() as connection:
        answered, in_time = case_rows.answered_since(connection, midnight)
        happened = case_rows.happened_since(connection, midnight)
        return Today(
            opened=len(case_rows.opened_between(connection, midnight, now + timedelta.resolution)),
            answered=answered,
            in_time=in_time,
            late=case_rows.count_late(connection, now),
            resolved=happened.get("resolved", 0),
            reopened=happened.get("reopened", 0),
            promises_kept=happened.get("kept", 0),
            promises_broken=happened.get("broken", 0),
        )


# ---- figures ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attainment:
    """First responses of the cases opened in a period, without those that were no complaint.

    ``pending``: not answered and not yet due; it says nothing yet. ``rate`` is None without a decided case.
    """

    opened: int
    in_time: int
    late: int
    pending: int

    @property
    def rate(self) -> float | None:
        decided = self.in_time + self.late
        return self.in_time / decided if decided else None


def attainment(core: Core, start: datetime, end: datetime, now: datetime) -> Attainment:
    """Of the cases opened from ``start`` to ``end``, how many had their first answer in time, as of ``now``."""
    with core.db.read() as connection:
        rows = case_rows.opened_between(connection, start, end)
    in_time = late = 0
    for row in rows:
        due, met = row.first_response_due_at, row.first_response_at
        if met is not None and (due is None or met <= due):
            in_time += 1
        elif due is not None and (met or now) > due:
            late += 1
    return Attainment(len(rows), in_time, late, len(rows) - in_time - late)


def late_cases(core: Core, now: datetime) -> int:
    """How many open cases have a clock that is past due."""
    with core.db.read() as connection:
        return case_rows.count_late(connection, now)


def alarms(core: Core, since: datetime) -> dict[str, int]:
    """How many alarms of each kind were sent since then."""
    with core.db.read() as connection:
        return case_rows.count_alarms(connection, since)


def detection_lags(core: Core, now: datetime) -> dict[str, timedelta]:
    """By source: the median time from published to seen, of what it brought in the last 7 days."""
    with core.db.read() as connection:
        rows = mention_rows.recent_lags(connection, now - timedelta(days=7), limit=5000)
    lags: dict[str, list[timedelta]] = {}
    for row in rows:
        lags.setdefault(row.source, []).append(max(row.seen_at - row.published_at, timedelta(0)))
    return {source: sorted(found)[len(found) // 2] for source, found in lags.items()}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that an operator must look at. ``detail`` may quote the outside; it is for people who logged in."""

    what: str
    advice: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """``ok``: the three jobs run and messages get through. Troubles may be listed all the same."""

    ok: bool
    troubles: tuple[Trouble, ...]
    open_cases: dict[str, int]
    pending_deliveries: int
    parked_deliveries: int
    oldest_pending_s: float
    tick_age_s: float | None
    sources: dict[str, int]


JOB_LATE = timedelta(minutes=2)  # the jobs run every few seconds
OUTBOX_OLD = timedelta(minutes=5)


def health(core: Core, now: datetime, *, embedded: bool = True, clock_speed: float = 1.0) -> Health:
    """How the system is. ``embedded``: the jobs are expected to run all the time, not only from cron.

    What is late is late by real time, whatever the clock's speed.
    """
    with core.db.read() as connection:
        jobs = household.job_runs(connection)
        counts = outbox.counts(connection)
        oldest = outbox.oldest_pending(connection)
        sources = source_rows.all_sources(connection)
        parked_cases = case_rows.count_parked(connection)
        held = {n: h for n in core.responders if (h := outbox.hold_of(connection, n)) is not None}
        open_cases = case_rows.count_open(connection)
    troubles, ok = [], True
    tick_age = (now - jobs["tick"].last_run_at) if "tick" in jobs else None
    if embedded and (tick_age is None or tick_age > JOB_LATE * clock_speed):
        ok = False
        troubles.append(Trouble("the clock has stopped ticking", "look at the log; restart listener run"))
    waiting = now - oldest if oldest is not None else timedelta(0)
    if waiting > OUTBOX_OLD * clock_speed:
        ok = False
        minutes = int(waiting.total_seconds() // 60)
        troubles.append(Trouble(f"a message has waited for {minutes} minutes", "run: listener doctor"))
    for name, hold in held.items():
        if hold.refused:
            ok = False
            troubles.append(Trouble(f"{name} takes no messages", "see why with listener doctor", hold.error))
    if counts["parked"]:
        text = f"{counts['parked']} message(s) could not be delivered"
        troubles.append(Trouble(text, "see the reasons with listener doctor; then: listener retry"))
    if parked_cases:
        troubles.append(
            Trouble(f"{parked_cases} case(s) are parked with an error", "open them on the dashboard")
        )
    states: dict[str, int] = {}
    for row in sources:
        state = "failing" if row.state == "active" and row.failures else row.state
        states[state] = states.get(state, 0) + 1
        if row.state in ("stopped", "parked") or (row.state == "active" and row.failures >= 3):
            what = f"source {row.name} is {'failing' if row.state == 'active' else row.state}"
            troubles.append(Trouble(what, "see its error with listener sources", row.error or ""))
    if sources and not any(r.state in ("active", "paused") for r in sources):
        ok = False
    return Health(
        ok=ok,
        troubles=tuple(troubles),
        open_cases=open_cases,
        pending_deliveries=counts["pending"],
        parked_deliveries=counts["parked"],
        oldest_pending_s=waiting.total_seconds(),
        tick_age_s=tick_age.total_seconds() if tick_age is not None else None,
        sources=states,
    )
