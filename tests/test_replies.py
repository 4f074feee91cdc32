"""Drafts of replies: every template in every combination, the sandbox, names, and what people are shown of it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import replies
from listener.errors import Refused, UsageError
from listener.model import Author
from listener.replies import Templates, Values
from listener.resources import data_dir
from listener.service import act
from listener.service import replies as drafts
from listener.triage import REASONS
from tests.dashboard import Dashboard, rows, served
from tests.shop import Shop
from tests.world import World, refused

OURS = data_dir() / "replies"
LANGUAGES = ("de", "en", "ms", "nb")
PLAIN = Values("Halcyon", 4, "hour")


# ---- the texts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_template_in_every_combination(lang: str, reason: str) -> None:
    templates = Templates([OURS])
    seen = set()
    for values in replies.samples():
        text, written = templates.reply(lang, reason, values)
        assert written == lang
        assert 60 <= len(text.split()) <= 110, f"{len(text.split())} words: {text}"
        assert not re.search(r"[{}%]|None|\s[,.!?:;]|[ \t]\n|\n{3}|  |\.\.|[a-z]\n", text), text
        assert values.brand in text
        if values.unit != "week" and values.count > 1:
            assert re.search(rf"\b{values.count}\b", text)
        assert (values.agent or values.brand) in text.splitlines()[-1]
        seen.add((text, values.let_down_before, values.new_customer))
    # Let down before outweighs being new; else each variant says something of its own.
    texts = {key: {t for t, *flags in seen if flags == list(key)} for key in ((0, 0), (1, 0), (0, 1), (1, 1))}
    assert texts[1, 0] == texts[1, 1]
    assert not texts[1, 0] & texts[0, 1] | texts[0, 0] & (texts[1, 0] | texts[0, 1])


def test_each_reason_has_a_text_of_its_own_in_each_language() -> None:
    templates = Templates([OURS])
    assert templates.languages == list(LANGUAGES)
    assert len({templates.reply(la, r, PLAIN)[0] for la in LANGUAGES for r in REASONS}) == 4 * len(REASONS)
    assert templates.problems(REASONS) == []


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", ["30 minutes", "1 hour", "2 hours", "24 hours", "2 days", "1 week", "2 weeks"]),
        (
            "de",
            ["30 Minuten", "einer Stunde", "2 Stunden", "24 Stunden", "2 Tagen", "einer Woche", "2 Wochen"],
        ),
        ("nb", ["30 minutter", "én time", "2 timer", "24 timer", "2 dager", "én uke", "2 uker"]),
        ("ms", ["30 minit", "1 jam", "2 jam", "24 jam", "2 hari", "1 minggu", "2 minggu"]),
    ],
)
def test_waiting_times_in_correct_plurals(lang: str, said: list[str]) -> None:
    lengths = [timedelta(minutes=30), *(timedelta(hours=n) for n in (1, 2, 24)), timedelta(days=2)]
    lengths += [timedelta(weeks=1), timedelta(weeks=2)]
    for length, words in zip(lengths, said, strict=True):
        count, unit = replies.count_and_unit(length)
        text, _ = Templates([OURS]).reply(lang, "delivery", Values("Halcyon", count, unit))
        assert re.search(rf"(within|Within|in|Innen|masa) {words}\b", text), text


@pytest.mark.parametrize(
    ("lang", "greeting", "signed"),
    [
        ("en", ("Hello Mia,", "Hello,"), ("Anna, Halcyon", "Your team at Halcyon")),
        ("de", ("Guten Tag Mia Larsen,", "Guten Tag,"), ("Anna, Halcyon", "Ihr Team von Halcyon")),
        ("nb", ("Hei, Mia!", "Hei!"), ("Hilsen Anna, Halcyon", "Hilsen oss i Halcyon")),
        (
            "ms",
            ("Salam sejahtera Mia Larsen,", "Salam sejahtera Tuan/Puan,"),
            ("Anna, Halcyon", "Pasukan Halcyon"),
        ),
    ],
)
def test_people_are_addressed_as_their_language_does(
    lang: str, greeting: tuple[str, str], signed: tuple[str, str]
) -> None:
    known = Values("Halcyon", 4, "hour", "Mia", "Mia Larsen", "Anna")
    for values, first, last in zip((known, PLAIN), greeting, signed, strict=True):
        lines = Templates([OURS]).reply(lang, "price", values)[0].splitlines()
        assert (lines[0], lines[-1]) == (first, last)


# ---- which one ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoken", "reason", "written", "like"),
    [
        (["nb"], "delivery", "nb", ("nb", "delivery")),
        (["nn"], "delivery", "nb", ("nb", "delivery")),
        (["unknown", "de"], "billing", "de", ("de", "billing")),
        (["fr"], "billing", "en", ("en", "billing")),
        ([], "billing", "en", ("en", "billing")),
        (["de"], "parking", "de", ("de", "other")),
        (["de"], "../en/price", "de", ("de", "other")),
        (["../de"], "price", "en", ("en", "price")),
    ],
)
def test_language_and_reason_with_what_stands_in(
    spoken: list[str], reason: str, written: str, like: tuple[str, str]
) -> None:
    templates = Templates([OURS])
    found = templates.reply(templates.language(spoken), reason, PLAIN)
    assert found == (templates.reply(*like, PLAIN)[0], written)


def own(tmp_path: Path, **files: str) -> Templates:
    """Ours, after these: ``de_price="..."`` is de/price.txt.j2."""
    folder = tmp_path / "replies"
    for name, text in files.items():
        lang, _, reason = name.partition("_")
        (folder / lang).mkdir(parents=True, exist_ok=True)
        (folder / lang / f"{reason}.txt.j2").write_text(text, encoding="utf-8")
    return Templates([folder, OURS])


def test_an_installation_overrides_one_reply_a_frame_or_adds_a_language(tmp_path: Path) -> None:
    templates = own(
        tmp_path,
        de_price='{% extends "de/_reply.txt.j2" %}{% block problem %}Unser Preis.{% endblock %}',
        en__waiting="{{ count }} {{ unit }}(s)",
        fr_other="\ufeffBonjour{% if first_name %} {{ first_name }}{% endif %} :\nbientôt.\n\n\n\n{{ brand }}",
    )
    assert templates.problems(REASONS) == []
    assert templates.reply("de", "price", PLAIN)[0].startswith("Guten Tag,\n\nUnser Preis.\n\nSpätestens")
    assert templates.reply("de", "billing", PLAIN) == Templates([OURS]).reply("de", "billing", PLAIN)
    assert "Within 4 hour(s) you" in templates.reply("en", "outage", PLAIN)[0]
    assert templates.reply("fr", "outage", PLAIN) == ("Bonjour : bientôt.\n\nHalcyon", "fr")


# ---- the sandbox --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("a\n{{ ''.__class__ }}", "line 2: access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ ''['__class__'] }}", "__class__"),
        ("{{ brand.__init__.__globals__ }}", "unsafe"),
        ("{{ self.__init__ }}", "__init__"),
        ("{{ brand.format(brand) }}", "templates can't call"),
        ("{{ '{0.__class__}'.format(brand) }}", "templates can't call"),
        ("{{ brand.center(10000000000) }}", "templates can't call center"),
        ("{{ 'x' * 10000000000 }}", "templates can't use *"),
        ("{{ '%10000000000d' % count }}", "templates can't use %"),
        ("{{ 9 ** 9 ** 9 }}", "templates can't use **"),
        ("{{ cycler }}", "'cycler' is undefined"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{{ range(9) }}", "'range' is undefined"),
        ("{{ brand|attr('__class__') }}", "No filter named 'attr'"),
        ("{{ brand|map('upper') }}", "No filter named 'map'"),
        ("{% include '../../listener.toml' %}", "there is no template ../../listener.toml"),
        ("{% include '/etc/passwd' %}", "there is no template /etc/passwd"),
        ("a\nb\n{{ brandd }}", "line 3: 'brandd' is undefined"),
        ("a\n{% if %}", "line 2: Expected an expression"),
        ("{% extends 'de/_rply.txt.j2' %}", "line 1: there is no template de/_rply.txt.j2"),
        ("{% extends 'de/price.txt.j2' %}", "recursion"),
        ("{# nothing #}", "the reply is empty"),
        ("{{ 1 / 0 }}", "division"),
        ("x" * 4001, "longer than 4000 characters"),
        (
            "".join(f"{{% for {c} in brand %}}" for c in "abcdefghijkl") + "x" * 99 + "{% endfor %}" * 12,
            "longer than 4000 characters",
        ),
    ],
)
def test_what_a_template_can_not_do_is_refused_with_its_place(tmp_path: Path, source: str, says: str) -> None:
    templates = own(tmp_path, de_price=source)
    with refused(UsageError, "de/price.txt.j2", says):
        templates.reply("de", "price", PLAIN)
    (problem,) = templates.problems(["price"])
    assert problem.startswith("de/price.txt.j2")
    assert says in problem


def test_files_that_would_never_be_found_are_named(tmp_path: Path) -> None:
    templates = own(tmp_path, de_delivry="x", de_xyzzy="x", norsk_other="x", de__part="x {{ brand }}")
    folder = tmp_path / "replies"
    (folder / "de" / "billing.txt").write_text("x")
    (folder / "de" / ".hidden").write_text("x")
    (folder / "README.md").write_text("x")
    assert templates.problems(["delivery", "other"]) == [
        "de/billing.txt: is not used; the names of templates end with .txt.j2",
        'de/delivry.txt.j2: is not used; no reason is called delivry; did you mean "delivery"?',
        "de/xyzzy.txt.j2: is not used; no reason is called xyzzy; there are: delivery, other",
        "norsk/other.txt.j2: is not used; a folder is named for a language, such as en",
    ]
    (folder / "de" / "billing.txt.j2").write_bytes(b"caf\xe9")
    assert "de/billing.txt.j2: is not UTF-8 text: byte 3 can't be read" in templates.problems(REASONS)


# ---- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first", "full"),
    [
        ("Mia", "Mia", None),
        ("Mia  Larsen", "Mia", "Mia Larsen"),
        ("Anna-Lena Müller", "Anna-Lena", "Anna-Lena Müller"),
        ("A\u030ase Øverås", "Åse", "Åse Øverås"),
        ("Éamon O'Neill", "Éamon", "Éamon O'Neill"),
        ("Siti Nurhaliza binti Tarudin", "Siti", "Siti Nurhaliza binti Tarudin"),
        ("Ludwig van Beethoven", "Ludwig", "Ludwig van Beethoven"),
        ("John D.", "John", None),
        ("mia", None, None),
        ("MIA LARSEN", None, None),
        ("sk8er_99", None, None),
        ("u/Mia", None, None),
        ("Dr. Mia Larsen", None, None),
        ("Angry Customer", None, None),
        ("A Google user", None, None),
        ("Somebody at forum", None, None),
        ("Halcyon Hater", None, None),
        ("Halcyon", None, None),
        ("王伟", None, None),
        ("", None, None),
        ("Mia " * 9, None, None),
        ("{{ 7*7 }}", None, None),
        ("Mia{% raw %}", None, None),
        ("<!channel>", None, None),
        ("<b>Mia</b>", None, None),
        ("Mia\u202eLarsen", None, None),
        ("Mia\u200bLarsen", None, None),
        ("=HYPERLINK(1)", None, None),
        ("https://evil.example", None, None),
        ("@everyone", None, None),
    ],
)
def test_only_what_looks_like_a_name_is_one(name: str, first: str | None, full: str | None) -> None:
    assert replies.names(name, "Halcyon") == (first, full)


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["Mia", "{{", "}}", "%", "<a>", "\u202e", "d'", "Ø"])).map(" ".join)
)
def test_whatever_somebody_calls_themself_only_letters_reach_the_reply(name: str) -> None:
    for found in replies.names(name, "Halcyon"):
        assert found is None or re.fullmatch(r"[^\W\d_]+([ '’-]{1,2}[^\W\d_]+)*", found)
        assert found is None or len(found) <= 80


# ---- a draft of a case --------------------------------------------------------------------------------------


def by(name: str) -> Author:
    return Author("forum.example", name.casefold(), name)


def test_a_draft_speaks_the_customers_language_and_records_nothing(world: World) -> None:
    text = "Halcyon ist eine Katastrophe: Paket nie angekommen, niemand antwortet!"
    world.hear(world.mention(1, text, author=by("Mia Larsen"), lang="de"))
    events = len(world_events(world))
    found = drafts.draft(world.core, 1, "Anna", world.now)
    assert (found.lang, found.promise_minutes) == ("de", 24 * 60)
    assert found.text.startswith("Guten Tag Mia Larsen,\n\nvielen Dank")
    assert "Spätestens in 24 Stunden" in found.text
    assert found.text.endswith("\n\nAnna, Halcyon")
    assert "Katastrophe" not in found.text
    assert found.basis == (
        "the policy's target for a resolution, 24 h; too few delivery cases in 90 days (0) to go by"
    )
    assert len(world_events(world)) == events
    english = drafts.draft(world.core, 1, "root", world.now, lang="en")
    assert english.text.startswith("Hello Mia,")
    assert english.text.endswith("Your team at Halcyon"), "who is not of the team does not sign"
    with refused(UsageError, "no reply templates in 'fr'", "de, en, ms, nb"):
        drafts.draft(world.core, 1, "Anna", world.now, lang="fr")
    with refused(UsageError, "There is no case 7."):
        drafts.draft(world.core, 7, "Anna", world.now)
    act.dismiss(world.core, 1, "Anna", "A joke.", world.now)
    with refused(Refused, "The case is closed (not a complaint)"):
        drafts.draft(world.core, 1, "Anna", world.now)


def world_events(world: World) -> list[object]:
    from listener.storage.tables import events

    return rows(world, events)


@pytest.mark.parametrize(
    "name",
    ["{{ 7*7 }}", "{% include 'en/other.txt.j2' %}", "<script>alert(1)</script>", "\u202eaiM", "x" * 300],
)
def test_hostile_names_and_words_never_reach_the_draft(world: World, name: str) -> None:
    text = "Halcyon is terrible, never delivered {{ ''.__class__ }} {% raw %}, I want my money back!"
    world.hear(world.mention(1, text, author=by(name), lang="en"))
    found = drafts.draft(world.core, 1, "Anna", world.now)
    assert found.text.splitlines()[0] == "Hello,"
    assert not re.search("[{}<>\u202e]|49|xxx|class", found.text)


def test_who_was_let_down_before_and_who_is_new(world: World) -> None:
    def text(case_id: int) -> str:
        return drafts.draft(world.core, case_id, "Anna", world.now, lang="en").text

    before, new = "We have let you down before", "You have not been with us long"
    world.hear(world.mention(1))
    assert before not in text(1)
    assert new not in text(1)
    act.edit_customer(world.core, 1, since=world.now - timedelta(days=10))
    assert new in text(1)
    act.respond(world.core, 1, "Anna", "https://forum.example/t/1#2", world.now, promise_minutes=30)
    world.later(minutes=31)
    world.tick()
    assert before in text(1), "the promise was broken"
    world.later(days=2)
    world.hear(world.mention(2))
    assert before in text(2)
    assert new not in text(2)
    act.dismiss(world.core, 1, "Anna", "Somebody else's.", world.now)
    assert before not in text(2), "what was taken back does not count"
    world.later(days=400)
    assert before not in text(2)
    assert new not in text(2)


def test_a_broken_or_missing_folder_is_said_to_whoever_asks(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    world = World(tmp_path, reply_folder=folder)
    try:
        world.settled()
        world.hear(world.mention(1, lang="en"))
        with refused(UsageError, "There is no folder", str(folder), "[replies]"):
            drafts.draft(world.core, 1, "Anna", world.now)
        file = folder / "en" / f"{world.case().reason}.txt.j2"
        file.parent.mkdir(parents=True)
        file.write_text("{{ oops }}")
        with refused(UsageError, f"en/{file.name}, line 1: 'oops' is undefined"):
            drafts.draft(world.core, 1, "Anna", world.now)
        file.write_text("{{ brand }} calls within {{ count }} {{ unit }}s.")
        assert drafts.draft(world.core, 1, "Anna", world.now).text == "Halcyon calls within 24 hours."
    finally:
        world.close()


# ---- where people meet it -----------------------------------------------------------------------------------


def test_the_command(shop: Shop) -> None:
    assert shop("poll", "--once").code == 0
    ran = shop("draft", "1", "--as", "somebody")
    assert ran.code == 0
    assert "Hello" in ran.out
    assert "It tells a wait of 24 h: the policy's target for a resolution, 24 h" in ran.out
    assert "listener cases respond 1 LINK --promise 1440" in ran.out
    german = shop("draft", "1", "--lang", "de", "--json")
    found = json.loads(german.out)
    assert found.keys() == {"text", "lang", "promise_minutes", "wait", "basis"}
    assert (found["lang"], found["text"][:9]) == ("de", "Guten Tag")
    for line, words in (
        ("draft 9", "There is no case 9."),
        ("draft 1 --lang xx", "no reply templates in 'xx'"),
    ):
        ran = shop(*line.split())
        assert (ran.code, words in ran.err) == (2, True)


def test_check_names_a_broken_template_with_file_and_line(shop: Shop, tmp_path: Path) -> None:
    config = next(tmp_path.rglob("listener.toml"))
    config.write_text(config.read_text() + '\n[replies]\nfolder = "my replies"\n')
    ran = shop("check")
    assert (ran.code, "There is no folder" in ran.err) == (2, True)
    folder = config.parent / "my replies" / "nb"
    folder.mkdir(parents=True)
    (folder / "outage.txt.j2").write_text(
        '{% extends "nb/_reply.txt.j2" %}\n{% block next %}\n{{ no_such }}\n{% endblock %}\n'
    )
    ran = shop("check")
    assert (ran.code, "  nb/outage.txt.j2, line 3: 'no_such' is undefined" in ran.err) == (2, True)
    (folder / "outage.txt.j2").write_text("{{ brand }}: snart.")
    assert shop("check").code == 0


@pytest.fixture
def dashboard(world: World) -> Iterator[Dashboard]:
    with served(world) as dashboard:
        dashboard.world.hear(
            dashboard.world.mention(1, author=by("</textarea><script>x</script>"), lang="en")
        )
        dashboard.log_in()
        yield dashboard


def test_the_case_page_drafts_a_reply_and_presets_the_promise(dashboard: Dashboard) -> None:
    assert 'href="/cases/1/draft"' in dashboard.text("/cases/1")
    assert "<textarea id=" not in dashboard.text("/cases/1")
    page = dashboard.text("/cases/1/draft?lang=de")
    area = re.search(r'<textarea id="draft-text"[^>]*lang="de"[^>]*>(.*?)</textarea>', page, re.DOTALL)
    assert area is not None
    assert html.unescape(area[1]).startswith("Guten Tag,\n\nvielen Dank")
    assert html.unescape(area[1]).endswith("Anna, Halcyon")
    assert "It tells a wait of 24 h: the policy" in html.unescape(page)
    assert re.search(r'<details id="do-respond" name="do" open>', page)
    assert re.search(r'name="promise"[^>]*value="1440"', page)
    assert "<script>x" not in page
    assert len(world_events(dashboard.world)) == 1, "asking for a draft does nothing to the case"
    answer = dashboard.post("/cases/1/respond", url="https://forum.example/t/1#2", promise="1440")
    assert answer.headers["location"] == "/cases/1?done=respond"
    assert dashboard.world.case().promise_minutes == 1440


def test_the_case_page_says_why_there_is_no_draft(dashboard: Dashboard) -> None:
    assert "no reply templates in" in dashboard.text("/cases/1/draft?lang=%3Cb%3E", 400)
    dashboard.text("/cases/9/draft", 404)
    act.dismiss(dashboard.world.core, 1, "Anna", "A joke.", dashboard.world.now)
    assert "The case is closed" in dashboard.text("/cases/1/draft", 409)
    assert "/cases/1/draft" not in dashboard.text("/cases/1")
