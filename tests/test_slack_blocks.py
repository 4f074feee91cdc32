"""The Slack message of a case: within Block Kit's limits for any text, and safe whatever strangers write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.model import CustomerView, Notice, NoticeKind, Person, State, Why
from responders.slack import blocks
from tests import blockkit
from tests.notices import (
    CUSTOMER,
    KARI,
    LATE,
    LONG,
    NOW,
    SAMPLES,
    SENIORS,
    THIRD_STRIKE,
    case,
    mention,
    notice,
)
from tests.render_slack import as_text, five_cases

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "slack-blockkit" / "fixtures" / "valid"
RENDERED = [
    *(blocks.case_message(n, n.case) for n in SAMPLES.values() if n.case),
    *(blocks.thread_reply(n, n.case) for n in SAMPLES.values() if n.case),
    *(blocks.pointer(n, n.case, "https://t.example.com/archives/C1/p1") for n in SAMPLES.values() if n.case),
]

# Pieces that have broken chat messages before, alone and in any mix, and whatever hypothesis finds besides.
PIECES = st.sampled_from(
    [
        "<!channel>",
        "<@U1>",
        "<!subteam^S1>",
        "<#C1>",
        "<https://evil.example.com|click>",
        "&lt;",
        "&",
        "<",
        ">",
        "|",
        "*b*",
        "_i_",
        "~s~",
        "`c`",
        "```",
        "> q",
        "\n",
        "\r\n",
        "\x00",
        "\x1b[31m",
        "\u202e",
        "\ud800",
        "\u2028",
        "👩‍👩‍👧‍👦",
        "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "é",
        "é",
        "مرحبا",
        "漢字",
        "word ",
        " ",
        ":tada:",
        "@everyone",
        "http://a.example.com/?a=b&c",
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.text(max_size=60),
    st.builds(lambda piece, times: piece * times, PIECES, st.sampled_from([0, 1, 700, 3001, 100_000 // 10])),
)
URLS = st.one_of(
    st.none(),
    TEXTS,
    st.sampled_from(
        ["javascript:alert(1)", "https://", "http://[", "https://ok.example.com/?a=1&b=" + "x" * 4000]
    ),
    st.integers(1, 1100).map(lambda length: "https://ok.example.com/?a=1&b=" + "x" * length),
)
INSTANTS = st.integers(-(10**9), 4 * 10**9).map(lambda second: datetime.fromtimestamp(second, UTC))


@st.composite
def notices(draw: st.DrawFn) -> Notice:
    mentions = tuple(
        mention(
            source=draw(TEXTS),
            author=draw(TEXTS),
            title=draw(TEXTS),
            text=draw(TEXTS),
            url=draw(URLS),
            rating=draw(st.none() | st.floats()),
            compound=draw(st.floats(-1, 1)),
            published=draw(st.none() | INSTANTS),
            deleted=draw(st.booleans()),
            edited=draw(st.booleans()),
        )
        for _ in range(draw(st.integers(0, 3)))
    )
    bad = draw(st.integers(0, 10**9))
    customer = CustomerView(
        1,
        draw(TEXTS),
        bad,
        365,
        draw(st.none() | st.integers(1, 10**6)),
        draw(st.booleans()),
        draw(st.none() | TEXTS),
    )
    view = case(
        brand=draw(TEXTS),
        state=draw(st.sampled_from(State)),
        cycle=draw(st.integers(1, 3)),
        reason=draw(TEXTS),
        severity=draw(st.sampled_from(["low", "medium", "high", "critical"])),
        complaint=draw(st.sampled_from(["complaint", "check", "not"])),
        why=tuple(Why(draw(TEXTS), draw(TEXTS), 0.5) for _ in range(draw(st.integers(0, 5)))),
        customer=customer,
        mentions=mentions,
        clocks=draw(st.sampled_from([(), case().clocks])),
        assignee=draw(st.none() | TEXTS),
        outcome=draw(st.none() | TEXTS),
        promise_minutes=draw(st.none() | st.integers(0, 10**6)),
        answer_url=draw(URLS),
        snoozed_until=draw(st.none() | INSTANTS),
        url=draw(URLS),
    )
    people = tuple(Person(draw(TEXTS), {"slack": draw(TEXTS)}) for _ in range(draw(st.integers(0, 15))))
    kind = draw(st.sampled_from(get_args(NoticeKind)))
    return Notice(kind, draw(TEXTS), draw(INSTANTS), view, people)


def every_message(given_notice: Notice) -> Iterator[blocks.Message]:
    assert given_notice.case
    yield blocks.case_message(given_notice, given_notice.case)
    yield blocks.case_message(given_notice, given_notice.case, acting=True)
    line = blocks.brief(given_notice.case, given_notice.at)
    assert len(line) <= 800
    yield blocks.Message(line, [blocks.section(line)])
    yield blocks.thread_reply(given_notice, given_notice.case)
    yield blocks.pointer(given_notice, given_notice.case, "https://t.example.com/archives/C1/p1")
    yield blocks.system_message(given_notice)


def mrkdwn_of(message: blocks.Message) -> list[str]:
    found = [message.text]
    for block in message.blocks:
        texts = (
            [block["text"]]
            if block["type"] == "section"
            else block["elements"]
            if block["type"] == "context"
            else []
        )
        for text in texts:
            assert text["verbatim"] is True, "Slack makes links of words otherwise"
            found.append(text["text"])
    return found


OURS = re.compile(
    r"<!date\^-?\d+\^\{date_short_pretty\} \{time\}\|\d{4}-\d\d-\d\d \d\d:\d\d UTC>"
    r"|<https?://[^<>|\s]+\|(see the answer|case 12|original)>"
)


@given(notices())
def test_any_case_fits_slack_and_calls_nobody_but_our_own(given_notice: Notice) -> None:
    for message in every_message(given_notice):
        assert blockkit.problems(message.blocks, message.text) == []
        json.dumps(message.blocks, ensure_ascii=False).encode()  # no broken surrogates
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", message.text)
        handles = {p.handles["slack"] for p in given_notice.call}
        for text in mrkdwn_of(message):
            rest = OURS.sub("", text)
            for handle in handles:
                rest = rest.replace(f"<@{handle}>", "").replace(f"<!subteam^{handle}>", "")
            assert not re.search(r"[<>]", rest), "a stranger's text must not reach Slack as mark-up"
            assert not re.search(r"&(?!amp;|lt;|gt;)", rest)
        assert not re.search(r"<[!@#]|@(everyone|channel|here)", "".join(quotes(message)))


def quotes(message: blocks.Message) -> list[str]:
    rich = [block for block in message.blocks if block["type"] == "rich_text"]
    return [leaf["text"] for block in rich for element in block["elements"] for leaf in element["elements"]]


def test_a_mention_of_100_000_characters_is_quoted_in_part() -> None:
    long = case(mentions=(mention(title="", text="Where is it? " * 8000),))
    message = blocks.case_message(notice(case=long), long)
    [quoted] = quotes(message)
    assert len(quoted) <= blocks.QUOTE_LENGTH
    assert quoted.endswith("it?…"), "cut between words"
    assert sum(len(text) for text in mrkdwn_of(message)) < 3000


def test_many_lines_do_not_make_a_tall_message() -> None:
    tall = case(mentions=(mention(title="", text="no\n\n" * 200),))
    assert quotes(blocks.case_message(notice(case=tall), tall))[0].count("\n") < 8


def test_an_empty_mention_shows_no_quote() -> None:
    empty = case(mentions=(mention(title="", text=" \x00\n"),))
    assert quotes(blocks.case_message(notice(case=empty), empty)) == []


def test_what_an_agent_sees_of_a_new_case() -> None:
    n = notice(call=(KARI, SENIORS, Person("Ola")))
    assert n.case
    section, context, quote, footer, actions = blocks.case_message(n, n.case).blocks
    due = f"<!date^{int((NOW + timedelta(hours=1)).timestamp())}^{{date_short_pretty}} {{time}}|2026-11-22 14:05 UTC>"
    assert section["text"]["text"].split("\n") == [
        "🔵 *Acme* · Jane Doe · delivery · high · case 12",
        f"*First response due* {due} · nobody has it yet",
        "*2nd bad experience in 365 days · new customer, day 12*",
        "<@U0KARI> <!subteam^S0SENIORS> Ola",
    ]
    assert context["elements"][0]["text"].startswith("★☆☆☆☆ · trustpilot · written <!date^")
    title, words = quote["elements"][0]["elements"]
    assert title == {"type": "text", "text": "Never again", "style": {"bold": True}}
    assert words["text"].startswith("\nMy parcel never arrived")
    assert footer["elements"][0]["text"] == "Why: 1 star, “never arrived”"
    assert [(b["text"]["text"], b["url"]) for b in actions["elements"]] == [
        ("Open original", "https://reviews.example.com/31"),
        ("Open in dashboard", "https://listener.example.com/cases/12"),
    ]


def test_the_text_for_screen_readers_says_it_all_in_words() -> None:
    n = notice("breach", case=THIRD_STRIKE, at=LATE)
    text = blocks.case_message(n, THIRD_STRIKE).text
    for words in (
        "Late: Acme",
        "likely to leave",
        "3rd bad experience",
        "First response was due",
        "Kari has it",
    ):
        assert words.lower() in text.lower()
    assert "★" not in text


@pytest.mark.parametrize(
    ("state", "minutes", "kind", "sign"),
    [
        (State.OPEN, 0, "opened", "🔵"),
        (State.OPEN, 29, "changed", "🔵"),
        (State.OPEN, 30, "reminder", "🟡"),
        (State.OPEN, 45, "warning", "🟠"),
        (State.OPEN, 60, "breach", "🔴"),
        (State.CLAIMED, 61, "changed", "🔴"),
        (State.OPEN, 10, "warning", "🟠"),  # a policy with its own points
        (State.OPEN, 10, "escalation", "🔵"),  # a third bad experience: the badge tells it, the clock is well
        (State.OPEN, 90, "escalation", "🔴"),
        (State.RESOLVED, 61, "closed", "✅"),
        (State.DISMISSED, 61, "closed", "⚪"),
    ],
)
def test_the_sign_follows_the_alarm_points(state: State, minutes: int, kind: NoticeKind, sign: str) -> None:
    view = case(state=state)
    n = notice(kind, case=view, at=NOW + timedelta(minutes=minutes))
    assert blocks.case_message(n, view).blocks[0]["text"]["text"].startswith(sign)


def test_a_case_without_a_running_clock_is_paused() -> None:
    waiting = case(state=State.WAITING, clocks=(), assignee="Kari")
    shown = blocks.case_message(notice("changed", case=waiting), waiting).blocks[0]["text"]["text"]
    assert shown.startswith("⏸️")
    assert "Waiting for the customer (Kari)" in shown
    assert "due" not in shown


def test_a_reopened_case_shows_what_reopened_it() -> None:
    back = case(cycle=2, mentions=(mention(), mention(id=32, title="", text="It broke again.")))
    assert quotes(blocks.case_message(notice("reopened", case=back), back)) == ["It broke again."]


def test_what_an_agent_sees_once_it_is_answered() -> None:
    late = NOW + timedelta(hours=3)
    view = case(
        state=State.RESPONDED,
        assignee="Kari",
        answer_url="https://reviews.example.com/31?reply=1&x=2",
        promise_minutes=135,
        snoozed_until=late,
        complaint="check",
        cycle=3,
        reason="other",
    )
    first, status, badges = (
        blocks.case_message(notice("changed", case=view), view).blocks[0]["text"]["text"].split("\n")
    )
    assert first == "🔵 *Acme* · Jane Doe · high · case 12", "a reason that nobody knows is not shown"
    assert status.split(" · ")[1:] == [
        "answered by Kari",
        "<https://reviews.example.com/31?reply=1&amp;x=2|see the answer>",
        "promised within 2 h 15 min",
        f"reminders muted until {blocks.date(late)}",
    ]
    assert "came back after it was closed (2 times) · please check: may not be a complaint*" in badges
    over = notice("changed", case=view, at=late)
    assert "muted" not in blocks.case_message(over, view).blocks[0]["text"]["text"]


def test_a_dismissed_case_says_once_that_it_is_no_complaint() -> None:
    view = case(state=State.DISMISSED, clocks=(), outcome="not a complaint")
    message = blocks.case_message(notice("closed", case=view), view)
    assert message.blocks[0]["text"]["text"].split("\n")[1] == "Not a complaint"


def test_reasons_are_told_in_words_and_the_authors_own_are_quoted() -> None:
    given = (
        Why("sentiment", "negative (-0.98)", 0.4),
        Why("complaint", "never came", 0.3),
        Why("rating", "2 of 5 stars", 0.2),
        Why("demand", "refund", 0.1),
    )
    view = case(why=given)
    footer = blocks.case_message(notice(case=view), view).blocks[3]
    assert footer["elements"][0]["text"] == "Why: negative tone, “never came”, 2 of 5 stars"


def test_a_name_from_right_to_left_leaves_the_figures_after_it_in_place() -> None:
    """Unisolated, "complaint by <Arabic>. 1 of 5 stars" is shown with the 1 before the name."""
    view = case(customer=replace(CUSTOMER, name="محمد علي"), brand="חברה")
    message = blocks.case_message(notice(case=view), view)
    assert "complaint by \u2068محمد علي\u2069. 1 of 5 stars" in message.text
    assert "*\u2068חברה\u2069* · \u2068محمد علي\u2069 · delivery" in message.blocks[0]["text"]["text"]


def test_who_is_called_before_time_sees_another_sign_than_the_clocks() -> None:
    called = notice("escalation", "Likely to leave: bad experience number 3.", case=THIRD_STRIKE)
    assert blocks.thread_reply(called, THIRD_STRIKE).text.startswith("⚠️ Likely to leave")
    late = replace(called, at=LATE)
    assert blocks.thread_reply(late, THIRD_STRIKE).text.startswith("🔴")


def test_a_case_in_a_list() -> None:
    due = blocks.date(NOW + timedelta(hours=1))
    words = "“Never again My parcel never arrived and nobody answers. I have called three…”"
    name = "🔵 *Jane Doe* · delivery · high · Acme · <https://listener.example.com/cases/12|case 12>"
    first = f"{name}\nFirst response due {due}"
    assert blocks.brief(case(), NOW) == f"{first} · nobody has it yet · {words}"
    assert blocks.brief(case(), NOW, held=False) == f"{first} · {words}"
    assert " · case 12 · <https://reviews.example.com/31|original>\n" in blocks.brief(case(url=None), NOW)
    closed = case(state=State.RESOLVED, clocks=(), outcome="replaced", url=None, mentions=())
    assert blocks.brief(closed, NOW, held=False) == (
        "✅ *Jane Doe* · delivery · high · Acme · case 12\nresolved: replaced"
    )


def test_a_third_strike_is_marked() -> None:
    for strikes, marked in ((2, False), (3, True)):
        view = case(customer=replace(CUSTOMER, bad_experiences=strikes))
        assert ("likely to leave" in blocks.case_message(notice(case=view), view).text.lower()) is marked


def test_buttons_lead_only_to_web_pages() -> None:
    for url in (
        "javascript:alert(1)",
        "http://[",
        "https://a.example.com/ b",
        "ftp://x.example.com/",
        "//x",
        "",
    ):
        view = case(mentions=(mention(url=url),), url=None)
        assert [b["type"] for b in blocks.case_message(notice(case=view), view).blocks][-1] != "actions", url


def test_hostile_names_and_texts_arrive_as_text() -> None:
    message = blocks.case_message(notice(case=LONG), LONG)
    shown = json.dumps(message.blocks, ensure_ascii=False) + message.text
    assert "<!channel>" not in shown
    assert "<@U1>" not in shown
    assert "&lt;!here&gt;" in shown


@pytest.mark.parametrize("message", RENDERED)
def test_the_samples_fit(message: blocks.Message) -> None:
    assert blockkit.problems(message.blocks, message.text) == []


def test_real_cases_fit_from_the_mention_to_the_form(tmp_path: Path) -> None:
    """Each picture is checked against Slack's limits as it is taken."""
    seen = {picture.name: as_text(picture.blocks, picture.reader) for picture in five_cases(tmp_path)}
    assert (
        "⚠️ likely to leave · 3rd bad experience in 365 days · new customer, day 12 · gold"
        in (seen["strike 3, new"])
    )
    assert (
        "answered by Anna · see the answer · promised within 2 h"
        in (seen["a third strike, answered, two hours promised"])
    )
    assert seen["20,000 characters, claimed, three quarters of the time gone"].startswith("🟠 Halcyon")
    assert seen["right to left, new"].startswith("🔵 Halcyon · \u2068محمد علي\u2069 · case")
    assert seen["Home tab of Anna"].startswith("My cases (3)\n🔴 Jane Doe")


