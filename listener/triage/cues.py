"""Cue words: what the word lists in ``words/`` say, found in one pass over a text.

Each list file is a language (``any`` holds what all share). Its keys are kinds:

    complaint    a complaint by itself: "still waiting", "never arrived"
    churn        the customer is leaving, or says so
    demand       asks for a remedy, or has asked before: "refund", "third time"
    problem      a word of trouble, weaker
    works        a word of working: nothing by itself, a problem when negated ("doesn't work", "geht nicht")
    praise       thanks and praise; a problem when negated ("not helpful")
    question     asks for information
    competitor   compares with another firm in our favour
    advert       advertisement, job offer, news
    neutral      contains a negation or a cue but means neither: "not only"
    negation     turns problem, works, praise, positive and negative around within three words after it, in
                 languages with ``negation_follows`` also works before it ("funktioniert leider nicht")
    positive, negative   polarity words, for languages whose sentiment VADER doesn't know
    [severity]   safety, legal, money, urgent, repeat
    [reason]     the taxonomy of reasons

Of cues that overlap, the longest counts: "no problem" is praise, not a problem.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from ahocorasick_rs import AhoCorasick, Implementation

from listener.triage.text import folded, plain

# In order of precedence where a word stands in several lists.
KINDS = (
    "neutral", "complaint", "churn", "praise", "demand", "competitor", "question", "advert", "problem", "works",
    "negation",
)  # fmt: skip
POLARITY = ("positive", "negative")
_TURNED = {"praise": "not praise", "works": "not working", "problem": "no problem"}
_BREAK = re.compile("[.!?,;:]")
_REACH = 3  # words between a negation and what it negates: "not" .. "a very good" .. "service"


@dataclass(slots=True)
class Found:
    """What a text holds: for each kind, severity and reason its words, each once, in order of appearance.

    Kinds turned around by a negation have names of their own: "not praise", "not working", "no problem".
    """

    cues: dict[str, dict[str, None]] = field(default_factory=dict)
    severity: dict[str, dict[str, None]] = field(default_factory=dict)
    reasons: dict[str, dict[str, None]] = field(default_factory=dict)
    positive: int = 0
    negative: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    family: str  # "cue", "polarity", "severity" or "reason"
    kind: str
    open_left: bool
    open_right: bool


@cache
def lists(language: str) -> Mapping[str, Any]:
    """The word lists of a language as written, read once."""
    file = resources.files("listener.triage").joinpath("words", f"{language}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def words_of(text: str) -> list[str]:
    """The words and phrases of one list."""
    return [word for part in text.split(",") if (word := " ".join(part.split()))]


class CueBook:
    """The lists of some languages together, ready to be looked for."""

    def __init__(self, languages: Iterable[str], reasons: Mapping[str, Iterable[str]]) -> None:
        """``reasons``: more words for reasons, built-in or new. Raises ``ValueError`` naming one that is empty."""
        entries: dict[str, list[_Entry]] = {}
        self._negation_follows = False
        for language in (*languages, "any"):
            for key, value in lists(language).items():
                if key == "negation_follows":
                    self._negation_follows |= value
                elif key in ("severity", "reason"):
                    for kind, words in value.items():
                        _enter(entries, key, kind, words_of(words))
                else:
                    _enter(entries, "polarity" if key in POLARITY else "cue", key, words_of(value))
        for reason, extra in reasons.items():
            _enter(entries, "reason", reason, extra)
        self._entries = [_settled(e) for e in entries.values()]
        self._words = list(entries)
        self._find = AhoCorasick(
            self._words, implementation=Implementation.ContiguousNFA
        ).find_matches_as_indexes

    def find(self, text: str) -> Found:
        """The cues of a text that ``text.folded`` has made."""
        found = Found()
        spans: dict[str, list[tuple[int, int, str, int]]] = {"cue": [], "polarity": []}
        last = len(text)
        for pattern, start, end in self._find(text, overlapping=True):
            left = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
            right = end < last and text[end].isalnum() and text[end - 1].isalnum()
            for entry in self._entries[pattern]:
                if (left and not entry.open_left) or (right and not entry.open_right):
                    continue
                if entry.family == "reason":
                    found.reasons.setdefault(entry.kind, {})[self._words[pattern]] = None
                elif entry.family == "severity":
                    found.severity.setdefault(entry.kind, {})[self._words[pattern]] = None
                else:
                    spans[entry.family].append((start, -end, entry.kind, pattern))
        cues = _longest(spans["cue"])
        negations = [(start, -end) for start, end, kind, _ in cues if kind == "negation"]
        for start, end, kind, pattern in cues:
            if kind in ("negation", "neutral"):
                continue
            if kind in _TURNED and negations and self._negated(text, start, -end, kind, negations):
                kind = _TURNED[kind]
            found.cues.setdefault(kind, {})[self._words[pattern]] = None
        for start, end, kind, _ in _longest(spans["polarity"]):
            turned = bool(negations) and self._negated(text, start, -end, kind, negations)
            if (kind == "positive") != turned:
                found.positive += 1
            else:
                found.negative += 1
        return found

    def _negated(self, text: str, start: int, end: int, kind: str, negations: list[tuple[int, int]]) -> bool:
        return any(
            (stop <= start and _near(text[stop:start]))
            or (kind == "works" and self._negation_follows and begin >= end and _near(text[end:begin]))
            for begin, stop in negations
        )


def _near(between: str) -> bool:
    return len(between) < 40 and len(between.split()) <= _REACH and not _BREAK.search(between)


def _enter(entries: dict[str, list[_Entry]], family: str, kind: str, words: Iterable[str]) -> None:
    for word in words:
        bare = folded(plain(word.strip("*")))
        if not bare:
            raise ValueError(f"{family} {kind!r}: {word!r} has nothing to look for")
        entries.setdefault(bare, []).append(_Entry(family, kind, word.startswith("*"), word.endswith("*")))


def _settled(entries: list[_Entry]) -> tuple[_Entry, ...]:
    """One cue and one polarity a word; it may stand for several severities and reasons."""
    cues = sorted((e for e in entries if e.family == "cue"), key=lambda e: KINDS.index(e.kind))
    polarity = [e for e in entries if e.family == "polarity"]
    rest = [e for e in entries if e.family in ("severity", "reason")]
    return (*cues[:1], *polarity[:1], *dict.fromkeys(rest))


def _longest(spans: list[tuple[int, int, str, int]]) -> list[tuple[int, int, str, int]]:
    """Without those that overlap one that begins before them, or with them and is longer."""
    spans.sort()
    kept: list[tuple[int, int, str, int]] = []
    reach = 0
    for span in spans:
        if span[0] >= reach:
            kept.append(span)
            reach = -span[1]
    return kept
