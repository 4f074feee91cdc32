"""Storm mode: many complaints of one brand at once become one message that counts them, and a thread of cases.

Nothing is dropped: each case is opened as ever, with its clock, its alarms and its message; only that these go into
the storm's thread and call nobody but whoever has taken the case, for the storm itself calls people, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from listener import storm
from listener.clock import span
from listener.errors import UsageError
from listener.model import StormView
from listener.service.core import Core, Tell, queue
from listener.service.duty import DUTY
from listener.service.tick import STORM_PAUSE
from listener.storage import Connection, Row, storms

if TYPE_CHECKING:
    from listener.service.record import Open

MOST_REASONS = 5


def look(core: Core, connection: Connection, brands: Iterable[str], now: datetime) -> None:
    """Begin a storm for each of the brands, of which a case was just opened, when it is one."""
    rules = core.rules.storm
    if not rules.enabled:
        return
    for brand in sorted(brands):
        if storms.on(connection, brand) is not None:
            continue
        since = now - rules.window
        recent = storms.written(connection, brand, since)
        # What is usual is looked up only when there are enough cases at all.
        if len(recent) >= rules.floor:
            usual = usual_per_hour(connection, brand, now)
            if storm.begins(rules, usual, recent):
                _begin(core, connection, brand, usual, now)


def usual_per_hour(connection: Connection, brand: str, now: datetime) -> float:
    """Cases in one of the brand's busy hours, by the last weeks."""
    counts, first = storms.hourly_counts(connection, brand, now - storm.LEARN_FROM)
    return storm.usual_per_hour(counts, now - first if first else timedelta(0))


def of_new_case(core: Core, connection: Connection, brand: str) -> int | None:
    """The storm of the brand that a case opens in."""
    return storms.on(connection, brand) if core.rules.storm.enabled else None


def _begin(core: Core, connection: Connection, brand: str, usual: float, now: datetime) -> None:
    rules = core.rules.storm
    storm_id = storms.add(connection, brand, usual, now)
    storms.adopt(connection, storm_id, brand, now - rules.window)
    every, still_open = storms.count_cases(connection, storm_id)
    storms.change(connection, storm_id, told_cases=every, told_open=still_open)
    text = (
        f"Many complaints about {brand}: {_cases(every)} in {span(rules.window)}. "
        f"They are gathered here and call nobody one by one; each keeps its clock."
    )
    call = _people(core, now)
    queue(core, connection, f"storm-{storm_id}-begin", None, now, [Tell("storm", text, call)], storm=storm_id)


def _people(core: Core, now: datetime) -> list[str]:
    wanted = core.rules.storm.call
    names = [name for name in wanted if name != DUTY]
    if DUTY in wanted and core.rules.duty is not None:
        names = [*core.rules.duty.candidates(now), *names]
    return core.rules.call(names, None)


def hush(found: Open, tell: Sequence[Tell]) -> list[Tell]:
    """What a case of a storm tells: in the storm's thread alone, calling nobody but whoever has the case.

    A case that was reopened is a case by itself again.
    """
    if found.storm_id is None or found.case.cycle > 1:
        return list(tell)
    assignee = found.case.assignee
    return [replace(t, call=[name for name in t.call if name == assignee], channel=None) for t in tell]


# ---- while it is on -----------------------------------------------------------------------------------------


def tend(core: Core, now: datetime) -> None:
    """Bring the messages of the storms up to date, at most once a minute each, and end those that are over."""
    with core.db.write() as connection:
        for row in storms.lock_to_look_at(connection, now - STORM_PAUSE):
            _tend_one(core, connection, row, now)


