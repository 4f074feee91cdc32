"""``deliver(now)``: send what the outbox holds, in order per case, until each message is accepted."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from listener.errors import DeliveryError, StorageError
from listener.model import Delivery, Notice, NoticeKind, Person, StormView
from listener.ports import Finder
from listener.service.core import Core, Now, Tell, log, queue
from listener.storage import Connection, Row, outbox, storms

LEASE = timedelta(minutes=5)
BATCH = 10  # some responders take a message a second: the others wait no longer than for a batch of them
TURN = timedelta(seconds=45)  # then the caller goes on: cron's next call comes after a minute
FIRST_PAUSE = timedelta(seconds=2)  # most lost answers are alone: with 15 s, 30% of them tripled a recovery
LONGEST_PAUSE = timedelta(minutes=2)  # clocks of an hour can't wait longer to learn that it is back
HELD_PAUSE = timedelta(minutes=5)  # between two looks whether a person has mended it
ALONE_PAUSES = timedelta(seconds=15), timedelta(minutes=15)
ALONE_ATTEMPTS = 8  # about an hour; then a message that alone is refused is parked
LATE = timedelta(minutes=2)  # from then on a case's waiting messages are told as one

_GRAVITY: tuple[NoticeKind, ...] = (
    "storm",
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
    """Send what is due, for about 45 s; the next call goes on. Responders are served side by side, a batch at a
    time, so that a slow one holds up no other.

    ``stopped`` is asked before each message: once it says so, nothing more is sent and all else is given back.
    """
    accepted = failed = 0
    end = now() + TURN
    with ExitStack() as stack:
        pool: ThreadPoolExecutor | None = None
        while not stopped() and now() < end:
            with core.db.read() as connection:
                due = outbox.due_responders(connection, now())
            names = [name for name in core.responders if name in due]
            if len(names) > 1 and pool is None:
                pool = stack.enter_context(
                    ThreadPoolExecutor(max_workers=len(core.responders), thread_name_prefix="deliver")
                )
            served = (pool.map if pool else map)(lambda name: _serve(core, name, now, stopped), names)
            done = [sent for sent in served if sent is not None]
            if not done:
                break
            accepted += sum(d.accepted for d in done)
            failed += sum(d.failed for d in done)
    return Sent(accepted, failed)


def _serve(core: Core, responder: str, now: Now, stopped: Callable[[], bool]) -> Sent | None:
    """Send one batch; None when nothing could be had."""
    token = secrets.token_hex(8)
    taken = now()
    with core.db.write() as connection:
        rows = outbox.lease_due(connection, responder, taken, LEASE, token, limit=BATCH)
    accepted = failed = 0
    for row in rows:
        if stopped() or now() - taken > LEASE / 2:
            with core.db.write() as connection:
                outbox.give_back(connection, token)
            break
        outcome = _send(core, row, token, now)
        accepted += outcome == "accepted"
        failed += outcome != "accepted"
        if outcome == "held":
            break
    return Sent(accepted, failed) if rows else None


def _send(core: Core, row: Row[Any], token: str, now: Now) -> Literal["accepted", "failed", "held"]:
    """Send one delivery and write down what came of it; "held": the responder can't be used just now."""
    responder = core.responders[row.responder]
    try:
        ref: dict[str, str] | None = None
        alone = row.uncertain  # as it may have arrived, so it must stay
        if row.uncertain and isinstance(responder, Finder):
            ref, alone = responder.find(_delivery(core, row, now())), False
        if ref is None:
            if not alone:
                row = _with_the_later_ones(core, row, token, now())
            ref = responder.send(_delivery(core, row, now()))
    except StorageError:
        raise
    except DeliveryError as error:
        return _failed(core, row, token, error, now())
    except Exception as error:  # noqa: BLE001 - a bug parks this delivery and never stops the others
        log.exception("responder %s: a bug parked delivery %s", row.responder, row.key)
        _park(core, row, token, f"a bug: {type(error).__name__}: {error}", now())
        return "failed"
    with core.db.write() as connection:
        if outbox.accept(connection, row.id, token, now()) and ref:
            if row.case_id is not None:
                outbox.save_message_ref(connection, row.case_id, row.responder, ref)
            elif row.storm_id is not None:
                storms.save_message_ref(connection, row.storm_id, row.responder, ref)
        if (held := outbox.hold_of(connection, row.responder)) is not None:
            outbox.release(connection, row.responder)
            if held.refused:
                _tell_others(core, connection, row.responder, held, now(), "over", "takes messages again.")
    return "accepted"


def _with_the_later_ones(core: Core, row: Row[Any], token: str, now: datetime) -> Row[Any]:
    """After an outage a case's waiting messages become one: the last word, called as the gravest of them."""
    if now - row.created_at < LATE:
        return row
    with core.db.read() as connection:
        later = outbox.later_of_case(connection, row)
    if not later:
        return row
    everything = [row, *later]
    values = {
        "kind": max((r.kind for r in everything), key=_GRAVITY.index),
        "text": later[-1].text,
        "call": list(dict.fromkeys(name for r in everything for name in r.call)),
    }
    with core.db.write() as connection:
        return outbox.take_over(connection, row.id, token, [r.id for r in later], now, **values) or row


