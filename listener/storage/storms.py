"""Storms: many complaints of one brand at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    and_,
    func,
    insert,
    literal_column,
    select,
    type_coerce,
    update,
)

from listener.storage.tables import cases, deliveries, mentions, sources, storm_messages, storms
from listener.storage.upsert import upsert

_HOUR: ColumnElement[int] = literal_column("3600000000", BigInteger)  # microseconds
# No complaint after all, or counted in the case that it went into.
_COUNTED = cases.c.state.not_in(["dismissed", "merged"])
# The mention with which a case was opened.
_OPENING = and_(mentions.c.case_id == cases.c.id, mentions.c.seen_at == cases.c.opened_at)


def add(connection: Connection, brand: str, usual_per_hour: float, now: datetime) -> int:
    values = {
        "brand": brand,
        "started_at": now,
        "usual_per_hour": usual_per_hour,
        "looked_at": now,
        "told_cases": 0,
        "told_open": 0,
    }
    return int(connection.execute(insert(storms).values(**values).returning(storms.c.id)).scalar_one())


def change(connection: Connection, storm_id: int, **values: Any) -> None:
    connection.execute(update(storms).where(storms.c.id == storm_id).values(**values))


def get(connection: Connection, storm_id: int) -> Row[Any] | None:
    return connection.execute(select(storms).where(storms.c.id == storm_id)).one_or_none()


def on(connection: Connection, brand: str) -> int | None:
    """The storm of the brand that is on now."""
    query = select(storms.c.id).where(storms.c.brand == brand, storms.c.ended_at.is_(None))
    return connection.execute(query).scalar()


def all_on(connection: Connection) -> Sequence[Row[Any]]:
    """The storms that are on now, the oldest first."""
    return connection.execute(select(storms).where(storms.c.ended_at.is_(None)).order_by(storms.c.id)).all()


def some_to_look_at(connection: Connection, looked_before: datetime) -> bool:
    """Whether a storm is on that was last looked at so long ago."""
    query = select(storms.c.id).where(storms.c.ended_at.is_(None), storms.c.looked_at <= looked_before)
    return connection.execute(query.limit(1)).first() is not None


def lock_to_look_at(connection: Connection, looked_before: datetime) -> Sequence[Row[Any]]:
    """The storms that are on and were last looked at so long ago, for this transaction alone."""
    return connection.execute(
        select(storms)
        .where(storms.c.ended_at.is_(None), storms.c.looked_at <= looked_before)
        .order_by(storms.c.id)
        .with_for_update(skip_locked=True)
    ).all()


def adopt(connection: Connection, storm_id: int, brand: str, opened_after: datetime) -> None:
    """The cases that were opened since then are the storm's, and what nobody has sent of them calls nobody."""
    connection.execute(
        update(cases)
        .where(
            cases.c.brand == brand,
            cases.c.opened_at > opened_after,
            cases.c.storm_id.is_(None),
            _COUNTED,
        )
        .values(storm_id=storm_id)
    )
    unsent = and_(
        deliveries.c.case_id.in_(select(cases.c.id).where(cases.c.storm_id == storm_id)),
        deliveries.c.state == literal_column("'pending'"),
        deliveries.c.attempts == 0,
    )
    connection.execute(update(deliveries).where(unsent).values(storm_id=storm_id, call=[]))
    connection.execute(
        update(deliveries).where(unsent, deliveries.c.channel.is_not(None)).values(state="superseded")
    )


# ---- how many -----------------------------------------------------------------------------------------------


def hourly_counts(
    connection: Connection, brand: str, since: datetime
) -> tuple[Sequence[int], datetime | None]:
    """How many cases each hour since then brought, of those that brought any; and when the first was opened."""
    hour = type_coerce(cases.c.opened_at, BigInteger) // _HOUR
    query = (
        select(func.count().label("n"), func.min(cases.c.opened_at).label("first"))
        .where(cases.c.brand == brand, cases.c.opened_at >= since, _COUNTED)
        .group_by(hour)
    )
    rows = connection.execute(query).all()
    return [r.n for r in rows], min((r.first for r in rows), default=None)


def written(connection: Connection, brand: str, opened_after: datetime) -> Sequence[datetime]:
    """When the cases opened since then were written, as far as that is known; else when they were seen."""
    query = (
        select(func.min(func.coalesce(mentions.c.published_at, mentions.c.seen_at)))
        .select_from(cases)
        .join(mentions, _OPENING)
        .where(cases.c.brand == brand, cases.c.opened_at > opened_after, _COUNTED)
        .group_by(cases.c.id)
    )
    return connection.execute(query).scalars().all()


def count_opened(connection: Connection, brand: str, opened_after: datetime) -> int:
    query = (
        select(func.count())
        .select_from(cases)
        .where(cases.c.brand == brand, cases.c.opened_at > opened_after, _COUNTED)
    )
    return int(connection.execute(query).scalar_one())


def count_cases(connection: Connection, storm_id: int) -> tuple[int, int]:
    """How many cases the storm has, and how many of them are open."""
    query = select(func.count(), func.count(cases.c.id).filter(cases.c.closed_at.is_(None))).where(
        cases.c.storm_id == storm_id, _COUNTED
    )
    every, still_open = connection.execute(query).one()
    return int(every), int(still_open)


def reasons(connection: Connection, storm_id: int) -> tuple[tuple[str, int], ...]:
    """How many cases each reason has, the most first."""
    n = func.count().label("n")
    query = (
        select(cases.c.reason, n)
        .where(cases.c.storm_id == storm_id, _COUNTED)
        .group_by(cases.c.reason)
        .order_by(n.desc(), cases.c.reason)
    )
    return tuple((reason, count) for reason, count in connection.execute(query))


def sources_of(connection: Connection, storm_id: int) -> tuple[tuple[str, int], ...]:
    """How many cases each source has brought, the most first."""
    n = func.count(cases.c.id.distinct()).label("n")
    query = (
        select(sources.c.name, n)
        .select_from(cases)
        .join(mentions, _OPENING)
        .join(sources, sources.c.id == mentions.c.source_id)
        .where(cases.c.storm_id == storm_id, _COUNTED)
        .group_by(sources.c.name)
        .order_by(n.desc(), sources.c.name)
    )
    return tuple((name, count) for name, count in connection.execute(query))


def answers(connection: Connection, storm_id: int) -> Sequence[Any]:
    """Of each case: when it was written and opened, when its first answer was due, came, and when it was closed."""
    at = func.min(func.coalesce(mentions.c.published_at, mentions.c.seen_at)).label("written_at")
    query = (
        select(
            at,
            cases.c.opened_at,
            cases.c.first_response_due_at.label("due_at"),
            cases.c.first_response_at.label("answered_at"),
            cases.c.closed_at,
        )
        .select_from(cases)
        .join(mentions, _OPENING)
        .where(cases.c.storm_id == storm_id, _COUNTED)
        .group_by(cases.c.id)
    )
    return connection.execute(query).all()


# ---- where its message is -----------------------------------------------------------------------------------


def message_ref(connection: Connection, storm_id: int, responder: str) -> dict[str, str] | None:
    """Where the responder put the storm's message."""
    return connection.execute(
        select(storm_messages.c.ref).where(
            storm_messages.c.storm_id == storm_id, storm_messages.c.responder == responder
        )
    ).scalar()


def save_message_ref(connection: Connection, storm_id: int, responder: str, ref: dict[str, str]) -> None:
    values = {"storm_id": storm_id, "responder": responder, "ref": ref}
    upsert(connection, storm_messages, values, key=["storm_id", "responder"])
