"""What digests are made of: figures of a day or a week. Every query is bounded by an index on time.

Instants in conditions are half-open: ``start`` counts, ``end`` does not; ``at`` (the state as of then) counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    case,
    func,
    or_,
    select,
    type_coerce,
)

from listener.storage.tables import authors, bad_experiences, cases, customers, events, mentions, sources

CHUNK = 500  # ids in one query
_MICROSECOND = timedelta(microseconds=1)


class Standing(NamedTuple):
    """A case as it stood at some instant. ``changed``: it is as it stands now, and has changed since that instant."""

    id: int
    customer_id: int
    state: str
    cycle: int
    reason: str
    assignee: str | None
    opened_at: datetime
    due_at: datetime | None
    first_response_due_at: datetime | None
    first_response_at: datetime | None
    changed: bool


def _standing(at: datetime) -> Select[Any]:
    columns = [cases.c[name] for name in Standing._fields if name != "changed"]
    return select(*columns, (cases.c.changed_at > at).label("changed"))


def _all(connection: Connection, query: Select[Any]) -> list[Standing]:
    return [Standing._make(row) for row in connection.execute(query)]


def open_cases(connection: Connection, at: datetime) -> list[Standing]:
    """Those that are open now."""
    # The order makes SQLite take the small index of open cases, not that of all opening times.
    query = _standing(at).where(cases.c.closed_at.is_(None)).order_by(cases.c.due_at, cases.c.id)
    return _all(connection, query)


def opened(connection: Connection, start: datetime, end: datetime, at: datetime) -> list[Standing]:
    return _all(connection, _standing(at).where(cases.c.opened_at >= start, cases.c.opened_at < end))


def by_ids(connection: Connection, ids: Iterable[int], at: datetime) -> list[Standing]:
    return [
        case for part in _chunks(ids) for case in _all(connection, _standing(at).where(cases.c.id.in_(part)))
    ]


def touched(connection: Connection, start: datetime, end: datetime, at: datetime) -> list[Standing]:
    """The cases that may have had a clock that was met or due in a period, and all that were opened in it.

    These have an event from ``start`` until ``at``, or are open with a clock that was due before ``end``.
    """
    found = [*_all(connection, _standing(at).where(_has_event(start, at)))]
    found += _all(connection, _standing(at).where(_overdue(end)))
    return list({case.id: case for case in found}.values())


def _has_event(start: datetime, at: datetime) -> ColumnElement[bool]:
    return cases.c.id.in_(select(events.c.case_id).where(events.c.at >= start, events.c.at <= at))


def _overdue(end: datetime) -> ColumnElement[bool]:
    return cases.c.closed_at.is_(None) & (cases.c.due_at < end)


def reasons(
    connection: Connection, start: datetime, end: datetime, at: datetime, without: Collection[str]
) -> list[tuple[str, int]]:
    """How many cases opened in a period have which reason, of those that have not changed since ``at``."""
    query = (
        select(cases.c.reason, func.count())
        .where(cases.c.opened_at >= start, cases.c.opened_at < end, cases.c.changed_at <= at)
        .where(cases.c.state.not_in(without))
        .group_by(cases.c.reason)
    )
    return [(reason, n) for reason, n in connection.execute(query)]


def changed_after(connection: Connection, at: datetime) -> set[int]:
    """The cases with events after then."""
    # Not DISTINCT: for its sake SQLite would read all of another index, in the order of cases.
    return set(connection.execute(select(events.c.case_id).where(events.c.at > at)).scalars())


def histories(connection: Connection, ids: Iterable[int], at: datetime) -> dict[int, list[dict[str, Any]]]:
    """The bodies of the events of these cases until then, in order."""
    found: dict[int, list[dict[str, Any]]] = {}
    for part in _chunks(ids):
        query = (
            select(events.c.case_id, events.c.body)
            .where(events.c.case_id.in_(part), events.c.at <= at)
            .order_by(events.c.case_id, events.c.seq)
        )
        for case_id, body in connection.execute(query):
            found.setdefault(case_id, []).append(body)
    return found


def clocks(connection: Connection, start: datetime, end: datetime, at: datetime) -> Sequence[Row[Any]]:
    """(id, state, cycle, changed, clocks) of the cases that ``touched`` finds; the clocks of the present cycle."""
    query = select(
        cases.c.id,
        cases.c.state,
        cases.c.cycle,
        (cases.c.changed_at > at).label("changed"),
        cases.c.body["clocks"].label("clocks"),
    )
    rows: list[Row[Any]] = [*connection.execute(query.where(_has_event(start, at)))]
    rows += connection.execute(query.where(_overdue(end)))
    return list({row.id: row for row in rows}.values())


def happened(
    connection: Connection, start: datetime, end: datetime, kinds: Collection[str]
) -> Sequence[Row[Any]]:
    """(case_id, kind, at, actor, body, customer_id, customer) of the events of these kinds, in order."""
    query: Select[Any] = (
        select(
            events.c.case_id,
            events.c.kind,
            events.c.at,
            events.c.actor,
            events.c.body,
            cases.c.customer_id,
            customers.c.name.label("customer"),
        )
        .join(cases, cases.c.id == events.c.case_id)
        .join(customers, customers.c.id == cases.c.customer_id)
        .where(events.c.at >= start, events.c.at < end, events.c.kind.in_(kinds))
        .order_by(events.c.at, events.c.id)
    )
    return connection.execute(query).all()


def names(connection: Connection, customer_ids: Iterable[int]) -> dict[int, str]:
    return {
        row.id: row.name
        for part in _chunks(customer_ids)
        for row in connection.execute(
            select(customers.c.id, customers.c.name).where(customers.c.id.in_(part))
        )
    }


# ---- thanks -------------------------------------------------------------------------------------------------


def kind_words(connection: Connection, start: datetime, end: datetime, *, limit: int) -> Sequence[Row[Any]]:
    """The good that customers said of the brand, in the thread of a case or as plain praise; the warmest first.

    Praise is 4 stars and more, or without stars a clearly positive text (compound .6: a merely polite one has .3).
    Not what a source's first poll brought: that may be years old.
    """
    praise = or_(
        mentions.c.case_id.is_not(None),
        mentions.c.rating >= 4,
        mentions.c.rating.is_(None) & (mentions.c.compound >= 0.6),
    )
    query: Select[Any] = (
        select(
            mentions.c.id,
            mentions.c.case_id,
            mentions.c.title,
            mentions.c.text,
            mentions.c.url,
            mentions.c.rating,
            mentions.c.compound,
            mentions.c.seen_at,
            sources.c.name.label("source"),
            authors.c.name.label("author"),
            authors.c.customer_id,
        )
        .join(sources, sources.c.id == mentions.c.source_id)
        .outerjoin(authors, authors.c.id == mentions.c.author_id)
        .where(
            mentions.c.seen_at >= start,
            mentions.c.seen_at < end,
            mentions.c.seen_at > sources.c.first_poll_done_at,
            mentions.c.competitor.is_(None),
            mentions.c.deleted_at.is_(None),
            mentions.c.complaint == "not",
            mentions.c.compound >= 0.05,
            praise,
        )
        .order_by(mentions.c.case_id.is_(None), mentions.c.compound.desc(), mentions.c.id)
        .limit(limit)
    )
    return connection.execute(query).all()


def helpers(connection: Connection, case_ids: Iterable[int]) -> list[tuple[int, datetime, str | None]]:
    """(case, when, who) of each answer and resolution of these cases; None: seen in public, nobody recorded it."""
    found: list[tuple[int, datetime, str | None]] = []
    for part in _chunks(case_ids):
        query = (
            select(events.c.case_id, events.c.at, func.coalesce(events.c.actor, cases.c.assignee))
            .join(cases, cases.c.id == events.c.case_id)
            .where(events.c.case_id.in_(part), events.c.kind.in_(("responded", "verified", "resolved")))
            .order_by(events.c.case_id, events.c.seq)
        )
        found += [(case_id, at, who) for case_id, at, who in connection.execute(query)]
    return found


def cases_of(connection: Connection, customer_ids: Iterable[int]) -> list[tuple[int, int]]:
    """(customer, case) of these customers' cases."""
    return [
        (row.customer_id, row.id)
        for part in _chunks(customer_ids)
        for row in connection.execute(
            select(cases.c.customer_id, cases.c.id).where(cases.c.customer_id.in_(part))
        )
    ]


