"""The ``listener`` command as processes: signals, two at once, and databases that can't be used."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from tests.fakes import Request, Stream
from tests.shop import Shop, feed, item


def started(process: subprocess.Popen[str], words: str) -> str:
    """The line with these words, once the process has printed it."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
    assert process.stderr is not None
    raise AssertionError(f"it ended: {process.stderr.read()}")


def ended(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    """How it ends after the signal: its exit code and what it said on standard error."""
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def rows(database: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(database) as db:
        found = db.execute(query).fetchall()
    db.close()
    return found


# ---- run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_listens_and_stops_cleanly(shop: Shop, number: int) -> None:
    shop.configure(extra="[web]\nport = 0")
    with shop.process("run") as process:
        link = started(process, "Dashboard:").split()[1]
        assert "/login?token=" in link
        assert shop.arrived.acquire(timeout=60)  # the case has reached people
        assert httpx.get(link, trust_env=False).status_code < 400
        code, err = ended(process, number)
    assert (code, "Traceback" in err) == (0, False)
    assert rows(shop.database, "SELECT count(*) FROM sources WHERE lease_token IS NOT NULL") == [(0,)]
    assert rows(shop.database, "SELECT state FROM deliveries") == [("accepted",)]
    with shop.process("run") as process:
        assert "token" not in started(process, "Dashboard:")
        assert ended(process)[0] == 0


def test_run_stops_though_a_source_hangs(shop: Shop) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def hang(request: Request) -> Stream:
        def write(handler: BaseHTTPRequestHandler) -> None:
            asked.set()
            let_go.wait(60)

        return write

    shop.site.routes["/letters.xml"] = hang
    with shop.process("run", "--no-web", "--grace", "0.2") as process:
        assert asked.wait(60)
        code, err = ended(process)
    let_go.set()
    assert (code, "Traceback" in err) == (0, False)
    assert rows(shop.database, "SELECT lease_token, cursor FROM sources") == [(None, None)]


def test_two_runs_on_one_database(shop: Shop) -> None:
    names = [f"s{n}" for n in range(12)]
    for n, name in enumerate(names):
        items = [
            item(n * 10 + i, f"Halcyon lost parcel {n}-{i}, terrible service!", f"A{n}-{i}") for i in range(3)
        ]
        shop.site.routes[f"/{name}.xml"] = feed(*items)
    shop.configure(sources=names, extra="[storm]\nenabled = false")  # which would tell one more
    with shop.process("run", "--no-web") as one, shop.process("run", "--no-web") as two:
        for process in (one, two):
            started(process, "Listening.")
        for _ in range(36):
            assert shop.arrived.acquire(timeout=60)
        ends = [ended(one), ended(two)]
    assert [code for code, _ in ends] == [0, 0]
    assert not [err for _, err in ends if "Traceback" in err or "locked" in err]
    keys = [r["key"] for r in shop.received]
    assert (len(keys), len(set(keys))) == (36, 36)
    assert rows(shop.database, "SELECT count(*), count(DISTINCT external_id) FROM mentions") == [(36, 36)]
    assert rows(shop.database, "SELECT count(*) FROM cases") == [(36,)]


def test_run_on_a_port_that_is_taken(shop: Shop) -> None:
    shop.configure(extra=f"[web]\nport = {shop.site.port}")
    ran = shop.apart("run")
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith(
        f"listener: The web server can't start: 127.0.0.1:{shop.site.port} is taken"
    )


def test_demo_ends_by_itself(shop: Shop) -> None:
    ran = shop.apart("demo", "--no-web", "--minutes", "0.05", "--speed", "60")
    assert (ran.code, "Traceback" in ran.err) == (0, False)
    assert ran.out.startswith("A sample town, and a clock that runs 60 times as fast: an hour takes 60 s.")


# ---- poll ---------------------------------------------------------------------------------------------------


def test_overlapping_polls_are_harmless(shop: Shop) -> None:
    asked, go_on = threading.Event(), threading.Event()
    answer = shop.site.routes["/letters.xml"]

    def slow(request: Request) -> object:
        asked.set()
        go_on.wait(60)
        return answer

    shop.site.routes["/letters.xml"] = slow  # type: ignore[assignment]
    with shop.process("poll", "--once") as first:
        assert asked.wait(60)
        second = shop.apart("poll", "--once")
        go_on.set()
        out, _ = first.communicate(timeout=60)
    assert (second.code, second.out) == (0, "")
    assert second.err == "Another poll is running; this one has nothing to do.\n"
    assert (first.returncode, out) == (0, "1 source polled, 1 new mention, 1 case, 1 message\n")


def test_poll_imports_nothing_that_it_does_not_need(shop: Shop) -> None:
    shop("poll")  # makes the database, which takes Alembic
    code = (
        "import sys\nfrom listener.cli import main\nassert main(['poll', '--once']) == 0\n"
        "heavy = {'rich', 'fastapi', 'uvicorn', 'alembic', 'apscheduler', 'slack_sdk', 'apprise', 'sqlalchemy.orm'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=shop.folder
    )
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_poll_gives_its_sources_back(shop: Shop, number: int) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def hang(request: Request) -> Stream:
        def write(handler: BaseHTTPRequestHandler) -> None:
            asked.set()
            let_go.wait(60)

        return write

    shop.site.routes["/letters.xml"] = hang
    with shop.process("poll", "--once") as process:
        assert asked.wait(60)
        code, err = ended(process, number)
    let_go.set()
    assert (code, err) == (130, "")
    assert rows(shop.database, "SELECT lease_token FROM sources") == [(None,)]


def test_whoever_reads_the_output_may_stop_early(shop: Shop) -> None:
    with shop.process("schema") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_output_that_can_not_be_written(shop: Shop) -> None:
    ran = shop.apart("schema", limit="exec > /dev/full")
    assert (ran.code, ran.err) == (1, "listener: can't write: No space left on device\n")


# ---- databases that can't be used ---------------------------------------------------------------------------

COMMANDS = (["poll", "--once"], ["cases"], ["run", "--no-web"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_database_of_a_newer_version(shop: Shop, command: list[str]) -> None:
    shop("cases")
    with sqlite3.connect(shop.database) as db:
        db.execute("UPDATE alembic_version SET version_num = 'zzzz'")
    db.close()
    ran = shop(*command)
    assert ran.code == 1
    assert "of version zzzz, which is newer than this Listener knows" in ran.err
    assert rows(shop.database, "SELECT version_num FROM alembic_version") == [("zzzz",)]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_file_that_is_no_database(shop: Shop, command: list[str]) -> None:
    shop.database.write_text("These are notes of a meeting, not a database.\n" * 50)
    ran = shop(*command)
    assert ran.code == 1
    assert "the file is not a Listener database" in ran.err
    assert shop.database.read_text().startswith("These are notes")


def read_only(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened so that SQLite refuses to write, also for root, to whom a file's mode says nothing."""
    shop("cases")
    monkeypatch.setenv("SHOP_DATABASE", f"sqlite:///file:{shop.database}?mode=ro&uri=true")
    shop.configure(general="database_url = { env = 'SHOP_DATABASE' }")


def test_a_read_only_database_can_be_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop("poll")
    read_only(shop, monkeypatch)
    assert shop("cases", "--json").json()[0]["id"] == 1
    for command in (["poll", "--once"], ["cases", "claim", "1"], ["token"]):
        ran = shop(*command)
        assert ran.code == 1, command
        assert "it is read-only; give the user that runs Listener write access" in ran.err
    ran = shop("doctor")
    assert ran.code == 1
    assert "problem  database: " in ran.out


def test_a_full_disk(shop: Shop) -> None:
    """A file may grow no further than so: writing fails as on a full disk."""
    texts = [item(n, f"Halcyon lost parcel {n}. " + "So long a story. " * 2000) for n in range(40)]
    shop.site.routes["/letters.xml"] = feed(*texts)
    shop("cases")
    ran = shop.apart("poll", "--once", limit="ulimit -f 600")
    assert ran.code == 1
    assert ran.err.startswith("listener: database ")
    assert "disk" in ran.err
    assert "Traceback" not in ran.err
    assert rows(shop.database, "SELECT count(*) FROM mentions") == [(0,)]
    with sqlite3.connect(
        shop.database
    ) as db:  # what was leased is due again, as after any failure of the process
        db.execute("UPDATE sources SET lease_until = NULL")
    db.close()
    assert shop("poll", "--once").out.startswith("1 source polled, 40 new mentions, ")


def test_a_full_disk_while_running(shop: Shop) -> None:
    texts = [item(n, f"Halcyon lost parcel {n}. " + "So long a story. " * 2000) for n in range(40)]
    shop.site.routes["/letters.xml"] = feed(*texts)
    shop("cases")
    with shop.process("run", "--no-web", limit="ulimit -f 600") as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        code, err = ended(process)
    assert "error poll_due waits: database" in line
    assert "Traceback" not in err
    assert code in (0, 1)  # 1 when the leases can't be given back either, with a message
