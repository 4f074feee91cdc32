"""What can happen to a case. Each event is a fact with its time; ``actor`` is a person, None is Listener."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from listener.model import ClockName, ComplaintLabel, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The case began. ``policy`` is the policy's copy; ``starts_at`` is when its clocks started."""

    kind: Literal["opened"] = "opened"
    at: datetime
    actor: str | None = None
    policy: dict[str, object]
    starts_at: datetime
    first_response_target: timedelta
    reason: str
    severity: Severity
    complaint: ComplaintLabel
    mention_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Another mention of the customer joined. ``awaits_answer``: it is not just thanks."""

    kind: Literal["joined"] = "joined"
    at: datetime
    actor: str | None = None
    mention_id: int
    starts_at: datetime
    awaits_answer: bool
    complaint: bool = False  # beyond doubt: what was perhaps a complaint is one now


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """Somebody on duty was asked to take the case."""

    kind: Literal["called"] = "called"
    at: datetime
    actor: str | None = None
    person: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    kind: Literal["claimed"] = "claimed"
    at: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    kind: Literal["assigned"] = "assigned"
    at: datetime
    actor: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """Nobody is on it any more. ``cause``: "person", or "timeout" when a claim was not followed by a response."""

    kind: Literal["released"] = "released"
    at: datetime
    actor: str | None = None
    cause: Literal["person", "timeout"] = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Responded:
    """A public answer was given. ``answered_at``: the answer's own time. ``promise_minutes``: what it told."""

    kind: Literal["responded"] = "responded"
    at: datetime
    actor: str
    url: str
    answered_at: datetime
    promise_minutes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A re-poll of the source saw the brand's own answer."""

    kind: Literal["verified"] = "verified"
    at: datetime
    actor: str | None = None
    url: str | None
    answered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """Waiting for the customer: the resolution clock is paused."""

    kind: Literal["waited"] = "waited"
    at: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    kind: Literal["resumed"] = "resumed"
    at: datetime
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snoozed:
    """Reminders are mute until then; no clock stops."""

    kind: Literal["snoozed"] = "snoozed"
    at: datetime
    actor: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    kind: Literal["noted"] = "noted"
    at: datetime
    actor: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    kind: Literal["resolved"] = "resolved"
    at: datetime
    actor: str
    outcome: str
    note: str = ""
    reason: str | None = None  # corrected


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissed:
    """Not a complaint: why, in a person's words."""

    kind: Literal["dismissed"] = "dismissed"
    at: datetime
    actor: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """A new cycle. ``mention_id``: the customer came back with it; None when a person reopened the case."""

    kind: Literal["reopened"] = "reopened"
    at: datetime
    actor: str | None = None
    starts_at: datetime
    first_response_target: timedelta
    mention_id: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MentionChanged:
    """What the customer wrote was edited or deleted at the source. ``rating``: the stars as they are now."""

    kind: Literal["mention_changed"] = "mention_changed"
    at: datetime
    actor: str | None = None
    mention_id: int
    change: Literal["edited", "deleted"]
    before: str
    rating_before: float | None = None
    rating: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """After the resolution the customer gave better stars: it is confirmed."""

    kind: Literal["recovered"] = "recovered"
    at: datetime
    actor: str | None = None
    mention_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarmed:
    """An alarm point was reached and recorded."""

    kind: Literal["alarmed"] = "alarmed"
    at: datetime
    actor: str | None = None
    clock: str
    step: str
    step_kind: str
    due_at: datetime
    skipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseEnded:
    """The waiting time that a reply told is over: ``kept`` or not."""

    kind: Literal["promise_ended"] = "promise_ended"
    at: datetime
    actor: str | None = None
    kept: bool
    promised_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReapplied:
    kind: Literal["policy_reapplied"] = "policy_reapplied"
    at: datetime
    actor: str
    policy: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A clock that ran in a case when it was merged; the words are those of ``Clock``."""

    name: ClockName
    started_at: datetime
    target: timedelta
    since: datetime
    left: timedelta
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """It is one incident with case ``into``, which has its mentions now and where it goes on."""

    kind: Literal["merged"] = "merged"
    at: datetime
    actor: str
    into: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedFrom:
    """Another case was merged into this one. ``cases``: its number, then those that it had taken in itself.

    ``clocks`` are those that ran there: of two clocks for the same the earlier due time stays, and so it is with
    the promise.
    """

    kind: Literal["merged_from"] = "merged_from"
    at: datetime
    actor: str
    cases: tuple[int, ...]
    mention_ids: tuple[int, ...]
    clocks: tuple[Running, ...]
    promise_minutes: int | None = None
    promised_until: datetime | None = None


Event = Annotated[
    Opened
    | Joined
    | Called
    | Claimed
    | Assigned
    | Released
    | Responded
    | Verified
    | Waited
    | Resumed
    | Snoozed
    | Noted
    | Resolved
    | Dismissed
    | Reopened
    | MentionChanged
    | Recovered
    | Alarmed
    | PromiseEnded
    | PolicyReapplied
    | Merged
    | MergedFrom,
    Field(discriminator="kind"),
]
# Worked out at the first use, like the case's.
EVENT: TypeAdapter[Event] = TypeAdapter(Event, config=ConfigDict(defer_build=True))
