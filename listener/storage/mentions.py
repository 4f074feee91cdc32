"""Mentions: what was heard, with its verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, insert, or_, select, update

from listener.storage.tables import authors, cases, labels, mentions, sources

_OF_SOURCE = select(mentions).where(
    mentions.c.source_id == bindparam("source"), mentions.c.external_id.in_(bindparam("ids", expanding=True))
)
_IDS_OF_SOURCE = _OF_SOURCE.with_only_columns(mentions.c.id, mentions.c.external_id)


def known(connection: Connection, source_id: int, external_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """Those of the ids that this source has brought before."""
    if not external_ids:
        return {}
    rows = connection.execute(_OF_SOURCE, {"source": source_id, "ids": external_ids})
    return {r.external_id: r for r in rows}


def add(connection: Connection, source_id: int, rows: Sequence[dict[str, Any]]) -> list[int]:
    """Insert mentions of one source; their ids, in the same order."""
    if not rows:
        return []
    # RETURNING in the rows' order would send them one by one (SQLite has no other way): twice the time.
    connection.execute(insert(mentions), list(rows))
    keys = [row["external_id"] for row in rows]
    ids = {
        r.external_id: r.id for r in connection.execute(_IDS_OF_SOURCE, {"source": source_id, "ids": keys})
    }
    return [ids[key] for key in keys]


def change(connection: Connection, mention_id: int, **values: Any) -> None:
    connection.execute(update(mentions).where(mentions.c.id == mention_id).values(**values))


def move(connection: Connection, from_case: int, to_case: int) -> None:
    """All mentions of a case belong to the other from now on."""
    connection.execute(update(mentions).where(mentions.c.case_id == from_case).values(case_id=to_case))


def _with_names() -> Select[Any]:
    return (
        select(mentions, sources.c.name.label("source"), authors.c.name.label("author"))
        .join(sources, sources.c.id == mentions.c.source_id)
        .outerjoin(authors, authors.c.id == mentions.c.author_id)
    )


def get(connection: Connection, mention_id: int) -> Row[Any] | None:
    return connection.execute(_with_names().where(mentions.c.id == mention_id)).one_or_none()


def of_cases(connection: Connection, case_ids: Iterable[int]) -> dict[int, list[Row[Any]]]:
    """The mentions of each case, oldest first."""
    found: dict[int, list[Row[Any]]] = {}
    query = _with_names().where(mentions.c.case_id.in_(set(case_ids))).order_by(mentions.c.id)
    for row in connection.execute(query):
        found.setdefault(row.case_id, []).append(row)
    return found


def page(
    connection: Connection,
    *,
    brand: str | None = None,
    source: str | None = None,
    complaint: str | None = None,
    words: str = "",
    before: int | None = None,
    limit: int,
) -> Sequence[Row[Any]]:
    """The newest first; ``before``: the id of the last one shown."""
    query = _with_names().order_by(mentions.c.id.desc()).limit(limit)
    if brand:
        query = query.where(mentions.c.brand == brand)
    if source:
        query = query.where(sources.c.name == source)
    if complaint:
        query = query.where(mentions.c.complaint == complaint)
    if words:
        query = query.where(
            or_(
                mentions.c.text.icontains(words, autoescape=True),
                mentions.c.title.icontains(words, autoescape=True),
            )
        )
    if before is not None:
        query = query.where(mentions.c.id < before)
    return connection.execute(query).all()


def recent_lags(connection: Connection, since: datetime, *, limit: int) -> Sequence[Any]:
    """(source, published_at, seen_at) of the newest mentions seen since then; not those of a source's first poll."""
    return connection.execute(
        select(sources.c.name.label("source"), mentions.c.published_at, mentions.c.seen_at)
        .join(sources, sources.c.id == mentions.c.source_id)
        .where(
            mentions.c.seen_at >= since,
            mentions.c.seen_at > sources.c.first_poll_done_at,
            mentions.c.published_at.is_not(None),
        )
        .order_by(mentions.c.seen_at.desc())
        .limit(limit)
    ).all()


def add_label(
    connection: Connection, mention_ids: Iterable[int], label: str, why: str, actor: str, now: datetime
) -> None:
    """Keep what a person said of these mentions: an example to learn from."""
    rows = [{"mention_id": i, "label": label, "why": why, "actor": actor, "at": now} for i in mention_ids]
    if rows:
        connection.execute(insert(labels), rows)


def forget_old_text(connection: Connection, seen_before: datetime, *, limit: int) -> int:
    """Delete the text of mentions seen before then, unless their case is open; how many were done. Counts stay."""
    old = (
        select(mentions.c.id)
        .outerjoin(cases, cases.c.id == mentions.c.case_id)
        .where(mentions.c.seen_at < seen_before, or_(mentions.c.text != "", mentions.c.title != ""))
        .where(or_(mentions.c.case_id.is_(None), cases.c.closed_at.is_not(None)))
        .order_by(mentions.c.seen_at)
        .limit(limit)
    )
    ids = list(connection.execute(old).scalars())
    if ids:
        connection.execute(update(mentions).where(mentions.c.id.in_(ids)).values(text="", title="", why=[]))
    return len(ids)
