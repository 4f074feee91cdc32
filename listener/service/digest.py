"""Digests: what the figures of a day or a week are, as of an instant, and the delivery that tells them.

A digest is worked out when it is sent, from the period in its delivery's key and as of when it was queued: events
are never rewritten, so the same comes out if it is sent again, and nothing of it needs keeping (or erasing).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from listener import cases, digests
from listener.cases import EVENT, Case, Event
from listener.digests import Daily, Hour, Lag, Listed, Reason, Recovery, Sufferer, Tally, Thanks, Wait, Weekly
from listener.model import OPEN_STATES, ClockName, Delivery, Notice
from listener.service import digest_times
from listener.service.core import Core
from listener.service.digest_times import Kind
from listener.storage import Connection, Row, reports
from listener.storage.reports import Standing

NO_CASE = ("dismissed", "merged")  # these count nowhere: no complaint, or counted where they went
MOST_THANKS = 200


def daily(core: Core, now: datetime, day: date | None = None) -> Daily:
    """The local day before ``now``, or ``day``; what is open and late is as of ``now``."""
    zone = ZoneInfo(core.rules.digests.zone)
    day = day or now.astimezone(zone).date() - timedelta(days=1)
    start, end = digest_times.period("daily", day, zone)
    with core.db.read() as connection:
        standing = _open(connection, now)
        late = [c for c in standing if c.due_at is not None and c.due_at < now]
        soonest = sorted(standing, key=lambda c: (c.due_at is None, c.due_at or c.opened_at, c.id))
        new = [c for c in _as_of(connection, reports.opened(connection, start, end), now) if _real(c)]
        ran = _clocks(connection, start, end, now)
        happened = reports.happened(connection, start, end, ("promise_ended", "reopened", "recovered"))
        thanks = _thanks(core, connection, start, end, happened)
        names = reports.names(connection, [c.customer_id for c in soonest[: digests.SHOWN]])
    tally = {name: _tally([c for c in ran if c.name == name], start, end) for name in ClockName}
    return Daily(
        name=digest_times.key("daily", day),
        zone=zone.key,
        day=day,
        start=start,
        end=end,
        as_of=now,
        opened=len(new),
        open=len(standing),
        late=len(late),
        nobody=sum(c.assignee is None for c in standing),
        soonest=tuple(
            Listed(c.id, names[c.customer_id], c.reason, c.due_at, c.assignee, core.rules.case_url(c.id))
            for c in soonest[: digests.SHOWN]
        ),
        first_response=tally[ClockName.FIRST_RESPONSE],
        next_response=tally[ClockName.NEXT_RESPONSE],
        resolution=tally[ClockName.RESOLUTION],
        promises=_promises(happened),
        reopened=sum(e.kind == "reopened" for e in happened),
        thanks=tuple(thanks),
        helpers=tuple(Counter(who for t in thanks for who in t.helpers).most_common()),
        hours=_hours(new, zone, now),
    )


def weekly(core: Core, now: datetime, day: date | None = None) -> Weekly:
    """The seven local days before that of ``now``, or until ``day``; as of ``now``."""
    zone = ZoneInfo(core.rules.digests.zone)
    day = day or now.astimezone(zone).date() - timedelta(days=1)
    start, end = digest_times.period("weekly", day, zone)
    before, _ = digest_times.period("weekly", day - timedelta(days=7), zone)
    with core.db.read() as connection:
        found = _as_of(connection, reports.opened(connection, before, end), now)
        new = [c for c in found if _real(c) and c.opened_at >= start]
        old = [c for c in found if _real(c) and c.opened_at < start]
        since = reports.listening_since(connection)
        comparable = since is not None and since <= before
        ran = [c for c in _clocks(connection, start, end, now) if c.name == ClockName.FIRST_RESPONSE]
        kinds = ("promise_ended", "reopened", "recovered", "dismissed")
        happened = reports.happened(connection, start, end, kinds)
        window = core.rules.bad_experience_window
        sufferers = reports.repeat_sufferers(connection, start, end, now - window, now)
        worst = _worst(core, connection, new, now)
        recovered = _recovered(core, connection, happened)
        lags = reports.detection_lags(connection, start, end)
    dismissals = [e for e in happened if e.kind == "dismissed"]
    answers = sorted(c.met_at - c.started_at for c in ran if c.met_at is not None and start <= c.met_at < end)
    return Weekly(
        name=digest_times.key("weekly", day),
        zone=zone.key,
        first=day - timedelta(days=6),
        last=day,
        start=start,
        end=end,
        as_of=now,
        opened=len(new),
        before=len(old) if comparable else None,
        reasons=_reasons(new, old if comparable else None),
        first_response=_tally(ran, start, end),
        median_answer=answers[(len(answers) - 1) // 2] if answers else None,
        reopened=sum(e.kind == "reopened" for e in happened),
        promises=_promises(happened),
        worst=worst,
        sufferers=tuple(Sufferer(s.id, s.name, s.bad) for s in sufferers),
        window_days=window.days,
        recovered=tuple(recovered),
        dismissed=len({e.case_id for e in dismissals}),
        dismissals=_dismissals(dismissals),
        lags=tuple(Lag(*lag) for lag in lags),
    )


def delivery(core: Core, row: Row[Any], now: datetime) -> Delivery:
    """The delivery of a queued digest: its words, its figures and, for responders that take pictures, its chart."""
    kind, day = _kind_and_day(row.key)
    digest = daily(core, row.created_at, day) if kind == "daily" else weekly(core, row.created_at, day)
    view = digests.of_day(digest) if isinstance(digest, Daily) else digests.of_week(digest)
    picture = None
    if getattr(core.responders[row.responder], "takes_pictures", False):
        from listener import charts  # half a second and 55 MB, for whoever gets a chart

        picture = charts.draw(digest)
    # What the outbox added to its text, such as who did not deliver it, is told too.
    note = row.text.partition(day.isoformat())[2]
    notice = Notice("digest", view.summary + note, now, digest=view, picture=picture)
    return Delivery(row.key, notice, row.channel, None, row.attempts, row.uncertain, queued_at=row.created_at)


def _kind_and_day(key: str) -> tuple[Kind, date]:
    found = re.match(r"digest-(daily|weekly)-(\d{4}-\d\d-\d\d):", key)
    if found is None:
        raise ValueError(f"{key!r} is no digest's key")
    return "daily" if found[1] == "daily" else "weekly", date.fromisoformat(found[2])


# ---- as of an instant ---------------------------------------------------------------------------------------


def _real(case: Standing) -> bool:
    return case.state not in NO_CASE


def _open(connection: Connection, at: datetime) -> list[Standing]:
    """The cases that were open then."""
    changed = reports.changed_after(connection, at)
    rows = {c.id: c for c in reports.open_cases(connection, at)}
    rows |= {c.id: c for c in reports.by_ids(connection, changed - rows.keys())}
    return [c for c in _as_of(connection, rows.values(), at) if c.state in OPEN_STATES]


def _as_of(connection: Connection, rows: Iterable[Standing], at: datetime) -> list[Standing]:
    """The cases as they stood then: as they are now, or, where that is later, as their events tell."""
    rows = list(rows)
    history = _histories(connection, [c.id for c in rows if c.changed_at > at], at)
    found = []
    for row in rows:
        if row.changed_at <= at:
            found.append(row)
        elif row.id in history:
            found.append(_standing(row, cases.replay(history[row.id])))
    return found


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


def _histories(connection: Connection, ids: Iterable[int], at: datetime) -> dict[int, list[Event]]:
    found = reports.histories(connection, ids, at)
    return {i: [EVENT.validate_python(body) for body in bodies] for i, bodies in found.items()}


@dataclass(frozen=True, slots=True)
class _Clock:
    name: ClockName
    started_at: datetime
    due_at: datetime | None
    met_at: datetime | None


def _clocks(connection: Connection, start: datetime, end: datetime, at: datetime) -> list[_Clock]:
    """The clocks, of all cycles, of the cases that may have had one met or due in the period."""
    rows = reports.clocks(connection, start, end, at)
    history = _histories(connection, [r.id for r in rows if r.cycle > 1 or r.changed_at > at], at)
    found = []
    for row in rows:
        if row.id in history:
            found += _all_clocks(history[row.id])
        elif row.changed_at <= at and row.state not in NO_CASE:
            found += [
                _Clock(ClockName(c["name"]), *(_time(c[key]) for key in ("started_at", "due_at", "met_at")))
                for c in row.clocks
            ]
    return found


def _time(text: str | None) -> Any:
    return datetime.fromisoformat(text) if text else None


def _all_clocks(history: Sequence[Event]) -> list[_Clock]:
    """The clocks of every cycle: a reopened case starts new ones, the old ones stay as they ended."""
    ended: list[Any] = []
    case: Case | None = None
    for event in history:
        if isinstance(event, cases.Reopened) and case is not None:
            ended += case.clocks
        case = cases.apply(case, event)
    if case is None or case.state in NO_CASE:
        return []
    return [_Clock(c.name, c.started_at, c.due_at, c.met_at) for c in (*ended, *case.clocks)]


def _tally(clocks: Iterable[_Clock], start: datetime, end: datetime) -> Tally:
    """Kept: met in the period and in time. Missed: due in the period and not met by then."""
    kept = missed = 0
    for clock in clocks:
        due, met = clock.due_at, clock.met_at
        in_time = met is not None and (due is None or met <= due)
        kept += in_time and met is not None and start <= met < end
        missed += not in_time and due is not None and start <= due < end
    return Tally(kept, missed)


# ---- the parts of a digest ----------------------------------------------------------------------------------


def _hours(new: Sequence[Standing], zone: ZoneInfo, now: datetime) -> tuple[Hour, ...]:
    counts: Counter[tuple[int, str]] = Counter()
    for case in new:
        due, met = case.first_response_due_at, case.first_response_at
        if met is not None and (due is None or met <= due):
            how = "in_time"
        else:
            how = "late" if due is not None and (met or now) > due else "waiting"
        counts[case.opened_at.astimezone(zone).hour, how] += 1
    return tuple(Hour(counts[h, "in_time"], counts[h, "late"], counts[h, "waiting"]) for h in range(24))


def _promises(happened: Sequence[Row[Any]]) -> Tally:
    ended = [bool(e.body["kept"]) for e in happened if e.kind == "promise_ended"]
    return Tally(sum(ended), len(ended) - sum(ended))


def _thanks(
    core: Core, connection: Connection, start: datetime, end: datetime, happened: Sequence[Row[Any]]
) -> list[Thanks]:
    """Kind words in a thread that somebody has answered, better stars after a resolution, and plain praise."""
    rows = reports.kind_words(connection, start, end, limit=MOST_THANKS)
    of_customer: dict[int, list[int]] = {}
    strangers = [r.customer_id for r in rows if r.case_id is None and r.customer_id is not None]
    for customer_id, case_id in reports.cases_of(connection, strangers):
        of_customer.setdefault(customer_id, []).append(case_id)
    better = [e for e in happened if e.kind == "recovered"]
    ids = {r.case_id for r in rows if r.case_id is not None} | {
        i for found in of_customer.values() for i in found
    }
    answers = reports.helpers(connection, ids | {e.case_id for e in better})
    found = [
        Thanks(e.customer, "gave better stars afterwards", None, _helpers(answers, [e.case_id], e.at), e.case_id,
               core.rules.case_url(e.case_id))
        for e in better
    ]  # fmt: skip
    for row in rows:
        asked = [row.case_id] if row.case_id is not None else of_customer.get(row.customer_id, [])
        helpers = _helpers(answers, asked, row.seen_at)
        if row.case_id is not None and not any(
            i == row.case_id and at <= row.seen_at for i, at, _ in answers
        ):
            continue  # nobody had answered: kind words in a complaint are no thanks
        url = core.rules.case_url(row.case_id) if row.case_id is not None else row.url
        words = row.text or row.title
        found.append(
            Thanks(row.author or "Somebody", digests.short(words), row.rating, helpers, row.case_id, url)
        )
    return found


def _helpers(
    answers: Sequence[tuple[int, datetime, str | None]], case_ids: Sequence[int], before: datetime
) -> tuple[str, ...]:
    return tuple(dict.fromkeys(who for i, at, who in answers if i in case_ids and at <= before and who))


def _recovered(core: Core, connection: Connection, happened: Sequence[Row[Any]]) -> list[Recovery]:
    events = {e.case_id: e for e in happened if e.kind == "recovered"}
    answers = reports.helpers(connection, events)
    return [
        Recovery(e.case_id, e.customer, _helpers(answers, [e.case_id], e.at), core.rules.case_url(e.case_id))
        for e in events.values()
    ]


def _reasons(new: Sequence[Standing], old: Sequence[Standing] | None) -> tuple[Reason, ...]:
    now = Counter(c.reason for c in new)
    before = Counter(c.reason for c in old or ())
    names = sorted(now.keys() | before.keys(), key=lambda name: (-now[name], -before[name], name))
    return tuple(Reason(name, now[name], None if old is None else before[name]) for name in names)


def _dismissals(events: Sequence[Row[Any]]) -> tuple[tuple[str, int], ...]:
    """Why, most often first; people write the same in their own way: case, spaces and full stops don't count."""
    spelt: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for event in events:
        words = digests.short(event.body["why"]).rstrip(" .!")
        folded = words.casefold()
        counts[folded] += 1
        spelt.setdefault(folded, words)
    return tuple((spelt[key], n) for key, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _worst(core: Core, connection: Connection, new: Sequence[Standing], now: datetime) -> Wait | None:
    """Of the week's cases and of those that wait since before, the one whose customer waited longest."""
    waiting = [c for c in _open(connection, now) if c.cycle == 1 and c.first_response_at is None]
    found = {c.id: c for c in [*new, *waiting]}
    ends = {c.id: c.first_response_at or now for c in found.values()}
    # A reopened case's columns are those of its present cycle; its first answer is in its events.
    answers = reports.helpers(connection, [c.id for c in found.values() if c.cycle > 1])
    ends |= {case_id: at for case_id, at, _ in reversed(answers)}
    # The delay of a source may only move cases by so much: those that can't be the worst are left out early.
    longest = sorted(found.values(), key=lambda c: c.opened_at - ends[c.id])[:50]
    written = reports.first_published(connection, [c.id for c in longest])
    begins = {c.id: min(c.opened_at, written.get(c.id, c.opened_at)) for c in longest}
    worst = max(longest, key=lambda c: (ends[c.id] - begins[c.id], -c.id), default=None)
    if worst is None:
        return None
    history = _histories(connection, [worst.id], now)[worst.id]
    return Wait(
        worst.id,
        reports.names(connection, [worst.customer_id])[worst.customer_id],
        worst.reason,
        ends[worst.id] - begins[worst.id],
        worst.cycle > 1 or worst.first_response_at is not None,
        story(history, begins[worst.id], now),
        core.rules.case_url(worst.id),
    )


def story(history: Sequence[Event], written: datetime, now: datetime) -> str:
    """Why a first answer took so long, in one sentence."""
    opened = history[0]
    told, alarms = [], 0
    if opened.at - written >= timedelta(minutes=5):
        told.append(f"seen {digests.span(opened.at - written)} after it was written")
    free: datetime | None = opened.at  # since when nobody is on it
    for event in history[1:]:
        who = event.to if isinstance(event, cases.Assigned) else event.actor
        if isinstance(event, cases.Claimed | cases.Assigned):
            told.append(f"{who} took it after {digests.span(event.at - (free or opened.at))}")
            free = None
        elif isinstance(event, cases.Released):
            told.append("the claim ran out" if event.cause == "timeout" else "it was let go")
            free = event.at
        elif isinstance(event, cases.Alarmed):
            alarms += not event.skipped
        elif isinstance(event, cases.Responded | cases.Verified):
            told.append(f"answered by {who}" if who else "answered in public")
            break
    else:
        if free is not None:
            told.append(f"nobody has been on it for {digests.span(now - free)}")
    if alarms:
        told.append(f"{digests.count(alarms, 'alarm')} sent")
    shown = told if len(told) <= 8 else [*told[:4], "…", *told[-3:]]
    return "; ".join(digests.short(part) for part in shown) + "."
