"""What ``/listener`` answers: every word, nothing found, and whatever people may type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.duty import Duty, Member
from listener.service import act, read
from responders.slack.blocks import Message
from responders.slack.commands import COMMANDS, SOONEST, answer
from tests import blockkit
from tests.render_slack import Reader, as_text
from tests.slack_desk import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.close()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One case, of Jane Doe; for questions only."""
    office = Office(tmp_path_factory.mktemp("asked"))
    office.complain(name="Jane Doe")
    yield office
    office.close()


def ask(office: Office, text: str, who: str = "Anna") -> tuple[Message, list[str]]:
    """The answer and its lines as a reader in UTC sees them."""
    message = answer(office.desk, who, text, office.now)
    assert blockkit.problems(message.blocks, message.text) == []
    return message, as_text(message.blocks, Reader(office.now)).split("\n")


@pytest.mark.parametrize("text", ["", "  ", "help", "HELP", "help me", "\x00"])
def test_help_names_every_command(asked: Office, text: str) -> None:
    _, lines = ask(asked, text)
    assert [line.split()[2] for line in lines] == list(COMMANDS)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("stauts", "status"), ("serach refund", "search"), ("custmer jane", "customer"), ("cases 12", "case")],
)
def test_a_slip_of_the_finger_gets_a_suggestion(asked: Office, text: str, meant: str) -> None:
    _, lines = ask(asked, text)
    assert lines[0] == f"I don't know “{text.split()[0]}”. Did you mean /listener {meant}?"
    assert len(lines) == 1 + len(COMMANDS)


def test_an_unknown_word_gets_the_help(asked: Office) -> None:
    _, lines = ask(asked, "xyzzy")
    assert lines[0] == "I don't know “xyzzy”."


def test_status_tells_the_day_and_what_is_due_next(office: Office) -> None:
    assert ask(office, "status")[1][2:] == ["The queue is empty. You have no open case."]
    office.claimed("Anna")
    office.later(minutes=31)
    for _ in range(SOONEST + 2):
        office.complain()
    _, lines = ask(office, "status")
    assert lines[0] == f"{SOONEST + 3} new · 0 answered · none late now"
    assert lines[2] == f"{SOONEST + 2} cases in the queue, which nobody has. 1 case of yours."
    assert [line for line in lines if line.startswith("🔵 Customer 2 · delivery")]
    assert lines[-1].startswith("… and 2 more in the queue")


@pytest.mark.parametrize("text", ["case 1", "case #1", "CASE  1", "1", "#1"])
def test_a_case_is_shown_as_its_message_with_buttons(asked: Office, text: str) -> None:
    message, lines = ask(asked, text)
    assert lines[0].startswith("🔵 Halcyon · Jane Doe · delivery")
    assert any(line.startswith("> Halcyon never delivered my order 1") for line in lines)
    [actions] = [block for block in message.blocks if block["type"] == "actions"]
    assert actions["elements"][0]["value"] == "claim:1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("case", "Which case? Try /listener case 12."),
        ("case twelve", "“twelve” is not the number of a case. Try /listener case 12."),
        ("case -1", "“-1” is not the number of a case. Try /listener case 12."),
        ("case ²", "“²” is not the number of a case. Try /listener case 12."),
        ("case 9" + "9" * 30, "is not the number of a case. Try /listener case 12."),
        ("case 99", "There is no case 99."),
        ("customer", "Which customer? Try /listener customer jane."),
        ("customer bob", "No customer's name holds “bob”. Try a part of it, such as the first name."),
        ("search", "What shall I look for? Try /listener search refund."),
        ("search elephants", "No case holds “elephants”. Try fewer words, or a part of one."),
    ],
)
def test_what_is_not_there_is_told_with_what_to_try(asked: Office, text: str, told: str) -> None:
    _, lines = ask(asked, text)
    assert told in lines[0]


def test_a_customer_is_shown_with_badges_and_cases(office: Office) -> None:
    first = office.claimed("Anna", "Halcyon never delivered my order, terrible service!", name="Jane Doe")
    act.respond(office.core, first, "Anna", "https://forum.example/a", office.now)
    act.resolve(office.core, first, "Anna", "replaced", office.now)
    customer = office.case(first).customer.id
    act.edit_customer(office.core, customer, since=office.now - timedelta(days=11), tier="gold")
    office.later(days=8)
    office.complain("Halcyon charged me twice, I want a refund!", name="Jane Doe")
    office.complain(name="John Roe")
    _, lines = ask(office, "customer DOE jane")
    assert lines[0] == "Jane Doe · 2nd bad experience in 365 days · new customer, day 20 · gold"
    assert [line for line in lines if line.startswith("🔵 Jane Doe · billing")]
    assert [line for line in lines if line.startswith("resolved: replaced")]
    assert ask(office, "customer roe")[1][0] == "John Roe · one bad experience in 365 days"


