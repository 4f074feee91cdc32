"""The soonest-due cases among very many."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from listener.storage import cases as case_rows
from listener.storage.database import Database
from listener.storage.tables import cases as table
from listener.storage.tables import customers
from tests.bench.report import below

CASES, OPEN_SHARE = 1_000_000, 50  # one in fifty is open


def cases() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{Path(folder) / 'bench.db'}")
        db.open()
        with db.write() as connection:
            connection.execute(customers.insert().values(name="Somebody", created_at=now))
        for start in range(0, CASES, 50_000):
            with db.write() as connection:
                connection.execute(table.insert(), [_row(n, now) for n in range(start, start + 50_000)])
        times = []
        for _ in range(50):
            with db.read() as connection:
                begin = time.perf_counter()
                rows = case_rows.open_by_due(connection, limit=50)
                times.append(time.perf_counter() - begin)
        assert len(rows) == 50
        with db.read() as connection:
            query = "SELECT id FROM cases WHERE closed_at IS NULL AND due_at IS NOT NULL ORDER BY due_at, id"
            plan = connection.execute(sa.text(f"EXPLAIN QUERY PLAN {query}")).all()
        print(f"    {plan[0][3]}")
        below(f"50 soonest due of {CASES:,} cases", sorted(times)[25] * 1000, 1.0, "ms")
        db.close()


def _row(number: int, now: datetime) -> dict[str, object]:
    at = now + timedelta(seconds=number)
    closed = number % OPEN_SHARE != 0
    return {
        "brand": "Brand",
        "customer_id": 1,
        "state": "resolved" if closed else "open",
        "cycle": 1,
        "reason": "delivery",
        "severity": "low",
        "complaint": "complaint",
        "opened_at": at,
        "changed_at": at,
        "closed_at": at if closed else None,
        "due_at": None if closed else at + timedelta(hours=1),
        "body": {},
    }
