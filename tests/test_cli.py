"""The ``listener`` command from the outside: what it prints, and how it ends."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from listener.cli import parser
from tests.shop import Shop, feed, item


@pytest.fixture
def heard(shop: Shop) -> Shop:
    """The complaint is heard: there is case 1."""
    ran = shop("poll", "--once")
    assert (ran.code, ran.out) == (0, "1 source polled, 1 new mention, 1 case, 1 message\n")
    return shop


# ---- help and mistakes --------------------------------------------------------------------------------------


def commands(top: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield above
    for action in top._actions:
        for name, below in (action.choices or {}).items() if hasattr(action, "add_parser") else ():
            yield from commands(below, (*above, name))


def test_every_command_has_help(shop: Shop) -> None:
    for command in commands(parser()):
        ran = shop(*command, "--help")
        assert ran.code == 0
        assert ran.out.startswith(f"usage: {' '.join(['listener', *command])}")
        assert "--config FILE" in ran.out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom listener.cli import main\ntry:\n main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'pydantic', 'sqlalchemy', 'httpx', 'rich', 'fastapi'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("", 2, ""),
        ("nonsense", 2, "invalid choice: 'nonsense'"),
        ("--config none.toml check", 2, "none.toml: 1 problem(s)\n  there is no such file; `listener init`"),
        ("cases --config none.toml", 2, "there is no such file"),
        ("init listener.toml", 2, "exists already"),
        ("init no/such/folder/x.toml", 1, "can't be written: No such file"),
        ("connectors nope", 2, "no connector is called 'nope'"),
        ("responders consol", 2, "did you mean 'console'?"),
        ("cases --state nope", 2, "invalid choice: 'nope'"),
        ("cases --limit 0", 2, "is not a number from 1 on"),
        ("cases show", 2, "required: case"),
        ("cases show x", 2, "'x' is not a number from 1 on"),
        ("cases show 99999999999999999999", 2, "is not a number"),
        ("cases show 7", 2, "There is no case 7."),
        ("cases claim 7", 2, "There is no case 7."),
        ("cases respond 1", 2, "required: url"),
        ("cases snooze 1 soon", 2, "'soon' is not a length of time"),
        ("cases resolve 1", 2, "required: --outcome"),
        ("cases resolve 1 --outcome done --reason delivry", 2, "there is no reason 'delivry'"),
        ("cases dismiss 1", 2, "required: --why"),
        ("policy", 2, "required: COMMAND"),
        ("customers show 7", 2, "There is no customer 7."),
        ("customers edit 7 --tier gold", 2, "There is no customer 7."),
        ("customers edit 7", 2, "say what to change"),
        ("customers edit 7 --since yesterday", 2, "'yesterday' is not a date"),
        ("customers edit 7 --since 2999-01-01", 2, "in the future"),
        ("customers edit 7 --name= ", 2, "can't be empty"),
        ("mentions show 7", 2, "There is no mention 7."),
        ("sources show nope", 2, "There is no source 'nope'."),
        ("sources pause nope", 2, "There is no source 'nope'."),
        ("sources poll nope", 2, "There is no source 'nope'."),
        ("demo --speed fast", 2, "'fast' is not a number above 0"),
        ("demo --port 99999", 2, "is not a port"),
        ("run --grace 0", 2, "not a number above 0"),
        ("score none.jsonl", 2, "none.jsonl can't be read: No such file"),
        ("try nope url=x", 2, "no connector is called 'nope'"),
        ("try rss", 2, "url: is missing"),
        ("try rss url", 2, "'url' is not key=value"),
        ("try rss url=a url=b", 2, "url is given twice"),
        ("try rss url=[1", 2, "neither JSON nor TOML"),
        ("try rss ulr=x", 2, 'ulr: unknown key; did you mean "url"?'),
        ("try rss url=env:NOT_SET", 2, "only secrets can come from the environment"),
        ("try rss url=http://127.0.0.1:1/", 1, "not on the public internet"),
        ("backup no/such/folder/x.db", 1, "can't be"),
        ("backup listener.toml", 1, "exists already"),
    ],
)
def test_mistakes(shop: Shop, line: str, code: int, words: str) -> None:
    ran = shop(*line.split())
    assert ran.code == code
    assert words in ran.err
    assert ran.err.startswith("listener: ") or not line
    assert not ran.out or not line


def test_all_mistakes_of_a_configuration_at_once(shop: Shop) -> None:
    shop.config.write_text("[listener]\ncontact = 'me'\n[[brand]]\nname = 'x'\n")
    for command in (["check"], ["cases"], ["poll", "--once"], ["run"]):
        ran = shop(*command)
        assert ran.code == 2
        assert "listener.contact: must be an e-mail" in ran.err
        assert 'brand: unknown key; did you mean "brands"?' in ran.err


def test_a_secret_that_is_not_set_is_one_mistake(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_SECRET")
    told = "responders.desk.options.secret: the environment variable SHOP_SECRET is not set"
    assert shop("check").err == f"listener: listener.toml: 1 problem(s)\n  {told}\n"


def test_who_acts_must_be_known(heard: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USER")
    assert "--as NAME" in heard("cases", "claim", "1").err
    assert "bob is on it" in heard("cases", "claim", "1", "--as", "bob").out


# ---- configuration ------------------------------------------------------------------------------------------


def test_init_writes_a_file_that_check_likes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = shop("init", "new.toml")
    assert ran.code == 0
    assert "listener check" in ran.out
    assert shop("--config", "new.toml", "check").out.startswith("new.toml is right: 1 brand, 1 source, ")
    monkeypatch.setenv("LISTENER_CONFIG", "new.toml")
    assert shop("check").out.startswith("new.toml is right")


def test_check_warns(shop: Shop) -> None:
    shop.configure(sources=())
    ran = shop("check")
    assert ran.code == 0
    assert "warning: there are no sources" in ran.out


def test_schema(shop: Shop) -> None:
    assert json.loads(shop("schema").out)["title"] == "listener.toml"


def test_kinds_and_their_options(shop: Shop) -> None:
    assert re.search(r"^rss +Any feed", shop("connectors").out, re.MULTILINE)
    assert re.search(r"^slack +Posts", shop("responders").out, re.MULTILINE)
    assert "url  URL  (required)\n    the feed's address" in shop("connectors", "rss").out
    options = shop("responders", "webhook").out
    assert "secret  secret  (required)" in options
    assert "timeout_seconds  number  = 10" in options


def test_version(shop: Shop) -> None:
    assert shop("version").out == shop("--version").out
    assert shop("version").out.startswith("listener ")


# ---- poll, try, score ---------------------------------------------------------------------------------------


def test_poll_brings_only_news_and_sends_it(heard: Shop) -> None:
    assert [r["notice"]["kind"] for r in heard.received] == ["opened"]
    heard("sources", "poll", "letters")
    assert heard("poll", "--once").out == "1 source polled, 0 new mentions, 0 cases, 0 messages\n"
    heard.site.routes["/letters.xml"] = feed(item(1), item(2, author="Ben"))
    heard("sources", "poll", "letters")
    assert heard("poll", "--once").out == "1 source polled, 1 new mention, 1 case, 1 message\n"
    assert heard("poll").out == "0 sources polled, 0 new mentions, 0 cases, 0 messages\n"


def test_a_failing_source_is_told_and_fails_nothing(shop: Shop) -> None:
    shop.configure(sources=("letters", "gone"))
    ran = shop("poll", "--once")
    assert ran.code == 0
    assert ran.out == "2 sources polled, 1 new mention, 1 case, 1 message, 1 source failing\n"
    assert ran.err.startswith("source gone: HTTP 404")


def test_poll_can_be_quiet(shop: Shop) -> None:
    shop.configure(sources=("letters", "gone"))
    ran = shop("poll", "--once", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_try_needs_no_configuration_and_stores_nothing(shop: Shop) -> None:
    shop.config.unlink()
    url = f"url={shop.site.url}/letters.xml"
    ran = shop("try", "rss", url, "--allow-private")
    assert ran.code == 0
    assert "Mia" in ran.out
    assert "    Halcyon never delivered" in ran.out
    assert "1 mention found, 0 skipped, 1 page" in ran.err
    (mention,) = shop("try", "rss", url, "--allow-private", "--json").json()
    assert mention["author"]["name"] == "Mia"
    assert list(shop.folder.iterdir()) == []


def test_try_reads_lists_and_says_what_was_skipped(shop: Shop) -> None:
    shop.site.routes["/cut.xml"] = (200, {}, feed(item(1), item(2))[2][:-120])
    ran = shop("try", "rss", f"url={shop.site.url}/cut.xml", "--allow-private")
    assert ran.code == 0
    assert "skipped the end of the feed: the file is cut off" in ran.err


def test_try_of_what_is_no_feed(shop: Shop) -> None:
    shop.site.routes["/page"] = (200, {"Content-Type": "text/html"}, b"<html><body>Hello</body></html>")
    ran = shop("try", "rss", f"url={shop.site.url}/page", "--allow-private")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("listener: ")


def test_score(shop: Shop) -> None:
    (shop.folder / "texts").write_text('{"id": 1, "text": "never again"}\n\n{"id": "b", "text": "Danke!"}\n')
    rows = shop("score", "texts").json()
    assert [row["id"] for row in rows] == [1, "b"]
    assert rows[0]["complaint"]["label"] == "complaint"
    (shop.folder / "bad").write_text('{"id": 1, "text": "fine"}\n{"id": 2}\n')
    ran = shop("score", "bad")
    assert (ran.code, len(ran.json())) == (2, 1)
    assert "line 2: 'text' is missing" in ran.err


def test_score_by_the_configuration_that_is_named(shop: Shop) -> None:
    shop.configure(extra="[triage]\nreasons = { billing = ['blorptax'] }")
    (shop.folder / "texts").write_text('{"id": 1, "text": "I am angry, blorptax again, terrible"}\n')
    assert shop("score", "texts").json()[0]["reason"] != "billing"
    assert shop("score", "texts", "--config", "listener.toml").json()[0]["reason"] == "billing"


# ---- looking and acting -------------------------------------------------------------------------------------


def test_a_case_from_claim_to_reopening(heard: Shop) -> None:
    steps = [
        ("claim 1", "claimed", "ada is on it"),
        ("assign 1 bob", "claimed", "bob is on it"),
        ("release 1", "open", "nobody is on it"),
        ("snooze 1 2h", "open", ""),
        ("respond 1 https://town.example/1#answer --promise 30", "responded", "resolution in 2"),
        ("wait 1", "waiting", ""),
        ("resume 1", "responded", ""),
        ("note 1 called", "responded", ""),
        ("resolve 1 --outcome refunded --reason delivery --note sorry", "resolved", ""),
        ("reopen 1 --why unpaid", "open", "first response in "),
        ("dismiss 1 --why joke", "dismissed", ""),
    ]
    for line, state, words in steps:
        ran = heard("cases", *line.split())
        assert (ran.code, ran.err) == (0, ""), line
        assert ran.out.startswith(f"case 1 · Halcyon · {state} · "), line
        assert words in ran.out, line
    shown = heard("cases", "show", "1").out
    for words in (
        "Mia (customer 1)",
        "Halcyon never delivered",
        "claimed · by ada",
        "promise minutes 30",
        "why joke",
    ):
        assert words in shown
    (story,) = heard("cases", "show", "1", "--json").json()
    assert story["case"]["state"] == "dismissed"
    assert [e["kind"] for e in story["events"]][:3] == ["opened", "claimed", "assigned"]
    ran = heard("cases", "claim", "1")
    assert (ran.code, ran.err) == (
        1,
        "listener: The case is closed (not a complaint); it can't be claimed. Reopen it first.\n",
    )


def test_acting_can_answer_in_json(heard: Shop) -> None:
    (case,) = heard("cases", "claim", "1", "--json").json()
    assert (case["id"], case["assignee"]) == (1, "ada")


def test_case_filters(heard: Shop) -> None:
    heard.site.routes["/letters.xml"] = feed(item(1), item(2, author="Ben"))
    heard("sources", "poll", "letters")
    heard("poll")
    heard("cases", "claim", "1")
    for filters, found in {
        "": [2, 1],
        "list": [2, 1],
        "--state claimed": [1],
        "--state closed": [],
        "list --person ada": [1],
        "--person bob": [],
        "--brand Halcyon --limit 1": [2],
        "--brand Other": [],
        "--words Ben": [2],
        "--words delivered --reason delivery": [2, 1],
    }.items():
        assert [case["id"] for case in heard("cases", *filters.split(), "--json").json()] == found, filters
    table = heard("cases", "--words", "delivered").out
    assert [int(n) for n in re.findall(r"^(\d+) ", table, re.MULTILINE)] == [2, 1]


def test_customers(heard: Shop) -> None:
    assert re.search(r"^1 +1 +1 +- +Mia$", heard("customers").out, re.MULTILINE)
    assert heard("customers", "--words", "nobody").out == "There are no such customers.\n"
    line = "customers edit 1 --name Mia-Lo --since 2020-02-29 --tier gold --note VIP"
    assert heard(*line.split()).out == "Customer 1 changed.\n"
    shown = heard("customers", "show", "1").out
    for words in ("Mia-Lo", "2020-02-29", "gold", "VIP", "Mia (", "case 1", "mention 1"):
        assert words in shown
    heard("customers", "edit", "1", "--tier", "", "--since", "")
    (page,) = heard("customers", "show", "1", "--json").json()
    assert (page["customer"]["tier"], page["since"], page["note"]) == (None, None, "VIP")
    (line_,) = heard("customers", "list", "--json").json()
    assert (line_["customer"]["name"], line_["open_cases"]) == ("Mia-Lo", 1)


def test_mentions(heard: Shop) -> None:
    assert "Letter 1: Halcyon never" in heard("mentions").out
    assert heard("mentions", "--complaint", "not").out == "There are no such mentions.\n"
    shown = heard("mentions", "show", "1").out
    for words in ("mention 1 · Halcyon · letters · Mia", "verdict", "https://town.example/1"):
        assert words in shown
    (row,) = heard("mentions", "list", "--json").json()
    assert (row["source"], row["case_id"], row["author"]) == ("letters", 1, "Mia")
    assert heard("mentions", "show", "1", "--json").json()[0]["external_id"] == row["external_id"]


def test_sources(heard: Shop) -> None:
    assert re.search(r"^letters +rss +active ", heard("sources").out, re.MULTILINE)
    assert "option url = http://127.0.0.1" in heard("sources", "show", "letters").out
    (row,) = heard("sources", "list", "--json").json()
    assert (row["name"], row["mentions_found"]) == ("letters", 1)
    assert "http_memory" not in row
    assert heard("sources", "show", "letters", "--json").json() == [row]


def test_a_pause_outlives_a_restart_and_the_configurations_own_is_its(heard: Shop) -> None:
    assert heard("sources", "pause", "letters").code == 0
    assert heard("poll").out.startswith("0 sources polled")
    ran = heard("sources", "poll", "letters")
    assert (ran.code, ran.err) == (1, "listener: Source letters is paused: resume it, which polls it too.\n")
    assert heard("sources", "resume", "letters").code == 0
    assert heard("poll").out.startswith("1 source polled")
    text = heard.config.read_text().replace("connector = 'rss'", "connector = 'rss'\npaused = true")
    heard.config.write_text(text)
    ran = heard("sources", "resume", "letters")
    assert (ran.code, "take `paused = true` away" in ran.err) == (1, True)
    heard.configure()
    assert heard("sources", "--json").json()[0]["state"] == "active"


def test_secrets_are_not_shown(heard: Shop) -> None:
    for line in ("sources show letters", "check", "doctor", "sources --json"):
        ran = heard(*line.split())
        assert "a-secret-of-many-letters" not in ran.out + ran.err


def test_strangers_can_not_steer_the_terminal(shop: Shop) -> None:
    nasty = "Halcyon \x9b31m\u202enever delivered\u2028 my order, terrible \x85 service\u200b!"
    shop.site.routes["/letters.xml"] = feed(item(1, nasty, "M\u202eia\x9b2J"))
    shop("poll")
    lines = ["cases", "cases show 1", "mentions", "mentions show 1", "customers", "customers show 1"]
    lines += [f"{line} --json" for line in lines]
    lines += [f"try rss url={shop.site.url}/letters.xml --allow-private"]
    for line in lines:
        ran = shop(*line.split())
        assert ran.code == 0
        assert not [c for c in ran.out if not c.isprintable() and c != "\n"], line


def test_tables_fit_80_columns(heard: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from listener.cli import output

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    wide = [("7", "名" * 40, "x" * 60, "y" * 500), ("8", "a", "b", "c")]
    heard.capture.readouterr()
    output.table(["id", "name", "what", "text"], wide, empty="")
    lines = heard.capture.readouterr().out.splitlines()
    assert len(lines) == 3
    from rich.cells import cell_len

    assert all(cell_len(line) <= 80 for line in lines)
    assert lines[1].startswith("7")


# ---- upkeep -------------------------------------------------------------------------------------------------


def test_backup(heard: Shop) -> None:
    assert heard("backup", "copy.db").code == 0
    heard("backup")
    copies = [p for p in heard.folder.glob("*.db") if p != heard.database]
    assert len(copies) == 2
    for copy in copies:
        with sqlite3.connect(copy) as db:
            assert db.execute("SELECT count(*) FROM mentions").fetchone() == (1,)
        db.close()


def test_retry_sends_what_was_parked(shop: Shop) -> None:
    shop.answers = 404
    shop("poll")
    ran = shop("doctor")
    assert ran.code == 1
    assert re.search(
        r"problem +message for desk \(case 1\): could not be delivered: .* listener retry", ran.out
    )
    assert "desk: parked" in shop("cases", "show", "1").out
    shop.answers = 204
    assert shop("retry").out == "1 message queued again.\n"
    assert shop("poll").out.endswith("1 message\n")
    assert shop("retry").out == "There is nothing to send again.\n"


def test_policy_reapply(heard: Shop) -> None:
    assert "as configured" in heard("policy", "reapply").out
    heard.configure(extra="[policies.default]\nfirst_response = '30m'")
    assert heard("policy", "reapply").out == "1 open case changed.\n"


def test_token(shop: Shop) -> None:
    first = shop("token").out.strip()
    assert len(first) > 30
    assert "listener token --reset" in shop("token").out
    assert shop("token", "--reset").out.strip() not in ("", first)
    shop.configure(extra="[web]\ntoken = { env = 'SHOP_SECRET' }")
    assert "web.token" in shop("token").out
    assert shop("token", "--reset").code == 2


# ---- doctor -------------------------------------------------------------------------------------------------


def test_doctor_finds_all_well(heard: Shop) -> None:
    ran = heard("doctor", "--online")
    assert (ran.code, ran.err) == (0, "")
    assert "problem " not in ran.out
    for words in ("is sound, version", "it can be written to", "zone data is there", "127.0.0.1 is reachable",
                  "its first page has 1 mention", "job tick: ran"):  # fmt: skip
        assert words in ran.out, words
    assert heard("mentions", "--json").json()[0]["id"] == 1


def test_doctor_of_a_wrong_configuration(shop: Shop) -> None:
    shop.config.write_text("[listener]\n")
    ran = shop("doctor")
    assert ran.code == 1
    assert re.search(r"^problem  listener.toml: listener.contact: is missing", ran.out, re.MULTILINE)


def test_doctor_of_sources_that_fail(shop: Shop) -> None:
    shop.configure(sources=("letters", "missing", "gone"))
    shop.site.routes["/gone.xml"] = (410, {}, b"")
    shop("poll")
    ran = shop("doctor", "--online")
    assert ran.code == 1
    assert re.search(
        r"^problem  source gone: stopped: HTTP 410.*listener sources resume gone", ran.out, re.MULTILINE
    )
    assert re.search(r"^warning  source missing: failed 1 time in a row, next try in ", ran.out, re.MULTILINE)
    assert re.search(r"^problem  source missing, now: HTTP 404", ran.out, re.MULTILINE)
    assert re.search(r"^ok       source letters, now: ", ran.out, re.MULTILINE)


def test_doctor_of_a_responder_that_is_down(shop: Shop) -> None:
    shop.configure()
    shop.config.write_text(
        shop.config.read_text().replace(f"{shop.site.url}/hook", "http://127.0.0.1:9/hook")
    )
    ran = shop("doctor")
    assert ran.code == 1
    assert re.search(r"^problem  responder desk: 127.0.0.1 is not reachable", ran.out, re.MULTILINE)


def test_doctor_of_a_clock_that_was_set_back(heard: Shop) -> None:
    later = int((datetime.now(UTC) + timedelta(hours=3)).timestamp() * 1e6)
    with sqlite3.connect(heard.database) as db:
        db.execute("UPDATE jobs SET last_run_at = ? WHERE name = 'tick'", (later,))
    db.close()
    ran = heard("doctor")
    assert ran.code == 1
    assert re.search(r"^problem  clock: the computer's clock runs 2h59m behind", ran.out, re.MULTILINE)


def test_doctor_where_nothing_runs(shop: Shop) -> None:
    ran = shop("doctor")
    assert ran.code == 0
    assert re.search(r"^warning  job poll: never ran; start listener run", ran.out, re.MULTILINE)
