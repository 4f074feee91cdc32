"""Pure: which brands a text names. One pass over the text for thousands of names.

A name counts where a person would see it: as words of its own, in any case, in any Unicode spelling of the
same letters, as @halcyon, #halcyon, halcyon's, halcyon.example or Halcyon-Bank; not inside another word (halcyonic,
nor the German and Norwegian genitive Halcyons: name it too where it is wanted) and not inside an excluded phrase
(halcyon days). Time is linear in the text's length, so no length is too long.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ahocorasick_rs import AhoCorasick, Implementation


@dataclass(frozen=True)
class BrandRules:
    """What is listened for. ``names`` and ``phrases`` count in any case, ``case_sensitive`` only as written.

    An occurrence inside an ``exclude`` phrase doesn't count. ``competitors`` are others' names, reported apart.
    """

    name: str
    names: tuple[str, ...]
    phrases: tuple[str, ...] = ()
    case_sensitive: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    competitors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hit:
    """A text names ``brand`` (with ``competitor``: one of its competitors) by ``words``, as configured."""

    brand: str
    words: str
    competitor: bool


@dataclass(frozen=True, slots=True)
class _Use:
    """One use of a pattern: by which brand (its place in the list), for what, in which spelling."""

    brand: int
    words: str
    competitor: bool = False
    exclude: bool = False
    spelling: str | None = None  # case-sensitive names only


class Matcher:
    """Finds brands in texts. Building it takes about a second for 100,000 names; then it is free to share."""

    def __init__(self, brands: Sequence[BrandRules]) -> None:
        """Raises ``ValueError`` naming the brand and the name when nothing is left of a name to look for."""
        self._brands = tuple(brand.name for brand in brands)
        uses: dict[str, list[_Use]] = {}
        self._spelling_matters = False
        for place, brand in enumerate(brands):
            for words, use in _uses(place, brand):
                folded = _spelled(words).casefold()
                if not any(map(_is_word, folded)) and not _has_symbol(folded):
                    raise ValueError(f"brand {brand.name!r}: {words!r} has no letter or digit to look for")
                uses.setdefault(folded, []).append(use)
                self._spelling_matters |= use.spelling is not None
                if " " in folded and not use.exclude:  # "Halcyon Bank" is #HalcyonBank and @halcyonbank too
                    joined = folded.replace(" ", "")
                    for tag in ("#" + joined, "@" + joined):
                        uses.setdefault(tag, []).append(_tag_use(use))
        self._uses = tuple(tuple(u) for u in uses.values())
        # With 10,000 names the DFA is 1.4 times as fast for 6 MB more; past that its table grows too large.
        kind = Implementation.DFA if sum(map(len, uses)) < 200_000 else Implementation.ContiguousNFA
        self._find = AhoCorasick(list(uses), implementation=kind).find_matches_as_indexes

    def hits(self, text: str) -> tuple[Hit, ...]:
        """One hit a brand and kind: the brands' own, then competitors, each in order of first occurrence."""
        spelled = _spelled(text)
        folded = spelled.lower() if spelled.isascii() else spelled.casefold()
        found = self._find(folded, overlapping=True)
        if not found:
            return ()
        found = [(start, -end, pattern) for pattern, start, end in found if _stands_alone(folded, start, end)]
        if not found:
            return ()
        found.sort()  # first occurrence first; of those that start together the longest
        back = _offsets(spelled) if self._spelling_matters and len(spelled) != len(folded) else None
        excluded: dict[int, list[tuple[int, int]]] = {}
        for start, end, pattern in found:
            for use in self._uses[pattern]:
                if use.exclude:
                    excluded.setdefault(use.brand, []).append((start, -end))
        first: dict[tuple[bool, int], Hit] = {}
        reach = {brand: _Spans(spans) for brand, spans in excluded.items()}
        for start, end, pattern in found:
            for use in self._uses[pattern]:
                key = (use.competitor, use.brand)
                if use.exclude or key in first:
                    continue
                if use.brand in reach and reach[use.brand].cover(start, -end):
                    continue
                if use.spelling is not None:
                    a, b = (start, -end) if back is None else (back[start], back[-end])
                    if spelled[a:b] != use.spelling:
                        continue
                first[key] = Hit(self._brands[use.brand], use.words, use.competitor)
        own = [hit for hit in first.values() if not hit.competitor]
        return (*own, *(hit for hit in first.values() if hit.competitor))


