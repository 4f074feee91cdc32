from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.matching import BrandRules, Hit, Matcher

HALCYON = BrandRules(
    "Halcyon",
    ("Halcyon", "Halcyon Bank", "Häfelé", "ハルシオン", "할시온", "हैल"),
    phrases=("my blue card",),
    case_sensitive=("HAL", "Straße"),
    exclude=("halcyon days", "hal 9000"),
    competitors=("Aurora", "Nord Bank"),
)


def names(text: str) -> list[str]:
    return [hit.words for hit in Matcher([HALCYON]).hits(text) if not hit.competitor]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I love Halcyon!", "Halcyon"),
        ("HALCYON lost my parcel", "Halcyon"),
        ("halcyon's app is down", "Halcyon"),
        ("halcyon’s app is down", "Halcyon"),
        ("@halcyon help", "Halcyon"),
        ("#halcyon", "Halcyon"),
        ("(halcyon)", "Halcyon"),
        ("see halcyon.example/help or mail info@halcyon.example", "Halcyon"),
        ("https://x.example/halcyon/status/1", "Halcyon"),
        ("halcyon/aurora", "Halcyon"),
        ("Halcyon-Bank app", "Halcyon Bank"),
        ("Halcyon‑Bank app", "Halcyon Bank"),
        ("halcyon\n   bank", "Halcyon Bank"),
        ("thanks #HalcyonBank", "Halcyon Bank"),
        ("ask @halcyonbank", "Halcyon Bank"),
        ("Ｈａｌｃｙｏｎ", "Halcyon"),
        ("hal\u200bcyon", "Halcyon"),
        ("hal\u00adcyon", "Halcyon"),
        ("\u202ehalcyon\u202c", "Halcyon"),
        ("HÄFELÉ", "Häfelé"),
        ("Ha\u0308fele\u0301 again", "Häfelé"),
        ("昨日ハルシオンに行った", "ハルシオン"),
        ("할시온은 느려요", "할시온"),
        ("Halcyon은 느려요", "Halcyon"),
        ("我用halcyon付款", "Halcyon"),
        ("lost MY BLUE  CARD", "my blue card"),
        ("the HAL desk", "HAL"),
        ("ﬁne: HAL", "HAL"),
        ("ßß in der Straße", "Straße"),
        ("halcyon days are over, Halcyon!", "Halcyon"),
        ("\ud83d halcyon \udc00", "Halcyon"),
        ("halcyon 😡😡", "Halcyon"),
        ("😡halcyon😡", "Halcyon"),
    ],
)
def test_a_person_would_see_the_name(text: str, found: str) -> None:
    assert names(text) == [found]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "halcyonic",
        "myhalcyon",
        "halcyon_fan",
        "halcyon2",
        "éhalcyon",
        "halcyonи",
        "halcyon\u0301s",
        "हैली",
        "those were halcyon days",
        "Halcyon-Days!",
        "hal desk",
        "Hal desk",
        "HAL 9000",
        "in der STRASSE",
        "in der strasse",
        "my blue cards",
        "h a l c y o n",
        "\x00" * 50,
        "\ud800" * 50,
        "😡" * 50,
    ],
)
def test_a_person_would_not(text: str) -> None:
    assert names(text) == []


def test_dotted_and_dotless_capitals_of_turkish() -> None:
    matcher = Matcher([BrandRules("I", ("İstanbul Kart",))])
    for text in (
        "İSTANBUL KART",
        "istanbul kart",
        "ISTANBUL KART",
        "i\u0307stanbul kart",
        "I\u0307STANBUL KART",
    ):
        assert matcher.hits(text), text


def test_own_brands_first_then_competitors_each_in_order_of_appearance() -> None:
    matcher = Matcher([HALCYON, BrandRules("Aurora", ("Aurora", "AuroraPay"), competitors=("Halcyon",))])
    assert matcher.hits("Nord Bank and Aurora beat Halcyon Bank, auroraPay and Halcyon") == (
        Hit("Aurora", "Aurora", competitor=False),
        Hit("Halcyon", "Halcyon Bank", competitor=False),
        Hit("Halcyon", "Nord Bank", competitor=True),
        Hit("Aurora", "Halcyon", competitor=True),
    )


