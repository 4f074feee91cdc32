"""``listener score``: JSON lines in, JSON lines with verdicts out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from listener.errors import UsageError
from listener.triage.verdict import Triage


def score_lines(lines: Iterable[str], triage: Triage) -> Iterator[str]:
    """Score lines ``{"id", "text", "lang"?, "title"?, "rating"?}``; other keys are let be, blank lines skipped.

    Each becomes ``{"id", "lang", "sentiment", "complaint", "reason", "severity", "why"}``, ASCII only, so that it
    can be written anywhere. Raises ``UsageError`` naming the number of the line and what is wrong with it.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip("\ufeff \t\r\n"):
            continue
        row = _row(line, number)
        verdict = triage.verdict(
            row["text"], title=row.get("title") or "", rating=row.get("rating"), lang=row.get("lang")
        )
        yield json.dumps(
            {
                "id": row["id"],
                "lang": verdict.lang,
                "sentiment": {"compound": verdict.compound, "label": verdict.sentiment},
                "complaint": {"probability": verdict.probability, "label": verdict.complaint},
                "reason": verdict.reason,
                "severity": verdict.severity,
                "why": [{"rule": why.rule, "words": why.words, "share": why.share} for why in verdict.why],
            }
        )


def _row(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"line {number}: not JSON ({error}); expected one object a line") from error
    if not isinstance(row, dict):
        raise UsageError(f'line {number}: expected an object {{"id", "text"}}, got {_kind(row)}')
    for key in ("id", "text"):
        if key not in row:
            raise UsageError(f"line {number}: {key!r} is missing")
    if isinstance(row["id"], bool) or not isinstance(row["id"], str | int):
        raise UsageError(f"line {number}: 'id' must be a string or a whole number, got {_kind(row['id'])}")
    if not isinstance(row["text"], str):
        raise UsageError(f"line {number}: 'text' must be a string, got {_kind(row['text'])}")
    for key in ("lang", "title"):
        if not isinstance(row.get(key), str | None):
            raise UsageError(f"line {number}: {key!r} must be a string, got {_kind(row[key])}")
    rating = row.get("rating")
    if rating is not None and (isinstance(rating, bool) or not isinstance(rating, int | float)):
        raise UsageError(f"line {number}: 'rating' must be a number of stars, 1 to 5, got {_kind(rating)}")
    if rating is not None and not 1 <= rating <= 5:
        raise UsageError(f"line {number}: 'rating' must be a number of stars, 1 to 5, got {rating}")
    return row


def _kind(value: object) -> str:
    return {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "true or false",
        type(None): "null",
    }.get(type(value), "a number")
