"""The outbox: deliveries wait here until a responder accepts them. Nothing is dropped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

from listener.storage.tables import case_messages, cases, deliveries, settings, storm_messages
from listener.storage.upsert import insert_new, upsert

# Literals, not parameters: the planner takes a partial index only when it can see that its condition holds.
_PENDING: ColumnElement[str] = literal_column("'pending'")
_PARKED: ColumnElement[str] = literal_column("'parked'")

STORM_ATTEMPTS = 2  # a storm's message that is refused more often than that holds up its cases no longer


def add(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Queue deliveries; one whose key is there already is there already."""
    insert_new(connection, deliveries, rows, key=["key"])


def lease_due(
    connection: Connection, responder: str, now: datetime, lease: timedelta, token: str, *, limit: int
) -> Sequence[Row[Any]]:
    """Take due deliveries for this process alone: of each case only the first, so that its order is kept.

    So it is with a storm's own messages. Those of its cases wait until the one whose thread they go into is out,
    but not for long.

    The case that is due first comes first; what is about no running clock goes by when it was queued. A delivery
    whose earlier lease ran out was being sent when its process died: it comes back as ``uncertain``.
    """
    earlier = deliveries.alias("earlier")
    first = ~exists().where(
        earlier.c.case_id == deliveries.c.case_id,
        earlier.c.responder == deliveries.c.responder,
        earlier.c.state == _PENDING,
        earlier.c.id < deliveries.c.id,
    )
    thread = exists().where(
        storm_messages.c.storm_id == deliveries.c.storm_id,
        storm_messages.c.responder == deliveries.c.responder,
    )
    first_of_storm = ~exists().where(
        earlier.c.storm_id == deliveries.c.storm_id,
        earlier.c.case_id.is_(None),
        earlier.c.responder == deliveries.c.responder,
        earlier.c.state == _PENDING,
        case(
            (deliveries.c.case_id.is_(None), earlier.c.id < deliveries.c.id),
            else_=and_(~thread, earlier.c.attempts <= STORM_ATTEMPTS),
        ),
    )
    ids = list(
        connection.execute(
            select(deliveries.c.id)
            .outerjoin_from(deliveries, cases, cases.c.id == deliveries.c.case_id)
            .where(
                deliveries.c.responder == responder,
                deliveries.c.state == _PENDING,
                deliveries.c.next_attempt_at <= now,
                or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= now),
                first,
                first_of_storm,
            )
            .order_by(func.coalesce(cases.c.due_at, deliveries.c.created_at), deliveries.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True, of=deliveries)
        ).scalars()
    )
    if not ids:
        return []
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids))
        .values(
            uncertain=or_(deliveries.c.uncertain, deliveries.c.lease_until.is_not(None)),
            lease_until=now + lease,
            lease_token=token,
            attempts=deliveries.c.attempts + 1,
        )
    )
    rows = connection.execute(select(deliveries).where(deliveries.c.id.in_(ids))).all()
    return sorted(rows, key=lambda row: ids.index(row.id))


def due_responders(connection: Connection, now: datetime) -> set[str]:
    """Those who may be sent something now."""
    query = (
        select(deliveries.c.responder)
        .where(
            deliveries.c.state == _PENDING,
            deliveries.c.next_attempt_at <= now,
            or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= now),
        )
        .distinct()
    )
    due = set(connection.execute(query).scalars())
    return {name for name in due if (held := hold_of(connection, name)) is None or held.until <= now}


def later_of_case(connection: Connection, delivery: Row[Any]) -> Sequence[Row[Any]]:
    """What else waits to go the same way: same case (or the same storm's own message), responder and channel, in
    order. None of it is out yet.
    """
    same = _same(delivery)
    if same is None:
        return []
    return connection.execute(
        select(deliveries)
        .where(
            same,
            deliveries.c.responder == delivery.responder,
            deliveries.c.channel.is_not_distinct_from(delivery.channel),
            deliveries.c.state == _PENDING,
            deliveries.c.uncertain.is_(False),
            deliveries.c.id > delivery.id,
        )
        .order_by(deliveries.c.id)
    ).all()


def _same(delivery: Row[Any]) -> Any:
    if delivery.case_id is not None:
        return deliveries.c.case_id == delivery.case_id
    if delivery.storm_id is not None:
        return and_(deliveries.c.storm_id == delivery.storm_id, deliveries.c.case_id.is_(None))
    return None


def take_over(
    connection: Connection, delivery_id: int, token: str, later: Sequence[int], now: datetime, **values: Any
) -> Row[Any] | None:
    """One delivery says it all: it takes over the text of later ones, which need not be sent any more.

    Written before it is sent, so that an uncertain attempt and the next one are the same message. None when the
    lease has gone to another process.
    """
    done = connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.lease_token == token)
        .values(**values)
        .returning(deliveries)
    ).one_or_none()
    if done is not None:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.id.in_(later), deliveries.c.state == _PENDING)
            .values(state="superseded", accepted_at=now, lease_until=None, lease_token=None)
        )
    return done


def taken_over(connection: Connection, delivery: Row[Any]) -> int:
    """How many later ones this delivery has taken over."""
    same = _same(delivery)
    if same is None:
        return 0
    return connection.execute(
        select(func.count()).where(
            same,
            deliveries.c.responder == delivery.responder,
            deliveries.c.channel.is_not_distinct_from(delivery.channel),
            deliveries.c.state == "superseded",
            deliveries.c.id > delivery.id,
        )
    ).scalar_one()


