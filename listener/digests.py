"""What a digest says: the figures of a day and of a week. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Tally:
    kept: int = 0
    missed: int = 0

    @property
    def all(self) -> int:
        return self.kept + self.missed


@dataclass(frozen=True, slots=True)
class Listed:
    """A case in a list."""

    id: int
    customer: str
    reason: str
    due_at: datetime | None
    assignee: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Hour:
    """The cases that were opened in one hour of the day by the wall clock, by their first answer."""

    in_time: int = 0
    late: int = 0
    waiting: int = 0  # not answered, and not due yet


@dataclass(frozen=True, slots=True)
class Thanks:
    """``helpers`` answered or resolved the customer's case; nobody for plain praise. Without ``words``: by stars."""

    customer: str
    words: str
    rating: float | None
    helpers: tuple[str, ...]
    case_id: int | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Daily:
    """``start`` to ``end`` is the day in ``zone``; open and late cases are as of ``as_of``."""

    name: str
    zone: str
    day: date
    start: datetime
    end: datetime
    as_of: datetime
    opened: int
    open: int
    late: int
    nobody: int  # open without an assignee
    soonest: tuple[Listed, ...]  # the late ones first
    first_response: Tally
    next_response: Tally
    resolution: Tally
    promises: Tally
    reopened: int
    thanks: tuple[Thanks, ...]
    helpers: tuple[tuple[str, int], ...]  # how many of the thanks are for whom
    hours: tuple[Hour, ...]  # 24


@dataclass(frozen=True, slots=True)
class Reason:
    name: str
    cases: int
    before: int | None  # in the week before; None: there is no such week


@dataclass(frozen=True, slots=True)
class Wait:
    """The longest wait for a first answer, from the moment the customer wrote. ``story``: how it came."""

    case_id: int
    customer: str
    reason: str
    waited: timedelta
    answered: bool
    story: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Sufferer:
    customer_id: int
    customer: str
    bad_experiences: int


@dataclass(frozen=True, slots=True)
class Recovery:
    case_id: int
    customer: str
    helpers: tuple[str, ...]
    url: str | None


@dataclass(frozen=True, slots=True)
class Lag:
    """How long after it was written a source's news was seen: its delay, never the team's."""

    source: str
    median: timedelta
    mentions: int


@dataclass(frozen=True, slots=True)
class Weekly:
    """The seven days before ``end`` in ``zone``. ``before``: cases of the week before that; None: no such week."""

    name: str
    zone: str
    first: date
    last: date
    start: datetime
    end: datetime
    as_of: datetime
    opened: int
    before: int | None
    reasons: tuple[Reason, ...]  # all, most cases first
    first_response: Tally
    median_answer: timedelta | None  # from the clock's start, of the first answers of the week
    reopened: int
    promises: Tally
    worst: Wait | None
    sufferers: tuple[Sufferer, ...]  # the most let down first
    sufferers_in_all: int
    window_days: int
    recovered: tuple[Recovery, ...]
    dismissed: int
    dismissals: tuple[tuple[str, int], ...]  # why, how often
    lags: tuple[Lag, ...]
