"""Pure: drafts of public replies, from templates by language and reason, and the waiting time that they tell.

config/replies/README.md says how templates are written. What customers write never becomes template source: of
theirs a template gets the name alone, and only when it looks like one.
"""

from __future__ import annotations

import difflib
import itertools
import re
import traceback
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any, Literal

from jinja2 import (
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
    Undefined,
)
from jinja2.exceptions import SecurityError
from jinja2.runtime import BlockReference, Context, Macro
from jinja2.sandbox import SandboxedEnvironment

from listener.clock import Calendar
from listener.errors import UsageError

# ---- the waiting time ---------------------------------------------------------------------------------------

HISTORY = timedelta(days=90)
ENOUGH = 20  # cases; "9 of 10" of fewer says little
_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
# What people say. The first is the floor: an answer that took ten minutes ten times is no promise of ten minutes.
FIGURES = (
    *(timedelta(minutes=30), _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, _DAY),
    *(2 * _DAY, 3 * _DAY, 5 * _DAY, _WEEK, 2 * _WEEK, 4 * _WEEK, 8 * _WEEK, 12 * _WEEK),
)
_NOT_YET = timedelta.max


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier case. ``closed_at``: when it was resolved; None: it is open still."""

    opened_at: datetime
    closed_at: datetime | None


def nine_of_ten(cases: Sequence[Past], calendar: Calendar, now: datetime) -> tuple[timedelta, int] | None:
    """The working time in which 9 of 10 cases were resolved (nearest rank), and of how many cases this is true.

    An open case says only that it takes longer than it is old. So a length of time is judged by the cases that are
    as old as that: neither the young nor the forgotten ones make it look shorter. None when these are too few.
    """
    lengths = [
        (
            calendar.elapsed(case.opened_at, now),
            _NOT_YET if case.closed_at is None else calendar.elapsed(case.opened_at, case.closed_at),
        )
        for case in cases
    ]
    for figure in FIGURES:
        taken = sorted(took for age, took in lengths if age >= figure)
        if len(taken) < ENOUGH:
            return None
        found = taken[ceil(len(taken) * 9 / 10) - 1]
        if found <= figure:
            return found, len(taken)
    return None


def promise(working: timedelta, calendar: Calendar, now: datetime) -> timedelta:
    """The waiting time to tell at ``now`` for so much working time: in plain time, rounded up to what people say."""
    length = calendar.add(now, working) - now
    return next((figure for figure in FIGURES if figure >= length), FIGURES[-1])


# ---- what a template gets -----------------------------------------------------------------------------------

Unit = Literal["minute", "hour", "day", "week"]


@dataclass(frozen=True, slots=True)
class Values:
    """All that a template knows.

    ``count`` and ``unit`` are the waiting time. Names are None when they are unknown, or don't look like names.
    ``agent`` is the person who signs. ``let_down_before`` does not count the case at hand.
    """

    brand: str
    count: int
    unit: Unit
    first_name: str | None = None
    full_name: str | None = None
    agent: str | None = None
    let_down_before: bool = False
    new_customer: bool = False


def count_and_unit(length: timedelta) -> tuple[int, Unit]:
    """How people say it: a day is 24 hours, for "within a day" may mean until tonight."""
    if length < _HOUR:
        return length // timedelta(minutes=1), "minute"
    if length <= _DAY:
        return length // _HOUR, "hour"
    return (length // _WEEK, "week") if not length % _WEEK else (length // _DAY, "day")


_LETTERS = r"[^\W\d_]"
_FIRST = re.compile(rf"{_LETTERS}{{2,20}}(-{_LETTERS}{{2,20}})?")
_FURTHER = re.compile(rf"{_LETTERS}+(['’-]{_LETTERS}+)*|{_LETTERS}\.")
_PARTICLES = frozenset(
    "af al bin binti binte da de del der den di dos du el ibn la le ter van von zu".split()  # noqa: SIM905  (read as a table)
)
# What places and people put where a name should be; titles are there because "Hello Dr," is worse than "Hello,".
_NO_NAMES = frozenset(
    """
    a account admin agent akaun amazon an angry anon anonim anonym anonymous anonymus app apple bot bruker buyer cik
    client company customer datuk deleted dr encik ex facebook fake former frau fru gast gelöscht gelöschter gjest
    gmbh google guest hater herr ikke inc kjøper kunde kundin käufer llc ltd member miss mitglied moderator mr mrs ms
    my never nicht nie niemand no nobody not nutzer nutzerin pelanggan pembeli pengguna prof reviewer shop slettet
    somebody someone store support team tetamu the tidak tuan ukjent unbekannt unknown unverified user verified
    """.split()  # noqa: SIM905  (read as a table)
)


def names(name: str, brand: str) -> tuple[str | None, str | None]:
    """The first name and the full name in what somebody calls themself, None for what doesn't look like one.

    Better no name than "Hello xX_gamer," or "Hello Angry,": every word must be one of letters, the first one written
    like a name, and none may be a word that people use instead of a name, or the brand.
    """
    words = unicodedata.normalize("NFC", name).split() if len(name) <= 60 else []
    refused = _NO_NAMES | set(brand.casefold().split())
    if not 1 <= len(words) <= 5 or any(word.casefold().rstrip(".") in refused for word in words):
        return None, None
    first, *further = words
    if not _FIRST.fullmatch(first) or not all(part.istitle() for part in first.split("-")):
        return None, None
    for word in further:
        if not _FURTHER.fullmatch(word) or not (word[0].isupper() or word in _PARTICLES):
            return None, None
    whole = bool(further) and not any(word.endswith(".") for word in further) and words[-1] not in _PARTICLES
    return first, " ".join(words) if whole else None


# ---- templates ----------------------------------------------------------------------------------------------

LONGEST = 4000  # characters of a reply; an app store takes 5,970, most places more
ENDING = ".txt.j2"
OTHER = "other"
ENGLISH = "en"
_NEAREST = {"no": "nb", "nn": "nb"}  # who writes nynorsk reads bokmål
_FILTERS = ("capitalize", "d", "default", "lower", "title", "trim", "upper")


class _Sandbox(SandboxedEnvironment):
    """Templates only put words together: they call nothing but macros, and don't multiply."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(
            loader=FileSystemLoader(folders, encoding="utf-8-sig"),  # Windows editors write a byte order mark
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # plain text: whoever shows it as HTML escapes it there
        )
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in _FILTERS}

    def is_safe_callable(self, obj: Any) -> bool:
        if isinstance(obj, Macro | BlockReference | Undefined):  # the last one says itself what it is not
            return True
        raise SecurityError(f"templates can't call {getattr(obj, '__name__', 'this')}")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        raise SecurityError(f"templates can't use {operator}")