# ---- the week -----------------------------------------------------------------------------------------------


def listening_since(connection: Connection) -> datetime | None:
    """When the first mention was seen."""
    query = select(mentions.c.seen_at).order_by(mentions.c.seen_at, mentions.c.id).limit(1)
    return connection.execute(query).scalar()


def first_published(connection: Connection, case_ids: Iterable[int]) -> dict[int, datetime]:
    """When the first mention of each case was written, where that is known."""
    return {
        case_id: published
        for part in _chunks(case_ids)
        for case_id, published in connection.execute(
            select(mentions.c.case_id, func.min(mentions.c.published_at))
            .where(mentions.c.case_id.in_(part), mentions.c.published_at.is_not(None))
            .group_by(mentions.c.case_id)
        )
    }


def repeat_sufferers(
    connection: Connection, start: datetime, end: datetime, since: datetime, at: datetime, *, limit: int
) -> Sequence[Row[Any]]:
    """(id, name, bad, in_all) of customers let down in the period, and at least twice from ``since`` until ``at``.

    The most let down first; ``in_all``: how many there are.
    """
    touched = select(events.c.case_id).where(events.c.at >= start, events.c.at <= at)
    lately = select(bad_experiences.c.customer_id).where(
        bad_experiences.c.case_id.in_(touched),
        bad_experiences.c.at >= start,
        bad_experiences.c.at < end,
        _counted(at),
    )
    count = func.count()
    query: Select[Any] = (
        select(customers.c.id, customers.c.name, count.label("bad"), func.count().over().label("in_all"))
        .join(bad_experiences, bad_experiences.c.customer_id == customers.c.id)
        .where(
            customers.c.id.in_(lately),
            bad_experiences.c.at >= since,
            bad_experiences.c.at <= at,
            _counted(at),
        )
        .group_by(customers.c.id, customers.c.name)
        .having(count >= 2)
        .order_by(count.desc(), customers.c.id)
        .limit(limit)
    )
    return connection.execute(query).all()


