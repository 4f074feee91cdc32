"""Drafts of public replies. A person looks one over and sends it; Listener never posts in public by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from listener import replies
from listener.clock import Policy
from listener.errors import Refused, UsageError
from listener.model import CaseView, Draft
from listener.resources import data_dir
from listener.service import read
from listener.service.core import Core
from listener.storage import Connection
from listener.storage import cases as case_rows
from listener.storage import customers as customer_rows

MOST = 1000  # cases that a promise is worked out from


def draft(core: Core, case_id: int, who: str, now: datetime, *, lang: str | None = None) -> Draft:
    """A reply to what the customer wrote last, in its language; ``lang`` asks for another one.

    ``who`` signs it, when the configuration names this person. Nothing is recorded. Raises ``Refused`` for a closed
    case, ``UsageError`` when there is no such case, language or folder, or a template can't be used.
    """
    templates = _templates(core.rules.reply_folder)
    if lang is not None and lang not in templates.languages:
        known = ", ".join(templates.languages)
        raise UsageError(f"There are no reply templates in {lang!r}. There are: {known}.")
    with core.db.read() as connection:
        case = read.case_view(core, connection, case_id, now)
        if not case.open:
            raise Refused(f"The case is closed ({case.outcome}). Open it again before you answer.")
        row = case_rows.get(connection, case_id)
        assert row is not None  # the view is made of it
        promise, basis = _promise(connection, case, Policy.from_json(row.body["policy"]), now)
        let_down_before = _let_down_before(core, connection, case, now)
    first_name, full_name = replies.names(case.customer.name, case.brand)
    count, unit = replies.count_and_unit(promise)
    values = replies.Values(
        brand=case.brand,
        count=count,
        unit=unit,
        first_name=first_name,
        full_name=full_name,
        agent=replies.names(who, case.brand)[0] if who in core.rules.people else None,
        let_down_before=let_down_before,
        new_customer=case.customer.new,
    )
    spoken = lang or templates.language(m.lang for m in reversed(case.mentions))
    text, written = templates.reply(spoken, case.reason, values)
    return Draft(text, written, promise // timedelta(minutes=1), _length(promise), basis)


def languages(core: Core) -> list[str]:
    """ISO 639-1 codes of those that replies can be drafted in. Raises ``UsageError`` when there is no folder."""
    return _templates(core.rules.reply_folder).languages


def problems(folder: Path | None, reasons: Sequence[str]) -> list[str]:
    """What is wrong with the installation's own templates, one line each, with file and line."""
    if folder is None:
        return []
    try:
        return _templates(folder).problems(reasons)
    except UsageError as error:
        return [str(error)]


def _templates(folder: Path | None) -> replies.Templates:
    if folder is not None and not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; it is named in [replies] of the configuration.")
    own = [folder] if folder is not None else []
    return replies.Templates([*own, data_dir() / "replies"])


def _promise(connection: Connection, case: CaseView, policy: Policy, now: datetime) -> tuple[timedelta, str]:
    """The waiting time to tell, and where it comes from in words: history where there is enough, else the policy.

    The history is from a case's beginning to its end, and the promise begins later, with the reply: it is beaten.
    """
    days = replies.HISTORY.days
    rows = case_rows.how_long(
        connection, case.brand, case.reason, now - replies.HISTORY, besides=case.id, limit=MOST
    )
    past = [replies.Past(row.opened_at, row.closed_at) for row in rows]
    told = "" if policy.calendar.always else " of working time"
    usual = replies.nine_of_ten(past, policy.calendar, now)
    if usual is not None:
        length, known = usual
        within = f"within {_length(length)}{told} ({known} cases in {days} days)"
        basis = f"9 of 10 {case.reason} cases were resolved {within}"
    else:
        length = policy.resolution
        which = f"{case.reason} cases in {days} days ({len(past)})"
        why = f"too few {which}" if len(past) < replies.ENOUGH else f"too many {which} are still open"
        basis = f"the policy's target for a resolution, {_length(length)}{told}; {why} to go by"
    return replies.promise(length, policy.calendar, now), basis


def _length(length: timedelta) -> str:
    """In one unit, rounded up so that it stays true: ``45 min``, ``5 h``, ``3 d``."""
    for unit, least, name in ((timedelta(days=1), 3, "d"), (timedelta(hours=1), 2, "h")):
        if length >= least * unit:
            return f"{-(-length // unit)} {name}"
    return f"{-(-length // timedelta(minutes=1))} min"


def _let_down_before(core: Core, connection: Connection, case: CaseView, now: datetime) -> bool:
    since = now - core.rules.bad_experience_window
    return any(
        bad.taken_back_at is None and bad.at >= since and bad.key != f"case-{case.id}-complaint"
        for bad in customer_rows.bad_experiences_of(connection, case.customer.id)
    )