def test_an_exclusion_is_its_own_brands_business() -> None:
    matcher = Matcher([HALCYON, BrandRules("Days", ("Halcyon Days",))])
    assert [hit.brand for hit in matcher.hits("Halcyon Days, the hotel")] == ["Days"]


def test_a_name_that_only_overlaps_an_exclusion_counts() -> None:
    matcher = Matcher([BrandRules("B", ("Bank Halcyon",), exclude=("halcyon days",))])
    assert matcher.hits("my bank halcyon days")


def test_emoji_can_be_a_name() -> None:
    assert Matcher([BrandRules("Apple", ("🍎",))]).hits("my new 🍎phone")


@pytest.mark.parametrize("name", ["", "  ", "\u200b", "-", "!!", "\u202e\ufeff"])
@pytest.mark.parametrize("kind", ["names", "phrases", "case_sensitive", "exclude", "competitors"])
def test_a_name_with_nothing_to_look_for_is_refused_by_name(name: str, kind: str) -> None:
    rules = {"names": ("Halcyon",), kind: (name,)}
    with pytest.raises(ValueError, match=re.escape(f"'Halcyon': {name!r}")):
        Matcher([BrandRules("Halcyon", **rules)])


def test_without_brands_nothing_is_found() -> None:
    assert Matcher([]).hits("halcyon") == ()


@pytest.mark.parametrize("piece", ["halcyon days ", "İß halcyon-", "a", "\ud800", "ﷺ", "HAL 9000 ", "़"])
def test_a_very_long_text_is_read_to_its_end(piece: str) -> None:
    text = piece * (100_000 // len(piece)) + " Nord Bank"
    assert Matcher([HALCYON]).hits(text)[-1] == Hit("Halcyon", "Nord Bank", competitor=True)


# ---- laws -----------------------------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(), max_size=60)  # lone surrogates included
NAME = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=12)


@given(before=ANY_TEXT, name=NAME, after=ANY_TEXT)
def test_a_name_between_spaces_is_always_found(before: str, name: str, after: str) -> None:
    assert Matcher([BrandRules("b", (name,))]).hits(f"{before} {name} {after}")


@given(before=ANY_TEXT, name=NAME, after=ANY_TEXT)
def test_case_makes_no_difference(before: str, name: str, after: str) -> None:
    matcher = Matcher([BrandRules("b", (name,))])
    text = f"{before} {name} {after}"
    assert matcher.hits(text.casefold()) == matcher.hits(text)


@given(name=st.from_regex("[a-z]{2,8}", fullmatch=True), text=st.from_regex("[a-d ]{0,40}", fullmatch=True))
def test_inside_an_exclusion_never_outside_always(name: str, text: str) -> None:
    matcher = Matcher([BrandRules("b", (name,), exclude=(f"{name} zz",))])
    assert bool(matcher.hits(f"{text} {name} zz")) == (name in text.split())
    assert matcher.hits(f"{name} zz {text} {name}")


@given(
    text=st.from_regex("[ab -]{0,30}", fullmatch=True),
    names=st.lists(st.sampled_from(["a", "b", "ab", "aa", "a b"])),
)
def test_many_names_find_what_each_finds_alone(text: str, names: list[str]) -> None:
    together = Matcher([BrandRules(str(i), (name,)) for i, name in enumerate(names)]).hits(text)
    alone = {str(i) for i, name in enumerate(names) if Matcher([BrandRules("b", (name,))]).hits(text)}
    assert {hit.brand for hit in together} == alone


@given(text=ANY_TEXT)
def test_no_text_breaks_it(text: str) -> None:
    for hit in Matcher([HALCYON]).hits(text):
        assert hit.brand == "Halcyon"
