"""Alarms that are due become events and deliveries."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from listener import cases
from listener.cases import Case
from listener.clock import span
from listener.errors import StorageError
from listener.model import ClockName
from listener.service import duty
from listener.service.core import Core, Tell, log, queue
from listener.service.record import load, record
from listener.storage import Connection
from listener.storage import cases as case_rows

BATCH = 50  # cases a transaction: short enough that a poll never waits long for the writer

CLOCK_WORDS = {
    ClockName.FIRST_RESPONSE: "the first answer",
    ClockName.NEXT_RESPONSE: "the next answer",
    ClockName.RESOLUTION: "the resolution",
}


def sound_due(core: Core, now: datetime) -> int:
    """Sound every alarm that is due; how many cases were looked at."""
    looked = 0
    while ids := _batch(core, now):
        looked += len(ids)
    return looked


def _batch(core: Core, now: datetime) -> list[int]:
    try:
        with core.db.write() as connection:
            ids = case_rows.due_for_alarm(connection, now, limit=BATCH)
            for case_id in ids:
                _sound(core, connection, case_id, now)
            return ids
    except StorageError:
        raise  # the database, not a case: the next tick does it
    except Exception:  # noqa: BLE001 - one poisoned case must not stop the others
        log.exception("tick: a batch of alarms failed; trying its cases one by one")
        return _one_by_one(core, now)


def _one_by_one(core: Core, now: datetime) -> list[int]:
    """After a failed batch: each case by itself, and the one that fails is parked. Raises when none can be read."""
    with core.db.read() as connection:
        ids = case_rows.due_for_alarm(connection, now, limit=BATCH)
    for case_id in ids:
        try:
            with core.db.write() as connection:
                _sound(core, connection, case_id, now)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - it is parked and shown
            message = f"its alarms can't be worked out: {type(error).__name__}: {error}"
            log.exception("case %s: %s", case_id, message)
            with core.db.write() as connection:
                case_rows.change(connection, case_id, {"next_alarm_at": None, "error": message})
                text = f"Case {case_id} is parked, look at it by hand: {message}"
                queue(
                    core,
                    connection,
                    f"case-{case_id}-parked-{now.isoformat()}",
                    None,
                    now,
                    [Tell("system", text)],
                )
    return ids


def _sound(core: Core, connection: Connection, case_id: int, now: datetime) -> None:
    found = load(connection, case_id)
    cycle = found.case.cycle
    before = after = found.case
    events, sent = cases.sound(before, now)
    for event in events:
        after = cases.apply(after, event)
    called = duty.call(core, connection, after, now)
    events += called
    if not events:
        # The row was due and the case is not: bring the column back in line, or it would come up for ever.
        case_rows.change(connection, case_id, {"next_alarm_at": duty.look_at(core, before, now)})
        return
    alarmed = [e for e in events if isinstance(e, cases.Alarmed)]
    case_rows.record_alarms(connection, [_row(found.id, cycle, e, now) for e in alarmed])
    tell = _tell(core, after, sent, now)
    lapsed = before.assignee if any(isinstance(e, cases.Released) for e in events) else None
    if lapsed or called:
        tell = [_free_again(lapsed, before.claimed_at, [e.person for e in called], now, tell)]
    if any(isinstance(e, cases.PromiseEnded) for e in events):
        minutes = before.promise_minutes
        assignee = core.rules.call(["assignee"], before.assignee)
        tell.append(Tell("warning", f"The promise of {minutes} minutes is broken.", assignee))
    record(core, connection, found, events, now, tell)


def _row(case_id: int, cycle: int, event: cases.Alarmed, now: datetime) -> dict[str, Any]:
    return {
        "case_id": case_id,
        "cycle": cycle,
        "clock": event.clock,
        "step": event.step,
        "kind": event.step_kind,
        "due_at": event.due_at,
        "recorded_at": now,
        "skipped": event.skipped,
    }


def _free_again(
    lapsed: str | None, claimed_at: datetime | None, called: list[str], now: datetime, tell: list[Tell]
) -> Tell:
    """Nobody has the case and somebody is asked to take it, told along with the alarm that sounds, if one does."""
    words = []
    if lapsed is not None and claimed_at is not None:
        words.append(f"{lapsed} had it for {span(now - claimed_at)} and no answer came: it is free again.")
    if called:
        words.append(f"{', '.join(called)}, please take it.")
    if not tell:
        return Tell("warning" if lapsed else "reminder", " ".join(words), called)
    (told,) = tell
    return replace(told, text=" ".join([told.text, *words]), call=list(dict.fromkeys([*told.call, *called])))


def _tell(core: Core, case: Case, sent: list[cases.Alarm], now: datetime) -> list[Tell]:
    """One message a case: the gravest alarm speaks, and says how late it is."""
    if not sent:
        return []
    order = ("reminder", "warning", "breach", "escalation")
    gravest = max(sent, key=lambda a: (order.index(a.step.kind), a.due_at))
    words = [_words(case, alarm, now) for alarm in sorted(sent, key=lambda a: a is not gravest)]
    call = [name for alarm in sent for name in duty.people(core, alarm.step.call, case, now)]
    return [Tell(gravest.step.kind, " ".join(words), list(dict.fromkeys(call)), gravest.step.channel)]


def _words(case: Case, alarm: cases.Alarm, now: datetime) -> str:
    what = CLOCK_WORDS[alarm.clock.name]
    due = alarm.clock.due_at or alarm.due_at
    who = f"{case.assignee} is on it" if case.assignee else "nobody is on it"
    if now >= due:
        late = now - due
        told = f" {span(late)} ago" if late >= timedelta(minutes=1) else " now"
        return f"{what.capitalize()} was due{told}; {who}."
    return f"{span(due - now)} left for {what}; {who}."
