"""The ports: what the core asks of a connector and of a responder. This page is the whole plug-in API.

A plug-in is a pydantic model: its fields are its options, its docstring is its help, its file name is its kind.
Third parties publish theirs as entry points ``listener.connectors`` and ``listener.responders``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import httpx

from listener.errors import NotModified
from listener.model import Answer, Delivery, Mention, Page


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
    """Reaches people."""

    def send(self, delivery: Delivery) -> dict[str, str] | None:
        """Send one message. Returns what is needed to find it again (kept as ``Delivery.ref`` for the case), or
        None to keep what is there. Raises ``DeliveryError``; anything else is a bug and parks the delivery.
        """
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
