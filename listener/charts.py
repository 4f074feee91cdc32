"""The chart of a digest, as PNG. Matplotlib's Agg, without pyplot: no state that stays, nothing that leaks.

Made for a phone: 4:3 and 1200 pixels wide, its letters 10 pixels high when it is shown 360 wide. Colours are
Okabe and Ito's, which the colour-blind tell apart; bars carry their values, and late ones are hatched besides.
"""

from __future__ import annotations

import io
import threading
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from listener.digest_words import count, day_text
from listener.digests import Daily, Reason, Weekly

BLUE, ORANGE, GREY, INK = "#0072B2", "#E69F00", "#B8B8B8", "#222222"
SIZE, DPI = (6.0, 4.5), 200
FEW = 4  # cases or reasons: fewer are drawn as large as if there were so many
REASONS = 6  # bars; the others become one
LONGEST_LABEL = 18
# Matplotlib's font cache and text layout are shared by all figures and not safe in threads.
_ONE = threading.Lock()


def draw(digest: Daily | Weekly) -> bytes:
    """The same bytes for the same figures."""
    with _ONE:
        figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0, labelsize=11, labelcolor=INK)
        if isinstance(digest, Daily):
            _hours(axes, digest)
        else:
            _reasons(axes, digest)
        png = io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _hours(axes: Any, digest: Daily) -> None:
    """Cases by the hour in which they were opened: what was answered in time stands below what was late."""
    hours = digest.hours
    parts: list[tuple[str, list[int], dict[str, Any]]] = [
        ("in time", [h.in_time for h in hours], {"color": BLUE}),
        (
            "late",
            [h.late for h in hours],
            {"color": ORANGE, "hatch": "///", "edgecolor": INK, "linewidth": 0.5},
        ),
        ("not due yet", [h.waiting for h in hours], {"color": GREY}),
    ]
    below = [0] * len(hours)
    for name, values, style in parts:
        if any(values):
            label = f"{name}: {sum(values)}"
            axes.bar(range(len(hours)), values, bottom=below, width=0.8, label=label, **style)
            below = [b + v for b, v in zip(below, values, strict=True)]
    _title(axes, f"{count(digest.opened, 'new case')}, {digest.day:%a} {day_text(digest.day)}")
    axes.set_xlim(-0.6, len(hours) - 0.4)
    axes.set_xticks(range(0, 24, 3), [f"{hour:02}" for hour in range(0, 24, 3)])
    axes.set_xlabel(f"hour of the day ({printable(digest.zone)})", fontsize=11, color=INK)
    axes.set_yticks([])
    axes.set_ylim(0, max(FEW, *below) * 1.12)
    for hour, height in enumerate(below):
        if height:
            axes.annotate(
                str(height), (hour, height), xytext=(0, 3), textcoords="offset points", ha="center",
                fontsize=11 if height < 100 else 8, color=INK,
            )  # fmt: skip
    _legend_or_nothing(axes, any(below))


def _reasons(axes: Any, digest: Weekly) -> None:
    """Each reason's cases this week, above those of the week before."""
    shown = _shown(digest.reasons)
    names = [printable(_clip(r.name)) for r in shown]
    places = range(len(shown))
    compared = digest.before is not None
    thick = 0.38 if compared else 0.6
    bars = [("this week", [r.cases for r in shown], BLUE, -thick / 2 if compared else 0.0)]
    if compared:
        bars.append(("week before", [r.before or 0 for r in shown], ORANGE, thick / 2))
    most = max([FEW, *(n for _, values, _, _ in bars for n in values)])
    for label, values, colour, shift in bars:
        if not shown:
            break
        drawn = axes.barh([p + shift for p in places], values, height=thick, color=colour, label=label)
        axes.bar_label(drawn, labels=[str(n) for n in values], padding=3, fontsize=11, color=INK)
    _title(axes, f"Why customers complained, {day_text(digest.first, digest.last)}–{day_text(digest.last)}")
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.set_xlim(0, most * 1.12)
    axes.set_yticks(list(places), names, fontsize=12, parse_math=False)
    if shown:
        room = max(0, FEW - len(shown)) / 2
        axes.set_ylim(len(shown) - 0.5 + room, -0.5 - room)  # the most frequent on top
    _legend_or_nothing(axes, compared and bool(shown), empty=not shown)


def _shown(reasons: tuple[Reason, ...]) -> list[Reason]:
    """The most frequent, the rest as one."""
    if len(reasons) <= REASONS:
        return list(reasons)
    rest = reasons[REASONS - 1 :]
    before = None if rest[0].before is None else sum(r.before or 0 for r in rest)
    name = f"{len(rest)} others"
    return [*reasons[: REASONS - 1], Reason(name, sum(r.cases for r in rest), before)]


def _title(axes: Any, text: str) -> None:
    axes.figure.suptitle(
        printable(text), x=0.02, ha="left", fontsize=14, fontweight="bold", color=INK, parse_math=False
    )


def _legend_or_nothing(axes: Any, legend: bool, *, empty: bool | None = None) -> None:
    if legend:
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.14),
            ncols=3,
            frameon=False,
            fontsize=11,
            labelcolor=INK,
        )
    if empty if empty is not None else not legend:
        axes.text(0.5, 0.5, "no cases", transform=axes.transAxes, ha="center", fontsize=14, color=INK)


def _clip(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1].rstrip() + "…"


def printable(text: str) -> str:
    """The text with a box for each character that the font lacks: no warning, and nobody takes it for whole."""
    known = get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap()
    return "".join(c if ord(c) in known else "□" for c in text)
