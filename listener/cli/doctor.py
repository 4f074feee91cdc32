"""doctor: look at everything that can go wrong, and say what to do."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from listener.cli.output import ago, count, length, plain, say
from listener.cli.parts import Commands, command, config_file, read_config, set_up_logs
from listener.errors import ConfigError, ListenerError, NotModified, SourceError, StorageError

if TYPE_CHECKING:
    from listener.app import App
    from listener.config import Config

LITTLE_SPACE = 500_000_000  # bytes: months of mentions
NO_SPACE = 50_000_000
CLOCK_SLACK = timedelta(seconds=5)  # two machines on one database never agree to the second
PARKED_SHOWN = 20

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    what: str
    text: str


def add(commands: Commands) -> None:
    looks = command(
        commands,
        "doctor",
        doctor,
        "look at configuration, database, responders, sources and clocks; say what to do",
        "listener doctor --online",
    )
    looks.add_argument("--online", action="store_true", help="also read each source once; nothing is stored")


def doctor(args: argparse.Namespace) -> int:
    set_up_logs(args, "error")
    problems = 0
    for found in findings(args):
        problems += found.level == "problem"
        say(f"{found.level:<8} {plain(found.what)}: {plain(found.text)}", flush=True)
    say(f"{count(problems, 'problem')} found." if problems else "All is well enough.")
    return 1 if problems else 0


def findings(args: argparse.Namespace) -> Iterator[Finding]:
    """One at a time, as they are found: some take a while."""
    from listener import registry
    from listener.app import build

    owners = registry.foreign_owners()
    yield from (Finding("warning", "installation", line) for line in owners)
    if not owners:
        yield Finding("ok", "installation", "the names listener, connectors and responders are ours alone")
    yield _zones()
    try:
        config = read_config(args)
    except ConfigError as error:
        for line in error.problems:
            yield Finding("problem", error.place, line)
        return
    yield Finding("ok", "configuration", f"{config_file(args)} is right")
    yield from (Finding("warning", "configuration", text) for text in config.warnings())
    try:
        app = build(config)
    except StorageError as error:
        yield Finding("problem", "database", str(error))
        app = None
    try:
        if app is not None:
            yield from _database(app)
            yield from _clock(app)
        yield from _responders(config)
        if app is not None:
            yield from _sources(app, online=args.online)
            yield from _work(app)
    finally:
        if app is not None:
            app.close()


def _zones() -> Finding:
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        return Finding("problem", "time zones", "there is no zone data; install the package tzdata")
    return Finding("ok", "time zones", "zone data is there")


def _database(app: App) -> Iterator[Finding]:
    from listener.storage import household

    db = app.core.db
    try:
        damage = db.damage()
        for line in damage[:5]:
            yield Finding("problem", "database", f"{db.name} is damaged ({line}); restore the newest backup")
        if not damage:
            yield Finding("ok", "database", f"{db.name} is sound, version {db.version()}")
        with db.write() as connection:
            household.save_setting(connection, "doctor", app.now().isoformat())
        yield Finding("ok", "database", "it can be written to")
    except StorageError as error:
        yield Finding("problem", "database", str(error))
    if db.file is not None:
        yield _space(db.file.absolute().parent)


def _space(folder: Path) -> Finding:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("warning", "disk", f"can't tell how much is free at {folder}: {error.strerror}")
    text = f"{free / 1e9:.1f} GB free at {folder}"
    if free < NO_SPACE:
        return Finding("problem", "disk", f"{text}; free some, or nothing can be stored any more")
    if free < LITTLE_SPACE:
        return Finding("warning", "disk", f"{text}; free some soon")
    return Finding("ok", "disk", text)


def _clock(app: App) -> Iterator[Finding]:
    """What was written with a later time than now tells that the clock was set back, or is wrong here."""
    from listener.service import read
    from listener.storage import household

    now = app.now()
    with app.core.db.read() as connection:
        instants = [run.last_run_at for run in household.job_runs(connection).values()]
    instants += [r.last_poll_at for r in read.list_sources(app.core) if r.last_poll_at is not None]
    instants += [row.seen_at for row in read.list_mentions(app.core, limit=1)]
    newest: datetime = max(instants, default=now)
    if newest > now + CLOCK_SLACK:
        behind = length(newest - now)
        text = f"the computer's clock runs {behind} behind what is written in the database; set it right"
        yield Finding("problem", "clock", text)
    else:
        yield Finding("ok", "clock", f"it is {now:%Y-%m-%d %H:%M:%S} UTC, and nothing is written after that")


def _responders(config: Config) -> Iterator[Finding]:
    for name, section in config.responders.items():
        what = f"responder {name}"
        responder = section.build()
        check = getattr(responder, "check", None)
        if check is None:
            yield Finding("ok", what, f"{section.kind} needs no check")
            continue
        yield from _checked(what, check)
        handles = {who: ids[section.kind] for who, ids in config.people.items() if section.kind in ids}
        if handles and hasattr(responder, "check_people"):
            yield from _checked(what, partial(responder.check_people, handles))


def _checked(what: str, check: Callable[[], list[tuple[bool, str]]]) -> Iterator[Finding]:
    try:
        results = check()
    except Exception as error:  # noqa: BLE001 - a third party's plug-in must not end the doctor's round
        results = [(False, f"its check has a bug: {type(error).__name__}: {error}")]
    for good, text in results:
        yield Finding("ok" if good else "problem", what, text)


def _sources(app: App, *, online: bool) -> Iterator[Finding]:
    from listener.service import read

    now = app.now()
    for row in read.list_sources(app.core):
        what = f"source {row.name}"
        if row.state in ("stopped", "parked"):
            advice = f"mend it, then: listener sources resume {row.name}"
            yield Finding("problem", what, f"{row.state}: {row.error}. Next: {advice}")
        elif row.state in ("paused", "off"):
            by = "by a person" if row.state == "paused" else "by the configuration"
            yield Finding("ok", what, f"paused {by}")
        elif row.failures:
            level: Level = "problem" if row.failures >= 3 else "warning"
            times = count(row.failures, "time")
            text = f"failed {times} in a row, next try {ago(row.next_poll_at, now)}: {row.error}"
            yield Finding(level, what, text)
        elif row.last_success_at is None:
            yield Finding("ok", what, "not polled yet")
        else:
            yield Finding(
                "ok", what, f"read {ago(row.last_success_at, now)}, {row.mentions_found} mentions so far"
            )
        if online and row.state != "off":
            yield _live(app, row.name)


def _live(app: App, name: str) -> Finding:
    what = f"source {name}, now"
    try:
        page = app.core.sources[name].connector.poll(app.core.fetch.client(app.core.memory(None)), None)
    except NotModified:
        return Finding("ok", what, "it has nothing new")
    except SourceError as error:
        return Finding("problem", what, str(error))
    except Exception as error:  # noqa: BLE001 - a bug in one connector must not hide the state of the others
        return Finding("problem", what, f"its connector has a bug: {type(error).__name__}: {error}")
    skipped = f", {len(page.skipped)} skipped (listener try shows why)" if page.skipped else ""
    return Finding("ok", what, f"its first page has {count(len(page.mentions), 'mention')}{skipped}")


def _work(app: App) -> Iterator[Finding]:
    from listener.service import read
    from listener.storage import household, outbox

    now = app.now()
    try:
        health = read.health(app.core, now)
        with app.core.db.read() as connection:
            runs = household.job_runs(connection)
            parked = outbox.parked(connection, limit=PARKED_SHOWN)
    except ListenerError as error:
        yield Finding("problem", "jobs", str(error))
        return
    for name in ("poll", "tick", "deliver"):
        run = runs.get(name)
        if run is None:
            text = "never ran; start listener run, or listener poll --once from cron"
            yield Finding("warning", f"job {name}", text)
        elif now - run.last_run_at > read.JOB_LATE:
            text = f"last ran {ago(run.last_run_at, now)}; is listener run, or cron's call, still there?"
            yield Finding("warning", f"job {name}", text)
        else:
            yield Finding("ok", f"job {name}", f"ran {ago(run.last_run_at, now)}")
    waiting = timedelta(seconds=health.oldest_pending_s)
    if waiting > read.OUTBOX_OLD:
        text = f"{count(health.pending_deliveries, 'message')} wait, the oldest for {length(waiting)}"
        yield Finding("problem", "messages", f"{text}; see the responders above, and the log")
    for row in parked:
        about = f" (case {row.case_id})" if row.case_id else ""
        text = f"could not be delivered: {row.error}. Mend it, then: listener retry"
        yield Finding("problem", f"message for {row.responder}{about}", text)
    if health.parked_deliveries > len(parked):
        more = health.parked_deliveries - len(parked)
        yield Finding("problem", "messages", f"{more} more could not be delivered")
    if not health.parked_deliveries and waiting <= read.OUTBOX_OLD:
        yield Finding("ok", "messages", f"{health.pending_deliveries} wait, none is stuck")
    for trouble in health.troubles:
        if "case(s)" in trouble.what:  # the rest is told above
            yield Finding("problem", "cases", f"{trouble.what}; {trouble.advice}")
        elif trouble.what.endswith("takes no messages"):
            text = f"{trouble.what}: {trouble.detail}. They wait; once it is mended: listener retry"
            yield Finding("problem", "messages", text)
