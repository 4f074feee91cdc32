"""The database: its schema, its failures, many writers at once. On real files, in real processes."""

from __future__ import annotations

import io
import json
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from listener.errors import StorageError
from listener.model import Author, Mention
from listener.service.tick import tick
from listener.storage import household, migrate, tables
from listener.storage.database import HEAD, Database
from listener.storm import StormRules
from tests.children import child, output
from tests.world import START, World, refused


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path / 'listener.db'}")
    db.open()
    yield db
    db.close()


# ---- the schema ---------------------------------------------------------------------------------------------


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    return ScriptDirectory.from_config(config)


def schema(connection: sa.Connection) -> dict[str, list[str]]:
    """Every table and index as SQLite has it, the parts of each in a fixed order.

    Foreign keys by themselves: a column that was added later names its own, which a new table lists at its end.
    """
    rows = connection.exec_driver_sql("SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    found: dict[str, list[str]] = {}
    for name, kind, sql in rows:
        if name == "alembic_version":
            continue
        plain = re.sub(r",?\s+CONSTRAINT fk_\w+ (FOREIGN KEY\s*\(\w+\) )?REFERENCES \w+ \(\w+\)", "", sql)
        parts = [part for part in re.split(r",\s|\(\s*\n|\n\s*\)|\)$", plain) if part.strip()]
        found[name] = sorted(" ".join(part.split()) for part in parts)
        if kind == "table":
            keys = connection.exec_driver_sql(f"PRAGMA foreign_key_list({name})").all()
            names = re.findall(r"CONSTRAINT (fk_\w+)", sql)
            found[name] += sorted(str(key[2:]) for key in keys) + sorted(names)
    return found


def test_migrating_an_empty_file_gives_the_schema_of_the_tables(db: Database, tmp_path: Path) -> None:
    with db.read() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []
        migrated = schema(connection)
    made = Database(f"sqlite:///{tmp_path / 'made.db'}")
    with made.write() as connection:
        tables.metadata.create_all(connection)
        assert schema(connection) == migrated  # also the conditions of partial indexes, which Alembic ignores
    made.close()


def test_on_postgresql_the_migrations_make_the_same_partial_indexes() -> None:
    out = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": out}
    )
    with Operations.context(context):
        for script in reversed(list(scripts().walk_revisions())):
            script.module.upgrade()
    made = dict(re.findall(r"CREATE (?:UNIQUE )?INDEX (\w+) ON [^;]*? WHERE ([^;]+);", out.getvalue()))
    partial = {
        index.name: str(where)
        for table in tables.metadata.tables.values()
        for index in table.indexes
        if (where := index.dialect_options["sqlite"]["where"]) is not None
    }
    assert partial
    assert made == partial


def test_head_is_the_newest_migration(db: Database) -> None:
    assert scripts().get_heads() == [HEAD]
    assert db.version() == HEAD


def open_at(file: Path, version: str) -> Database:
    """A database as the Listener of that version left it."""
    db = Database(f"sqlite:///{file}")
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    with db.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    return db


def test_a_database_of_the_first_version_keeps_its_rows(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.settled()
    world.hear(*(world.mention(n) for n in range(3)))
    kept = ("customers", "authors", "sources", "cases", "mentions", "events", "deliveries", "bad_experiences")
    old = open_at(tmp_path / "old.db", "0001")
    with old.write() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for name in kept:
            columns = [c["name"] for c in sa.inspect(connection).get_columns(name)]
            table = sa.table(name, *map(sa.column, columns))
            with world.db.read() as source:
                rows = [dict(r._mapping) for r in source.execute(sa.select(table))]
            assert rows, name
            connection.execute(sa.insert(table), rows)
    old.open()
    assert old.version() == HEAD
    with old.read() as connection, world.db.read() as new:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert schema(connection) == schema(new)
        for name in kept:
            query = sa.select(tables.metadata.tables[name])
            assert set(map(str, connection.execute(query))) == set(map(str, new.execute(query))), name
    old.close()
    world.close()


def test_opening_again_changes_nothing(db: Database) -> None:
    with db.read() as connection:
        before = schema(connection)
    db.open()
    with db.read() as connection:
        assert schema(connection) == before


def open_many(folder: str) -> None:
    sys.stdin.readline()
    for number in range(12):
        db = Database(f"sqlite:///{folder}/{number}.db")
        db.open()
        with db.write() as connection:
            household.note_job(connection, "poll", START, 0.0)
        db.close()


def test_two_processes_may_open_a_fresh_database_at_once(tmp_path: Path) -> None:
    both = [child("test_storage", "open_many", tmp_path) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        output(process)
    for file in tmp_path.glob("*.db"):
        db = Database(f"sqlite:///{file}")
        assert db.version() == HEAD
        assert db.damage() == []
        db.close()


def test_a_migration_that_dies_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Database(f"sqlite:///{tmp_path / 'listener.db'}")
    real = command.upgrade

    def die(*args: Any) -> None:
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "upgrade", die)
    with pytest.raises(KeyboardInterrupt):
        db.open()
    assert db.version() is None
    monkeypatch.undo()
    db.open()
    assert db.version() == HEAD
    db.close()


def test_an_action_is_handled_once_until_it_is_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path)

    def first() -> bool:
        with world.db.write() as connection:
            return household.handle_once(connection, "click-1", world.now)

    assert [first(), first()] == [True, False]
    world.later(hours=47)
    tick(world.core, world.now)
    assert not first()
    world.later(hours=2)
    tick(world.core, world.now)
    assert first()
    world.close()


# ---- what an operator can mend ------------------------------------------------------------------------------