def _tend_one(core: Core, connection: Connection, row: Row[Any], now: datetime) -> None:
    rules = core.rules.storm
    usual = usual_per_hour(connection, row.brand, now)
    in_window, in_calm = (
        storms.count_opened(connection, row.brand, now - length) for length in (rules.window, rules.calm)
    )
    every, still_open = storms.count_cases(connection, row.id)
    told: dict[str, Any] = {"looked_at": now, "told_cases": every, "told_open": still_open}
    if storm.ends(rules, usual, in_window, in_calm):
        storms.change(connection, row.id, ended_at=now, **told)
        text, waiting = summary(connection, row, now)
        # Its cases called nobody: those that nobody has answered by now must not be forgotten with it.
        tell = Tell("storm", text, _people(core, now) if waiting else ())
        queue(core, connection, f"storm-{row.id}-end", None, now, [tell], storm=row.id)
        return
    storms.change(connection, row.id, **told)
    if (every, still_open) != (row.told_cases, row.told_open):
        text = f"{_cases(every)} about {row.brand} by now, {still_open} still open."
        key = f"storm-{row.id}-{now.isoformat()}"
        queue(core, connection, key, None, now, [Tell("storm", text)], storm=row.id)


def summary(connection: Connection, row: Row[Any], now: datetime) -> tuple[str, int]:
    """What is told when it is over: how many cases, why, how many were answered in time, the longest wait.

    And how many still wait for an answer.
    """
    reasons = storms.reasons(connection, row.id)
    found = storms.answers(connection, row.id)
    in_time = late = waiting = 0
    for case in found:
        if case.answered_at is not None:
            on_time = case.due_at is None or case.answered_at <= case.due_at
            in_time, late = in_time + on_time, late + (not on_time)
        elif case.closed_at is None:
            waiting += 1
    waits = [(c.answered_at or c.closed_at or now) - c.written_at for c in found]
    named = ", ".join(f"{reason} {n}" for reason, n in reasons[:MOST_REASONS])
    words = [
        f"It is calm again after {span(now - row.started_at)}: "
        f"{_cases(sum(n for _, n in reasons))} about {row.brand}" + (f" ({named})." if named else "."),
        f"{in_time} answered in time, {late} late, {waiting} still waiting for an answer.",
    ]
    if waits:
        words.append(f"The longest wait: {span(max(waits))}.")
    return " ".join(words), waiting


# ---- to read ------------------------------------------------------------------------------------------------


def view(core: Core, connection: Connection, storm_id: int, now: datetime) -> StormView | None:
    """The storm as it stands. ``per_hour``: by the last window while it is on, else over its whole length."""
    row = storms.get(connection, storm_id)
    if row is None:
        return None
    every, still_open = storms.count_cases(connection, storm_id)
    window = core.rules.storm.window
    if row.ended_at is None:
        rate = storms.count_opened(connection, row.brand, now - window) / (window / timedelta(hours=1))
    else:
        # It began with the cases of the window before.
        rate = every / ((row.ended_at - row.started_at + window) / timedelta(hours=1))
    url = core.rules.public_url
    return StormView(
        id=row.id,
        brand=row.brand,
        started_at=row.started_at,
        ended_at=row.ended_at,
        cases=every,
        open_cases=still_open,
        per_hour=rate,
        usual_per_hour=row.usual_per_hour,
        reasons=storms.reasons(connection, storm_id),
        sources=storms.sources_of(connection, storm_id),
        url=f"{url.rstrip('/')}/cases?storm={row.id}" if url else None,
    )


def one(core: Core, storm_id: int, now: datetime) -> StormView:
    """Raises ``UsageError`` when there is none with that number."""
    with core.db.read() as connection:
        found = view(core, connection, storm_id, now)
    if found is None:
        raise UsageError(f"There is no storm {storm_id}.")
    return found


def storms_on(core: Core, now: datetime) -> list[StormView]:
    """The storms that are on now, the oldest first."""
    with core.db.read() as connection:
        found = [view(core, connection, row.id, now) for row in storms.all_on(connection)]
    return [shown for shown in found if shown is not None]


def _cases(number: int) -> str:
    return f"{number} case{'s' if number != 1 else ''}"
