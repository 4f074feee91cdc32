"""Cases, their events and alarms. A case's row is always what its events amount to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, case, func, insert, select, update

from listener.storage.tables import alarms, cases, customers, events, mentions
from listener.storage.words import holds


@dataclass(frozen=True, slots=True)
class StoredEvent:
    seq: int
    cycle: int
    at: datetime
    kind: str
    actor: str | None
    body: dict[str, Any]


def add(connection: Connection, values: dict[str, Any]) -> int:
    return int(connection.execute(insert(cases).values(**values).returning(cases.c.id)).scalar_one())


def change(connection: Connection, case_id: int, values: dict[str, Any]) -> None:
    connection.execute(update(cases).where(cases.c.id == case_id).values(**values))


def lock(connection: Connection, case_id: int) -> Row[Any] | None:
    """The case's row, for this transaction alone."""
    return connection.execute(select(cases).where(cases.c.id == case_id).with_for_update()).one_or_none()


def get(connection: Connection, case_id: int) -> Row[Any] | None:
    return connection.execute(select(cases).where(cases.c.id == case_id)).one_or_none()


def get_many(connection: Connection, case_ids: Iterable[int]) -> Sequence[Row[Any]]:
    return connection.execute(select(cases).where(cases.c.id.in_(set(case_ids)))).all()


def of_customer(
    connection: Connection, customer_id: int, brand: str | None = None, *, limit: int = 20
) -> Sequence[Row[Any]]:
    """The customer's cases, the last changed first."""
    query = select(cases).where(cases.c.customer_id == customer_id)
    if brand is not None:
        query = query.where(cases.c.brand == brand)
    return connection.execute(query.order_by(cases.c.changed_at.desc(), cases.c.id.desc()).limit(limit)).all()


# ---- events and alarms --------------------------------------------------------------------------------------


def last_seq(connection: Connection, case_id: int) -> int:
    """The number of the case's last event; 0 when it has none."""
    query = select(func.max(events.c.seq)).where(events.c.case_id == case_id)
    return connection.execute(query).scalar() or 0


def append(connection: Connection, case_id: int, added: Sequence[StoredEvent]) -> None:
    rows = [
        {
            "case_id": case_id,
            "seq": e.seq,
            "cycle": e.cycle,
            "at": e.at,
            "kind": e.kind,
            "actor": e.actor,
            "body": e.body,
        }
        for e in added
    ]
    connection.execute(insert(events), rows)


def history(connection: Connection, case_id: int) -> Sequence[Row[Any]]:
    """The case's events in order."""
    return connection.execute(select(events).where(events.c.case_id == case_id).order_by(events.c.seq)).all()


