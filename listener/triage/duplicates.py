"""Near-duplicates: the same complaint posted twice."""

from __future__ import annotations

import re

from listener.triage.text import folded, plain

_NO_WORDS = re.compile(r"[@#][\w.]+|[^\w\s]+|_+")
_REFERENCE = re.compile(r"\d{3,}")  # another order or flight number is another incident
_LONGEST = 2_000  # characters compared; what agrees so far is the same post
_SHORTEST = 40  # characters; below it, unrelated people write alike ("bad service again")
_ALIKE = 88.0  # per cent of characters in common, in order
_TRUNCATED = 94.0


def near_duplicate(a: str, b: str) -> bool:
    """Whether two texts are the same complaint: equal, lightly edited, or one a shortened copy of the other.

    @names, #tags, links, case and punctuation don't count. Texts of fewer than 40 characters must be equal.
    """
    first, second = _essence(a), _essence(b)
    if first == second:
        # Of only emoji or links nothing is left to compare but the text itself.
        return bool(first) or (plain(a) == plain(b) != "")
    short, long = sorted((first, second), key=lambda text: (len(text), text))
    if len(short) < _SHORTEST or not set(_REFERENCE.findall(short)) <= set(_REFERENCE.findall(long)):
        return False
    from rapidfuzz import fuzz  # read at the first comparison, not at the import

    if fuzz.ratio(short, long, score_cutoff=_ALIKE):
        return True
    if len(long) <= len(short) * 1.1:
        return False
    ends = (long[: len(short)], long[-len(short) :])
    return any(fuzz.ratio(short, end, score_cutoff=_TRUNCATED) for end in ends)


def _essence(text: str) -> str:
    return " ".join(_NO_WORDS.sub(" ", folded(plain(text))).split())[:_LONGEST]
