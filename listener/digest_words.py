"""Digests in words. Pure.

Small numbers are told as they are: a share in per cent only of ``ENOUGH`` cases and more, a change only against
a period that was listened to as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from zoneinfo import ZoneInfo

from listener.clock import span
from listener.digests import Daily, Listed, Tally, Thanks, Wait, Weekly
from listener.model import DigestLine, DigestPart, DigestView

ENOUGH = 5  # of fewer cases one more or less is 20 points and more: chance, not a figure
SHOWN = 5  # lines of a list


def of_day(digest: Daily) -> DigestView:
    zone = ZoneInfo(digest.zone)
    title = f"Daily digest for {digest.day:%A}, {day_text(digest.day)}"
    first = digest.first_response
    summary = (
        f"{title}: {count(digest.opened, 'new case')}, {kept(first, 'first answer')}; "
        f"{digest.open} open now, {digest.late} late."
    )
    now = [DigestLine(_open_now(digest, zone))]
    now += [_listed(case, digest.as_of, zone) for case in digest.soonest]
    if digest.open > len(digest.soonest) > 0:
        now.append(DigestLine(f"and {digest.open - len(digest.soonest)} more"))
    clocks = [DigestLine(f"{count(digest.opened, 'new case')}.")]
    clocks.append(DigestLine(_sentence(kept(first, "first answer"))))
    if digest.next_response.all:
        clocks.append(DigestLine(_sentence(kept(digest.next_response, "further answer"))))
    clocks.append(DigestLine(_sentence(kept(digest.resolution, "resolution"))))
    clocks += _promises_and_reopened(digest.promises, digest.reopened)
    parts = [
        DigestPart("Open now", tuple(now)),
        DigestPart("Yesterday" if _is_yesterday(digest, zone) else "The day", tuple(clocks)),
    ]
    if digest.thanks:
        parts.append(DigestPart("Thank you", _thanks(digest)))
    in_time, late = sum(h.in_time for h in digest.hours), sum(h.late for h in digest.hours)
    waiting = sum(h.waiting for h in digest.hours)
    alt = (
        f"Cases by hour: {in_time} answered in time, {late} late, {waiting} not due yet"
        if digest.opened
        else ""
    )
    return DigestView(digest.name, title, summary, alt, tuple(parts), asdict(digest))


def of_week(digest: Weekly) -> DigestView:
    title = f"What we learned, {day_text(digest.first, digest.last)} to {day_text(digest.last)}"
    than = "" if digest.before is None else f" ({change(digest.opened, digest.before)})"
    summary = f"{title}: {count(digest.opened, 'case')}{than}."
    if digest.opened >= ENOUGH:
        summary = f"{summary[:-1]}, top reason {digest.reasons[0].name}."
    parts = [
        DigestPart("Reasons", _reasons(digest)),
        DigestPart("The team's times", _times(digest)),
    ]
    if digest.worst:
        parts.append(DigestPart("The longest wait, and why", (_worst(digest.worst),)))
    if digest.sufferers:
        parts.append(DigestPart("Let down more than once", _sufferers(digest)))
    if digest.recovered:
        lines = [
            DigestLine(f"case {r.case_id}{_helped(r.helpers)}", _name(r.customer), r.url)
            for r in digest.recovered[:SHOWN]
        ]
        parts.append(DigestPart("Won back", tuple(_and_more(lines, len(digest.recovered)))))
    if digest.dismissals:
        lines = [DigestLine(f"{times(n)}: {short(why)}") for why, n in digest.dismissals[:SHOWN]]
        heading = f"Not complaints after all: {count(digest.dismissed, 'case')}"
        parts.append(DigestPart(heading, tuple(_and_more(lines, len(digest.dismissals)))))
    if digest.lags:
        heading = "How late the sources told us (not the team's time)"
        lines = [
            DigestLine(
                f"{short(lag.source, 60)}: {span(lag.median)} (median of {count(lag.mentions, 'mention')})"
            )
            for lag in digest.lags[:SHOWN]
        ]
        parts.append(DigestPart(heading, tuple(_and_more(lines, len(digest.lags)))))
    told = ", ".join(f"{short(r.name, 40)} {r.cases}" for r in digest.reasons[:SHOWN])
    alt = f"Reasons: {told}" if told else ""
    return DigestView(digest.name, title, summary, alt, tuple(parts), asdict(digest))


def _open_now(digest: Daily, zone: ZoneInfo) -> str:
    if not digest.open:
        return "Nothing is open. Well done."
    local = digest.as_of.astimezone(zone)
    late = f"{digest.late} late" if digest.late else "none late"
    nobody = f", {digest.nobody} with nobody on it" if digest.nobody else ""
    return f"{count(digest.open, 'case')}, {late}{nobody} (at {local:%H:%M} {local.tzname()})."


def _listed(case: Listed, as_of: datetime, zone: ZoneInfo) -> DigestLine:
    due = "waiting for the customer"
    if case.due_at is not None:
        local = case.due_at.astimezone(zone)
        day = "" if local.date() == as_of.astimezone(zone).date() else f"{local:%a} {local.day} {local:%b} "
        late = case.due_at < as_of
        distance = f"{span(as_of - case.due_at)} ago" if late else f"in {span(case.due_at - as_of)}"
        due = f"{'was due' if late else 'due'} {day}{local:%H:%M}, {distance}"
    who = _name(case.assignee) if case.assignee else "nobody"
    return DigestLine(
        f"{_name(case.customer)} · {short(case.reason, 40)} · {due} · {who}", f"Case {case.id}", case.url
    )


def _promises_and_reopened(promises: Tally, reopened: int) -> list[DigestLine]:
    lines = []
    if promises.all:
        lines.append(DigestLine(f"Promises: {promises.kept} kept, {promises.missed} broken."))
    if reopened:
        lines.append(DigestLine(f"{count(reopened, 'case')} came back."))
    return lines


def _thanks(digest: Daily) -> tuple[DigestLine, ...]:
    lines = []
    if digest.helpers:
        names = ", ".join(f"{_name(who)} ({n})" if n > 1 else _name(who) for who, n in digest.helpers[:10])
        lines.append(DigestLine(f"Well done: {names}."))
    shown = [
        DigestLine(f"{_said(t)}{_helped(t.helpers)}", _name(t.customer), t.url) for t in digest.thanks[:SHOWN]
    ]
    return (*lines, *_and_more(shown, len(digest.thanks)))


def _reasons(digest: Weekly) -> tuple[DigestLine, ...]:
    if not digest.opened:
        before = f", {digest.before} the week before" if digest.before else ""
        return (DigestLine(f"No cases this week{before}."),)
    lines = []
    for reason in [r for r in digest.reasons if r.cases][:SHOWN]:
        share = (
            f" of {digest.opened} ({percent(reason.cases, digest.opened)})" if digest.opened >= ENOUGH else ""
        )
        than = "" if reason.before is None else f", {change(reason.cases, reason.before)}"
        lines.append(DigestLine(f"{short(reason.name, 40)}: {reason.cases}{share}{than}"))
    lines += [
        DigestLine(f"{short(reason.name, 40)}: none, {reason.before} the week before")
        for reason in digest.reasons
        if not reason.cases and (reason.before or 0) >= ENOUGH
    ]
    if digest.before is None:
        lines.append(DigestLine("There is no whole week before to compare with yet."))
    return tuple(lines)


def _times(digest: Weekly) -> tuple[DigestLine, ...]:
    first = DigestLine(_sentence(kept(digest.first_response, "first answer")))
    lines = [first]
    if digest.median_answer is not None and digest.first_response.all >= ENOUGH:
        lines.append(DigestLine(f"Half of the first answers came within {span(digest.median_answer)}."))
    return (*lines, *_promises_and_reopened(digest.promises, digest.reopened))


def _worst(wait: Wait) -> DigestLine:
    end = "waited" if wait.answered else "has waited"
    return DigestLine(
        f"{_name(wait.customer)} ({short(wait.reason, 40)}) {end} {span(wait.waited)}"
        f"{'' if wait.answered else ' and still has no answer'}: {wait.story}",
        f"Case {wait.case_id}",
        wait.url,
    )


def _sufferers(digest: Weekly) -> tuple[DigestLine, ...]:
    lines = [
        DigestLine(f"{s.bad_experiences} bad experiences in {digest.window_days} days", _name(s.customer))
        for s in digest.sufferers[:SHOWN]
    ]
    return tuple(_and_more(lines, digest.sufferers_in_all))


def _and_more(lines: Sequence[DigestLine], in_all: int) -> list[DigestLine]:
    more = [DigestLine(f"and {in_all - len(lines)} more")] if in_all > len(lines) else []
    return [*lines, *more]


def _helped(helpers: Sequence[str]) -> str:
    return f" · helped by {', '.join(_name(who) for who in helpers[:3])}" if helpers else ""


def _said(thanks: Thanks) -> str:
    rating = thanks.rating
    stars = f"{rating:g} of 5 stars" if rating is not None and 0 <= rating <= 5 else ""
    words = f"“{short(thanks.words)}”" if thanks.words else ""
    return ": ".join(filter(None, (stars, words))) or "gives better stars than before"


def _is_yesterday(digest: Daily, zone: ZoneInfo) -> bool:
    return (digest.as_of.astimezone(zone).date() - digest.day).days == 1


def _name(text: str) -> str:
    return short(text, 60)


def short(text: str, limit: int = 140) -> str:
    """On one line, cut to so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def kept(tally: Tally, noun: str) -> str:
    """``10 of 12 first answers in time (83%)``."""
    if not tally.all:
        return f"no {noun} was due"
    share = f" ({percent(tally.kept, tally.all)})" if tally.all >= ENOUGH else ""
    return f"{tally.kept} of {count(tally.all, noun)} in time{share}"


def percent(part: int, whole: int) -> str:
    """Rounded, but never to 0% or 100% what is not."""
    rounded = round(100 * part / whole)
    if 0 < part < whole:
        rounded = min(max(rounded, 1), 99)
    return f"{rounded}%"


def change(now: int, before: int) -> str:
    if not before:
        return "none the week before"
    if now == before:
        return "as many as the week before"
    return f"{abs(now - before)} {'more' if now > before else 'fewer'} than the week before"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def day_text(day: date, other: date | None = None) -> str:
    """``22 November 2026``; without what ``other``, which follows it, says again."""
    if other is not None and (day.year, day.month) == (other.year, other.month):
        return str(day.day)
    return f"{day.day} {day:%B}" + (f" {day.year}" if other is None or day.year != other.year else "")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
