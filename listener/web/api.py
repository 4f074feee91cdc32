"""The JSON API: what the pages show, for programs. Described by /api/openapi.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query

import listener
from listener.cases import Event
from listener.errors import UsageError
from listener.model import CaseView, CustomerView
from listener.service import read
from listener.web.ops import WebDep, reader
from listener.web.pages import Id, last_day

api = APIRouter(prefix="/api", dependencies=[Depends(reader)])


@dataclass(frozen=True, slots=True)
class CaseList:
    """``next``: give it as ``before`` for the next ones; null at the end."""

    cases: list[CaseView]
    next: int | None


@dataclass(frozen=True, slots=True)
class DeliveryOut:
    key: str
    responder: str
    channel: str | None
    kind: str
    text: str
    state: str
    created_at: datetime
    attempts: int
    accepted_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class CaseOut:
    """``events`` is the case's whole history; ``error`` is set when the case is parked."""

    case: CaseView
    policy: dict[str, Any]
    events: list[Event]
    deliveries: list[DeliveryOut]
    error: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    platform: str
    platform_id: str
    name: str
    url: str | None
    first_seen_at: datetime


@dataclass(frozen=True, slots=True)
class CustomerMention:
    id: int
    brand: str
    case_id: int | None
    title: str
    text: str
    url: str | None
    rating: float | None
    published_at: datetime | None
    seen_at: datetime
    lang: str
    complaint: str
    reason: str


@dataclass(frozen=True, slots=True)
class BadExperience:
    kind: str
    at: datetime
    case_id: int | None
    mention_id: int | None
    taken_back_at: datetime | None


@dataclass(frozen=True, slots=True)
class CustomerOut:
    customer: CustomerView
    since: datetime | None
    note: str | None
    identities: list[Identity]
    cases: list[CaseView]
    mentions: list[CustomerMention]
    bad_experiences: list[BadExperience]


@dataclass(frozen=True, slots=True)
class SourceOut:
    name: str
    connector: str
    state: str
    next_poll_at: datetime
    last_poll_at: datetime | None
    last_success_at: datetime | None
    last_new_at: datetime | None
    failures: int
    error: str | None
    mentions_found: int


@dataclass(frozen=True, slots=True)
class StatusOut:
    version: str
    health: read.Health
    late: int
    attainment_24h: read.Attainment
    attainment_24h_rate: float | None


def _pick(kind: type[Any], rows: Sequence[Any]) -> list[Any]:
    """Of each row what the type has."""
    return [kind(**{f.name: getattr(row, f.name) for f in fields(kind)}) for row in rows]


@api.get("/cases")
def api_cases(
    web: WebDep,
    state: str | None = None,
    brand: str | None = None,
    person: str | None = None,
    reason: str | None = None,
    storm: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    words: str = "",
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> CaseList:
    """Cases, the newest first. ``state``: one of the states, or ``closed``."""
    found = read.list_cases(
        web.core,
        web.now(),
        state=state,
        brand=brand,
        person=person,
        reason=reason,
        storm=storm,
        words=words,
        before=before,
        limit=limit + 1,
    )
    return CaseList(found[:limit], found[limit - 1].id if len(found) > limit else None)


@api.get("/cases/{case_id}")
def api_case(web: WebDep, case_id: Id) -> CaseOut:
    try:
        story = read.story(web.core, case_id, web.now())
    except UsageError as error:
        raise HTTPException(404, str(error)) from error
    deliveries = _pick(DeliveryOut, story.deliveries)
    return CaseOut(story.case, story.policy, list(story.events), deliveries, story.error)


@api.get("/customers/{customer_id}")
def api_customer(web: WebDep, customer_id: Id) -> CustomerOut:
    try:
        found = read.customer_page(web.core, customer_id, web.now())
    except UsageError as error:
        raise HTTPException(404, str(error)) from error
    return CustomerOut(
        found.customer,
        found.since,
        found.note,
        _pick(Identity, found.identities),
        found.cases,
        _pick(CustomerMention, found.mentions),
        _pick(BadExperience, found.bad_experiences),
    )


@api.get("/sources")
def api_sources(web: WebDep) -> list[SourceOut]:
    return _pick(SourceOut, read.list_sources(web.core))


@api.get("/status")
def api_status(web: WebDep) -> StatusOut:
    now = web.now()
    health = web.health(now)
    attainment = last_day(web.core, now)
    late = read.late_cases(web.core, now)
    return StatusOut(listener.__version__, health, late, attainment, attainment.rate)