class _Spans:
    """Excluded stretches in order of their start; asked in order of start too, so each is looked at once."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self._spans = iter(spans)
        self._next = next(self._spans, None)
        self._furthest = -1

    def cover(self, start: int, end: int) -> bool:
        while self._next is not None and self._next[0] <= start:
            self._furthest = max(self._furthest, self._next[1])
            self._next = next(self._spans, None)
        return end <= self._furthest


def _uses(place: int, brand: BrandRules) -> Iterable[tuple[str, _Use]]:
    for words in (*brand.names, *brand.phrases):
        yield words, _Use(place, words)
    for words in brand.case_sensitive:
        yield words, _Use(place, words, spelling=_spelled(words))
    for words in brand.competitors:
        yield words, _Use(place, words, competitor=True)
    for words in brand.exclude:
        yield words, _Use(place, words, exclude=True)


def _tag_use(use: _Use) -> _Use:
    """Tags and handles are written in any case, so a case-sensitive name is found in them in any case."""
    return _Use(use.brand, use.words, competitor=use.competitor)


# ---- one spelling for all that reads the same -------------------------------------------------------------

_SIMPLER = dict.fromkeys(
    # invisible: soft hyphen, zero-width and bidirectional controls, variation selectors, byte order mark
    [
        *(0xAD, 0x34F, 0x61C, 0x180E, 0xFEFF),
        *(*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10)),
    ],
    "",
)
_SIMPLER |= {ord(c): "'" for c in "‘’ʼ`´"}
_SIMPLER |= {ord(c): " " for c in "-‐‑"}  # Coca-Cola and Coca Cola are one name
# Its lower case is i and a combining dot, two characters. İstanbul and ISTANBUL are one name.
_SIMPLER |= {ord("İ"): "I"}
_NOT_SIMPLE = re.compile(f"[{''.join(map(re.escape, map(chr, _SIMPLER)))}]")


def _spelled(text: str) -> str:
    """The text in one spelling, case kept: NFKC, nothing invisible, plain apostrophes, single spaces."""
    if text.isascii():  # 9 of 10 English posts; about 20 times as fast
        if "-" in text:
            text = text.replace("-", " ")
        if "`" in text:
            text = text.replace("`", "'")
    else:
        # The automaton takes UTF-8, so lone surrogates become "?", which is no part of any word.
        text = text.encode("utf-8", "replace").decode()
        # First out with what hides inside letters that NFKC would compose, then once more for what NFKC
        # makes. A substitution at the few places runs 7 times as fast as str.translate.
        text = unicodedata.normalize("NFKC", _NOT_SIMPLE.sub(_simpler, text))
        text = _NOT_SIMPLE.sub(_simpler, text).replace("i\u0307", "i")
    if "  " in text or not text.isprintable() or text[:1] == " " or text[-1:] == " ":
        text = " ".join(text.split())
    return text


def _simpler(found: re.Match[str]) -> str:
    return _SIMPLER[ord(found[0])]


def _offsets(spelled: str) -> list[int]:
    """For each place in ``spelled.casefold()`` the place in ``spelled``: ß becomes two letters."""
    places: list[int] = []
    for place, char in enumerate(spelled):
        places.extend([place] * len(char.casefold()))
    places.append(len(spelled))
    return places


# ---- where a word ends ------------------------------------------------------------------------------------

# Scripts written without spaces between words, and Hangul, whose particles join the word: a name stands beside
# other letters there. Thai and Lao, Myanmar, Jamo, Khmer, kana and Han, Hangul, Han again.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1100, 0x11FF),
    (0x1780, 0x17FF),
    (0x2E80, 0x9FFF),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


@lru_cache(maxsize=4096)
def _is_word(char: str) -> bool:
    """A letter, digit, mark or underscore. Marks too: an Indic vowel sign continues the word."""
    return char == "_" or unicodedata.category(char)[0] in "LNM"


@lru_cache(maxsize=4096)
def _joins(char: str) -> bool:
    """Whether the character glues to its neighbour: a word character of a script that uses spaces."""
    return _is_word(char) and not any(low <= ord(char) <= high for low, high in _UNSPACED)


def _has_symbol(folded: str) -> bool:
    """Whether there is a symbol that can be a brand's name by itself, such as an emoji."""
    return any(unicodedata.category(char) == "So" for char in folded)


def _stands_alone(text: str, start: int, end: int) -> bool:
    if start and _joins(text[start - 1]) and _joins(text[start]):
        return False
    return not (end < len(text) and _joins(text[end]) and _joins(text[end - 1]))
