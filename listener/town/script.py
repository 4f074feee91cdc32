"""The script of the sample town: who writes what, where and when, and what of it stands at an instant."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from listener.model import utc
from listener.resources import data_dir

Place = Literal["feed", "reviews", "forum"]

DEMO = data_dir() / "demo"
POSTS_PER_THREAD_PAGE = 5


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Edit(_Row):
    """``after`` so many minutes the author changes the post: what is named here is new, the rest stays."""

    after: float = Field(gt=0)
    text: str | None = None
    rating: int | None = Field(default=None, ge=1, le=5)


class Reply(_Row):
    """``after`` so many minutes the owner answers a review."""

    after: float = Field(gt=0)
    text: str


class Line(_Row):
    """One post of the script; config/demo/town.toml explains the keys."""

    at: float
    place: Place
    author: str
    lang: str
    text: str
    title: str = ""
    thread: str | None = None
    rating: int | None = Field(default=None, ge=1, le=5)
    complaint: str | None = None
    edits: tuple[Edit, ...] = ()
    reply: Reply | None = None
    repeat: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _fits_its_place(self) -> Self:
        if (self.place == "reviews") != (self.rating is not None):
            raise ValueError("a review has a rating, and nothing else has")
        if (self.place == "forum") != (self.thread is not None):
            raise ValueError("a forum post has a thread, and nothing else has")
        return self


class About(_Row):
    """The town itself. ``staff`` is the brand's name where it writes; the script lasts ``cycle_minutes``."""

    name: str
    paper: str
    staff: str
    cycle_minutes: float = Field(gt=0)


@dataclass(frozen=True, slots=True)
class Resident:
    """Somebody who writes: ``id`` is the address of their profile and never changes."""

    id: int
    name: str
    staff: bool = False


@dataclass(frozen=True, slots=True)
class OwnersReply:
    text: str
    published: datetime


@dataclass(frozen=True, slots=True)
class Post:
    """A post as it stands at one instant. ``complaint`` is the script's own label, which no page shows."""

    id: str
    place: Place
    author: Resident
    lang: str
    title: str  # of the whole thread in the forum
    text: str
    rating: int | None
    published: datetime
    edited: datetime | None
    reply: OwnersReply | None
    thread: int | None
    url: str  # path within the town
    complaint: str | None

    @property
    def touched(self) -> datetime:
        """When something last happened to it."""
        return max(t for t in (self.published, self.edited, self.reply and self.reply.published) if t)


class Script(_Row):
    """Who writes what, where and when."""

    town: About
    vary: dict[str, tuple[str, ...]]
    names: dict[str, tuple[str, ...]]
    post: tuple[Line, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> Script:
        """The bundled script, or the one at ``path``. Raises ``OSError``, ``ValueError`` for a bad script."""
        with (path or DEMO / "town.toml").open("rb") as file:
            return cls.model_validate(tomllib.load(file))

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        times = [line.at for line in self.post]
        if times != sorted(times):
            raise ValueError("posts stand in the order of their times")
        if not times or times[-1] >= self.town.cycle_minutes:
            raise ValueError("there is at least one post, and all come before the end of the cycle")
        if missing := {line.lang for line in self.post} - self.names.keys():
            raise ValueError(f"names has nobody who writes {', '.join(sorted(missing))}")
        return self

    @cached_property
    def _threads(self) -> dict[str, int]:
        return {key: n for n, key in enumerate(dict.fromkeys(p.thread for p in self.post if p.thread), 1)}

    @cached_property
    def _residents(self) -> dict[str, tuple[int, str]]:
        """Name in the script -> number and language."""
        first: dict[str, str] = {}
        for line in self.post:
            first.setdefault(line.author, line.lang)
        return {name: (n, lang) for n, (name, lang) in enumerate(first.items(), 1)}

    def posts(self, start: datetime, now: datetime) -> list[Post]:
        """What stands in the town at ``now``, oldest first, when the script started at ``start``.

        When the script is over it starts again, with new ids, times and people. Raises ``ValueError`` for
        naive instants.
        """
        return list(self._posts(utc(start), utc(now)))

    def _posts(self, start: datetime, now: datetime) -> Iterator[Post]:
        for cycle in count():
            begin = start + cycle * timedelta(minutes=self.town.cycle_minutes)
            if cycle and begin > now:
                return
            threads: dict[str, list[str]] = {}  # titles so far
            for index, line in enumerate(self.post):
                if cycle and line.at < 0:
                    continue
                published = begin + timedelta(minutes=line.at)
                if published > now:
                    return
                titles = threads.setdefault(line.thread, []) if line.thread else []
                titles.append(line.title)
                post_id = f"p{cycle}-{index:03d}"
                thread = cycle * 1000 + self._threads[line.thread] if line.thread else None
                text, rating, edited = _as_edited(line, published, now)
                yield Post(
                    id=post_id,
                    place=line.place,
                    author=self._resident(line.author, cycle),
                    lang=line.lang,
                    title=self._varied(titles[0], cycle),
                    text=self._varied(text, cycle),
                    rating=rating,
                    published=published,
                    edited=edited,
                    reply=_reply(line, published, now),
                    thread=thread,
                    url=_url(line.place, post_id, thread, len(titles)),
                    complaint=line.complaint,
                )

    def _varied(self, text: str, cycle: int) -> str:
        for word, choices in self.vary.items():
            text = text.replace(f"{{{word}}}", choices[cycle % len(choices)])
        return text

    def _resident(self, author: str, cycle: int) -> Resident:
        if author == self.town.staff:
            return Resident(0, author, staff=True)
        number, lang = self._residents[author]
        if cycle == 0:
            return Resident(number, author)
        names = self.names[lang]
        # 9 names and 26 letters have no common divisor: within a cycle no two people get the same name.
        letter = chr(ord("A") + (3 * number + 5 * cycle) % 26)
        return Resident(cycle * 1000 + number, f"{names[(number + cycle) % len(names)]} {letter}.")


def _as_edited(line: Line, published: datetime, now: datetime) -> tuple[str, int | None, datetime | None]:
    text, rating, edited = line.text * line.repeat, line.rating, None
    for edit in line.edits:
        if (at := published + timedelta(minutes=edit.after)) <= now:
            text, rating, edited = edit.text or text, edit.rating or rating, at
    return text, rating, edited


def _reply(line: Line, published: datetime, now: datetime) -> OwnersReply | None:
    if line.reply and (at := published + timedelta(minutes=line.reply.after)) <= now:
        return OwnersReply(line.reply.text, at)
    return None


def _url(place: Place, post_id: str, thread: int | None, nth: int) -> str:
    if place == "forum":
        page = (nth - 1) // POSTS_PER_THREAD_PAGE + 1
        return f"/forum/t/{thread}{f'?page={page}' if page > 1 else ''}#{post_id}"
    return f"/{'blog' if place == 'feed' else place}/{post_id}"
