"""The pages: overview, cases, customers, mentions, sources. Filters and places in a list live in the URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Path
from starlette.responses import Response

from listener import cases
from listener.errors import Refused, UsageError
from listener.model import CaseView, ClockName, ClockView, Draft, MentionView, State
from listener.service import act, duty, read, replies, storm
from listener.service.core import Core
from listener.web import words
from listener.web.visit import Visit, Visitor

router = APIRouter(include_in_schema=False)

PAGE = 50
MOST_OPEN = 200
Id = Annotated[int, Path(ge=1, le=2**63 - 1)]

# ---- overview -----------------------------------------------------------------------------------------------


@router.get("/")
def overview(visit: Visitor) -> Response:
    core, now = visit.core, visit.now
    shown = read.open_cases(core, now, limit=MOST_OPEN)
    late = [c for c in shown if (clock := c.next_clock) and clock.due_at and clock.due_at < now]
    paused = [c for c in shown if c.next_clock is None]
    running = [c for c in shown if c not in late and c not in paused]
    health = visit.web.health(now)
    values = {
        "groups": [("late", "Late", late), ("running", "Running", running), ("paused", "Paused", paused)],
        "late": read.late_cases(core, now),
        "open_cases": health.open_cases,
        "open_total": sum(health.open_cases.values()),
        "attainment": last_day(core, now),
        "health": health,
        "storms": storm.storms_on(core, now),
        "on_duty": duty.on_duty(core, now) if core.rules.duty is not None else None,
        "sources": sum(health.sources.values()),
        "most": MOST_OPEN,
    }
    return visit.page("overview.html", values)


def last_day(core: Core, now: datetime) -> read.Attainment:
    """Of the last 24 hours, this very moment included. A calendar day would need a zone, and be empty at night."""
    return read.attainment(core, now - timedelta(hours=24), now + timedelta(microseconds=1), now)


# ---- cases --------------------------------------------------------------------------------------------------


@router.get("/cases")
def case_list(visit: Visitor) -> Response:
    wanted = _filters(visit, {"state": [*STATE_CHOICES], "brand": None, "person": None, "reason": None})
    storm_id = _number(visit, "storm")
    shown_storm = None
    if storm_id is not None:
        shown_storm = storm.one(visit.core, storm_id, visit.now)
        wanted["storm"] = storm_id
    found = read.list_cases(visit.core, visit.now, **wanted, before=_number(visit, "before"), limit=PAGE + 1)
    shown, more = found[:PAGE], len(found) > PAGE
    values = {
        "cases": shown,
        "storm": shown_storm,
        "filters": wanted,
        "states": STATE_CHOICES,
        "brands": sorted(visit.core.rules.brand_policies),
        "people": sorted(visit.core.rules.people),
        "reasons": visit.web.settings.reasons,
        "next": _next(wanted, before=shown[-1].id) if more else None,
        "first_page": "before" not in visit.request.query_params,
    }
    return visit.page("cases.html", values)


STATE_CHOICES = {s.value: words.STATES[s] for s in State} | {"closed": "All closed"}


@dataclass(frozen=True, slots=True)
class Instants:
    """The four instants of the present cycle, and what lies between them."""

    published: datetime | None
    seen: datetime
    alerted: datetime | None
    started: datetime | None
    answered: datetime | None

    @property
    def detection_lag(self) -> timedelta | None:
        return max(self.seen - self.published, timedelta(0)) if self.published else None

    @property
    def team_time(self) -> timedelta | None:
        return max(self.answered - self.started, timedelta(0)) if self.answered and self.started else None

    @property
    def customer_wait(self) -> timedelta | None:
        if self.answered is None:
            return None
        return max(self.answered - (self.published or self.seen), timedelta(0))


def instants(story: read.Story) -> Instants:
    """Those of the mention with which the present cycle began."""
    begun = [e for e in story.events if isinstance(e, cases.Opened | cases.Reopened)][-1]
    by_id = {m.id: m for m in story.case.mentions}
    first = by_id.get(begun.mention_id) if begun.mention_id is not None else None
    # A message that was replaced by another reached people with that one.
    told = [d.accepted_at for d in story.deliveries if d.accepted_at and d.accepted_at >= begun.at]
    clock = _clock(story.case, ClockName.FIRST_RESPONSE)
    return Instants(
        published=first.published if first else None,
        seen=first.seen if first else begun.at,
        alerted=min(told, default=None),
        started=clock.started_at if clock else None,
        answered=clock.met_at if clock else None,
    )


def _clock(case: CaseView, name: ClockName) -> ClockView | None:
    return next((c for c in case.clocks if c.name == name), None)


@router.get("/cases/{case_id}")
def case(visit: Visitor, case_id: Id) -> Response:
    return case_page(visit, case_id)


@router.get("/cases/{case_id}/draft")
def case_draft(visit: Visitor, case_id: Id, lang: str | None = None) -> Response:
    """The case with a reply to copy, and the form that records it filled in with the time that the reply tells."""
    try:
        found = replies.draft(visit.core, case_id, visit.person, visit.now, lang=lang)
    except (Refused, UsageError) as error:
        status = 409 if isinstance(error, Refused) else 400
        return case_page(visit, case_id, status=status, error=str(error))
    entered = {"promise": str(found.promise_minutes)}
    return case_page(visit, case_id, entered=entered, action="respond", draft=found)


def case_page(
    visit: Visit,
    case_id: int,
    *,
    status: int = 200,
    error: str = "",
    entered: Mapping[str, str] | None = None,
    action: str = "",
    draft: Draft | None = None,
) -> Response:
    """``action``: the one whose form stays open, with what was ``entered``, after an error or with a ``draft``."""
    try:
        story = read.story(visit.core, case_id, visit.now)
    except UsageError as missing:
        raise HTTPException(404, str(missing)) from missing
    mentions: dict[int, MentionView] = {m.id: m for m in story.case.mentions}
    values = {
        "case": story.case,
        "story": story,
        "lines": [words.line(e) for e in reversed(story.events)],
        "mention_by_id": mentions,
        "instants": instants(story),
        "people": sorted(p for p in visit.core.rules.people if p != story.case.assignee),
        "outcomes": act.OUTCOMES,
        "reasons": visit.web.settings.reasons,
        "action": action,
        "draft": draft,
        "draft_languages": replies.languages(visit.core) if draft else (),
    }
    return visit.page(
        "case.html", values, path=f"/cases/{case_id}", status=status, error=error, entered=entered
    )


# ---- customers ----------------------------------------------------------------------------------------------


@router.get("/customers")
def customer_list(visit: Visitor) -> Response:
    wanted = _filters(visit, {})
    after = _number(visit, "bad"), _number(visit, "after")
    found = read.list_customers(
        visit.core,
        visit.now,
        **wanted,
        after=after if None not in after else None,  # type: ignore[arg-type]
        limit=PAGE + 1,
    )
    shown, more = found[:PAGE], len(found) > PAGE
    last = shown[-1].customer if shown else None
    values = {
        "lines": shown,
        "filters": wanted,
        "next": _next(wanted, bad=last.bad_experiences, after=last.id) if more and last else None,
        "first_page": "after" not in visit.request.query_params,
    }
    return visit.page("customers.html", values)


@router.get("/customers/{customer_id}")
def customer(visit: Visitor, customer_id: Id) -> Response:
    return customer_page(visit, customer_id)


def customer_page(
    visit: Visit,
    customer_id: int,
    *,
    status: int = 200,
    error: str = "",
    entered: Mapping[str, str] | None = None,
) -> Response:
    try:
        found = read.customer_page(visit.core, customer_id, visit.now)
    except UsageError as missing:
        raise HTTPException(404, str(missing)) from missing
    since = visit.now - visit.core.rules.bad_experience_window
    values = {"found": found, "customer": found.customer, "window_start": since}
    return visit.page(
        "customer.html", values, path=f"/customers/{customer_id}", status=status, error=error, entered=entered
    )


# ---- mentions and sources -----------------------------------------------------------------------------------


@router.get("/mentions")
def mention_list(visit: Visitor) -> Response:
    sources = [s.name for s in read.list_sources(visit.core)]
    wanted = _filters(visit, {"brand": None, "source": sources, "complaint": [*words.COMPLAINTS]})
    found = read.list_mentions(visit.core, **wanted, before=_number(visit, "before"), limit=PAGE + 1)
    shown, more = found[:PAGE], len(found) > PAGE
    values = {
        "mentions": shown,
        "filters": wanted,
        "brands": sorted(visit.core.rules.brand_policies),
        "sources": sources,
        "next": _next(wanted, before=shown[-1].id) if more else None,
        "first_page": "before" not in visit.request.query_params,
    }
    return visit.page("mentions.html", values)


@router.get("/sources")
def source_list(visit: Visitor) -> Response:
    return source_page(visit)


def source_page(visit: Visit, *, status: int = 200, error: str = "") -> Response:
    core = visit.core
    values = {
        "sources": read.list_sources(core),
        "every": {name: s.every for name, s in core.sources.items()},
        "lags": read.detection_lags(core, visit.now),
    }
    return visit.page("sources.html", values, path="/sources", status=status, error=error)


# ---- filters ------------------------------------------------------------------------------------------------


Choices = Mapping[str, Sequence[str] | None]


def _filters(visit: Visit, choices: Choices) -> dict[str, Any]:
    """The filters in the URL that are set, ``words`` always. Raises ``UsageError`` for a choice that there is not.

    ``choices``: the filters of this list with their allowed values; None allows any.
    """
    query = visit.request.query_params
    wanted: dict[str, Any] = {"words": " ".join(query.get("words", "").replace("\0", "").split())[:200]}
    for name, allowed in choices.items():
        value = query.get(name, "").replace("\0", "")[:200]
        if value and allowed is not None and value not in allowed:
            raise UsageError(f"There is no {name} {value[:50]!r}. Known: {', '.join(allowed)}.")
        if value:
            wanted[name] = value
    return wanted


def _number(visit: Visit, name: str) -> int | None:
    text = visit.request.query_params.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(f"{name} must be a number.")
    return int(text)


def _next(wanted: dict[str, Any], **place: int) -> str:
    return "?" + urlencode({k: v for k, v in wanted.items() if v} | place)
