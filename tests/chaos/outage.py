"""Slack is down for hours while cases open, grow late, are claimed and closed: what does it hold afterwards?

Time is passed in, never slept for: the pace of a message a second moves the same clock.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select

from listener.errors import Refused
from listener.model import Author, CaseView
from listener.service import act
from listener.storage import tables
from listener.storm import StormRules
from responders.slack import Slack
from responders.slack.pace import Pace
from tests.fake_slack import TOKEN, Failure, FakeSlack
from tests.world import World

MINUTE = timedelta(minutes=1)
DOWN = Failure(hang_up=True)  # the line is cut: nothing was taken, but nobody can know


@dataclass
class Outcome:
    """What Slack holds after the recovery. All but the first two and the last two are to be 0."""

    cases: int
    delivered: int  # messages and thread replies that were posted after the recovery for what waited
    doubles: int  # posted twice, or a case that was told of more than its latest state
    lost: int  # never posted, or not as it stands
    order_violations: int  # a case before one that was due earlier; a case's messages out of order
    too_fast: int  # met Slack's rate limit
    uncertain: int  # sends whose answer was lost
    minutes: float  # until all was told

    @property
    def wrong(self) -> int:
        return self.doubles + self.lost + self.order_violations + self.too_fast


class Outage:
    def __init__(self, folder: Path, slack: FakeSlack, *, cases: int, uncertain: float, seed: int) -> None:
        self.luck = random.Random(seed)
        self.slack, self.count, self.share = slack, cases, uncertain
        self.world = World(folder, storm=StormRules(enabled=False))  # each case has its own message
        responder = Slack(token=SecretStr(TOKEN), channel="C1", base_url=slack.base_url, timeout_seconds=5)
        self.world.core = replace(self.world.core, responders={"slack": responder})
        self.world.settled()
        slack.paced, slack.now = True, lambda: self.world.now.timestamp()
        self.heard = 0
        self.lost_answers = 0
        self.due_then: dict[int, datetime] = {}

    def run(self, hours: float = 4) -> Outcome:
        """A calm half hour with a fifth of the cases, the outage with the others, and the time after it."""
        for _ in range(30):
            self._minute(self.count / 5 / 30)
        self._until_told()
        self.slack.meets = lambda _method: DOWN
        for _ in range(int(hours * 60)):
            self._minute(self.count * 4 / 5 / (hours * 60))
        while self.heard < self.count:
            self._hear()
        self._remember()
        self.slack.meets = self._unlucky
        back = self.world.now
        self._until_told()
        return self._compare(back)

    def _minute(self, arrivals: float) -> None:
        for _ in range(int(arrivals) + (self.luck.random() < arrivals % 1)):
            self._hear()
        self.world.tick()
        self._somebody_works()
        self._advance(MINUTE)

    def _advance(self, length: timedelta) -> None:
        """Deliver every five seconds, as the scheduler does."""
        end = self.world.now + length
        while self.world.now < end:
            self.world.deliver()
            self.world.later(seconds=5)

    def _until_told(self) -> None:
        while self._rows("pending"):
            self._advance(timedelta(seconds=5))

    def _hear(self) -> None:
        if self.heard < self.count:
            self.heard += 1
            who = f"customer{self.heard}"
            self.world.hear(self.world.mention(self.heard, author=Author("forum.example", who, who)))

    def _somebody_works(self) -> None:
        """At the dashboard, which does not need Slack."""
        core, now = self.world.core, self.world.now
        for case_id in self.luck.sample(range(1, self.heard + 1), min(self.heard, max(1, self.count // 250))):
            try:
                act.claim(core, case_id, "Anna", now)
                if self.luck.random() < 0.6:
                    act.respond(core, case_id, "Anna", f"https://forum.example/a/{case_id}", now)
                    if self.luck.random() < 0.6:
                        act.resolve(core, case_id, "Anna", "explained", now)
            except Refused:
                continue  # somebody was faster

    def _unlucky(self, method: str) -> Failure | None:
        if method not in ("chat.postMessage", "chat.update") or self.luck.random() >= self.share:
            return None
        self.lost_answers += 1
        return Failure(hang_up=True, accepted=self.luck.random() < 0.5)

    # ---- what came of it

    def _rows(self, *states: str) -> list[Any]:
        query = select(tables.deliveries).order_by(tables.deliveries.c.id)
        with self.world.db.read() as connection:
            return list(connection.execute(query.where(tables.deliveries.c.state.in_(states))))

    def _remember(self) -> None:
        """By when each case that waits was due, as the outage ends."""
        with self.world.db.read() as connection:
            query = select(tables.cases.c.id, tables.cases.c.due_at)
            due = {row.id: row.due_at for row in connection.execute(query)}
        for row in self._rows("pending"):
            self.due_then.setdefault(row.case_id, due[row.case_id] or row.created_at)

    def _compare(self, back: datetime) -> Outcome:
        rows = {row.key: row for row in self._rows("accepted", "superseded", "pending", "parked")}
        posted = [
            (m, rows[m["metadata"]["event_payload"]["key"]]) for m in self.slack.channels["C1"].messages
        ]
        late = [(m, row) for m, row in posted if float(m["ts"]) >= back.timestamp() and row.created_at < back]
        keys = Counter(row.key for _, row in posted)
        told = Counter(row.case_id for _, row in late)
        roots = Counter(row.case_id for m, row in posted if "thread_ts" not in m)
        doubles = sum(n - 1 for found in (keys, told, roots) for n in found.values())
        first = [self.due_then[case_id] for case_id in dict.fromkeys(row.case_id for _, row in late)]
        disorder = sum(a > b for a, b in pairwise(first))
        by_case = defaultdict(list)
        for _, row in posted:
            by_case[row.case_id].append(row.id)
        disorder += sum(ids != sorted(ids) for ids in by_case.values())
        minutes = (self.world.now - back) / MINUTE
        lost = self._lost(rows, set(self.due_then) - set(told))
        return Outcome(
            self.heard, len(late), doubles, lost, disorder, self.slack.too_fast, self.lost_answers, minutes
        )

    def _lost(self, rows: dict[str, Any], untold: set[int]) -> int:
        shown: dict[int, str] = {}
        for message in self.slack.posted():
            shown[message["metadata"]["event_payload"]["case_id"]] = json.dumps(message, ensure_ascii=False)
        wrong = sum(not _is_shown(self.world.case(n), shown.get(n, "")) for n in range(1, self.heard + 1))
        return wrong + len(untold) + sum(row.state in ("pending", "parked") for row in rows.values())


def _is_shown(case: CaseView, message: str) -> bool:
    """Whether the case's message shows its present state."""
    if not case.open:
        return "✅" in message
    return f"case {case.id}" in message and (case.assignee is None or case.assignee in message)


