"""Digests: what the figures of a day or a week are, as of an instant, and the delivery that tells them.

A digest is worked out when it is sent, from the period in its delivery's key and as of when it was queued: events
are never rewritten, so the same comes out if it is sent again, and nothing of it needs keeping (or erasing).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from listener import cases, digest_words
from listener.cases import Event
from listener.clock import span
from listener.digests import Daily, Hour, Lag, Listed, Reason, Recovery, Sufferer, Tally, Thanks, Wait, Weekly
from listener.model import ClockName, Delivery, Notice
from listener.service import as_of, digest_times
from listener.service.core import Core
from listener.service.digest_times import Kind
from listener.storage import Connection, Row, reports
from listener.storage.reports import Standing

MOST_THANKS, MOST_SUFFERERS = 200, 20


def daily(core: Core, now: datetime, day: date | None = None) -> Daily:
    """The local day before ``now``, or ``day``; what is open and late is as of ``now``."""
    zone = ZoneInfo(core.rules.digests.zone)
    day = day or now.astimezone(zone).date() - timedelta(days=1)
    start, end = digest_times.period("daily", day, zone)
    with core.db.read() as connection:
        standing = as_of.open_cases(connection, now)
        late = [c for c in standing if c.due_at is not None and c.due_at < now]
        soonest = sorted(standing, key=lambda c: (c.due_at is None, c.due_at or c.opened_at, c.id))
        new = as_of.standing(connection, reports.opened(connection, start, end, now), now)
        ran = as_of.clocks(connection, start, end, now)
        happened = reports.happened(connection, start, end, ("promise_ended", "reopened", "recovered"))
        thanks = _thanks(core, connection, start, end, happened)
        names = reports.names(connection, [c.customer_id for c in soonest[: digest_words.SHOWN]])
    tally = {name: as_of.tally([c for c in ran if c.name == name], start, end) for name in ClockName}
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
            for c in soonest[: digest_words.SHOWN]
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
        touched = reports.touched(connection, start, end, now)
        standing = as_of.standing(connection, touched, now)
        new = [c for c in standing if start <= c.opened_at < end]
        ran = as_of.first_responses(connection, touched, now)
        since = reports.listening_since(connection)
        old = _reasons(connection, before, start, now) if since is not None and since <= before else None
        kinds = ("promise_ended", "reopened", "recovered", "dismissed")
        happened = reports.happened(connection, start, end, kinds)
        window = core.rules.bad_experience_window
        sufferers = reports.repeat_sufferers(connection, start, end, now - window, now, limit=MOST_SUFFERERS)
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
        before=None if old is None else old.total(),
        reasons=_compared(Counter(c.reason for c in new), old),
        first_response=as_of.tally(ran, start, end),
        median_answer=answers[(len(answers) - 1) // 2] if answers else None,
        reopened=sum(e.kind == "reopened" for e in happened),
        promises=_promises(happened),
        worst=worst,
        sufferers=tuple(Sufferer(s.id, s.name, s.bad) for s in sufferers),
        sufferers_in_all=sufferers[0].in_all if sufferers else 0,
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
    view = digest_words.of_day(digest) if isinstance(digest, Daily) else digest_words.of_week(digest)
    picture = None
    if view.alt and getattr(core.responders[row.responder], "takes_pictures", False):
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
        Thanks(e.customer, "", None, _helpers(answers, [e.case_id], e.at), e.case_id,
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
            Thanks(row.author or "Somebody", digest_words.short(words), row.rating, helpers, row.case_id, url)
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


def _reasons(connection: Connection, start: datetime, end: datetime, at: datetime) -> Counter[str]:
    """How many cases of a period had which reason, as of an instant after it."""
    counts = Counter(dict(reports.reasons(connection, start, end, at, as_of.NO_CASE)))
    changed = reports.changed_after(connection, at)
    rows = [c for c in reports.by_ids(connection, changed, at) if start <= c.opened_at < end]
    counts.update(c.reason for c in as_of.standing(connection, rows, at))
    return counts


def _compared(now: Counter[str], before: Counter[str] | None) -> tuple[Reason, ...]:
    old = before or Counter[str]()
    names = sorted(now.keys() | old.keys(), key=lambda name: (-now[name], -old[name], name))
    return tuple(Reason(name, now[name], None if before is None else old[name]) for name in names)


def _dismissals(events: Sequence[Row[Any]]) -> tuple[tuple[str, int], ...]:
    """Why, most often first; people write the same in their own way: case, spaces and full stops don't count."""
    spelt: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for event in events:
        words = digest_words.short(event.body["why"]).rstrip(" .!")
        folded = words.casefold()
        counts[folded] += 1
        spelt.setdefault(folded, words)
    return tuple((spelt[key], n) for key, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _worst(core: Core, connection: Connection, new: Sequence[Standing], now: datetime) -> Wait | None:
    """Of the week's cases and of those that wait since before, the one whose customer waited longest."""
    waiting = [c for c in as_of.open_cases(connection, now) if c.cycle == 1 and c.first_response_at is None]
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
    history = as_of.histories(connection, [worst.id], now)[worst.id]
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
        told.append(f"seen {span(opened.at - written)} after it was written")
    free: datetime | None = opened.at  # since when nobody is on it
    for event in history[1:]:
        who = event.to if isinstance(event, cases.Assigned) else event.actor
        if isinstance(event, cases.Claimed | cases.Assigned):
            told.append(f"{who} took it after {span(event.at - (free or opened.at))}")
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
            told.append(f"nobody has been on it for {span(now - free)}")
    if alarms:
        told.append(f"{digest_words.count(alarms, 'alarm')} sent")
    shown = told if len(told) <= 8 else [*told[:4], "…", *told[-3:]]
    return "; ".join(digest_words.short(part) for part in shown) + "."
