"""Who is on duty, pure: turns of a rotation, hand-overs at a local time, stand-ins, and who may be called.

whose turn ──> absent? (override, quiet hours) ──> their deputy, else the next in turn ──> on duty
on duty ──> within their working hours? ──> may be called
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import chain, takewhile

from listener.clock import Calendar, local_instant, time_zone
from listener.clock.worktime import DAYS
from listener.model import utc

DAY = timedelta(days=1)
AHEAD = timedelta(days=92)  # so far the next change is looked for: a quarter, past any usual turn
OFF = "off"  # an override's person: nobody is on duty then


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody of the rotation.

    ``weight``: the share of cases, beside that of the others. ``hours``: when they may be called. ``quiet``: when
    they are not to be disturbed even on duty: ``deputy`` stands in, else the next in turn.
    """

    name: str
    weight: int = 1
    hours: Calendar = Calendar.ALWAYS
    quiet: Calendar | None = None
    deputy: str | None = None

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise ValueError("a weight is a whole number from 1 on")
        if self.deputy == self.name:
            raise ValueError(f"{self.name} can't be their own deputy")


@dataclass(frozen=True, slots=True)
class HandOver:
    """When a turn ends: ``minute`` after local midnight, of one weekday (0 is Monday) or of every day (None)."""

    weekday: int | None = 0
    minute: int = 9 * 60

    @classmethod
    def parse(cls, text: str) -> HandOver:
        """Reads ``Mon 09:00`` (weekly) and ``daily 09:00``. Raises ``ValueError``."""
        found = re.fullmatch(r"(\w+) +(\d\d?):([0-5]\d)", text.strip())
        day = found[1].title() if found else ""
        if not found or int(found[2]) > 23 or (day != "Daily" and day[:3] not in DAYS):
            raise ValueError(f"{text!r} is no time to hand over: write it like Mon 09:00 or daily 09:00")
        weekday = None if day == "Daily" else DAYS.index(day[:3])
        return cls(weekday, int(found[2]) * 60 + int(found[3]))

    def __str__(self) -> str:
        day = "daily" if self.weekday is None else DAYS[self.weekday]
        return f"{day} {self.minute // 60:02}:{self.minute % 60:02}"


@dataclass(frozen=True, slots=True)
class Override:
    """From ``start`` until ``end``, ``person`` has the duty (``OFF``: nobody has), or ``away`` hasn't, or both."""

    start: datetime
    end: datetime
    person: str | None = None
    away: str | None = None

    def __post_init__(self) -> None:
        if utc(self.start) >= utc(self.end):
            raise ValueError("an override ends after it begins")
        if not self.person and not self.away:
            raise ValueError("an override says who has the duty (person) or who hasn't (away)")
        if self.person == self.away:
            raise ValueError("who is away can't have the duty")


@dataclass(frozen=True, slots=True)
class Post:
    """Somebody on duty, perhaps instead of another."""

    name: str
    instead_of: str | None = None