def test_many_customers_of_a_name_are_listed_the_most_let_down_first(office: Office) -> None:
    for number in range(12):
        office.complain(name=f"Smith {number}")
    office.later(days=2)
    office.complain(name="Smith 7", text="Halcyon broke again, awful. I want a refund!")
    message, lines = ask(office, "customer smith")
    assert lines[0].startswith("Smith 7 · 2nd bad experience")
    assert len(message.blocks) == 11
    assert lines[-1] == "Give more of the name to see their cases."


def test_search_finds_the_newest_ten_with_all_the_words_in_one_mention(office: Office) -> None:
    for number in range(12):
        office.complain(f"Halcyon lost my blue umbrella {number}, terrible! 100% useless_thing")
    office.complain("Halcyon lost my umbrella, terrible!", name="Otto")
    office.complain("Halcyon is blue and terrible, I want my money back!", name="Otto", thread="t13")
    _, lines = ask(office, "search UMBRELLA blue")
    assert lines[0] == "10 cases with “UMBRELLA blue”, the newest first:"
    numbers = [int(found) for line in lines if (found := "".join(re.findall(r"case (\d+)$", line)))]
    assert numbers == list(range(12, 2, -1))


@pytest.mark.parametrize(
    ("words", "found"),
    [("100%", 1), ("1%0", 0), ("%", 1), ("useless_thing", 1), ("uselessXthing", 0), ("_", 1), ("\\", 0)],
)
def test_signs_of_like_are_plain_signs(office: Office, words: str, found: int) -> None:
    office.complain("Halcyon lost my order, terrible! 100% useless_thing")
    office.complain("Halcyon lost my order 100 times, terrible! useless thing")
    assert len(read.search_cases(office.core, words, office.now)) == found


@pytest.mark.parametrize("words", ["émile", "ÉMILE", "Émile", "émile привет", "ПРИВЕТ"])
def test_names_and_words_are_found_in_upper_and_lower_case(office: Office, words: str) -> None:
    office.complain("Halcyon lost my order, terrible! Привет Émile", name="Émile Привет")
    assert len(office.desk.search(words)) == 1
    assert len(office.desk.customers(words)) == 1


def test_who_is_on_duty(office: Office) -> None:
    assert ask(office, "duty")[1] == ["On duty now", "Nobody is on duty just now."]
    office.core = replace(office.core, rules=replace(office.core.rules, duty=Duty((Member("Anna"),))))
    office.desk = type(office.desk)(office.core, lambda: office.now)
    office.claimed("Anna")
    assert ask(office, "duty")[1] == ["On duty now", "• Anna · 1 open case"]


PIECES = [
    "<!channel>",
    "<@U1>",
    "*b*",
    "`c`",
    "_i_",
    "&",
    "\x00",
    "\ud800",
    "\u202e",
    "مرحبا",
    "%",
    "\\",
    " ",
    "\n",
]
TYPED = st.builds(
    lambda word, rest: f"{word} {rest}",
    st.sampled_from([*COMMANDS, "nothing", ""]),
    st.lists(st.sampled_from([*PIECES, "x" * 700, "1"]), max_size=8).map("".join) | st.text(max_size=40),
)


@given(TYPED)
@settings(max_examples=60, deadline=None)
def test_whatever_people_type_comes_back_as_text(asked: Office, typed: str) -> None:
    message, _ = ask(asked, typed)
    json.dumps(message.blocks, ensure_ascii=False).encode()
    ours = re.sub(r"<!date\^\d+\^[^<>]*>|<https://[^<>]*>", "", message.text)
    assert not re.search(r"[<>]", ours)


def test_five_thousand_characters_are_cut(asked: Office) -> None:
    for word in [*COMMANDS, "<!channel>"]:
        message, _ = ask(asked, f"{word} " + "<!channel> *now* " * 300)
        assert len(message.text) < 1000
        assert "<!channel>" not in message.text
