"""``tick(now)``: alarms that are due become events and deliveries; nothing is kept in memory between calls."""

from __future__ import annotations

from datetime import datetime, timedelta

from listener.service.core import Core
from listener.storage import cases as case_rows
from listener.storage import household, outbox
from listener.storage import mentions as mention_rows
from listener.storage import storms as storm_rows

RETENTION_PAUSE = timedelta(hours=1)
STORM_PAUSE = timedelta(minutes=1)  # between two edits of a storm's message
REMEMBER_HANDLED = timedelta(days=2)  # far longer than any chat service repeats a request


def tick(core: Core, now: datetime) -> int:
    """Sound every alarm that is due; how many cases were looked at."""
    looked = 0
    # A look first: most ticks have nothing to do, and take no write lock then.
    with core.db.read() as connection:
        due = case_rows.alarm_is_due(connection, now)
        storms = storm_rows.some_to_look_at(connection, now - STORM_PAUSE)
        handled = household.some_handled_before(connection, now - REMEMBER_HANDLED)
    if due:
        from listener.service import (
            alarm,  # cron's quiet calls do without the 60 ms of importing what a case is
        )

        looked = alarm.sound_due(core, now)
    if handled:
        with core.db.write() as connection:
            household.forget_handled(connection, now - REMEMBER_HANDLED)
    _fall_back(core, now)
    _forget(core, now)
    if storms:
        from listener.service import storm

        storm.tend(core, now)
    if core.rules.digests.daily is not None or core.rules.digests.weekly is not None:
        from listener.service import digest_times  # most need no zones, and cron's quiet calls are quick

        digest_times.queue_due(core, now)
    return looked


def _fall_back(core: Core, now: datetime) -> None:
    """Deliveries that wait too long, or are parked, go to the fallback responder as well."""
    fallback = core.rules.fallback
    if fallback is None:
        return
    with core.db.write() as connection:
        rows = outbox.overdue(connection, now - core.rules.fallback_after, fallback, limit=500)
        if not rows:
            return
        outbox.add(
            connection,
            [
                {
                    "key": f"{row.key}:fallback",
                    "responder": fallback,
                    "case_id": row.case_id,
                    "storm_id": row.storm_id,
                    "channel": None,
                    "kind": row.kind,
                    "text": f"{row.text} (not delivered by {row.responder})",
                    "call": row.call,
                    "state": "pending",
                    "created_at": now,
                    "next_attempt_at": now,
                }
                for row in rows
            ],
        )
        outbox.mark_fell_back(connection, [row.id for row in rows])


def _forget(core: Core, now: datetime) -> None:
    """Retention: old text goes, the counts stay. Once an hour is often enough."""
    if core.rules.keep_text is None:
        return
    with core.db.read() as connection:
        last = household.job_runs(connection).get("retention")
    if last is not None and now - last.last_run_at < RETENTION_PAUSE:
        return
    while True:
        with core.db.write() as connection:
            done = mention_rows.forget_old_text(connection, now - core.rules.keep_text, limit=1000)
            if done < 1000:
                household.note_job(connection, "retention", now, 0.0)
                return
