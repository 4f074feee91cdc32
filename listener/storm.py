"""When many complaints of one brand at once are a storm, by what is usual for that brand. Pure.

What is usual is learned: the 95th percentile of the brand's hourly counts of complaint cases, so the rate of its
busy hours. Complaints that do not know of each other come as a Poisson process, whose counts spread by the square
root of their mean: five such spreads above the busy rate are no chance (less than one in 100,000 half hours).
A storm is over only below two of them, so that it does not flicker at its edge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

LEARN_FROM = timedelta(days=28)  # of a week, one bad Monday would be a seventh
LEARN_AT_LEAST = timedelta(days=7)  # a brand heard for less: its first hours alone are not what is usual
BUSY = 0.95  # a share of the hours: the daily peak counts as usual, 33 hours of storms in four weeks do not
BEGIN_SPREADS, END_SPREADS = 5, 2
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class StormRules:
    """What the configuration says. ``floor``: fewer cases within ``window`` are never a storm, whatever is usual.

    ``calm``: how long it must be calm until a storm is over, at least ``window``. ``call``: people, groups, and
    "duty" for who is on duty.
    """

    enabled: bool = True
    floor: int = 10
    window: timedelta = timedelta(minutes=30)
    calm: timedelta = timedelta(hours=1)
    call: tuple[str, ...] = ("duty", "escalation")


def usual_per_hour(counts: Iterable[int], heard_for: timedelta) -> float:
    """Cases in one of the brand's busy hours. ``counts``: of the hours that had any, of all in ``heard_for``."""
    hours = max(math.ceil(min(heard_for, LEARN_FROM) / _HOUR), int(LEARN_AT_LEAST / _HOUR))
    quieter = math.floor(hours * (1 - BUSY))  # so many hours may have been busier
    busiest = sorted(counts, reverse=True)
    return float(busiest[quieter]) if quieter < len(busiest) else 0.0


def densest(times: Sequence[datetime], span: timedelta) -> int:
    """The most of these times that lie within less than ``span``."""
    ordered = sorted(times)
    most = first = 0
    for last, time in enumerate(ordered):
        while time - ordered[first] >= span:
            first += 1
        most = max(most, last - first + 1)
    return most


def begins(rules: StormRules, usual: float, recent: Sequence[datetime]) -> bool:
    """Whether the cases that were opened within the last window are a storm.

    ``recent``: when each was written, where that is known: what a poll after a long pause brings at once was
    written over hours, and is none.
    """
    return rules.enabled and densest(recent, rules.window) >= begin_at(rules, usual)


def begin_at(rules: StormRules, usual: float) -> float:
    """So many cases within the window begin a storm."""
    return max(rules.floor, _above(usual, rules.window, BEGIN_SPREADS))


def ends(rules: StormRules, usual: float, in_window: int, in_calm: int) -> bool:
    """Whether it is over, by the cases opened within the last window and within the last calm time."""
    if not rules.enabled:
        return True
    counts = (in_window, rules.window), (in_calm, rules.calm)
    return all(count <= max(rules.floor / 2, _above(usual, span, END_SPREADS)) for count, span in counts)


def _above(usual: float, span: timedelta, spreads: int) -> float:
    expected = usual * (span / _HOUR)
    return expected + spreads * math.sqrt(expected)
