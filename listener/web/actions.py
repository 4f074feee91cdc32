"""What people do: each form is one POST, answered with a redirect and a plain message, or with what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from listener.errors import ListenerError, Refused, UsageError
from listener.service import act, read
from listener.web.pages import Id, case_page, customer_page, source_page
from listener.web.visit import CheckedForm, Visit, Visitor, see

router = APIRouter(include_in_schema=False)

Fields = dict[str, str]
Action = Callable[[Visit, int, Fields], None]


def _claim(visit: Visit, case_id: int, fields: Fields) -> None:
    act.claim(visit.core, case_id, visit.person, visit.now)


def _release(visit: Visit, case_id: int, fields: Fields) -> None:
    act.release(visit.core, case_id, visit.person, visit.now)


def _assign(visit: Visit, case_id: int, fields: Fields) -> None:
    to = fields.get("to", "").strip()
    if not to or len(to) > 100:
        raise UsageError("Say who is to have the case.")
    act.assign(visit.core, case_id, visit.person, to, visit.now)


def _respond(visit: Visit, case_id: int, fields: Fields) -> None:
    promise = _minutes(fields, "promise")
    act.respond(visit.core, case_id, visit.person, fields.get("url", ""), visit.now, promise_minutes=promise)


def _wait(visit: Visit, case_id: int, fields: Fields) -> None:
    act.wait(visit.core, case_id, visit.person, visit.now)


def _resume(visit: Visit, case_id: int, fields: Fields) -> None:
    act.resume(visit.core, case_id, visit.person, visit.now)


def _snooze(visit: Visit, case_id: int, fields: Fields) -> None:
    minutes = _minutes(fields, "minutes")
    if minutes is None:
        raise UsageError("Say for how long.")
    act.snooze(visit.core, case_id, visit.person, visit.now + timedelta(minutes=minutes), visit.now)


def _note(visit: Visit, case_id: int, fields: Fields) -> None:
    act.note(visit.core, case_id, visit.person, fields.get("text", ""), visit.now)


def _resolve(visit: Visit, case_id: int, fields: Fields) -> None:
    reason = fields.get("reason") or None
    if reason is not None and reason not in visit.web.settings.reasons:
        raise UsageError(f"There is no reason {reason[:50]!r}.")
    outcome, note = fields.get("outcome", ""), fields.get("note", "")
    act.resolve(visit.core, case_id, visit.person, outcome, visit.now, note=note, reason=reason)


def _dismiss(visit: Visit, case_id: int, fields: Fields) -> None:
    act.dismiss(visit.core, case_id, visit.person, fields.get("why", ""), visit.now)


def _reopen(visit: Visit, case_id: int, fields: Fields) -> None:
    act.reopen(visit.core, case_id, visit.person, fields.get("why", ""), visit.now)


def _merge(visit: Visit, case_id: int, fields: Fields) -> None:
    into = fields.get("into", "").strip().removeprefix("#")
    if not into.isascii() or not into.isdigit() or len(into) > 18:
        raise UsageError("Give the number of the other case.")
    act.merge(visit.core, case_id, visit.person, int(into), visit.now)


ACTIONS: dict[str, Action] = {
    "claim": _claim,
    "release": _release,
    "assign": _assign,
    "respond": _respond,
    "wait": _wait,
    "resume": _resume,
    "snooze": _snooze,
    "note": _note,
    "resolve": _resolve,
    "dismiss": _dismiss,
    "reopen": _reopen,
    "merge": _merge,
}


@router.post("/cases/{case_id}/{action}")
def on_case(visit: Visitor, case_id: Id, action: str, form: CheckedForm) -> Response:
    if action not in ACTIONS:
        raise HTTPException(404, "There is no such action.")
    try:
        ACTIONS[action](visit, case_id, form)
    except (Refused, UsageError) as error:
        return case_page(visit, case_id, status=_status(error), error=str(error), entered=form, action=action)
    return see(f"/cases/{case_id}?done={action}")


@router.post("/customers/{customer_id}")
def on_customer(visit: Visitor, customer_id: Id, form: CheckedForm) -> Response:
    try:
        name = " ".join(form.get("name", "").split())
        if not 1 <= len(name) <= 300:
            raise UsageError("A customer has a name of 1 to 300 characters.")
        act.edit_customer(
            visit.core,
            customer_id,
            name=name,
            since=_day(form.get("since", ""), visit.now),
            tier=" ".join(form.get("tier", "").split())[:100] or None,
            note=form.get("note", "").strip()[:10_000] or None,
        )
    except UsageError as error:
        return customer_page(visit, customer_id, status=400, error=str(error), entered=form)
    return see(f"/customers/{customer_id}?done=customer")


@router.post("/sources/{name}/{action}")
def on_source(visit: Visitor, name: str, action: str, form: CheckedForm) -> Response:
    states = {"pause": "paused", "poll": "active"}
    if action not in states or name not in {s.name for s in read.list_sources(visit.core)}:
        raise HTTPException(404, "There is no such source.")
    try:
        act.set_source_state(visit.core, name, states[action], visit.now)
    except (Refused, UsageError) as error:
        return source_page(visit, status=_status(error), error=str(error))
    return see(f"/sources?done={action}")


def _status(error: ListenerError) -> int:
    return 409 if isinstance(error, Refused) else 400


def _minutes(fields: Fields, name: str) -> int | None:
    text = fields.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise UsageError("Give the time in whole minutes.")
    return int(text)


def _day(text: str, now: datetime) -> datetime | None:
    """The start of that day in UTC; None for an empty field."""
    if not text.strip():
        return None
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise UsageError("Give the day as year-month-day, for example 2026-03-01.") from error
    if day > now or day.year < 1900:
        raise UsageError("A customer since a day that lies in the past.")
    return day