def record_alarms(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Each (case, cycle, clock, step) once: a second record is an error and undoes its whole transaction."""
    if rows:
        connection.execute(insert(alarms), list(rows))


def due_for_alarm(connection: Connection, now: datetime, *, limit: int) -> list[int]:
    """Ids of the cases with an alarm point at or before now, the longest overdue first, for this transaction."""
    query = (
        select(cases.c.id)
        .where(cases.c.next_alarm_at.is_not(None), cases.c.next_alarm_at <= now)
        .order_by(cases.c.next_alarm_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(connection.execute(query).scalars())


def alarm_is_due(connection: Connection, now: datetime) -> bool:
    """Whether some case has an alarm point at or before now."""
    query = (
        select(cases.c.id).where(cases.c.next_alarm_at.is_not(None), cases.c.next_alarm_at <= now).limit(1)
    )
    return connection.execute(query).first() is not None


# ---- lists and figures --------------------------------------------------------------------------------------


def open_by_due(connection: Connection, *, limit: int) -> Sequence[Row[Any]]:
    """Open cases, the soonest due first; those that wait for the customer last."""
    query = select(cases).where(cases.c.closed_at.is_(None), cases.c.due_at.is_not(None))
    soonest = connection.execute(query.order_by(cases.c.due_at, cases.c.id).limit(limit)).all()
    if len(soonest) < limit:
        waiting = (
            select(cases)
            .where(cases.c.closed_at.is_(None), cases.c.due_at.is_(None))
            .order_by(cases.c.id)
            .limit(limit - len(soonest))
        )
        return [*soonest, *connection.execute(waiting).all()]
    return soonest


def open_ids_of(connection: Connection, person: str | None) -> Sequence[int]:
    """Of the open cases that this person has (None: that nobody has); the soonest due first, paused ones last."""
    theirs = cases.c.assignee.is_(None) if person is None else cases.c.assignee == person
    query = select(cases.c.id).where(cases.c.closed_at.is_(None), theirs)
    in_order = query.order_by(cases.c.due_at.is_(None), cases.c.due_at, cases.c.id)
    return connection.execute(in_order).scalars().all()


def newest_with_words(connection: Connection, words: str, *, limit: int) -> Sequence[Row[Any]]:
    """The newest cases of which one mention holds all the words."""
    # From the newest case back, asking each for its mentions: common words are found at once.
    said = select(mentions.c.id).where(
        mentions.c.case_id == cases.c.id, holds(words, mentions.c.text, mentions.c.title)
    )
    query = select(cases).where(said.exists()).order_by(cases.c.id.desc()).limit(limit)
    return connection.execute(query).all()


def page(
    connection: Connection,
    *,
    state: str | None = None,
    brand: str | None = None,
    person: str | None = None,
    reason: str | None = None,
    storm: int | None = None,
    words: str = "",
    before: int | None = None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Cases, the newest first. ``state``: a state, or "closed"; ``before``: the id of the last one shown."""
    query = select(cases).order_by(cases.c.id.desc()).limit(limit)
    if state == "closed":
        query = query.where(cases.c.closed_at.is_not(None))
    elif state:
        query = query.where(cases.c.state == state)
    if brand:
        query = query.where(cases.c.brand == brand)
    if person:
        query = query.where(cases.c.assignee == person)
    if reason:
        query = query.where(cases.c.reason == reason)
    if storm is not None:
        query = query.where(cases.c.storm_id == storm)
    if words:
        query = query.where(_names_words(words))
    if before is not None:
        query = query.where(cases.c.id < before)
    return connection.execute(query).all()


def _names_words(words: str) -> Any:
    texts = select(mentions.c.case_id).where(
        mentions.c.text.icontains(words, autoescape=True) | mentions.c.title.icontains(words, autoescape=True)
    )
    names = select(customers.c.id).where(customers.c.name.icontains(words, autoescape=True))
    return cases.c.id.in_(texts) | cases.c.customer_id.in_(names)


def count_open(connection: Connection) -> dict[str, int]:
    """How many open cases there are in each state."""
    query = (
        select(cases.c.state, func.count().label("n"))
        .where(cases.c.closed_at.is_(None))
        .group_by(cases.c.state)
    )
    return {r.state: r.n for r in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Load:
    """Cases of one person: open ones, and those opened of late."""

    open_now: int
    recent: int


def loads(connection: Connection, since: datetime) -> dict[str, Load]:
    """By person: the cases that they have, or were asked to take; ``recent`` are those opened from ``since`` on."""
    is_open = cases.c.closed_at.is_(None)
    who = func.coalesce(cases.c.assignee, cases.c.body["called"].as_string())
    opened = func.count().filter(cases.c.opened_at >= since)
    query = (
        select(who.label("who"), func.count().filter(is_open).label("open_now"), opened.label("recent"))
        .where(is_open | (cases.c.opened_at >= since))
        .group_by("who")
    )
    return {r.who: Load(r.open_now, r.recent) for r in connection.execute(query) if r.who is not None}


def count_late(connection: Connection, now: datetime) -> int:
    """How many open cases have a clock that is past due."""
    query = select(func.count()).select_from(cases).where(cases.c.closed_at.is_(None), cases.c.due_at < now)
    return int(connection.execute(query).scalar_one())


def answered_since(connection: Connection, since: datetime) -> tuple[int, int]:
    """How many cases had the first answer of their present cycle since then, and how many of them in time."""
    # By way of the events, which have an index on their time. An answer may have been given before it was seen.
    told = select(events.c.case_id).where(events.c.at >= since, events.c.kind.in_(("responded", "verified")))
    in_time = cases.c.first_response_due_at.is_(None) | (
        cases.c.first_response_at <= cases.c.first_response_due_at
    )
    query = select(func.count(), func.count(case((in_time, 1)))).where(
        cases.c.id.in_(told), cases.c.first_response_at >= since
    )
    answered, early = connection.execute(query).one()
    return answered, early


def happened_since(connection: Connection, since: datetime) -> dict[str, int]:
    """Of how many cases each kind of event was recorded since then; a promise's end is "kept" or "broken"."""
    kept = events.c.body["kept"].as_boolean()
    kind = case((kept.is_(True), "kept"), (kept.is_(False), "broken"), else_=events.c.kind)
    query = (
        select(kind.label("kind"), func.count(events.c.case_id.distinct()).label("n"))
        .where(events.c.at >= since, events.c.kind.in_(("reopened", "resolved", "promise_ended")))
        .group_by(kind)
    )
    return {r.kind: r.n for r in connection.execute(query)}


def count_alarms(connection: Connection, since: datetime) -> dict[str, int]:
    """How many alarms of each kind were sent since then."""
    kind = events.c.body["step_kind"].as_string()
    query = (
        select(kind.label("step_kind"), func.count().label("n"))
        .where(
            events.c.at >= since, events.c.kind == "alarmed", events.c.body["skipped"].as_boolean().is_(False)
        )
        .group_by(kind)
    )
    return {r.step_kind: r.n for r in connection.execute(query)}


def open_ids(connection: Connection) -> list[int]:
    """Of all open cases, the oldest first."""
    query = select(cases.c.id).where(cases.c.closed_at.is_(None)).order_by(cases.c.id)
    return list(connection.execute(query).scalars())


def count_parked(connection: Connection) -> int:
    return int(
        connection.execute(
            select(func.count()).select_from(cases).where(cases.c.error.is_not(None))
        ).scalar_one()
    )


def opened_between(connection: Connection, start: datetime, end: datetime) -> Sequence[Any]:
    """What the SLA figures are made of: the cases opened then, but not those that were no complaint or merged."""
    query = select(
        cases.c.id, cases.c.state, cases.c.reason, cases.c.first_response_due_at, cases.c.first_response_at
    ).where(
        cases.c.opened_at >= start, cases.c.opened_at < end, cases.c.state.not_in(["dismissed", "merged"])
    )
    return connection.execute(query).all()


def how_long(
    connection: Connection, brand: str, reason: str, since: datetime, *, besides: int, limit: int
) -> Sequence[Any]:
    """``opened_at`` and ``closed_at`` of the newest other cases for this reason that were complaints.

    Only the newest 50,000 cases since then are looked through: 40 ms of a million closed ones, with no index of its
    own, where the reason is a rare one.
    """
    c = cases.c
    newest = (
        select(c.brand, c.reason, c.state, c.opened_at, c.closed_at)
        .where(c.opened_at >= since, c.id != besides)
        .order_by(c.opened_at.desc())
        .limit(50_000)
        .subquery()
    )
    query = (
        select(newest.c.opened_at, newest.c.closed_at)
        .where(
            newest.c.brand == brand,
            newest.c.reason == reason,
            newest.c.state.not_in(["dismissed", "merged"]),
        )
        .limit(limit)
    )
    return connection.execute(query).all()
