"""Who takes new cases: the people on duty, what they have to do already, and the call for a case that nobody has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from listener import cases
from listener.cases import Case
from listener.clock import Policy
from listener.model import OnDuty, Person
from listener.service.core import Core
from listener.storage import Connection
from listener.storage import cases as case_rows
from listener.storage.cases import Load

RECENT = timedelta(hours=24)  # among people with equally many open cases, who had fewer in this time is next
DUTY = "duty"  # in a step's call: who is on duty and may be called now

# Counted once a transaction: with 10,000 open cases it takes 0.1 s, and a page or a tick may ask for 50 people.
_counted: WeakKeyDictionary[Connection, dict[str, Load]] = WeakKeyDictionary()


def on_duty(core: Core, now: datetime) -> list[OnDuty]:
    """Who is on duty now, with the open cases that they have or were asked to take; empty without a rotation."""
    rotation = core.rules.duty
    if rotation is None:
        return []
    with core.db.read() as connection:
        loads = case_rows.loads(connection, now - RECENT)
    ends = rotation.ends(now)
    return [
        OnDuty(
            person=core.rules.people.get(post.name) or Person(post.name),
            open_cases=loads[post.name].open_now if post.name in loads else 0,
            until=ends[post.name],
            deputy=post.instead_of is not None,
        )
        for post in rotation.on_duty(now)
    ]


def next_person(
    core: Core,
    connection: Connection,
    now: datetime,
    exclude: Collection[str] = (),
    *,
    outside_hours: bool = False,
) -> str | None:
    """Who is to take the next case: of those who may be called, the one with the fewest open cases for their weight.

    None when nobody may be called now: who is on duty is outside their hours, unless ``outside_hours`` allows that.
    """
    rotation = core.rules.duty
    if rotation is None:
        return None
    names = rotation.candidates(now, outside_hours=outside_hours)
    names = tuple(name for name in names if name not in exclude)
    if len(names) < 2:
        return names[0] if names else None
    loads = _loads(connection, now)
    shares = {post.name: rotation.share(post) for post in rotation.on_duty(now)}

    def load(name: str) -> tuple[float, float]:
        found, share = loads.get(name), shares.get(name, 1.0)
        return (found.open_now / share, found.recent / share) if found else (0.0, 0.0)

    return min(names, key=load)


def call(core: Core, connection: Connection, case: Case, now: datetime) -> list[cases.Called]:
    """Ask the next person, unless somebody has the case, was asked already, or nobody may be called now.

    Who had it last and let it go is passed over.
    """
    if core.rules.duty is None or not case.awaits_call:
        return []
    outside = Policy.from_json(case.policy).outside_hours
    who = next_person(core, connection, now, _passed_over(case), outside_hours=outside)
    if who is None:
        return []
    if connection in _counted:
        found = _counted[connection].get(who, Load(0, 0))
        _counted[connection][who] = replace(found, open_now=found.open_now + 1, recent=found.recent + 1)
    return [cases.Called(at=now, person=who)]


def look_at(core: Core, case: Case, now: datetime) -> datetime | None:
    """When the case next needs a look: its next alarm, or the moment at which somebody may be called for it."""
    alarm = cases.next_alarm_at(case)
    if core.rules.duty is None or not case.awaits_call:
        return alarm
    outside = Policy.from_json(case.policy).outside_hours
    called = core.rules.duty.next_call_at(now, exclude=_passed_over(case), outside_hours=outside)
    return min((at for at in (alarm, called) if at is not None), default=None)


def people(core: Core, names: Sequence[str], case: Case, now: datetime) -> list[str]:
    """The people behind the names in a policy's call: people, groups, the assignee, and who is on duty."""
    known: list[str] = []
    for name in names:
        if name != DUTY:
            known.append(name)
        elif core.rules.duty is not None:
            outside = Policy.from_json(case.policy).outside_hours
            known += core.rules.duty.candidates(now, outside_hours=outside)
    return core.rules.call(known, case.assignee)


def _loads(connection: Connection, now: datetime) -> dict[str, Load]:
    if connection not in _counted:
        _counted[connection] = case_rows.loads(connection, now - RECENT)
    return _counted[connection]


def _passed_over(case: Case) -> list[str]:
    return [case.let_go_by] if case.let_go_by is not None else []
