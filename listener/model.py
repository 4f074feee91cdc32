"""The words of Listener as frozen types. Standard library only.

Every instant is an aware UTC ``datetime``; every length of time is a ``timedelta`` or says its unit in its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal


def utc(value: datetime) -> datetime:
    """The same instant in UTC. Raises ``ValueError`` for a naive value: it names no instant."""
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return value.astimezone(UTC)


# ---- what is heard ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote it there. ``platform`` + ``platform_id`` is the identity (the id outlives a change of name)."""

    platform: str
    platform_id: str
    name: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A public answer, for example an owner's reply under a review."""

    text: str
    url: str | None = None
    published: datetime | None = None
    author: Author | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """One thing that one author wrote, as found at a source; plain text, no markup.

    ``external_id`` is stable and unique within the source. ``published`` is None where the source tells no
    usable time. ``rating`` is in stars, 1.0 (worst) to 5.0 (best), whatever scale the source uses.
    ``thread`` groups what belongs to one conversation (thread id or URL). ``lang`` is the source's own claim.
    """

    external_id: str
    text: str
    title: str = ""
    url: str | None = None
    author: Author | None = None
    published: datetime | None = None
    edited: datetime | None = None
    rating: float | None = None
    thread: str | None = None
    lang: str | None = None
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something found at a source that could not be used: ``what`` names it, ``why`` says the reason."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a poll. It is stored in one transaction together with ``cursor``.

    ``cursor`` is opaque to the core and handed to the next call (None: start from the top again). ``more``: call
    again at once with this cursor. ``poll_after``: the source's own wish for the pause until the next poll.
    """

    mentions: tuple[Mention, ...]
    cursor: str | None = None
    more: bool = False
    skipped: tuple[Skipped, ...] = ()
    poll_after: timedelta | None = None


# ---- what triage says ---------------------------------------------------------------------------------------

Sentiment = Literal["negative", "neutral", "positive"]
ComplaintLabel = Literal["complaint", "check", "not"]  # "check": the uncertain band, shown as "please check"
Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Why:
    """One word or rule that weighed: ``share`` > 0 speaks for a complaint, < 0 against it."""

    rule: str
    words: str
    share: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What triage says of a text. ``compound`` is -1..1, ``probability`` (of a complaint) is 0..1."""

    lang: str  # ISO 639-1, or "unknown"
    compound: float
    sentiment: Sentiment
    probability: float
    complaint: ComplaintLabel
    reason: str
    severity: Severity
    why: tuple[Why, ...] = ()


# ---- the clock and the case ---------------------------------------------------------------------------------


class ClockName(StrEnum):
    FIRST_RESPONSE = "first_response"
    NEXT_RESPONSE = "next_response"
    RESOLUTION = "resolution"


class State(StrEnum):
    OPEN = "open"  # nobody is on it
    CLAIMED = "claimed"
    RESPONDED = "responded"
    WAITING = "waiting"  # for the customer
    RESOLVED = "resolved"
    DISMISSED = "dismissed"  # not a complaint
    MERGED = "merged"  # into another case


OPEN_STATES = frozenset({State.OPEN, State.CLAIMED, State.RESPONDED, State.WAITING})


# ---- what people are shown ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CustomerView:
    """A customer as people see it beside a case."""

    id: int
    name: str
    bad_experiences: int  # in the rolling window, this case included
    window_days: int
    day_as_customer: int | None  # 1 on the first day; None when it is not known since when
    new: bool  # within the first 90 days
    tier: str | None = None

    @property
    def likely_to_leave(self) -> bool:
        """The third bad experience: most people have left by then (design: 92% after three or fewer)."""
        return self.bad_experiences >= 3


@dataclass(frozen=True, slots=True)
class MentionView:
    """A mention as people see it. ``published`` is None where the source told no time."""

    id: int
    source: str
    author: str
    title: str
    text: str
    url: str | None
    rating: float | None
    lang: str
    compound: float
    published: datetime | None
    seen: datetime
    deleted: bool = False
    edited: bool = False


@dataclass(frozen=True, slots=True)
class ClockView:
    """One clock of a case's present cycle. ``due_at`` is None while it is paused."""

    name: ClockName
    started_at: datetime
    due_at: datetime | None
    target: timedelta
    met_at: datetime | None = None

    def running(self) -> bool:
        return self.met_at is None and self.due_at is not None

    def late_by(self, now: datetime) -> timedelta:
        """How far past due at ``now`` (or when it was met); zero when in time or paused."""
        end = self.met_at or now
        if self.due_at is None or end <= self.due_at:
            return timedelta(0)
        return end - self.due_at


