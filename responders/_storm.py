"""A storm in words that all responders share. Pure; not a responder itself."""

from __future__ import annotations

from collections.abc import Sequence

from listener.model import StormView
from responders._text import duration, line

MOST = 6  # reasons or sources that are named


def title(storm: StormView) -> str:
    return f"{'It is calm again' if storm.ended_at else 'Many complaints'}: {line(storm.brand, 60)}"


def figures(storm: StormView) -> str:
    """How many, how fast, and how fast it is usually."""
    found = [f"{storm.cases} case{'' if storm.cases == 1 else 's'}", f"{storm.open_cases} open", rate(storm)]
    if storm.ended_at is not None:
        found.append(f"over after {duration(storm.ended_at - storm.started_at)}")
    return " · ".join(found)


def rate(storm: StormView) -> str:
    usual = "fewer than 1" if storm.usual_per_hour < 1 else f"up to {storm.usual_per_hour:.0f}"
    return f"{storm.per_hour:.0f} an hour (usually {usual})"


def counts(pairs: Sequence[tuple[str, int]]) -> str:
    """``delivery 40, billing 17, 3 more: 9``; empty when there are none."""
    named = [f"{line(name, 40)} {n}" for name, n in pairs[:MOST]]
    rest = pairs[MOST:]
    if rest:
        named.append(f"{len(rest)} more: {sum(n for _, n in rest)}")
    return ", ".join(named)


def lines(storm: StormView) -> list[str]:
    """Figures, reasons and sources, a line each."""
    found = [figures(storm)]
    found += [f"Reasons: {counts(storm.reasons)}"] if storm.reasons else []
    found += [f"Sources: {counts(storm.sources)}"] if storm.sources else []
    return found
