"""A small world for tests of the use cases: real database, matcher and triage; a scripted source and receiver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from listener.clock import Policy
from listener.errors import DeliveryError, ListenerError
from listener.matching import BrandRules, Matcher
from listener.model import Author, CaseView, Delivery, Mention, Page, Person
from listener.service import deliver as deliver_job
from listener.service import poll as poll_job
from listener.service import read
from listener.service import tick as tick_job
from listener.service.core import Core, Rules, Source
from listener.storage import sources as source_rows
from listener.storage.database import Database
from listener.storage.sources import SourceSpec
from listener.triage import Triage

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
TRIAGE = Triage()


@dataclass
class ScriptedSource:
    """A connector whose pages a test lays out; an error in the list is raised instead."""

    pages: list[Page | Exception] = field(default_factory=list)
    cursors: list[str | None] = field(default_factory=list)

    def poll(self, http: httpx.Client, cursor: str | None) -> Page:
        self.cursors.append(cursor)
        page = self.pages.pop(0) if self.pages else Page(())
        if isinstance(page, Exception):
            raise page
        return page


@dataclass
class Receiver:
    """A responder that keeps what it accepted; ``failures`` are raised first, one a send."""

    accepted: list[Delivery] = field(default_factory=list)
    failures: list[DeliveryError | Exception] = field(default_factory=list)
    attempts: list[Delivery] = field(default_factory=list)
    channels: dict[str, str] = field(default_factory=dict)

    def send(self, delivery: Delivery) -> dict[str, str] | None:
        self.attempts.append(delivery)
        if self.failures:
            raise self.failures.pop(0)
        self.accepted.append(delivery)
        return {"message": delivery.key} if delivery.ref is None else None

    @property
    def kinds(self) -> list[str]:
        return [d.notice.kind for d in self.accepted]

    @property
    def texts(self) -> list[str]:
        return [d.notice.text for d in self.accepted]


class Memory:
    """Stands for a source's HTTP memory where nothing is fetched."""

    poll_after: timedelta | None = None

    def to_json(self) -> str:
        return "{}"


class NoFetch:
    def computing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def client(self, memory: Any) -> httpx.Client:
        return httpx.Client(trust_env=False)


class World:
    """One brand ("Halcyon"), one source ("forum"), one receiver; ``now`` moves only when a test says so."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        self.now = START
        self.db = Database(f"sqlite:///{folder / 'listener.db'}")
        self.db.open()
        self.source = ScriptedSource()
        self.receiver = Receiver()
        people = {name: Person(name, {"slack": f"U{name}"}) for name in ("Anna", "Ben", "Senior")}
        defaults: dict[str, Any] = {
            "policies": {"default": Policy()},
            "brand_policies": {"Halcyon": "default"},
            "people": people,
            "groups": {"escalation": ["Senior"]},
        }
        self.core = Core(
            db=self.db,
            rules=Rules(**(defaults | rules)),
            matcher=Matcher([BrandRules("Halcyon", ("Halcyon",), competitors=("Otherline",))]),
            triage=TRIAGE,
            fetch=NoFetch(),
            memory=lambda _text: Memory(),
            sources={"forum": Source("forum", self.source, timedelta(minutes=5))},
            responders={"desk": self.receiver},
        )
        with self.db.write() as connection:
            source_rows.sync(connection, [SourceSpec("forum", "scripted", "1", False)], self.now)

    def later(self, **length: float) -> None:
        self.now += timedelta(**length)

    def settled(self) -> None:
        """Let the source's first poll be over, so that what comes is news."""
        self.hear()

    def hear(self, *mentions: Mention) -> poll_job.Report:
        """The source shows these mentions, and is polled now."""
        self.source.pages = [Page(mentions)]
        return self.poll()

    def poll(self) -> poll_job.Report:
        with self.db.write() as connection:
            connection.execute(source_rows.sources.update().values(next_poll_at=self.now))
        (leased,) = poll_job.lease_due(self.core, self.now, "token", limit=10)
        report = poll_job.poll(self.core, leased, lambda: self.now)
        if report.unchanged is not None:
            poll_job.save_unchanged(self.core, [report.unchanged])
        return report

    def tick(self) -> int:
        return tick_job.tick(self.core, self.now)

    def deliver(self) -> deliver_job.Sent:
        return deliver_job.deliver(self.core, lambda: self.now)

    def case(self, case_id: int = 1) -> CaseView:
        with self.db.read() as connection:
            return read.case_view(self.core, connection, case_id, self.now)

    def cases(self) -> list[CaseView]:
        return read.list_cases(self.core, self.now, limit=100)[::-1]

    def mention(self, number: int | str = 1, text: str = "", **fields: Any) -> Mention:
        """A complaint by Mia about Halcyon, published now; ``number`` is its id."""
        text = text or f"Halcyon never delivered my order {number}, terrible service, I want my money back!"
        defaults: dict[str, Any] = {
            "author": Author("forum.example", "mia", "Mia"),
            "published": self.now,
            "thread": f"t{number}",
            "url": f"https://forum.example/t/{number}",
        }
        return replace(Mention(str(number), text), **(defaults | fields))

    def close(self) -> None:
        self.db.close()


@contextmanager
def refused(kind: type[ListenerError], *words: str) -> Iterator[None]:
    """The block raises this error, and its message names these words."""
    with pytest.raises(kind) as caught:
        yield
    missing = [w for w in words if w not in str(caught.value)]
    assert not missing, f"{caught.value} does not name {missing}"