class Templates:
    """The templates in these folders; what is in an earlier folder comes first."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._sandbox = _Sandbox(folders)

    @property
    def languages(self) -> list[str]:
        """ISO 639-1 codes of those in which some reply is written."""
        files = (file for folder in self._folders for file in folder.glob(f"*/[!_]*{ENDING}"))
        return sorted({file.parent.name for file in files})

    def language(self, spoken: Iterable[str]) -> str:
        """The first of these languages that there are templates in, else English."""
        known = self.languages
        return next((lang for s in spoken if (lang := _NEAREST.get(s, s)) in known), ENGLISH)

    def reply(self, lang: str, reason: str, values: Values) -> tuple[str, str]:
        """The reply for this reason, and its language: English when there is none in ``lang``.

        Raises ``UsageError``, with file and line, for a template that can't be used.
        """
        wanted = [f"{la}/{re}{ENDING}" for la in (lang, ENGLISH) for re in (reason, OTHER)]
        try:
            template = self._sandbox.select_template(wanted)
            return _paragraphs(_limited(template, asdict(values))), str(template.name).partition("/")[0]
        except Exception as error:
            raise UsageError(
                f"A reply template can't be used: {self._explained(error, wanted[0])}"
            ) from error

    def problems(self, reasons: Sequence[str]) -> list[str]:
        """What is wrong in the first folder, one line each, with file and line: for `listener check`."""
        found = [*_misnamed(self._folders[0], reasons)]
        for file in sorted(self._folders[0].glob(f"*/*{ENDING}")):
            name = file.relative_to(self._folders[0]).as_posix()
            try:
                self._sandbox.get_template(name)
            except Exception as error:  # noqa: BLE001 - a template's mistake may be of any kind, and is said
                found.append(self._explained(error, name))
        if found:
            return found
        for lang, reason in itertools.product(self.languages, reasons):
            try:
                for values in samples():
                    self.reply(lang, reason, values)
            except UsageError as error:
                found.append(self._explained(error.__cause__ or error, f"{lang}/{reason}{ENDING}"))
        return list(dict.fromkeys(found))

    def _explained(self, error: BaseException, name: str) -> str:
        """``de/price.txt.j2, line 3: ...``; ``name`` where the error itself names no template."""
        line: int | None = None
        if isinstance(error, TemplateSyntaxError):
            name, line = error.name or name, error.lineno
        else:
            for frame in traceback.extract_tb(error.__traceback__):
                for folder in self._folders:
                    if Path(frame.filename).is_relative_to(folder):
                        name, line = Path(frame.filename).relative_to(folder).as_posix(), frame.lineno
        what = str(error) or type(error).__name__
        if isinstance(error, TemplateNotFound):
            what = f"there is no template {error.name}"
        elif isinstance(error, UnicodeDecodeError):
            what = f"is not UTF-8 text: byte {error.start} can't be read"
        return f"{name}{f', line {line}' if line else ''}: {what}"


def samples() -> Iterator[Values]:
    """Every combination that a template may meet: one and several of each unit, every name known or not."""
    lengths = (timedelta(minutes=30), _HOUR, 2 * _HOUR, 2 * _DAY, _WEEK, 2 * _WEEK)
    for count, unit in map(count_and_unit, lengths):
        for named, agent, (let_down, new) in itertools.product(
            ((None, None), ("Mia", None), ("Mia", "Mia Larsen")),
            (None, "Anna"),
            ((False, False), (True, False), (False, True), (True, True)),
        ):
            yield Values("Halcyon", count, unit, *named, agent, let_down, new)


def _limited(template: Template, values: Mapping[str, Any]) -> str:
    text = ""
    for piece in template.generate(**values):
        text += piece
        if len(text) > 2 * LONGEST:  # before the spaces are out
            break
    return text


def _paragraphs(text: str) -> str:
    """An empty line ends a paragraph; other line ends are the template's own."""
    parts = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    joined = "\n\n".join(part for part in parts if part)
    if not joined:
        raise ValueError("the reply is empty")
    if len(joined) > LONGEST:
        raise ValueError(f"the reply is longer than {LONGEST} characters")
    return joined


def _misnamed(folder: Path, reasons: Sequence[str]) -> Iterator[str]:
    """Files that would never be found."""
    for file in sorted(folder.glob("*/*")):
        name = file.relative_to(folder).as_posix()
        stem = file.name.removesuffix(ENDING)
        if file.name.startswith(".") or not file.is_file():
            continue
        if not file.name.endswith(ENDING):
            yield f"{name}: is not used; the names of templates end with {ENDING}"
        elif not re.fullmatch("[a-z]{2}", file.parent.name):
            yield f"{name}: is not used; a folder is named for a language, such as en"
        elif not stem.startswith("_") and stem not in reasons:
            near = difflib.get_close_matches(stem, reasons, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(reasons)}"
            yield f"{name}: is not used; no reason is called {stem}; {hint}"