@dataclass(frozen=True, slots=True)
class CaseView:
    """A snapshot of a case for people: all that a message or a page needs, none of it markup."""

    id: int
    brand: str
    state: State
    cycle: int
    reason: str
    severity: Severity
    complaint: ComplaintLabel
    why: tuple[Why, ...]
    customer: CustomerView
    mentions: tuple[MentionView, ...]  # as they came to the case: what it is about first
    clocks: tuple[ClockView, ...]
    opened_at: datetime
    assignee: str | None = None
    answer_url: str | None = None
    verified: bool = False
    promise_minutes: int | None = None
    snoozed_until: datetime | None = None
    outcome: str | None = None
    url: str | None = None  # of the case's page on the dashboard
    merged_into: int | None = None  # the number of the case where it goes on
    merged_url: str | None = None  # of that case's page

    @property
    def open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def next_clock(self) -> ClockView | None:
        """The running clock that is due first."""
        running = [c for c in self.clocks if c.running()]
        return min(running, key=lambda c: c.due_at or c.started_at) if running else None


@dataclass(frozen=True, slots=True)
class StormView:
    """Many complaints of one brand at once. ``reasons`` and ``sources``: how many cases each, most first."""

    id: int
    brand: str
    started_at: datetime
    ended_at: datetime | None
    cases: int
    open_cases: int
    per_hour: float
    usual_per_hour: float
    reasons: tuple[tuple[str, int], ...]
    sources: tuple[tuple[str, int], ...]
    url: str | None = None


@dataclass(frozen=True, slots=True)
class DigestLine:
    """One line of plain text. ``label`` stands before it and leads to ``url`` where links can be shown."""

    text: str
    label: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class DigestPart:
    title: str
    lines: tuple[DigestLine, ...]


@dataclass(frozen=True, slots=True)
class DigestView:
    """A digest as people read it. ``figures``: the same for programs, as JSON has it."""

    name: str  # unique to the day or week: digest-daily-2026-11-22
    title: str
    summary: str
    alt: str  # the chart in words; empty: there is nothing to draw
    parts: tuple[DigestPart, ...]
    figures: dict[str, object]


NoticeKind = Literal[
    "opened",  # a new case
    "joined",  # another mention joined it
    "changed",  # claimed, released, responded, noted, edited, ...: the case message follows
    "reminder",  # alarm steps, mildest first
    "warning",
    "breach",
    "escalation",
    "reopened",
    "closed",  # resolved, dismissed or merged
    "storm",  # many complaints of one brand: one message that counts them
    "digest",  # the day, or what the week has taught
    "system",  # not about a case: a source stopped, a delivery parked, ...
]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the team, as the configuration names them. ``handles``: responder kind -> id there."""

    name: str
    handles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a responder is to tell: one plain sentence, and the case as it stands now."""

    kind: NoticeKind
    text: str
    at: datetime
    case: CaseView | None = None
    call: tuple[Person, ...] = ()  # who must look
    storm: StormView | None = None
    digest: DigestView | None = None
    picture: bytes | None = None  # PNG; a digest's chart


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one responder, from the outbox.

    ``key`` is unique for ever: receivers may use it to drop repeats. ``ref`` is what this responder returned for
    the case's first message (None before that): later messages go into its thread, and it is edited in place.
    ``uncertain``: an earlier attempt may have been accepted, so look for ``key`` before sending again, no further
    back than ``queued_at`` (aware UTC; None: not known).
    ``channel`` is where it goes when that is not the responder's default (a name that the responder knows).
    ``storm_ref`` is what this responder returned for the storm's message that the notice edits, or into whose thread
    the case goes.
    """

    key: str
    notice: Notice
    channel: str | None = None
    ref: dict[str, str] | None = None
    attempt: int = 1
    uncertain: bool = False
    storm_ref: dict[str, str] | None = None
    queued_at: datetime | None = None


# ---- what people ask for ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """A reply to look over, change and send by hand: Listener never posts in public by itself.

    ``promise_minutes``: the waiting time that ``text`` tells, ``wait`` the same in words;
    ``basis``: where it comes from, in words.
    """

    text: str
    lang: str
    promise_minutes: int
    wait: str
    basis: str


@dataclass(frozen=True, slots=True)
class OnDuty:
    """Somebody who takes new cases now. ``until``: when the next one takes over; None: no end is known."""

    person: Person
    open_cases: int
    until: datetime | None = None
    deputy: bool = False  # in somebody's place


@dataclass(frozen=True, slots=True)
class Today:
    """The figures since midnight UTC."""

    opened: int
    answered: int
    in_time: int
    late: int  # open and past due now
    resolved: int
    reopened: int
    promises_kept: int
    promises_broken: int
