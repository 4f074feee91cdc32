"""What a run leaves behind, told without the numbers that depend on who came first."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from listener import cases as life
from listener.cases import CASE, EVENT
from listener.storage import tables
from listener.storage.database import Database

Record = dict[str, Counter[str]]


def read_record(file: Path, accepted: Iterable[str]) -> Record:
    """All that was stored in ``file``, and the keys that the receiver ``accepted``, each once.

    Also asserts what must hold in any database: it is sound, and each case is what its events amount to.
    """
    db = Database(f"sqlite:///{file}")
    try:
        with db.read() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
            return _Reader(connection).record(accepted)
    finally:
        db.close()


def differences(one: Record, other: Record) -> list[str]:
    """What is in one and not in the other, one line each."""
    found = []
    for name in one:
        found += [f"{name}, only undisturbed: {what}" for what in (one[name] - other[name]).elements()]
        found += [f"{name}, only disturbed: {what}" for what in (other[name] - one[name]).elements()]
    return found


class _Reader:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sources = {r.id: r.name for r in self._all(tables.sources)}
        self.mentions = {
            r.id: f"{self.sources[r.source_id]}/{r.external_id}" for r in self._all(tables.mentions)
        }
        self.customers = {r.id: r.name for r in self._all(tables.customers)}
        # A case is named for its first mention.
        self.cases = {r.id: self.mentions[r.body["mention_ids"][0]] for r in self._all(tables.cases)}
        assert len(set(self.cases.values())) == len(self.cases), "two cases of one mention"

    def record(self, accepted: Iterable[str]) -> Record:
        self._check_histories()
        deliveries = self._all(tables.deliveries)
        sent = {self._key(r.key) for r in deliveries if r.state == "accepted"}
        received = {self._key(key) for key in accepted}
        assert received == sent, f"the receiver and the outbox disagree: {received ^ sent}"
        return {
            "mentions": Counter(
                self._told(r, "mentions", drop={"author_id"}) for r in self._all(tables.mentions)
            ),
            "authors": Counter(
                f"{r.platform} {r.platform_id} {r.first_seen_at}" for r in self._all(tables.authors)
            ),
            "cases": Counter(self._told(r, "cases") for r in self._all(tables.cases)),
            "events": Counter(self._told(r, "events") for r in self._all(tables.events)),
            "alarms": Counter(self._told(r, "alarms") for r in self._all(tables.alarms)),
            "bad experiences": Counter(
                self._told(r, "bad_experiences", drop={"key"}) for r in self._all(tables.bad_experiences)
            ),
            "labels": Counter(self._told(r, "labels") for r in self._all(tables.labels)),
            "deliveries": Counter(
                f"{self._key(r.key)} {r.kind} {r.text} {r.call} {r.state}" for r in deliveries
            ),
            "accepted": Counter(received),
        }

    def _all(self, table: Any) -> list[Any]:
        return list(self.connection.execute(select(table).order_by(*table.primary_key)))

    def _told(self, row: Any, table: str, drop: set[str] = frozenset()) -> str:  # type: ignore[assignment]
        """The row with names in the place of numbers."""
        values = dict(row._mapping)
        values.pop("id")
        own = self.cases[row.id] if table == "cases" else self.mentions[row.id] if table == "mentions" else ""
        for column, names in (
            ("source_id", self.sources),
            ("case_id", self.cases),
            ("mention_id", self.mentions),
            ("customer_id", self.customers),
        ):
            if values.get(column) is not None:
                values[column] = names[values[column]]
        if "body" in values:
            values["body"] = self._body(values["body"])
        kept = {name: value for name, value in values.items() if name not in drop}
        return f"{own} {json.dumps(kept, default=str, sort_keys=True)}"

    def _body(self, body: dict[str, Any]) -> dict[str, Any]:
        body = dict(body)
        if "mention_ids" in body:
            body["mention_ids"] = [self.mentions[i] for i in body["mention_ids"]]
        if body.get("mention_id") is not None:
            body["mention_id"] = self.mentions[body["mention_id"]]
        return body

    def _key(self, key: str) -> str:
        return re.sub(r"^case-(\d+)", lambda m: f"case {self.cases[int(m[1])]}", key)

    def _check_histories(self) -> None:
        events: dict[int, list[Any]] = {}
        for row in self._all(tables.events):
            events.setdefault(row.case_id, []).append(row)
        for case in self._all(tables.cases):
            history = sorted(events[case.id], key=lambda e: e.seq)
            assert [e.seq for e in history] == list(range(1, len(history) + 1)), f"case {case.id} has gaps"
            amounts_to = life.replay([EVENT.validate_python(e.body) for e in history])
            assert amounts_to == CASE.validate_python(case.body), f"case {case.id} is not what its events say"
            recorded = {(c.cycle, c.clock, c.step) for c in self._all(tables.alarms) if c.case_id == case.id}
            told = {(e.cycle, e.body["clock"], e.body["step"]) for e in history if e.kind == "alarmed"}
            assert recorded == told, f"case {case.id}: alarms and events disagree"
