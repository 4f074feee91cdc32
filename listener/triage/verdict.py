"""The verdict: an additive score whose every part can be shown.

The score is a logit, a sum of weights, and the probability its logistic function; with these weights:

    start        [-0.7]  p = .33: one weak sign is enough for a person's look, one strong or two weak for a complaint
    sentiment    [-1.8 x compound when negative, -0.5 x compound when positive: complaints are often polite]
    cues         [see WEIGHTS] a second word of a kind adds half of the first, a third a quarter, and so on
    rating       [see RATING] half when the text says the contrary
    insistence   [+0.3] "!!", "??" or shouted words in a negative text

The weights were set by hand, from what each kind means, and checked on labelled texts; none is fitted. To miss a
complaint is worse than to show one too many, so the line is drawn for recall, and a band below it asks a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from threading import Lock
from typing import TYPE_CHECKING

from listener.model import ComplaintLabel, Sentiment, Severity, Verdict, Why
from listener.triage.language import UNKNOWN, LanguageFinder, claimed
from listener.triage.text import folded, plain

if TYPE_CHECKING:
    from listener.triage.cues import CueBook, Found
    from listener.triage.scorers import Scorer

REASONS = ("delivery", "quality", "price", "billing", "service", "usability", "outage", "other")

START = -0.7
NEGATIVE_TONE, POSITIVE_TONE = 1.8, 0.5
WEIGHTS = {
    "complaint": 1.5,
    "churn": 1.5,
    "not working": 1.1,
    "not praise": 0.9,
    "problem": 0.6,
    "demand": 0.5,
    "no problem": -0.3,
    "question": -0.5,
    "competitor": -0.7,
    "advert": -0.9,
    "praise": -1.1,
}
RATING = {1: 2.6, 2: 1.8, 3: 0.6, 4: -1.0, 5: -2.2}
INSISTENCE = 0.3
_MOST_WHY = 8

# VADER's own limits for its compound.
_NEUTRAL = 0.05

# Which word lists read a language. Malay and Indonesian customers mix English in. What is in no known language, or
# in one without lists, is read with those that fit best.
_LISTS = {
    "en": ("en",),
    "de": ("de",),
    "nb": ("nb",),
    "nn": ("nb",),
    "da": ("nb",),
    "ms": ("ms", "en"),
    "id": ("ms", "en"),
    UNKNOWN: ("en", "de", "nb", "ms"),
}
_OTHERS = ("en",)


@dataclass(frozen=True)
class TriageSettings:
    """``languages``: those expected (ISO 639-1); text is taken for one of these or "unknown".

    ``complaint``: a complaint from this probability on; ``check``: a person should look from this one on.
    ``reasons``: more words for a reason (* at an end stands for any letters), or reasons of your own.
    """

    languages: tuple[str, ...] = (
        "en",
        "de",
        "nb",
        "nn",
        "da",
        "sv",
        "ms",
        "id",
        "nl",
        "fr",
        "es",
        "it",
        "pt",
    )
    complaint: float = 0.5
    check: float = 0.4
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for an unknown language code or limits out of order."""
        for lang in self.languages:
            if claimed(lang) != lang:
                raise ValueError(f"languages: {lang!r} is not a code of ISO 639-1 such as 'en'")
        if not 0 < self.check <= self.complaint < 1:
            raise ValueError(
                f"check is {self.check}, complaint is {self.complaint}: they must be 0 < check <= complaint < 1"
            )


class Triage:
    """Says what a text is. The libraries and word lists are read at the first verdict; then it is free to share."""

    def __init__(self, settings: TriageSettings = TriageSettings()) -> None:
        self._settings = settings
        self._language = LanguageFinder(settings.languages)
        self._lock = Lock()
        self._books: dict[tuple[str, ...], CueBook] = {}
        self._scorers: tuple[Scorer, ...] = ()

    def verdict(
        self, text: str, *, title: str = "", rating: float | None = None, lang: str | None = None
    ) -> Verdict:
        """The verdict of a mention. ``rating`` in stars, 1 to 5; ``lang``: the source's claim, believed if valid.

        A rating out of 1..5 counts for nothing. Raises ``ValueError`` at the first verdict for a configured reason
        with an empty word.
        """
        self._load()
        if rating is not None and not 1 <= rating <= 5:  # nor NaN: it tells nothing
            rating = None
        clean = plain(f"{title}. {text}" if title else text)
        lang = claimed(lang) or self._language.detect(clean)
        book = self._books[_LISTS.get(lang, _OTHERS)]
        found = book.find(folded(clean))
        compound = next((c for s in self._scorers if (c := s.compound(clean, lang)) is not None), 0.0)
        shares = _shares(found, compound, clean)
        shares += _rating_shares(rating, sum(share for _, _, share in shares))
        probability = 1 / (1 + exp(-START - sum(share for _, _, share in shares)))
        return Verdict(
            lang=lang,
            compound=compound,
            sentiment=_sentiment(compound),
            probability=round(probability, 4),
            complaint=self._label(probability),
            reason=_reason(found),
            severity=_severity(found, compound, rating, clean)
            if probability >= self._settings.check
            else "low",
            why=_why(shares),
        )

    def _label(self, probability: float) -> ComplaintLabel:
        if probability >= self._settings.complaint:
            return "complaint"
        return "check" if probability >= self._settings.check else "not"

    def _load(self) -> None:
        with self._lock:
            if self._scorers:
                return
            from listener.triage.cues import CueBook
            from listener.triage.scorers import VaderScorer, WordScorer

            for lists in (*_LISTS.values(), _OTHERS):
                if lists not in self._books:
                    self._books[lists] = CueBook(lists, self._settings.reasons)
            words = {lang: self._books[lists] for lang, lists in _LISTS.items()}
            self._scorers = (VaderScorer(), WordScorer(words, self._books[_OTHERS]))


