"""What the program keeps for itself: when its jobs last ran, web sessions, a few settings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from listener.storage.tables import handled, jobs, settings, web_sessions
from listener.storage.upsert import insert_new, upsert


def note_job(connection: Connection, name: str, now: datetime, seconds: float) -> None:
    upsert(connection, jobs, {"name": name, "last_run_at": now, "seconds": seconds}, key=["name"])


def job_runs(connection: Connection) -> dict[str, Row[Any]]:
    return {r.name: r for r in connection.execute(select(jobs))}


def setting(connection: Connection, key: str) -> str | None:
    return connection.execute(select(settings.c.value).where(settings.c.key == key)).scalar()


def save_setting(connection: Connection, key: str, value: str) -> None:
    upsert(connection, settings, {"key": key, "value": value}, key=["key"])


def save_setting_once(connection: Connection, key: str, value: str) -> bool:
    """Whether it was saved; False when there is one already."""
    return insert_new(connection, settings, [{"key": key, "value": value}], key=["key"]) == 1


def add_session(connection: Connection, id_hash: str, csrf: str, person: str | None, now: datetime) -> None:
    connection.execute(
        insert(web_sessions).values(
            id_hash=id_hash, csrf=csrf, person=person, created_at=now, last_used_at=now
        )
    )


def session(connection: Connection, id_hash: str) -> Row[Any] | None:
    return connection.execute(select(web_sessions).where(web_sessions.c.id_hash == id_hash)).one_or_none()


def set_session_person(connection: Connection, id_hash: str, person: str) -> None:
    connection.execute(update(web_sessions).where(web_sessions.c.id_hash == id_hash).values(person=person))


def touch_session(connection: Connection, id_hash: str, now: datetime) -> None:
    connection.execute(update(web_sessions).where(web_sessions.c.id_hash == id_hash).values(last_used_at=now))


def end_session(connection: Connection, id_hash: str) -> None:
    connection.execute(delete(web_sessions).where(web_sessions.c.id_hash == id_hash))


def end_old_sessions(connection: Connection, *, created_before: datetime, used_before: datetime) -> None:
    connection.execute(
        delete(web_sessions).where(
            (web_sessions.c.created_at < created_before) | (web_sessions.c.last_used_at < used_before)
        )
    )


def end_all_sessions(connection: Connection) -> None:
    connection.execute(delete(web_sessions))


def handle_once(connection: Connection, key: str, now: datetime) -> bool:
    """True for the first who brings this key (200 characters at most), for as long as it is remembered."""
    return insert_new(connection, handled, [{"key": key, "at": now}], key=["key"]) == 1


def some_handled_before(connection: Connection, before: datetime) -> bool:
    return connection.execute(select(handled.c.key).where(handled.c.at < before).limit(1)).first() is not None


def forget_handled(connection: Connection, before: datetime) -> None:
    connection.execute(delete(handled).where(handled.c.at < before))
