"""What is remembered of one source between its polls."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TypeVar

import httpx

ADOPT_AFTER = 3  # polls in a row that a permanent redirect must be seen before it is believed
_MAX_CHAIN = 5
_MAX_URLS = 50  # of each kind; the newest stay
_MAX_VALIDATOR = 1_000  # bytes; a longer one is not worth sending with each request

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Validators:
    """What makes the next GET conditional. ``url`` is where the answer came from, after redirects: validators
    are sent there and nowhere else. ``etag`` and ``last_modified`` are the header's bytes as Latin-1, never
    interpreted.
    """

    url: str
    digest: str  # SHA-256 of the decoded body
    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, response: httpx.Response) -> Validators:
        raw = {name.lower(): value for name, value in response.headers.raw if len(value) <= _MAX_VALIDATOR}
        etag, modified = raw.get(b"etag"), raw.get(b"last-modified")
        return cls(
            url=str(response.request.url),
            digest=hashlib.sha256(response.content).hexdigest(),
            etag=etag.decode("latin-1") if etag else None,
            last_modified=modified.decode("latin-1") if modified else None,
        )

    def headers(self) -> dict[bytes, bytes]:
        """The conditional request headers; none when the server gave no validator."""
        found = {b"If-None-Match": self.etag, b"If-Modified-Since": self.last_modified}
        return {name: value.encode("latin-1") for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Move:
    """A permanent redirect, as seen in ``seen`` polls in a row."""

    target: str
    seen: int


@dataclass(slots=True)
class SourceMemory:
    """Validators and permanent redirects of one source, by the URL that the connector asked for.

    The caller loads it before a poll (``from_json``), lends it to one client, and stores ``to_json()`` in the
    transaction that stores the page; when the poll fails it is dropped, so nothing is taken for read that was
    not stored.

    ``poll_after`` (how long the answers stay current by their own word; None: no answer yet) and ``moved``
    (the adopted URL that was fetched in place of the configured one) tell of this poll alone and are not
    stored.
    """

    pages: dict[str, Validators] = field(default_factory=dict)
    moves: dict[str, Move] = field(default_factory=dict)
    poll_after: timedelta | None = None
    moved: str | None = None
    _counted: set[str] = field(default_factory=set)  # redirects count once a poll

    @classmethod
    def from_json(cls, text: str | None) -> SourceMemory:
        """Raises ``ValueError`` or ``TypeError`` for a text that ``to_json`` did not write."""
        data = json.loads(text or "{}")
        return cls(
            pages={url: Validators(**page) for url, page in data.get("pages", {}).items()},
            moves={url: Move(**move) for url, move in data.get("moves", {}).items()},
        )

    def to_json(self) -> str:
        return json.dumps(
            {
                "pages": {url: asdict(page) for url, page in self.pages.items()},
                "moves": {url: asdict(move) for url, move in self.moves.items()},
            }
        )

    def remember(self, asked: str, validators: Validators) -> None:
        """Replace what is known of ``asked``; validators of another final URL go with it."""
        _put(self.pages, asked, validators)

    def adopted(self, asked: str) -> str | None:
        """The URL to fetch in place of ``asked``, once its permanent redirect has been seen often enough."""
        url = asked
        for _ in range(_MAX_CHAIN):  # what it moved to may have moved on, even in a circle
            move = self.moves.get(url)
            if move is None or move.seen < ADOPT_AFTER:
                return None if url == asked else url
            url = move.target
        return None

    def note_move(self, asked: str, target: str | None) -> None:
        """A fetch of ``asked`` was answered in the end; ``target`` is where it has moved for good, None when
        it has not.
        """
        move = self.moves.get(asked)
        if target is None:
            self.moves.pop(asked, None)
        elif move is None or move.target != target:
            _put(self.moves, asked, Move(target, 1))
        elif asked not in self._counted:
            _put(self.moves, asked, Move(target, min(move.seen + 1, ADOPT_AFTER)))
        self._counted.add(asked)

    def note_freshness(self, fresh: timedelta) -> None:
        """The answer that goes stale first decides: from then on there may be news."""
        self.poll_after = fresh if self.poll_after is None else min(self.poll_after, fresh)


def _put(table: dict[str, _T], key: str, value: _T) -> None:
    table.pop(key, None)  # to the end: the order of use
    table[key] = value
    while len(table) > _MAX_URLS:
        del table[next(iter(table))]
