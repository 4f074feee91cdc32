"""Sources and hosts: what is polled when, and by whom just now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Update,
    and_,
    bindparam,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from listener.storage.tables import hosts, sources
from listener.storage.upsert import upsert

_ACTIVE: ColumnElement[str] = literal_column(
    "'active'"
)  # a literal, so that the planner may take the partial index


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source as the configuration has it. Other options (by hash) make it a new place: its cursor starts anew."""

    name: str
    connector: str
    options_hash: str
    paused: bool


@dataclass(frozen=True, slots=True)
class LeasedSource:
    """A source that this process may poll until the lease ends."""

    id: int
    name: str
    token: str
    cursor: str | None
    http_memory: str | None
    first_poll: bool
    failures: int


def sync(connection: Connection, specs: Sequence[SourceSpec], now: datetime) -> None:
    """Make the rows follow the configuration. What is no longer configured is kept, as ``removed``.

    ``off`` is what the configuration pauses; ``paused``, what a person paused, stays so until a person says so.
    """
    known = {row.name: row for row in connection.execute(select(sources)).all()}
    fresh = [
        {
            "name": s.name,
            "connector": s.connector,
            "options_hash": s.options_hash,
            "state": "off" if s.paused else "active",
            "next_poll_at": now,
        }
        for s in specs
        if s.name not in known
    ]
    if fresh:
        connection.execute(insert(sources), fresh)
    for spec in specs:
        row = known.get(spec.name)
        if row is None:
            continue
        changes: dict[str, Any] = {}
        if spec.options_hash != row.options_hash or spec.connector != row.connector:
            changes = {
                "connector": spec.connector,
                "options_hash": spec.options_hash,
                "cursor": None,
                "http_memory": None,
                "first_poll_done_at": None,
                "next_poll_at": now,
                "failures": 0,
                "error": None,
            }
        state = row.state
        if spec.paused:
            state = "off"
        elif row.state in ("removed", "off") or (changes and row.state in ("stopped", "parked")):
            state = "active"
        if state != row.state or changes:
            connection.execute(
                update(sources).where(sources.c.id == row.id).values(changes | {"state": state})
            )
    gone = set(known) - {s.name for s in specs}
    removed = [known[name].id for name in gone if known[name].state != "removed"]
    if removed:
        connection.execute(update(sources).where(sources.c.id.in_(removed)).values(state="removed"))


def in_step(connection: Connection, specs: Sequence[SourceSpec]) -> bool:
    """Whether ``sync`` would change nothing; a read is far cheaper than a write at each start from cron."""
    known = {r.name: r for r in connection.execute(select(sources)).all() if r.state != "removed"}
    return len(known) == len(specs) and all(
        (row := known.get(s.name)) is not None
        and row.options_hash == s.options_hash
        and row.connector == s.connector
        and (row.state == "off") == s.paused
        for s in specs
    )


def _due(now: datetime) -> Any:
    return and_(
        sources.c.state == _ACTIVE,
        sources.c.next_poll_at <= now,
        or_(sources.c.lease_until.is_(None), sources.c.lease_until <= now),
    )


def lease_due(
    connection: Connection, now: datetime, lease: timedelta, token: str, limit: int
) -> list[LeasedSource]:
    """Take up to ``limit`` due sources, the longest overdue first, for this process alone."""
    rows = connection.execute(
        select(sources)
        .where(_due(now))
        .order_by(sources.c.next_poll_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not rows:
        return []
    connection.execute(
        update(sources)
        .where(sources.c.id.in_([r.id for r in rows]))
        .values(lease_until=now + lease, lease_token=token, last_poll_at=now)
    )
    return [
        LeasedSource(r.id, r.name, token, r.cursor, r.http_memory, r.first_poll_done_at is None, r.failures)
        for r in rows
    ]


def save_poll(
    connection: Connection, leased: LeasedSource, *, new: int = 0, now: datetime | None = None, **values: Any
) -> bool:
    """Write a poll's outcome. False when the lease has gone to another process: then nothing is to be written."""
    if new:
        values |= {"last_new_at": now, "b_new": new}
    row = {"b_id": leased.id, "b_token": leased.token, **values}
    return connection.execute(_saving(frozenset(values)), row).rowcount == 1


def save_unchanged(connection: Connection, outcomes: Sequence[tuple[LeasedSource, dict[str, Any]]]) -> None:
    """Write the outcomes of polls that found nothing new; those whose lease has gone are left out."""
    alike: dict[frozenset[str], list[dict[str, Any]]] = {}
    for leased, row in outcomes:
        alike.setdefault(frozenset(row), []).append({"b_id": leased.id, "b_token": leased.token, **row})
    for columns, rows in alike.items():
        connection.execute(_saving(columns), rows)


@cache
def _saving(columns: frozenset[str]) -> Update:
    """The statement that writes these columns of a leased source. To build one takes longer than to run it."""
    values: dict[str, Any] = {name: bindparam(name) for name in sorted(columns - {"b_new"})}
    if "b_new" in columns:
        values["mentions_found"] = sources.c.mentions_found + bindparam("b_new")
    return (
        update(sources)
        .where(sources.c.id == bindparam("b_id"), sources.c.lease_token == bindparam("b_token"))
        .values(**values)
    )


def release_all(connection: Connection, token: str) -> None:
    """Give back what this process had leased and did not poll (a clean stop)."""
    connection.execute(
        update(sources).where(sources.c.lease_token == token).values(lease_until=None, lease_token=None)
    )


def set_state(connection: Connection, name: str, state: str, now: datetime) -> bool:
    """Pause, or make active again and poll at once. False when there is no such source."""
    values: dict[str, Any] = {"state": state}
    if state == "active":
        values |= {"next_poll_at": now, "failures": 0, "error": None, "error_at": None}
    result = connection.execute(update(sources).where(sources.c.name == name).values(**values))
    return result.rowcount == 1


def make_due(connection: Connection, name: str, now: datetime) -> None:
    """Let an active source be polled at the next chance."""
    connection.execute(
        update(sources).where(sources.c.name == name, sources.c.state == _ACTIVE).values(next_poll_at=now)
    )


def get(connection: Connection, name: str) -> Row[Any] | None:
    """A configured source."""
    return connection.execute(
        select(sources).where(sources.c.name == name, sources.c.state != "removed")
    ).one_or_none()


def all_sources(connection: Connection) -> Sequence[Row[Any]]:
    """Every configured source, by name."""
    return connection.execute(
        select(sources).where(sources.c.state != "removed").order_by(sources.c.name)
    ).all()


def load_host(connection: Connection, origin: str) -> Row[Any] | None:
    return connection.execute(select(hosts).where(hosts.c.origin == origin)).one_or_none()


def save_host(
    connection: Connection,
    origin: str,
    robots: str | None,
    robots_until: datetime | None,
    not_before: datetime | None,
) -> None:
    values = {"origin": origin, "robots": robots, "robots_until": robots_until, "not_before": not_before}
    upsert(connection, hosts, values, key=["origin"])
