"""Bring a database to the newest version with Alembic, within the caller's transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from listener.errors import StorageError

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, name: str) -> None:
    """Raises ``StorageError`` when the database was written by a newer Listener; it is left untouched then."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        raise StorageError(
            f"database {name}: it is of version {current}, which is newer than this Listener knows; "
            f"install a newer Listener or restore an older backup"
        )
    command.upgrade(config, "head")
