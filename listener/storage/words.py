"""Search by words, alike on every database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, or_

MOST_WORDS = 8  # each is one more LIKE over every text looked at


def holds(words: str, *columns: ColumnElement[str]) -> ColumnElement[bool]:
    """Each of the words stands in one of the columns, in upper or lower case; ``%`` and ``_`` are plain signs.

    True for no words at all.
    """
    return and_(True, *(_holds(word, columns) for word in words.split()[:MOST_WORDS]))


def _holds(word: str, columns: tuple[ColumnElement[str], ...]) -> ColumnElement[bool]:
    # SQLite folds only ASCII letters, so that "Émile" and "émile" differ to it.
    forms: set[str] = {word} if word.isascii() else {word, word.lower(), word.upper(), word.capitalize()}
    found: list[Any] = [c.icontains(form, autoescape=True) for c in columns for form in sorted(forms)]
    return or_(*found)