def _delivery(core: Core, row: Row[Any], now: datetime) -> Delivery:
    """The row as a message, with the case as it stands now."""
    if row.kind == "digest":
        from listener.service import digest  # once a day

        return digest.delivery(core, row, now)
    from listener.service.read import case_view  # cron's quiet calls do without it

    with core.db.read() as connection:
        case = case_view(core, connection, row.case_id, now) if row.case_id is not None else None
        ref = outbox.message_ref(connection, row.case_id, row.responder) if row.case_id is not None else None
        storm, storm_ref = _storm(core, connection, row, now)
        older = outbox.taken_over(connection, row)
    kind, text, call = row.kind, row.text, row.call
    if older:
        text = f"{text} (Earlier messages not delivered in time: {older}.)"
        if case is not None and not case.open:
            kind, call = "closed", []  # nobody needs to look any more
    notice = Notice(kind, text, now, case, tuple(_person(core, name) for name in call), storm)
    return Delivery(
        row.key,
        notice,
        row.channel,
        ref,
        row.attempts,
        row.uncertain,
        storm_ref=storm_ref,
        queued_at=row.created_at,
    )


def _storm(
    core: Core, connection: Connection, row: Row[Any], now: datetime
) -> tuple[StormView | None, dict[str, str] | None]:
    """The storm, when the message is its own, and where the responder has that."""
    if row.storm_id is None:
        return None, None
    from listener.service.storm import view

    shown = view(core, connection, row.storm_id, now) if row.case_id is None else None
    return shown, storms.message_ref(connection, row.storm_id, row.responder)


def _person(core: Core, name: str) -> Person:
    return core.rules.people.get(name) or Person(name)


def _failed(
    core: Core, row: Row[Any], token: str, error: DeliveryError, now: datetime
) -> Literal["failed", "held"]:
    if error.permanent or (error.alone and row.attempts >= ALONE_ATTEMPTS):
        _park(core, row, token, str(error), now)
        return "failed"
    uncertain = error.uncertain or row.uncertain
    if error.alone:
        at = now + _growing(row.attempts - 1, *ALONE_PAUSES)
        log.warning("responder %s: delivery %s waits: %s", row.responder, row.key, error)
        with core.db.write() as connection:
            outbox.retry_later(connection, row.id, token, at, str(error), uncertain=uncertain)
        return "failed"
    with core.db.write() as connection:
        before = outbox.hold_of(connection, row.responder)
        failures = before.failures if before else 0
        if error.retry_after is not None:
            pause = timedelta(seconds=error.retry_after)
        else:
            pause = HELD_PAUSE if error.held else _growing(failures, FIRST_PAUSE, LONGEST_PAUSE)
            failures += 1
        since = before.since if before and before.refused == error.held else now
        held = outbox.Hold(since, now + pause, failures, str(error), error.held)
        log.warning("responder %s: %s; trying again in %.0f s", row.responder, error, pause.total_seconds())
        outbox.retry_later(connection, row.id, token, held.until, str(error), uncertain=uncertain)
        # It is down or wants a pause: trying the others now would only make it worse.
        outbox.give_back(connection, token)
        outbox.hold(connection, row.responder, held)
        if error.held:
            what = (
                f"takes no messages: {error}. They wait; one is tried each 5 minutes, or now: listener retry."
            )
            _tell_others(core, connection, row.responder, held, now, "held", what)
    return "held"


def _growing(failures: int, first: timedelta, longest: timedelta) -> timedelta:
    growing: timedelta = first * 2 ** min(failures, 10)
    return min(growing, longest) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load


def _park(core: Core, row: Row[Any], token: str, error: str, now: datetime) -> None:
    log.error("responder %s: delivery %s is parked: %s", row.responder, row.key, error)
    with core.db.write() as connection:
        if outbox.park(connection, row.id, token, error) and row.kind != "system":
            text = f"A message for {row.responder} is parked: {error}"
            others = [name for name in core.notify if name != row.responder]
            queue(core, connection, f"parked-{row.id}", None, now, [Tell("system", text)], responders=others)


def _tell_others(
    core: Core, connection: Connection, responder: str, held: outbox.Hold, now: datetime, step: str, what: str
) -> None:
    """Once a hold, by its key: through the other responders, and the fallback where there are none."""
    others = [name for name in core.notify if name != responder] or [
        name for name in core.responders if name != responder
    ]
    key = f"{step}-{responder}-{held.since:%Y%m%dT%H%M%S}"
    queue(core, connection, key, None, now, [Tell("system", f"{responder} {what}")], responders=others)
