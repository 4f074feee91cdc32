"""The ports: what the core asks of a connector and of a responder. This page is the whole plug-in API.

A plug-in is a pydantic model: its fields are its options, its docstring is its help, its file name is its kind.
Third parties publish theirs as entry points ``listener.connectors`` and ``listener.responders``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

import httpx

from listener.errors import NotModified
from listener.model import (
    Answer,
    CaseView,
    CustomerView,
    Delivery,
    Draft,
    Mention,
    OnDuty,
    Page,
    Person,
    Today,
)


@runtime_checkable
class Connector(Protocol):
    """Reads one kind of place."""

    def poll(self, http: httpx.Client, cursor: str | None) -> Page:
        """Read one page, the newest first where the source can. Raises ``SourceError``; never returns an empty
        page for an answer that it could not read. ``http`` is safe and polite, and raises ``FetchError`` itself
        for refused, failed and error-status requests; cookies, redirects and robots.txt are its business.
        """
        ...


@runtime_checkable
class Selective(Protocol):
    """An optional power of a connector: makes only the mentions that are wanted, where most are not."""

    def select(self, http: httpx.Client, cursor: str | None, wanted: Callable[[str], bool]) -> Page:
        """As ``poll``, but without the mentions whose title and text, joined as ``matched_text`` does, are not
        wanted. Of 100 feed entries one names a brand; the others need no author, dates and links.
        """
        ...


def matched_text(title: str, text: str) -> str:
    """What of a mention is searched for brand names."""
    return f"{title}\n{text}" if title else text


@runtime_checkable
class AnswerFinder(Protocol):
    """An optional power of a connector: finds the brand's own public answer to a mention."""

    def answer(self, http: httpx.Client, mention: Mention) -> Answer | None: ...


@runtime_checkable
class Responder(Protocol):
    """Reaches people. One with ``takes_pictures = True`` is given the chart of a digest."""

    def send(self, delivery: Delivery) -> dict[str, str] | None:
        """Send one message. Returns what is needed to find it again (kept as ``Delivery.ref`` for the case), or
        None to keep what is there. Raises ``DeliveryError``; anything else is a bug and parks the delivery.
        """
        ...


@runtime_checkable
class Finder(Protocol):
    """An optional power of a responder: sees whether an uncertain delivery has arrived."""

    def find(self, delivery: Delivery) -> dict[str, str] | None:
        """What ``send`` returned then ({} for its None), or None when it has not arrived. Raises as ``send``."""
        ...


class Desk(Protocol):
    """What a responder may ask for people who act there. All of it is a transaction, recorded with who did it.

    ``who`` is a person's name, from ``person``. Raises ``Refused`` for what is no longer possible (somebody else
    claimed it a second ago) and ``UsageError`` for what never was (no such case), both in words for that person.
    """

    def now(self) -> datetime:
        """The instant by which all of it is done, aware UTC."""
        ...

    def once(self, key: str) -> bool:
        """True for the first who brings this key: a double click or a repeated request has one effect."""
        ...

    def person(self, kind: str, handle: str, shown: str) -> str:
        """Who has this id at this kind of responder, by the configuration; else the name shown there."""
        ...

    def people(self) -> dict[str, Person]: ...

    def case(self, case_id: int) -> CaseView: ...

    def claim(self, case_id: int, who: str) -> None: ...

    def release(self, case_id: int, who: str) -> None: ...

    def assign(self, case_id: int, who: str, to: str) -> None: ...

    def respond(self, case_id: int, who: str, url: str, promise_minutes: int | None) -> None: ...

    def look_for_answer(self, case_id: int) -> bool:
        """Ask the source at once whether the brand has answered in public; whether it has."""
        ...

    def wait(self, case_id: int, who: str) -> None: ...

    def resume(self, case_id: int, who: str) -> None: ...

    def snooze(self, case_id: int, who: str, minutes: int) -> None: ...

    def note(self, case_id: int, who: str, text: str) -> None: ...

    def resolve(self, case_id: int, who: str, outcome: str, note: str, reason: str | None) -> None: ...

    def dismiss(self, case_id: int, who: str, why: str) -> None: ...

    def reopen(self, case_id: int, who: str, why: str) -> None: ...

    def merge(self, case_id: int, who: str, into: int) -> None:
        """Both are one incident: its mentions go to ``into``, and the earliest due time stays."""
        ...

    def draft(self, case_id: int, who: str) -> Draft: ...

    def mine(self, who: str) -> Sequence[CaseView]:
        """The open cases of a person, soonest due first."""
        ...

    def queue(self) -> Sequence[CaseView]:
        """The open cases that nobody has, soonest due first."""
        ...

    def today(self) -> Today: ...

    def on_duty(self) -> Sequence[OnDuty]: ...

    def customers(self, name: str) -> Sequence[CustomerView]:
        """Those whose name holds these words, the most let down first, at most 10."""
        ...

    def cases_of(self, customer_id: int) -> Sequence[CaseView]: ...

    def search(self, words: str) -> Sequence[CaseView]:
        """The newest cases whose mentions hold the words, at most 10."""
        ...


@runtime_checkable
class Interactive(Protocol):
    """An optional power of a responder: people act there."""

    def listen(self, desk: Desk) -> Callable[[], None] | None:
        """Start listening in threads of its own; the function that stops it (None: it is asked by HTTP only)."""
        ...

    def handle(self, desk: Desk, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
        """Answer one HTTP request at the address of this responder: status, content type, body."""
        ...


def get_if_changed(http: httpx.Client, url: str) -> httpx.Response:
    """GET that raises ``NotModified`` when the source says (304), or the bytes show, that nothing is new.

    For connectors whose whole page is one URL. The client remembers validators and a hash of the body for it,
    and commits them only together with the page, so that a crash in between loses nothing.
    """
    response = http.get(url, extensions={"listener_if_changed": True})
    if response.status_code == httpx.codes.NOT_MODIFIED:
        raise NotModified(url)
    return response
