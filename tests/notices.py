"""Cases and notices for the tests of responders: one complete sample, changed field by field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from listener.model import (
    CaseView,
    ClockName,
    ClockView,
    CustomerView,
    Delivery,
    MentionView,
    Notice,
    NoticeKind,
    Person,
    State,
    Why,
)

NOW = datetime(2026, 11, 22, 13, 5, tzinfo=UTC)
KARI = Person("Kari", {"slack": "U0KARI"})
SENIORS = Person("Seniors", {"slack": "S0SENIORS"})

CUSTOMER = CustomerView(7, "Jane Doe", bad_experiences=2, window_days=365, day_as_customer=12, new=True)
MENTION = MentionView(
    id=31,
    source="trustpilot",
    author="Jane Doe",
    title="Never again",
    text="My parcel never arrived and nobody answers. I have called three times; I want my money back.",
    url="https://reviews.example.com/31",
    rating=1.0,
    lang="en",
    compound=-0.7,
    published=NOW - timedelta(minutes=9),
    seen=NOW,
)
CLOCKS = (
    ClockView(ClockName.FIRST_RESPONSE, NOW, NOW + timedelta(hours=1), timedelta(hours=1)),
    ClockView(ClockName.RESOLUTION, NOW, NOW + timedelta(hours=24), timedelta(hours=24)),
)
CASE = CaseView(
    id=12,
    brand="Acme",
    state=State.OPEN,
    cycle=1,
    reason="delivery",
    severity="high",
    complaint="complaint",
    why=(Why("rating", "1 star", 0.5), Why("cue", "never arrived", 0.3), Why("polite", "thanks", -0.1)),
    customer=CUSTOMER,
    mentions=(MENTION,),
    clocks=CLOCKS,
    opened_at=NOW,
    url="https://listener.example.com/cases/12",
)


def case(**changes: Any) -> CaseView:
    return replace(CASE, **changes)


def mention(**changes: Any) -> MentionView:
    return replace(MENTION, **changes)


def notice(kind: NoticeKind = "opened", text: str = "A new complaint.", **changes: Any) -> Notice:
    return replace(Notice(kind, text, NOW, CASE), **changes)


def delivery(kind: NoticeKind = "opened", text: str = "A new complaint.", **changes: Any) -> Delivery:
    """``changes`` are those of the delivery; ``case``, ``call`` and ``at`` go to its notice."""
    inner = {name: changes.pop(name) for name in ("case", "call", "at") if name in changes}
    return replace(Delivery(f"case:12:{kind}", notice(kind, text, **inner)), **changes)


LATE = NOW + timedelta(minutes=61)
THIRD_STRIKE = case(
    customer=replace(
        CUSTOMER, bad_experiences=3, new=False, day_as_customer=None, tier="gold", name="محمد علي"
    ),
    mentions=(
        mention(
            text="الطرد لم يصل بعد ولا أحد يرد على رسائلي. هذه هي المرة الثالثة!",
            title="",
            author="محمد علي",
            rating=None,
            lang="ar",
        ),
        mention(id=32, text="Still nothing.", title="", rating=None),
    ),
    severity="critical",
    state=State.CLAIMED,
    assignee="Kari",
)
LONG = case(
    mentions=(
        mention(
            title="", text="<!channel> *Scam!* `rm -rf` & <@U1> http://evil.example.com " * 400, rating=None
        ),
    ),
    customer=replace(CUSTOMER, bad_experiences=1, new=False, name="*_x_* <!here>"),
)
SAMPLES = {
    "short": notice(call=(KARI,)),
    "third strike, right to left, late": notice(
        "breach", "Nobody has answered in 60 minutes.", case=THIRD_STRIKE, at=LATE, call=(SENIORS,)
    ),
    "long and hostile": notice("warning", "15 minutes left.", case=LONG, at=NOW + timedelta(minutes=45)),
}
