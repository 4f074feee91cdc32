"""What the use cases share: the wired parts, and the way into the outbox."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from listener.clock import Policy
from listener.matching import Matcher
from listener.model import NoticeKind, Person, Verdict
from listener.ports import Connector, Responder
from listener.storage import Connection, outbox
from listener.storage.database import Database
from listener.storm import StormRules

if TYPE_CHECKING:
    from listener.duty import Duty

log = logging.getLogger("listener")

Now = Callable[[], datetime]


class Scorer(Protocol):
    """What the use cases ask of triage."""

    def verdict(
        self, text: str, *, title: str = "", rating: float | None = None, lang: str | None = None
    ) -> Verdict: ...


class Fetch(Protocol):
    """The way out to the network, see listener.fetch."""

    def client(self, memory: Any) -> httpx.Client: ...

    def computing(self) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A configured source. ``brand``: everything there is about it; None: only what names a brand is taken."""

    name: str
    connector: Connector
    every: timedelta
    brand: str | None = None
    policy: str | None = None
    own_accounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Digests:
    """When digests go out, in local time of ``zone``; None: never. Weekdays count from Monday, 0.

    ``channel``: where they go at the responders that know it, instead of their default.
    """

    zone: str = "UTC"
    daily: time | None = None
    weekly: tuple[int, time] | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says about cases and people."""

    policies: Mapping[str, Policy]
    brand_policies: Mapping[str, str]  # brand -> policy name
    people: Mapping[str, Person] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    bad_experience_window: timedelta = timedelta(days=365)
    new_customer_days: int = 90
    backfill_alert: timedelta = timedelta(hours=24)
    keep_text: timedelta | None = None
    fallback: str | None = None
    fallback_after: timedelta = timedelta(minutes=10)
    public_url: str | None = None
    reply_folder: Path | None = None  # the installation's own templates; they come before ours
    storm: StormRules = field(default_factory=StormRules)
    duty: Duty | None = None
    digests: Digests = field(default_factory=Digests)

    def case_url(self, case_id: int) -> str | None:
        """Of the case's page on the dashboard."""
        return f"{self.public_url.rstrip('/')}/cases/{case_id}" if self.public_url else None

    def call(self, names: Sequence[str], assignee: str | None) -> list[str]:
        """The people behind the names of people and groups, each once; names that nobody bears call nobody."""
        found: list[str] = []
        for name in names:
            if name == "assignee":
                found += [assignee] if assignee else []
            elif name in self.groups:
                found += self.groups[name]
            elif name in self.people:
                found.append(name)
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Core:
    """The wired parts. ``notify`` are the responders that get everything (all but the fallback)."""

    db: Database
    rules: Rules
    matcher: Matcher
    triage: Scorer
    fetch: Fetch
    memory: Callable[[str | None], Any]  # listener.fetch.SourceMemory from its JSON
    sources: Mapping[str, Source]
    responders: Mapping[str, Responder]

    @property
    def notify(self) -> list[str]:
        return [name for name in self.responders if name != self.rules.fallback]


@dataclass(frozen=True, slots=True)
class Tell:
    """A notice to queue. ``channel``: sent there too, by the responders that know it."""

    kind: NoticeKind
    text: str
    call: Sequence[str] = ()
    channel: str | None = None


def queue(
    core: Core,
    connection: Connection,
    key: str,
    case_id: int | None,
    now: datetime,
    tell: Sequence[Tell],
    *,
    responders: Sequence[str] | None = None,
    storm: int | None = None,
) -> None:
    """Put one delivery for each responder into the outbox, in the caller's transaction.

    ``storm``: what is told is the storm's own message, or belongs into its thread.
    """
    rows = []
    for number, item in enumerate(tell):
        for responder in core.notify if responders is None else responders:
            channels: list[str | None] = [None]
            if item.channel and item.channel in getattr(core.responders[responder], "channels", {}):
                channels.append(item.channel)
            rows += [
                {
                    "key": ":".join(filter(None, [f"{key}-{number}", responder, channel])),
                    "responder": responder,
                    "case_id": case_id,
                    "storm_id": storm,
                    "channel": channel,
                    "kind": item.kind,
                    "text": item.text,
                    "call": list(item.call),
                    "state": "pending",
                    "created_at": now,
                    "next_attempt_at": now,
                }
                for channel in channels
            ]
    outbox.add(connection, rows)


def verdict_columns(verdict: Verdict) -> dict[str, Any]:
    """A mention's columns that hold its verdict."""
    return {
        "lang": verdict.lang,
        "compound": verdict.compound,
        "probability": verdict.probability,
        "complaint": verdict.complaint,
        "reason": verdict.reason,
        "severity": verdict.severity,
        "why": [{"rule": w.rule, "words": w.words, "share": w.share} for w in verdict.why],
    }