def check(folder: Path, *, cases: int, uncertain: float, seed: int, hours: float = 4) -> Outcome:
    """Run it in this folder. Raises ``AssertionError`` where the app does what Slack forbids."""
    with FakeSlack() as slack:
        outage = Outage(folder, slack, cases=cases, uncertain=uncertain, seed=seed)
        clock, sleep = Pace.clock, Pace.sleep
        try:
            _set_pace(lambda: outage.world.now.timestamp(), lambda s: outage.world.later(seconds=s))
            return outage.run(hours)
        finally:
            _set_pace(clock, sleep)
            outage.world.close()


def _set_pace(clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
    for name, function in (("clock", clock), ("sleep", sleep)):
        setattr(Pace, name, staticmethod(function))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.outage", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # Slack's SDK obeys them
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    wrong = 0
    print(f"{options.cases} cases through a 4-hour outage, seed {options.seed}")
    for uncertain in (0.0, 0.3):
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="outage-") as folder:
            found = check(Path(folder), cases=options.cases, uncertain=uncertain, seed=options.seed)
        print(
            f"{uncertain:.0%} uncertain sends ({found.uncertain}): {found.delivered} deliveries in "
            f"{found.minutes:.0f} minutes after recovery; doubles {found.doubles}, lost {found.lost}, "
            f"order violations {found.order_violations}, rate limit met {found.too_fast} "
            f"({time.monotonic() - started:.0f} s)"
        )
        wrong += found.wrong
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
