"""``listener demo``: a sample town whose people complain, a small team that answers, and everything in between.

All of it is real but the town: real polls over HTTP, real cases, clocks and messages, at a quickened clock.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from listener import config
from listener.app import App, build, utc_now
from listener.errors import Refused
from listener.model import CaseView, State
from listener.resources import data_dir
from listener.service import act, read
from listener.service.core import Core
from listener.town import QuickClock, Script, Town

log = logging.getLogger("listener.demo")

SPEED = (
    120.0  # an hour passes in half a minute: within a minute a case is opened, warned of, late and escalated
)


@dataclass(frozen=True, slots=True)
class Habit:
    """How one member of the team treats a case; minutes after it was opened, None: never."""

    who: str
    claim: int
    answer: int
    promise: int | None = None
    wait: int | None = None
    resolve: int | None = None


# One in six (the first case among them) is forgotten until it is escalated, one is answered late: what a manager
# must be able to see.
HABITS = (
    Habit("Ida Moe", claim=40, answer=55, resolve=400),
    Habit("Randi Aasheim", claim=100, answer=110, resolve=600),
    Habit("Ida Moe", claim=5, answer=15, promise=240, resolve=120),
    Habit("Jonas Berg", claim=10, answer=50, wait=60, resolve=500),
    Habit("Jonas Berg", claim=12, answer=25, promise=90, resolve=300),
    Habit("Ida Moe", claim=20, answer=75, resolve=350),
)

OUTCOMES = {"delivery": "sent again", "quality": "replaced", "billing": "refunded", "service": "apologised"}


def team_works(core: Core, now: datetime) -> None:
    """Let the town's team do what is due on each open case."""
    for case in read.open_cases(core, now, limit=200):
        try:
            _treat(core, case, now)
        except Refused as error:  # a person on the dashboard was quicker
            log.debug("case %s: %s", case.id, error)


def _treat(core: Core, case: CaseView, now: datetime) -> None:
    age = (now - max(c.started_at for c in case.clocks)).total_seconds() / 60
    habit = HABITS[case.id % len(HABITS)]
    who = case.assignee or habit.who
    doubtful = case.complaint == "check" and case.mentions[0].compound > 0
    if case.state == State.OPEN and age >= habit.claim:
        act.claim(core, case.id, who, now)
    elif case.state == State.CLAIMED and doubtful and age >= habit.answer:
        act.dismiss(core, case.id, who, "Read again: the writer is not unhappy with us.", now)
    elif case.state == State.CLAIMED and age >= habit.answer:
        url = f"{case.mentions[-1].url or 'http://127.0.0.1/'}#answer-{case.cycle}-{len(case.mentions)}"
        act.respond(core, case.id, who, url, now, promise_minutes=habit.promise)
    elif case.state == State.RESPONDED and habit.resolve is not None and age >= habit.resolve:
        act.resolve(core, case.id, who, OUTCOMES.get(case.reason, "explained"), now)
    elif case.state == State.RESPONDED and habit.wait is not None and habit.wait <= age < habit.wait + 30:
        act.wait(core, case.id, who, now)
    elif case.state == State.WAITING and habit.resolve is not None and age >= habit.resolve:
        act.resolve(core, case.id, who, "explained", now)


def introduce_customers(core: Core, now: datetime) -> None:
    """Some of the town's people are in the customer list: new ones, long-standing ones, a gold tier."""
    for line in read.list_customers(core, now, limit=200):
        if line.customer.day_as_customer is None and line.customer.id % 3 == 0:
            days = 12 if line.customer.id % 2 else 400
            tier = "Gold" if line.customer.id % 9 == 0 else None
            act.edit_customer(core, line.customer.id, since=now - timedelta(days=days), tier=tier)


def run(
    serve: Callable[[App, float, threading.Event], None],
    *,
    speed: float = SPEED,
    minutes: float | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Open the town and run Listener on it until ``stop`` is set or ``minutes`` of real time are over.

    ``serve`` runs an app's jobs and dashboard until the event is set; it is told the clock's speed. The
    database lies in a temporary folder and is deleted in the end. Raises ``ValueError`` for a bad speed.
    """
    stop = stop or threading.Event()
    clock = QuickClock(utc_now(), speed)
    if minutes is not None:
        timer = threading.Timer(minutes * 60, stop.set)
        timer.daemon = True
        timer.start()
    with Town(Script.load(), clock) as town, tempfile.TemporaryDirectory(prefix="listener-demo-") as folder:
        text = (data_dir() / "demo" / "listener.toml").read_text(encoding="utf-8").replace("{town}", town.url)
        app = build(config.parse(text, "the demo's configuration", Path(folder)), now=clock)
        team = threading.Thread(target=_team, args=(app, stop), name="team", daemon=True)
        try:
            team.start()
            serve(app, speed, stop)
        finally:
            stop.set()
            team.join(timeout=5)
            app.close()


def _team(app: App, stop: threading.Event) -> None:
    while not stop.wait(1.0):
        introduce_customers(app.core, app.now())
        team_works(app.core, app.now())