_Share = tuple[str, str, float]  # rule, words, weight


def _shares(found: Found, compound: float, text: str) -> list[_Share]:
    shares = []
    if compound:
        tone = NEGATIVE_TONE if compound < 0 else POSITIVE_TONE
        shares.append(("sentiment", f"{_sentiment(compound)} ({compound:+.2f})", -tone * compound))
    for kind, words in found.cues.items():
        weight = WEIGHTS.get(kind)
        if weight is not None:
            shares += [(kind, word, weight / 2**place) for place, word in enumerate(words)]
    if sum(share for _, _, share in shares) > 0 and (insistence := _insistence(text)):
        shares.append(("insistence", insistence, INSISTENCE))
    return shares


# What a shouted word has: four capitals, as far as a quick look can tell outside ASCII.
_CAPITALS = re.compile("[A-Z\u0080-\U0010ffff]{4}")


def _insistence(text: str) -> str:
    for signs in ("!!", "??", "?!", "!?"):
        if signs in text:
            return signs
    if not _CAPITALS.search(text):
        return ""
    shouted = [word for word in text.split() if len(word) > 3 and word.isupper() and word.isalpha()]
    return " ".join(shouted[:3]) if len(shouted) >= 2 else ""


def _rating_shares(rating: float | None, said: float) -> list[_Share]:
    """Between two whole numbers of stars the weight lies between theirs."""
    if rating is None:
        return []
    low = min(int(rating), 4)
    weight = RATING[low] + (rating - low) * (RATING[low + 1] - RATING[low])
    stars = f"{rating:g} of 5 stars"
    if weight * said < 0 and abs(weight) >= 1 and abs(said) >= 1:
        return [("rating contradicts text", stars, weight / 2)]
    return [("rating", stars, weight)]


def _why(shares: list[_Share]) -> tuple[Why, ...]:
    """What weighed most, each with its part of all that weighed."""
    total = sum(abs(share) for _, _, share in shares)
    biggest = sorted(shares, key=lambda share: -abs(share[2]))[:_MOST_WHY]
    return tuple(Why(rule, words, round(share / total, 3)) for rule, words, share in biggest if share)


def _sentiment(compound: float) -> Sentiment:
    if compound <= -_NEUTRAL:
        return "negative"
    return "positive" if compound >= _NEUTRAL else "neutral"


def _reason(found: Found) -> str:
    """The reason whose words weigh most, a phrase as much as its number of words; the first found on a tie."""
    weights = {reason: sum(1 + word.count(" ") for word in words) for reason, words in found.reasons.items()}
    return max(weights, key=lambda reason: weights[reason]) if weights else "other"


def _severity(found: Found, compound: float, rating: float | None, text: str) -> Severity:
    """Points: safety 4, law or police 2, lost money 1.5, leaving 1.5, urgency 1, repetition 1, one star 1 (two
    half), very negative 1, insistence half. From 1.5 medium, from 3 high, from 4.5 critical; safety is at least high.
    """
    points = 4.0 * ("safety" in found.severity) + 2 * ("legal" in found.severity)
    points += 1.5 * ("money" in found.severity) + 1.5 * ("churn" in found.cues)
    points += 1.0 * ("urgent" in found.severity) + 1.0 * ("repeat" in found.severity)
    points += 1.0 * (compound <= -0.6) + 0.5 * bool(_insistence(text))
    if rating is not None and rating <= 2:
        points += 1 if rating < 1.5 else 0.5
    for limit, severity in _LEVELS:
        if points >= limit:
            return severity
    return "low"


_LEVELS: tuple[tuple[float, Severity], ...] = ((4.5, "critical"), (3, "high"), (1.5, "medium"))
