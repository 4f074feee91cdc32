"""The engine, its transactions and its version. One writer at a time, and nobody sees "database is locked"."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from listener.errors import StorageError

# The newest migration. Kept here so that a start on a current database needn't import Alembic (110 ms); a test
# holds it against the migrations.
HEAD = "0002"

# A writer waits this long for another process's transaction. Ours last milliseconds; the rest is margin for a
# backup or a slow disk.
BUSY_TIMEOUT_MS = 15_000

_ADVICE = {
    "disk is full": "the disk is full; free some space, nothing was lost",
    "readonly database": "it is read-only; give the user that runs Listener write access to the file and its folder",
    "unable to open": "it can't be opened; check that the folder exists and may be written to",
    "disk i/o error": "the disk reports an error; check it, then restore the newest backup if the file is damaged",
    "not a database": "the file is not a Listener database; name another one in listener.database",
    "malformed": "the file is damaged; restore the newest backup (listener backup makes them)",
    "database is locked": "another program holds it; close it (sqlite3, a copy tool) and try again",
}


class Database:
    """One database file or server. Thread-safe. Raises ``StorageError`` for what an operator can mend."""

    def __init__(self, url: str) -> None:
        """``url``: an SQLAlchemy URL, for example ``sqlite:////var/lib/listener/listener.db``."""
        self.url = sa.make_url(url)
        self.name = self.url.database or self.url.render_as_string(hide_password=True)
        options: dict[str, Any] = {}
        if self.url.get_backend_name() == "sqlite":
            options = {
                "pool_size": 10,
                "max_overflow": 40,
                "connect_args": {"timeout": BUSY_TIMEOUT_MS / 1000},
            }
        self.engine = sa.create_engine(self.url, **options)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        # Within one process writers queue here: SQLite's own waiting polls, which costs time and is not fair.
        self._writer = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot to read from."""
        with self._explained(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it happens or nothing. Never nest; never do I/O to the outside within."""
        with self._explained(), self._writer, self.engine.connect() as connection:
            connection = connection.execution_options(listener_write=True)
            with connection.begin():
                yield connection

    def open(self) -> None:
        """Make the schema current. Two processes may do so at once: the second waits and finds it done."""
        version = self.version()
        if version == HEAD:
            return
        from listener.storage import migrate

        with self.write() as connection:
            migrate.upgrade(connection, self.name)

    def version(self) -> str | None:
        """The schema's version; None for an empty database."""
        with self.read() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()

    @property
    def file(self) -> Path | None:
        """The database's file; None for a server."""
        if self.engine.dialect.name != "sqlite" or not self.url.database:
            return None
        return Path(self.url.database.removeprefix("file:"))  # SQLite's own URLs begin so

    def damage(self) -> list[str]:
        """What SQLite finds wrong in the file, at most 100 lines; nothing when it is sound, or on a server."""
        if self.engine.dialect.name != "sqlite":
            return []
        with self.read() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check").scalars().all()
        return [str(line) for line in found if line != "ok"]

    def backup(self, target: Path) -> None:
        """Copy an SQLite database, while it is in use, to the new file ``target``."""
        if self.engine.dialect.name != "sqlite":
            raise StorageError(f"{self.name} is not SQLite; use the database's own tool (pg_dump)")
        if target.exists():
            raise StorageError(f"{target} exists already; name a new file")
        part = target.with_name(target.name + ".part")
        part.unlink(missing_ok=True)
        try:
            with self._explained(), self.engine.connect() as connection:
                # VACUUM INTO reads one snapshot and writes a compact, checked copy; renamed only when it is whole.
                connection.connection.dbapi_connection.execute("VACUUM INTO ?", (str(part),))  # type: ignore[union-attr]
        except sqlite3.Error as error:
            part.unlink(missing_ok=True)
            raise StorageError(f"backup {target}: {_advice(str(error)) or error}") from error
        part.replace(target)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            cause = str(error.orig)
            if advice := _advice(cause):
                raise StorageError(f"database {self.name}: {advice} ({cause})") from error
            if isinstance(error, sa.exc.OperationalError):
                raise StorageError(f"database {self.name}: {cause}") from error
            raise
        except SQLAlchemyError as error:
            if isinstance(error, sa.exc.TimeoutError):
                raise StorageError(
                    f"database {self.name}: no connection became free; it is overloaded"
                ) from error
            raise


def _advice(cause: str) -> str | None:
    return next((advice for sign, advice in _ADVICE.items() if sign in cause.lower()), None)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see _begin_sqlite
    cursor = connection.cursor()
    try:
        # WAL: readers never wait for the writer. NORMAL: a power cut may lose the last commits but never damages
        # the file; what was lost is polled or sent again, for cursors and deliveries go with their transaction.
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred BEGIN that reads and then writes fails with BUSY whenever another writer came between; IMMEDIATE
    # takes the write lock first (measured: thousands of errors against none).
    writing = connection.get_execution_options().get("listener_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
