"""Sentiment: how a text sounds, from -1 (most negative) to 1."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Protocol

from listener.triage.cues import CueBook
from listener.triage.text import folded
from listener.triage.vader import FastVader


class Scorer(Protocol):
    """One way to score sentiment. The first scorer that has something to say decides."""

    def compound(self, text: str, lang: str) -> float | None:
        """-1..1 for a text that ``text.plain`` has made; None when this scorer can't tell."""
        ...


class VaderScorer:
    """VADER, for English and for texts in a language unknown. Its 0 is "can't tell": it knows no angry face."""

    def __init__(self) -> None:
        self._vader = FastVader()

    def compound(self, text: str, lang: str) -> float | None:
        return self._vader.compound(text) or None if lang in ("en", "unknown") else None


class WordScorer:
    """Polarity words counted, for the languages that have lists; in all others the emoji and smileys."""

    _VALENCE = 1.9  # about what VADER gives to "good" and "bad", so that its scale and normalising fit

    def __init__(self, books: Mapping[str, CueBook], others: CueBook) -> None:
        self._books = books
        self._others = others

    def compound(self, text: str, lang: str) -> float | None:
        found = self._books.get(lang, self._others).find(folded(text))
        total = self._VALENCE * (found.positive - found.negative)
        return round(total / sqrt(total * total + 15), 4)  # VADER's normalize()