def accept(connection: Connection, delivery_id: int, token: str, now: datetime) -> bool:
    """Done. False when the lease has gone to another process, which then answers for it."""
    return _finish(connection, delivery_id, token, state="accepted", accepted_at=now, error=None)


def park(connection: Connection, delivery_id: int, token: str, error: str) -> bool:
    """It can't be delivered as things are; it is kept and shown until somebody says ``retry``."""
    return _finish(connection, delivery_id, token, state="parked", error=error)


def retry_later(
    connection: Connection, delivery_id: int, token: str, at: datetime, error: str, *, uncertain: bool
) -> bool:
    return _finish(connection, delivery_id, token, next_attempt_at=at, error=error, uncertain=uncertain)


def give_back(connection: Connection, token: str) -> None:
    """Give back what was leased and not sent: it is certain that nobody has seen it."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.lease_token == token, deliveries.c.state == _PENDING)
        .values(lease_until=None, lease_token=None, attempts=deliveries.c.attempts - 1)
    )


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing is sent to a responder just now. ``refused``: a person must mend something first."""

    since: datetime
    until: datetime
    failures: int  # one after the other
    error: str
    refused: bool


_HOLD = "hold:"  # in the settings, so that every process keeps to it


def hold(connection: Connection, responder: str, held: Hold) -> None:
    """The responder is down, asked for a pause, or refuses everything: nothing is tried there until then."""
    value = json.dumps(
        {
            "since": held.since.isoformat(),
            "until": held.until.isoformat(),
            "failures": held.failures,
            "error": held.error,
            "refused": held.refused,
        }
    )
    upsert(connection, settings, {"key": _HOLD + responder, "value": value}, key=["key"])


def hold_of(connection: Connection, responder: str) -> Hold | None:
    """The hold of a responder, also when it has run out: it ends when something is accepted."""
    query = select(settings.c.value).where(settings.c.key == _HOLD + responder)
    value = connection.execute(query).scalar()
    if value is None:
        return None
    found = json.loads(value)
    since, until = (datetime.fromisoformat(found.pop(name)) for name in ("since", "until"))
    return Hold(since=since, until=until, **found)


def release(connection: Connection, responder: str) -> None:
    connection.execute(delete(settings).where(settings.c.key == _HOLD + responder))


def retry_parked(connection: Connection, now: datetime) -> int:
    """Queue everything that is parked once more, and let nothing wait for its next attempt; how many."""
    connection.execute(delete(settings).where(settings.c.key.startswith(_HOLD)))
    waits = and_(
        deliveries.c.state == _PENDING,
        deliveries.c.next_attempt_at > now,
        deliveries.c.lease_until.is_(None),
    )
    return connection.execute(
        update(deliveries)
        .where(or_(deliveries.c.state == _PARKED, waits))
        .values(state="pending", next_attempt_at=now, lease_until=None, lease_token=None, error=None)
    ).rowcount


def overdue(
    connection: Connection, created_before: datetime, fallback: str, *, limit: int
) -> Sequence[Row[Any]]:
    """Pending or parked deliveries that are to go to the fallback responder too, and have not yet."""
    return connection.execute(
        select(deliveries)
        .where(
            or_(
                and_(deliveries.c.state == _PENDING, deliveries.c.created_at <= created_before),
                deliveries.c.state == _PARKED,
            ),
            deliveries.c.responder != fallback,
            deliveries.c.fell_back.is_(False),
        )
        .order_by(deliveries.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()


def mark_fell_back(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(fell_back=True))


def counts(connection: Connection) -> dict[str, int]:
    """How many deliveries are not accepted yet, by state."""
    waiting = select(func.count()).select_from(deliveries)
    return {
        "pending": connection.execute(waiting.where(deliveries.c.state == _PENDING)).scalar_one(),
        "parked": connection.execute(waiting.where(deliveries.c.state == _PARKED)).scalar_one(),
    }


def oldest_pending(connection: Connection) -> datetime | None:
    query = select(func.min(deliveries.c.created_at)).where(deliveries.c.state == _PENDING)
    return connection.execute(query).scalar()


def of_case(connection: Connection, case_id: int) -> Sequence[Row[Any]]:
    return connection.execute(
        select(deliveries).where(deliveries.c.case_id == case_id).order_by(deliveries.c.id)
    ).all()


def parked(connection: Connection, *, limit: int) -> Sequence[Row[Any]]:
    return connection.execute(
        select(deliveries).where(deliveries.c.state == _PARKED).order_by(deliveries.c.id).limit(limit)
    ).all()


def message_ref(connection: Connection, case_id: int, responder: str) -> dict[str, str] | None:
    """Where the responder put the case's message."""
    return connection.execute(
        select(case_messages.c.ref).where(
            case_messages.c.case_id == case_id, case_messages.c.responder == responder
        )
    ).scalar()


def save_message_ref(connection: Connection, case_id: int, responder: str, ref: dict[str, str]) -> None:
    values = {"case_id": case_id, "responder": responder, "ref": ref}
    upsert(connection, case_messages, values, key=["case_id", "responder"])


def _finish(connection: Connection, delivery_id: int, token: str, **values: Any) -> bool:
    result = connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.lease_token == token)
        .values(lease_until=None, lease_token=None, **values)
    )
    return result.rowcount == 1
