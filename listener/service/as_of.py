"""Cases and their clocks as they stood at an instant: by their rows, or, where those have changed since, by events.

What was dismissed or merged by then counts nowhere: it was no complaint, or counts where it went.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from listener import cases
from listener.cases import EVENT, Case, Event
from listener.digests import Tally
from listener.model import OPEN_STATES, ClockName
from listener.storage import Connection, reports
from listener.storage.reports import Standing

NO_CASE = ("dismissed", "merged")


def open_cases(connection: Connection, at: datetime) -> list[Standing]:
    """The cases that were open then."""
    rows = {c.id: c for c in reports.open_cases(connection, at)}
    closed = reports.changed_after(connection, at) - rows.keys()
    rows |= {c.id: c for c in reports.by_ids(connection, closed, at)}
    return [c for c in standing(connection, rows.values(), at) if c.state in OPEN_STATES]


def standing(connection: Connection, rows: Iterable[Standing], at: datetime) -> list[Standing]:
    """The cases as they stood then: as they are now, or, where that is later, as their events tell."""
    rows = list(rows)
    history = histories(connection, [c.id for c in rows if c.changed], at)
    found = []
    for row in rows:
        if not row.changed:
            found.append(row)
        elif row.id in history:
            found.append(_standing(row, cases.replay(history[row.id])))
    return [c for c in found if c.state not in NO_CASE]


def _standing(row: Standing, case: Case) -> Standing:
    first = case.clock(ClockName.FIRST_RESPONSE)
    return row._replace(
        state=case.state.value,
        cycle=case.cycle,
        reason=case.reason,
        assignee=case.assignee,
        due_at=case.due_at,
        first_response_due_at=first.due_at if first else None,
        first_response_at=first.met_at if first else None,
    )


def histories(connection: Connection, ids: Iterable[int], at: datetime) -> dict[int, list[Event]]:
    found = reports.histories(connection, ids, at)
    return {i: [EVENT.validate_python(body) for body in bodies] for i, bodies in found.items()}


@dataclass(frozen=True, slots=True)
class Ran:
    name: ClockName
    started_at: datetime
    due_at: datetime | None
    met_at: datetime | None


def clocks(connection: Connection, start: datetime, end: datetime, at: datetime) -> list[Ran]:
    """The clocks, of all cycles, of the cases that may have had one met or due in the period."""
    rows = reports.clocks(connection, start, end, at)
    history = histories(connection, [r.id for r in rows if r.cycle > 1 or r.changed], at)
    found = []
    for row in rows:
        if row.id in history:
            found += _all_clocks(history[row.id])
        elif not row.changed and row.state not in NO_CASE:
            found += [
                Ran(ClockName(c["name"]), *(_time(c[key]) for key in ("started_at", "due_at", "met_at")))
                for c in row.clocks
            ]
    return found


def first_responses(connection: Connection, rows: Sequence[Standing], at: datetime) -> list[Ran]:
    """As ``clocks``, of the first responses alone: by columns, for a week's cases are many."""
    history = histories(connection, [c.id for c in rows if c.cycle > 1 or c.changed], at)
    name = ClockName.FIRST_RESPONSE
    found = [c for events in history.values() for c in _all_clocks(events) if c.name == name]
    found += [
        Ran(name, c.opened_at, c.first_response_due_at, c.first_response_at)
        for c in rows
        if c.id not in history and not c.changed and c.state not in NO_CASE
    ]
    return found


def _time(text: str | None) -> Any:
    return datetime.fromisoformat(text) if text else None


def _all_clocks(history: Sequence[Event]) -> list[Ran]:
    """The clocks of every cycle: a reopened case starts new ones, the old ones stay as they ended."""
    ended: list[Any] = []
    case: Case | None = None
    for event in history:
        if isinstance(event, cases.Reopened) and case is not None:
            ended += case.clocks
        case = cases.apply(case, event)
    if case is None or case.state in NO_CASE:
        return []
    return [Ran(c.name, c.started_at, c.due_at, c.met_at) for c in (*ended, *case.clocks)]


def tally(clocks: Iterable[Ran], start: datetime, end: datetime) -> Tally:
    """Kept: met in the period and in time. Missed: due in the period and not met by then."""
    kept = missed = 0
    for clock in clocks:
        due, met = clock.due_at, clock.met_at
        in_time = met is not None and (due is None or met <= due)
        kept += in_time and met is not None and start <= met < end
        missed += not in_time and due is not None and start <= due < end
    return Tally(kept, missed)