def _counted(at: datetime) -> ColumnElement[bool]:
    return or_(bad_experiences.c.taken_back_at.is_(None), bad_experiences.c.taken_back_at > at)


def detection_lags(
    connection: Connection, start: datetime, end: datetime
) -> list[tuple[str, timedelta, int]]:
    """(source, median time from published to seen, mentions) of a period; not of a source's first poll."""
    lag = type_coerce(mentions.c.seen_at, BigInteger) - type_coerce(mentions.c.published_at, BigInteger)
    ranked = (
        select(
            mentions.c.source_id,
            case((lag > 0, lag), else_=0).label("lag"),
            func.row_number().over(partition_by=mentions.c.source_id, order_by=lag).label("place"),
            func.count().over(partition_by=mentions.c.source_id).label("n"),
        )
        .join(sources, sources.c.id == mentions.c.source_id)
        .where(
            mentions.c.seen_at >= start,
            mentions.c.seen_at < end,
            mentions.c.seen_at > sources.c.first_poll_done_at,
            mentions.c.published_at.is_not(None),
        )
        .subquery()
    )
    query: Select[Any] = (
        select(sources.c.name, ranked.c.lag, ranked.c.n)
        .join(sources, sources.c.id == ranked.c.source_id)
        .where(ranked.c.place == (ranked.c.n + 1) // 2)
        .order_by(ranked.c.lag.desc(), sources.c.name)
    )
    return [(name, int(lag) * _MICROSECOND, int(n)) for name, lag, n in connection.execute(query)]


def _chunks(ids: Iterable[int]) -> Iterable[list[int]]:
    listed = sorted(set(ids))
    return (listed[i : i + CHUNK] for i in range(0, len(listed), CHUNK))