def newer(file: Path) -> str:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    return f"sqlite:///{file}"


def read_only(file: Path) -> str:
    return f"sqlite:///file:{file}?mode=ro&uri=true"


def not_a_database(file: Path) -> str:
    file.write_text("Dear diary, " * 1000)
    return f"sqlite:///{file}"


def damaged(file: Path) -> str:
    with file.open("r+b") as out:
        for page in range(1, file.stat().st_size // 4096):
            out.seek(page * 4096)
            out.write(b"\xff" * 2000)
    return f"sqlite:///{file}"


def cut_off(file: Path) -> str:
    with file.open("r+b") as out:
        out.truncate(6000)
    return f"sqlite:///{file}"


def folder_missing(file: Path) -> str:
    return f"sqlite:///{file.parent / 'nowhere' / 'listener.db'}"


def a_folder(file: Path) -> str:
    return f"sqlite:///{file.parent}"


@pytest.mark.parametrize(
    ("spoil", "advice"),
    [
        (newer, ["9999", "install a newer Listener"]),
        (read_only, ["read-only", "write access"]),
        (not_a_database, ["not a Listener database", "listener.database"]),
        (damaged, ["damaged", "restore the newest backup"]),
        (cut_off, ["damaged", "restore the newest backup"]),
        (folder_missing, ["can't be opened", "folder exists"]),
        (a_folder, ["can't be opened"]),
    ],
)
def test_a_database_that_can_not_be_used_says_what_to_do(
    spoil: Any, advice: list[str], tmp_path: Path
) -> None:
    world = World(tmp_path)
    world.hear(world.mention(1))
    world.close()
    db = Database(spoil(tmp_path / "listener.db"))
    before = (tmp_path / "listener.db").read_bytes()
    with refused(StorageError, "database ", *advice):
        db.open()
        with db.write() as connection:
            household.note_job(connection, "poll", START, 0.0)
            connection.execute(sa.select(tables.mentions, tables.cases)).all()
    db.close()
    assert (tmp_path / "listener.db").read_bytes() == before, "it is left as it was found"


def test_a_lock_that_somebody_else_holds_is_named(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("listener.storage.database.BUSY_TIMEOUT_MS", 50)
    other = sqlite3.connect(str(db.file), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    impatient = Database(str(db.url))
    with refused(StorageError, "another program holds it"), impatient.write():
        pass
    other.execute("ROLLBACK")
    other.close()
    with impatient.write() as connection:
        household.note_job(connection, "poll", START, 0.0)
    impatient.close()


# ---- a full disk --------------------------------------------------------------------------------------------


def full_page(world: World) -> list[Mention]:
    return [world.mention(n, author=Author("forum.example", f"a{n}", f"A {n}")) for n in range(200)]


def fill_the_disk(folder: str, how: str) -> None:
    """Hear a page while the disk fills up, and again when there is room; prints what happened as JSON."""
    world = World(Path(folder), storm=StormRules(enabled=False))  # which would tell one more
    world.settled()
    world.hear(world.mention("before"))
    page = full_page(world)
    room = 120_000  # bytes: enough to begin with, far too little for the page
    ballast = Path(folder) / "ballast"
    if how == "limit":
        size = (Path(folder) / "listener.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, resource.RLIM_INFINITY))
    else:
        ballast.write_bytes(b"x" * (shutil.disk_usage(folder).free - room))
    told = None
    try:
        world.hear(*page)
    except StorageError as error:
        told = str(error)
    while_full = [len(world.cases()), counts(world.db)]
    if how == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        ballast.unlink()
    world.later(minutes=11)  # the lease of the poll that failed ends
    report = world.hear(*page)
    print(json.dumps([told, while_full, report.new, counts(world.db), world.db.damage()]))
    world.close()


def counts(db: Database) -> list[int]:
    """Rows of all that a page brings: mentions, authors, customers, cases, events, deliveries, bad experiences."""
    found = (
        tables.mentions,
        tables.authors,
        tables.customers,
        tables.cases,
        tables.events,
        tables.deliveries,
        tables.bad_experiences,
    )
    with db.read() as connection:
        return [connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in found]


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True, check=False
    )
    return tried.returncode == 0


@pytest.mark.parametrize("how", ["limit", "full"])
def test_a_disk_that_fills_up_in_the_middle_of_a_page(how: str, tmp_path: Path) -> None:
    prefix: tuple[str, ...] = ()
    if how == "full":
        if not can_mount():
            pytest.skip("a small file system of one's own can't be mounted here")
        mount = 'mount -t tmpfs -o size=4m small "$0" && exec "$@"'
        prefix = ("unshare", "-Urm", "sh", "-c", mount, str(tmp_path))
    found = json.loads(output(child("test_storage", "fill_the_disk", tmp_path, how, prefix=prefix)))
    told, while_full, new, after, damage = found
    assert ("the disk is full" if how == "full" else "the disk reports an error") in told
    assert while_full == [1, [1] * 7], "nothing of the page, all of what was there"
    assert new == 200
    assert after == [201] * 7
    assert damage == []


def test_a_database_at_its_size_limit_says_that_the_disk_is_full(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.settled()
    before = counts(world.db)
    with world.db.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    limit = 10
    sa.event.listen(
        world.db.engine,
        "checkout",
        lambda connection, *_: connection.execute(f"PRAGMA max_page_count = {pages + limit}"),
    )
    with refused(StorageError, "the disk is full", "nothing was lost", "listener.db"):
        world.hear(*full_page(world))
    assert counts(world.db) == before
    limit = 10_000
    world.later(minutes=11)
    assert world.hear(*full_page(world)).new == 200
    world.close()
