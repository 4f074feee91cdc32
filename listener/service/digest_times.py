"""When a digest is due, which days it is about, and its way into the outbox. Imports little: every tick asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from listener.model import utc
from listener.service.core import Core, Digests
from listener.storage import household, outbox

Kind = Literal["daily", "weekly"]
DAYS: dict[Kind, int] = {"daily": 1, "weekly": 7}
TITLES: dict[Kind, str] = {"daily": "The digest of the day", "weekly": "What the week has taught"}


def queue_due(core: Core, now: datetime) -> None:
    """Queue each digest whose time has come, once for its period whichever process ticks first.

    After a downtime only the latest is sent. The time before digests were turned on counts as done.
    """
    for kind, day in latest(core.rules.digests, now):
        setting, last = f"digest-{kind}", day.isoformat()
        with core.db.read() as connection:
            done = household.setting(connection, setting)
        if done is not None and done >= last:
            continue
        with core.db.write() as connection:
            # Another process may have come between on PostgreSQL even now: then its deliveries have our keys.
            done = household.setting(connection, setting)
            if done is None or done < last:
                household.save_setting(connection, setting, last)
            if done is not None and done < last:
                outbox.add(connection, list(_rows(core, kind, day, now)))


def latest(rule: Digests, now: datetime) -> Iterator[tuple[Kind, date]]:
    """Of each digest that is turned on the last one due: (kind, the last day that it is about)."""
    zone = ZoneInfo(rule.zone)
    today = now.astimezone(zone).date()
    if rule.daily is not None:
        yield "daily", _last(today, rule.daily, 1, zone, now) - timedelta(days=1)
    if rule.weekly is not None:
        weekday, at = rule.weekly
        that_day = today - timedelta(days=(today.weekday() - weekday) % 7)
        yield "weekly", _last(that_day, at, 7, zone, now) - timedelta(days=1)


def _last(day: date, at: time, every: int, zone: ZoneInfo, now: datetime) -> date:
    return day if _instant(day, at, zone) <= now else day - timedelta(days=every)


def period(kind: Kind, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """From midnight to midnight, local time: 23 to 25 hours a day where clocks are changed."""
    first = day - timedelta(days=DAYS[kind] - 1)
    return _instant(first, time(), zone), _instant(day + timedelta(days=1), time(), zone)


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """A time that the clocks skip is as long after midnight as it says; one that comes twice is the first."""
    return utc(datetime.combine(day, at, zone))


def key(kind: Kind, day: date) -> str:
    return f"digest-{kind}-{day.isoformat()}"


def _rows(core: Core, kind: Kind, day: date, now: datetime) -> Iterator[dict[str, object]]:
    wanted = core.rules.digests.channel
    for responder in core.notify:
        known = wanted in getattr(core.responders[responder], "channels", {})
        yield {
            "key": f"{key(kind, day)}:{responder}",
            "responder": responder,
            "case_id": None,
            "channel": wanted if known else None,
            "kind": "digest",
            "text": f"{TITLES[kind]}, {day.isoformat()}",
            "call": [],
            "state": "pending",
            "created_at": now,
            "next_attempt_at": now,
        }