@dataclass(frozen=True)
class Duty:
    """A rotation. ``at_once`` people are on duty together; None: everyone who is within their hours.

    Turns go round in the order of ``members``, as often as their weights say; the first one's first turn begins at
    the first hand-over from ``starts`` on. A hand-over at a local time that clocks skip happens as they change; at
    one that comes twice, the first time. Deputies and overrides may name people outside of the rotation, who are
    always within their hours. Raises ``ValueError`` for what can't be a rotation.
    """

    members: tuple[Member, ...]
    zone: str = "UTC"
    hand_over_at: HandOver = HandOver()
    at_once: int | None = 1
    starts: date = date(2026, 1, 5)
    overrides: tuple[Override, ...] = ()
    _by_name: dict[str, Member] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {m.name: m for m in self.members})
        if not self.members:
            raise ValueError("a rotation needs people")
        if len(self._by_name) < len(self.members):
            raise ValueError(
                "each person is in the rotation once; their weight says how often it is their turn"
            )
        if self.at_once is not None and not 1 <= self.at_once <= len(self.members):
            raise ValueError(f"at_once is 1 to {len(self.members)}, the number of people, or all")
        time_zone(self.zone)

    # ---- who

    def on_duty(self, now: datetime) -> tuple[Post, ...]:
        """As many as the rotation says, or all that are neither away nor in quiet hours, if those are fewer."""
        return self._posts(utc(now))

    def candidates(self, now: datetime, *, outside_hours: bool = False) -> tuple[str, ...]:
        """Who may be called: those on duty who are within their hours.

        ``outside_hours``: when nobody is, those on duty all the same; in quiet hours too, if nobody else is left.
        """
        now = utc(now)
        inside = tuple(p.name for p in self._posts(now) if self.in_hours(p.name, now))
        if inside or not outside_hours:
            return inside
        found = self._posts(now, outside=True) or self._posts(now, outside=True, asleep=True)
        return tuple(p.name for p in found)

    def in_hours(self, name: str, now: datetime) -> bool:
        return self._member(name).hours.is_open(now)

    def share(self, post: Post) -> float:
        """How many cases this person takes while on duty, beside the others who are.

        The weight, less what it has given already: who has twice the turns takes no more within a turn.
        """
        member = self._by_name.get(post.name) or self._by_name.get(post.instead_of or "")
        if member is None:  # a guest does as much as the average
            return sum(m.weight for m in self.members) / (self.at_once or len(self.members))
        turns = sum(member.name in turn for turn in self._turns)
        return member.weight * len(self._turns) / turns

    # ---- when

    def changes(self, now: datetime) -> Iterator[tuple[datetime, tuple[Post, ...]]]:
        """When others will be on duty, and who, the soonest first; as far as the next 92 days."""
        now = utc(now)
        before = {p.name for p in self._posts(now)}
        for at in self._edges(now, hours=self.at_once is None):
            posts = self._posts(at)
            names = {p.name for p in posts}
            if names != before:
                yield at, posts
            before = names

    def hand_over(self, now: datetime) -> datetime | None:
        """When others will be on duty; None: not within 92 days."""
        return next((at for at, _ in self.changes(now)), None)

    def ends(self, now: datetime) -> dict[str, datetime | None]:
        """Who is on duty, and until when; None: longer than 92 days."""
        ends: dict[str, datetime | None] = {p.name: None for p in self.on_duty(now)}
        for at, posts in self.changes(now) if ends else ():
            staying = {p.name for p in posts}
            ends |= {name: at for name, end in ends.items() if end is None and name not in staying}
            if None not in ends.values():
                break
        return ends

    def next_call_at(
        self, now: datetime, *, exclude: Iterable[str] = (), outside_hours: bool = False
    ) -> datetime | None:
        """The first instant from ``now`` on at which somebody else may be called; None: not within 92 days."""
        now, exclude = utc(now), set(exclude)
        for at in chain([now], self._edges(now, hours=True)):
            if set(self.candidates(at, outside_hours=outside_hours)) - exclude:
                return at
        return None

    # ---- how

    def _posts(self, now: datetime, *, outside: bool = False, asleep: bool = False) -> tuple[Post, ...]:
        """``outside``: where everyone in hours is on duty, those outside of theirs too; ``asleep``: quiet or not."""
        active = [o for o in self.overrides if o.start <= now < o.end]
        if any(o.person == OFF for o in active):
            return ()
        away = {o.away for o in active}

        def free(name: str) -> bool:
            quiet = self._member(name).quiet
            return name not in away and (asleep or quiet is None or not quiet.is_open(now))

        if self.at_once is None:
            order = [m.name for m in self.members if outside or m.hours.is_open(now)]
        else:
            number = self._turn_number(now)
            turns = [self._turns[(number + i) % len(self._turns)] for i in range(len(self._turns))]
            order = [name for turn in turns for name in turn]
        order = list(dict.fromkeys([*(o.person for o in active if o.person), *order]))
        due, others = order[: self.at_once], order[self.at_once :] if self.at_once else []
        posts = {name: Post(name) for name in due if free(name)}
        absent = [name for name in due if name not in posts]
        for name in absent:
            deputy = self._member(name).deputy
            if deputy is None or deputy in posts or not free(deputy):
                deputy = next((n for n in others if n not in posts and free(n)), None)
            if deputy is not None:
                posts[deputy] = Post(deputy, name)
        return tuple(posts.values())

    def _member(self, name: str) -> Member:
        return self._by_name.get(name) or Member(name)

    @cached_property
    def _turns(self) -> list[tuple[str, ...]]:
        """Who is on duty in each turn, until it starts again from the first.

        The smooth weighted round robin of load balancers, taking several at a time: in every turn each one's credit
        grows by their weight and the highest ones are taken, so that turns are spread, and exact over the round.
        """
        weights = {m.name: m.weight for m in self.members}
        number = self.at_once or len(weights)
        always: list[str] = []  # so heavy that each turn is theirs
        while heavy := [n for n, w in weights.items() if w * number >= sum(weights.values())]:
            always += heavy
            number -= len(heavy)
            for name in heavy:
                del weights[name]
            if not number:
                break
        if not number:
            return [tuple(always)]
        total, turns = sum(weights.values()), []
        credit = dict.fromkeys(weights, 0)
        for _ in range(total):
            for name, weight in weights.items():
                credit[name] += weight * number
            taken = sorted(credit, key=lambda name: -credit[name])[:number]
            for name in taken:
                credit[name] -= total
            turns.append((*always, *taken))
        return turns

    def _handed_over(self, day: date) -> datetime:
        return local_instant(day, self.hand_over_at.minute, time_zone(self.zone))

    def _hand_over_day(self, day: date) -> bool:
        return self.hand_over_at.weekday in (None, day.weekday())

    def _turn_number(self, now: datetime) -> int:
        """Of the turn at ``now``; 0 is the one that begins at the first hand-over from ``starts`` on."""
        first = self.starts
        while not self._hand_over_day(first):
            first += DAY
        # From tomorrow back: where clocks change at midnight, a day's hand-over may come before the day does.
        day = now.astimezone(time_zone(self.zone)).date() + DAY
        while not self._hand_over_day(day) or self._handed_over(day) > now:
            day -= DAY
        return (day - first).days // (1 if self.hand_over_at.weekday is None else 7)

    def _hand_overs(self, now: datetime) -> Iterator[datetime]:
        day = now.astimezone(time_zone(self.zone)).date()
        while True:
            if self._hand_over_day(day) and (at := self._handed_over(day)) > now:
                yield at
            day += DAY

    def _edges(self, now: datetime, *, hours: bool) -> Iterator[datetime]:
        """The instants after ``now`` at which something may change, in order, for as long as we look ahead."""
        streams: list[Iterable[datetime]] = [
            sorted(at for o in self.overrides for at in (utc(o.start), utc(o.end)) if at > now)
        ]
        if self.at_once is not None and len(self._turns) > 1:
            streams.append(self._hand_overs(now))
        for member in self.members:
            calendars = [member.quiet, member.hours if hours else None]
            streams += [_edges_of(c, now) for c in calendars if c is not None and not c.always]
        last = now
        for at in takewhile(lambda at: at <= now + AHEAD, heapq.merge(*streams)):
            if at > last:
                yield at
                last = at


def _edges_of(calendar: Calendar, now: datetime) -> Iterator[datetime]:
    for opens, closes in calendar.spans(now):
        yield opens
        yield closes
