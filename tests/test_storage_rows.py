"""Rows: many writers at once, copies, values in and out, pages. The file itself: test_storage.py."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from listener.errors import StorageError
from listener.model import Author
from listener.storage import cases as case_rows
from listener.storage import customers as customer_rows
from listener.storage import household, tables
from listener.storage import mentions as mention_rows
from listener.storage.database import HEAD, Database
from listener.storage.upsert import insert_new
from tests.children import child, output
from tests.world import START, World, refused


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path / 'listener.db'}")
    db.open()
    yield db
    db.close()


# ---- many at once -------------------------------------------------------------------------------------------

THREADS, TURNS = 8, 40


def count_up(file: str) -> None:
    """Many threads that read a number and write the next one."""
    db = Database(f"sqlite:///{file}")
    db.open()

    def turns(_: int) -> None:
        for _ in range(TURNS):
            with db.write() as connection:
                last = int(household.setting(connection, "count") or 0)
                household.save_setting(connection, "count", str(last + 1))
            with db.read() as connection:
                assert int(household.setting(connection, "count") or 0) > last

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(turns, range(THREADS)))
    db.close()


def test_writers_in_two_processes_wait_for_each_other_and_lose_nothing(db: Database) -> None:
    both = [child("test_storage_rows", "count_up", db.file) for _ in range(2)]
    for process in both:
        output(process)
    with db.read() as connection:
        assert household.setting(connection, "count") == str(2 * THREADS * TURNS)


def test_a_transaction_is_whole_or_nothing(db: Database) -> None:
    def die() -> None:
        with db.write() as connection:
            household.note_job(connection, "poll", START, 0.0)
            household.save_setting(connection, "a", "1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        die()
    with db.read() as connection:
        assert household.job_runs(connection) == {}
        assert household.setting(connection, "a") is None


def test_a_reader_sees_one_moment(db: Database) -> None:
    with db.read() as reader:
        assert household.setting(reader, "a") is None
        with db.write() as writer:
            household.save_setting(writer, "a", "1")
        assert household.setting(reader, "a") is None
    with db.read() as reader:
        assert household.setting(reader, "a") == "1"


def test_foreign_keys_are_kept(db: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError), db.write() as connection:
        mention_rows.add_label(connection, [12345], "not_complaint", "", "Anna", START)


def test_a_backup_while_writing_is_a_consistent_copy(db: Database, tmp_path: Path) -> None:
    stop = threading.Event()

    def write_pairs() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with db.write() as connection:
                household.save_setting(connection, "left", str(number))
                household.save_setting(connection, "filling", "x" * 20_000 + str(number))
                household.save_setting(connection, "right", str(number))

    writer = threading.Thread(target=write_pairs)
    writer.start()
    try:
        for number in range(5):
            db.backup(tmp_path / f"copy-{number}.db")
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        copy = Database(f"sqlite:///{tmp_path / f'copy-{number}.db'}")
        assert copy.version() == HEAD
        assert copy.damage() == []
        with copy.read() as connection:
            assert household.setting(connection, "left") == household.setting(connection, "right")
        copy.close()
    with refused(StorageError, "copy-0.db exists already"):
        db.backup(tmp_path / "copy-0.db")
    assert list(tmp_path.glob("*.part")) == []


# ---- values in and out --------------------------------------------------------------------------------------


@given(
    st.datetimes(
        timezones=st.timezones()
        | st.builds(timezone, st.timedeltas(-timedelta(hours=23), timedelta(hours=23)))
    )
)
def test_an_instant_comes_back_as_the_same_instant_in_utc(value: datetime) -> None:
    stored = tables.from_micros(tables.to_micros(value))
    assert stored == value.astimezone(UTC)
    assert stored.tzinfo is UTC


def test_naive_times_are_refused_everywhere(db: Database) -> None:
    naive = START.replace(tzinfo=None)
    with pytest.raises(sa.exc.StatementError, match="no time zone"), db.write() as connection:
        household.note_job(connection, "poll", naive, 0.0)
    with pytest.raises(sa.exc.StatementError, match="no time zone"), db.read() as connection:
        connection.execute(sa.select(tables.cases).where(tables.cases.c.due_at < naive)).all()


def test_upsert_changes_the_row_that_is_there(db: Database) -> None:
    with db.write() as connection:
        household.note_job(connection, "poll", START, 1.0)
        household.note_job(connection, "tick", START, 1.0)
        household.note_job(connection, "poll", START + timedelta(minutes=1), 2.0)
        runs = household.job_runs(connection)
    assert {name: (r.last_run_at - START, r.seconds) for name, r in runs.items()} == {
        "poll": (timedelta(minutes=1), 2.0),
        "tick": (timedelta(0), 1.0),
    }


def test_insert_new_leaves_what_is_there(db: Database) -> None:
    def rows(*keys: str) -> list[dict[str, str]]:
        return [{"key": key, "value": f"{key} of {len(keys)}"} for key in keys]

    with db.write() as connection:
        assert insert_new(connection, tables.settings, rows("a", "b"), key=["key"]) == 2
        assert insert_new(connection, tables.settings, rows("b", "c", "d"), key=["key"]) == 2
        assert insert_new(connection, tables.settings, [], key=["key"]) == 0
        assert household.setting(connection, "b") == "b of 2"


# ---- pages --------------------------------------------------------------------------------------------------


def test_pages_are_complete_and_in_order_while_rows_come_in(world: World) -> None:
    rng = random.Random(1)
    numbers = iter(range(1000))

    def come_in(count: int) -> None:
        world.hear(
            *(
                world.mention(n, author=Author("x", f"c{n}", f"C {n}"))
                for n in (next(numbers) for _ in range(count))
            )
        )

    come_in(40)
    since = world.now - timedelta(days=365)
    with world.db.write() as connection:  # customers with many, some and no bad experiences
        for row in customer_rows.page(connection, since=since, limit=100):
            for turn in range(rng.choice([0, 0, 1, 3])):
                customer_rows.add_bad_experience(connection, row.id, "history", f"{row.id}-{turn}", world.now)

    def everything(name: str) -> list[Any]:
        """All pages of a list, with rows that come in between two of them."""
        found: list[Any] = []
        while True:
            with world.db.read() as connection:
                last = found[-1] if found else None
                if name == "customers":
                    after = (last.bad, last.id) if last else None
                    page = customer_rows.page(connection, since=since, after=after, limit=7)
                else:
                    before = last.id if last else None
                    rows = case_rows if name == "cases" else mention_rows
                    page = rows.page(connection, before=before, limit=7)
            found += page
            if len(page) < 7:
                return found
            come_in(2)

    for name in ("customers", "cases", "mentions"):
        with world.db.read() as connection:
            before = set(connection.execute(sa.select(tables.metadata.tables[name].c.id)).scalars())
        found = everything(name)
        ids = [row.id for row in found]
        assert len(ids) == len(set(ids)), f"{name}: one came twice"
        assert before <= set(ids), f"{name}: one is missing"
        order = [(row.bad, row.id) if name == "customers" else row.id for row in found]
        assert order == sorted(order, reverse=True), name