# ---- the validator itself


@pytest.mark.parametrize(
    "name",
    [
        "section_block_text_only",
        "section_block_fields",
        "header_block_text_at_limit",
        "context_block_text_only",
        "rich_text_block_basic",
        "divider_block_only",
        "input_block_only",
    ],
)
def test_the_validator_takes_what_slack_documents(name: str) -> None:
    if not SHARED.is_dir():
        pytest.skip("the Block Kit fixtures are not beside this checkout")
    block = json.loads((SHARED / "blocks" / f"{name}.json").read_text(encoding="utf-8"))
    found = blockkit.problems(block if isinstance(block, list) else [block], "text")
    assert [problem for problem in found if "image" not in problem] == []


@pytest.mark.parametrize("name", ["hometab_view", "modal_with_blocks"])
def test_the_validator_takes_the_views_that_slack_documents(name: str) -> None:
    if not SHARED.is_dir():
        pytest.skip("the Block Kit fixtures are not beside this checkout")
    view = json.loads((SHARED / "views" / f"{name}.json").read_text(encoding="utf-8"))
    assert blockkit.view_problems(view) == []


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def button(**more: Any) -> dict[str, Any]:
    element = {"type": "button", "text": {"type": "plain_text", "text": "Go"}, **more}
    return {"type": "actions", "elements": [element]}


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ([section("x" * 3001)], "3001 characters"),
        ([section("")], "0 characters"),
        ([section("x")] * 51, "51 of them"),
        ([section("x" * 2900)] * 5, "in all"),
        ([button(text={"type": "plain_text", "text": "x" * 76})], "76 characters"),
        ([button(text={"type": "mrkdwn", "text": "x"})], "not a text object"),
        ([button(value="x" * 2001)], "2001 characters"),
        ([button(action_id="x" * 256)], "256 characters"),
        ([button(action_id="a"), button(action_id="a")], "twice"),
        ([button(url="javascript:x")], "not http"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "151 characters"),
        ([{"type": "context", "elements": []}], "0 of them"),
        ([{"type": "table"}], "not one"),
        ([], "0 of them"),
        ("no blocks", "not a list"),
    ],
)
def test_the_validator_refuses_what_slack_refuses(message: object, problem: str) -> None:
    assert any(problem in found for found in blockkit.problems(message, "text"))
