"""Customers, their authors, and how often each was let down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, tuple_, update

from listener.model import Author
from listener.storage.tables import authors, bad_experiences, cases, customers, mentions
from listener.storage.upsert import insert_new
from listener.storage.words import holds


def resolve_authors(
    connection: Connection, wanted: Iterable[Author], now: datetime
) -> tuple[dict[tuple[str, str], tuple[int, int]], set[int]]:
    """The (author id, customer id) of each, by (platform, platform id); who is new gets a customer of their own.

    Also returns the ids of the customers made now. Two identities become one customer only when a person says so.
    """
    by_key = {(a.platform, a.platform_id): a for a in wanted}
    if not by_key:
        return {}, set()
    rows = connection.execute(
        select(authors.c.platform, authors.c.platform_id, authors.c.id, authors.c.customer_id).where(
            tuple_(authors.c.platform, authors.c.platform_id).in_(list(by_key))
        )
    )
    found = {(r.platform, r.platform_id): (r.id, r.customer_id) for r in rows}
    missing = [key for key in by_key if key not in found]
    made: set[int] = set()
    if missing:
        customer_ids = connection.execute(
            insert(customers).returning(customers.c.id, sort_by_parameter_order=True),
            [{"name": by_key[key].name[:300], "created_at": now} for key in missing],
        ).scalars()
        rows_in = [
            {
                "platform": key[0],
                "platform_id": key[1],
                "name": by_key[key].name[:300],
                "url": by_key[key].url,
                "customer_id": customer_id,
                "first_seen_at": now,
            }
            for key, customer_id in zip(missing, customer_ids, strict=True)
        ]
        author_ids = connection.execute(
            insert(authors).returning(authors.c.id, sort_by_parameter_order=True), rows_in
        ).scalars()
        for key, row, author_id in zip(missing, rows_in, author_ids, strict=True):
            found[key] = (author_id, row["customer_id"])
            made.add(row["customer_id"])
    return found, made


def of_author(connection: Connection, author_id: int | None) -> int | None:
    return connection.execute(select(authors.c.customer_id).where(authors.c.id == author_id)).scalar()


def add_customer(connection: Connection, name: str, now: datetime) -> int:
    statement = insert(customers).values(name=name[:300], created_at=now).returning(customers.c.id)
    return int(connection.execute(statement).scalar_one())


def edit(connection: Connection, customer_id: int, **values: Any) -> bool:
    """Set ``since``, ``tier``, ``name`` or ``note``. False when there is no such customer."""
    result = connection.execute(update(customers).where(customers.c.id == customer_id).values(**values))
    return result.rowcount == 1


def get(connection: Connection, customer_id: int) -> Row[Any] | None:
    return connection.execute(select(customers).where(customers.c.id == customer_id)).one_or_none()


def get_many(connection: Connection, ids: Iterable[int]) -> dict[int, Row[Any]]:
    rows = connection.execute(select(customers).where(customers.c.id.in_(set(ids)))).all()
    return {r.id: r for r in rows}


def identities(connection: Connection, customer_id: int) -> Sequence[Row[Any]]:
    return connection.execute(
        select(authors).where(authors.c.customer_id == customer_id).order_by(authors.c.id)
    ).all()


# ---- bad experiences ----------------------------------------------------------------------------------------


def add_bad_experience(
    connection: Connection,
    customer_id: int,
    kind: str,
    key: str,
    at: datetime,
    *,
    case_id: int | None = None,
    mention_id: int | None = None,
) -> bool:
    """Count one; False when this very one (by ``key``) is counted already."""
    row = {
        "customer_id": customer_id,
        "case_id": case_id,
        "mention_id": mention_id,
        "key": key,
        "kind": kind,
        "at": at,
    }
    return insert_new(connection, bad_experiences, [row], key=["key"]) == 1


def take_back_bad_experiences(
    connection: Connection, case_ids: Iterable[int], now: datetime, *, kind: str | None = None
) -> int:
    """What these cases had counted (of this kind) is counted no more; the rows stay and say so. How many."""
    statement = update(bad_experiences).where(
        bad_experiences.c.case_id.in_(set(case_ids)), bad_experiences.c.taken_back_at.is_(None)
    )
    if kind is not None:
        statement = statement.where(bad_experiences.c.kind == kind)
    return connection.execute(statement.values(taken_back_at=now)).rowcount


def count_bad_experiences(connection: Connection, customer_id: int, since: datetime) -> int:
    return int(
        connection.execute(
            select(func.count())
            .select_from(bad_experiences)
            .where(
                bad_experiences.c.customer_id == customer_id,
                bad_experiences.c.at >= since,
                bad_experiences.c.taken_back_at.is_(None),
            )
        ).scalar_one()
    )


def counts_of_bad_experiences(
    connection: Connection, customer_ids: Iterable[int], since: datetime
) -> dict[int, int]:
    rows = connection.execute(
        select(bad_experiences.c.customer_id, func.count().label("n"))
        .where(
            bad_experiences.c.customer_id.in_(set(customer_ids)),
            bad_experiences.c.at >= since,
            bad_experiences.c.taken_back_at.is_(None),
        )
        .group_by(bad_experiences.c.customer_id)
    ).all()
    return {r.customer_id: r.n for r in rows}


def bad_experiences_of(connection: Connection, customer_id: int) -> Sequence[Row[Any]]:
    """All that was ever counted, taken back or not, the newest first."""
    return connection.execute(
        select(bad_experiences)
        .where(bad_experiences.c.customer_id == customer_id)
        .order_by(bad_experiences.c.at.desc(), bad_experiences.c.id.desc())
    ).all()


# ---- lists --------------------------------------------------------------------------------------------------


def page(
    connection: Connection,
    *,
    since: datetime,
    words: str = "",
    after: tuple[int, int] | None = None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Customers with the most bad experiences since then first. ``after``: (count, id) of the last one shown."""
    bad = (
        select(bad_experiences.c.customer_id, func.count().label("bad"))
        .where(bad_experiences.c.at >= since, bad_experiences.c.taken_back_at.is_(None))
        .group_by(bad_experiences.c.customer_id)
        .subquery()
    )
    count = func.coalesce(bad.c.bad, 0)
    open_cases = (
        select(func.count())
        .where(cases.c.customer_id == customers.c.id, cases.c.closed_at.is_(None))
        .scalar_subquery()
    )
    query = (
        select(customers, count.label("bad"), open_cases.label("open_cases"))
        .outerjoin(bad, bad.c.customer_id == customers.c.id)
        .order_by(count.desc(), customers.c.id.desc())
        .limit(limit)
    )
    if words:
        query = query.where(holds(words, customers.c.name))
    if after is not None:
        query = query.where(or_(count < after[0], (count == after[0]) & (customers.c.id < after[1])))
    return connection.execute(query).all()


def mentions_of(connection: Connection, customer_id: int, *, limit: int) -> Sequence[Row[Any]]:
    """What this customer wrote anywhere, the newest first, with or without a case."""
    ids = select(authors.c.id).where(authors.c.customer_id == customer_id)
    case_ids = select(cases.c.id).where(cases.c.customer_id == customer_id)
    return connection.execute(
        select(mentions)
        .where(or_(mentions.c.author_id.in_(ids), mentions.c.case_id.in_(case_ids)))
        .order_by(mentions.c.seen_at.desc(), mentions.c.id.desc())
        .limit(limit)
    ).all()
