"""``deliver(now)``: send what the outbox holds, in order per case, until each message is accepted."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from listener.errors import DeliveryError, StorageError
from listener.model import Delivery, Notice, NoticeKind, Person
from listener.service.core import Core, Now, Tell, log, queue
from listener.storage import Row, outbox

LEASE = timedelta(minutes=5)  # longer than any responder may take for a batch; see BATCH
BATCH = 10
FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=15)
LATE = timedelta(minutes=2)  # from then on a case's waiting messages are told as one

_GRAVITY: tuple[NoticeKind, ...] = (
    "changed",
    "joined",
    "closed",
    "reminder",
    "warning",
    "reopened",
    "opened",
    "breach",
    "escalation",
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What one call of ``deliver`` did."""

    accepted: int
    failed: int


def deliver(core: Core, now: Now, *, stopped: Callable[[], bool] = lambda: False) -> Sent:
    """Send all that is due. Responders are served side by side, so that a slow one holds up no other.

    ``stopped`` is asked before each message: once it says so, nothing more is sent and all else is given back.
    """
    with core.db.read() as connection:
        if not outbox.is_due(connection, now()):
            return Sent(0, 0)
    names = list(core.responders)
    if len(names) == 1:
        return _serve(core, names[0], now, stopped)
    with ThreadPoolExecutor(max_workers=max(1, len(names)), thread_name_prefix="deliver") as pool:
        done = list(pool.map(lambda name: _serve(core, name, now, stopped), names))
    return Sent(sum(d.accepted for d in done), sum(d.failed for d in done))


def _serve(core: Core, responder: str, now: Now, stopped: Callable[[], bool]) -> Sent:
    accepted = failed = 0
    while not stopped():
        token = secrets.token_hex(8)
        with core.db.write() as connection:
            rows = outbox.lease_due(connection, responder, now(), LEASE, token, limit=BATCH)
        if not rows:
            return Sent(accepted, failed)
        for row in rows:
            if stopped():
                with core.db.write() as connection:
                    outbox.give_back(connection, token)
                break
            outcome = _send(core, row, token, now)
            if outcome == "later":
                return Sent(accepted, failed + 1)
            accepted += outcome == "accepted"
            failed += outcome == "parked"
    return Sent(accepted, failed)


def _send(core: Core, row: Row[Any], token: str, now: Now) -> Literal["accepted", "parked", "later"]:
    """Send one delivery and write down what came of it; "later": the responder can't be used just now."""
    try:
        delivery, covered = _prepare(core, row, now())
        ref = core.responders[row.responder].send(delivery)
    except StorageError:
        raise
    except DeliveryError as error:
        if error.permanent:
            _park(core, row, token, str(error), now())
            return "parked"
        _retry_later(core, row, token, error, now())
        return "later"
    except Exception as error:  # noqa: BLE001 - a bug parks this delivery and never stops the others
        log.exception("responder %s: a bug parked delivery %s", row.responder, row.key)
        _park(core, row, token, f"a bug: {type(error).__name__}: {error}", now())
        return "parked"
    with core.db.write() as connection:
        if outbox.accept(connection, row.id, token, now()):
            outbox.supersede(connection, covered, now())
            if ref is not None and row.case_id is not None:
                outbox.save_message_ref(connection, row.case_id, row.responder, ref)
    return "accepted"


def _prepare(core: Core, row: Row[Any], now: datetime) -> tuple[Delivery, Sequence[int]]:
    """The delivery with the case as it stands now, and the ids of later messages that it makes needless.

    After an outage a case's waiting messages become one: the last word, called as the gravest of them.
    """
    if row.kind == "digest":
        from listener.service import digest

        return digest.delivery(core, row, now), []
    from listener.service.read import case_view  # cron's quiet calls do without it

    with core.db.read() as connection:
        case = case_view(core, connection, row.case_id, now) if row.case_id is not None else None
        ref = outbox.message_ref(connection, row.case_id, row.responder) if row.case_id is not None else None
        later = outbox.later_of_case(connection, row)
    kind, text, call = row.kind, row.text, list(row.call)
    covered = [r for r in later if r.channel == row.channel]
    if not covered or row.uncertain or now - row.created_at < LATE:
        covered = []
    if covered:
        everything = [row, *covered]
        kind = max((r.kind for r in everything), key=_GRAVITY.index)
        if case is not None and not case.open:
            kind = "closed"
        call = list(dict.fromkeys(name for r in everything for name in r.call))
        text = f"{covered[-1].text} (Earlier messages not delivered in time: {len(covered)}.)"
    notice = Notice(kind, text, now, case, tuple(_person(core, name) for name in call))
    delivery = Delivery(row.key, notice, row.channel, ref, row.attempts, row.uncertain)
    return delivery, [r.id for r in covered]


def _person(core: Core, name: str) -> Person:
    return core.rules.people.get(name) or Person(name)


def _park(core: Core, row: Row[Any], token: str, error: str, now: datetime) -> None:
    log.error("responder %s: delivery %s is parked: %s", row.responder, row.key, error)
    with core.db.write() as connection:
        if outbox.park(connection, row.id, token, error) and row.kind != "system":
            text = f"A message for {row.responder} is parked: {error}"
            others = [name for name in core.notify if name != row.responder]
            queue(core, connection, f"parked-{row.id}", None, now, [Tell("system", text)], responders=others)


def _retry_later(core: Core, row: Row[Any], token: str, error: DeliveryError, now: datetime) -> None:
    if error.retry_after is not None:
        pause = timedelta(seconds=error.retry_after)
    else:
        growing = FIRST_PAUSE * 2 ** min(row.attempts - 1, 10)
        pause = min(growing, LONGEST_PAUSE) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load
    log.warning("responder %s: %s; trying again in %.0f s", row.responder, error, pause.total_seconds())
    with core.db.write() as connection:
        outbox.retry_later(
            connection, row.id, token, now + pause, str(error), uncertain=error.uncertain or row.uncertain
        )
        # It is down or wants a pause: trying the others now would only make it worse.
        outbox.give_back(connection, token)
        outbox.hold_responder(connection, row.responder, now + pause)
