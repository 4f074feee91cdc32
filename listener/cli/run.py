"""run, poll, demo."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from listener.cli.output import count, progress, say, warn
from listener.cli.parts import Commands, command, opened, set_up_logs
from listener.errors import ListenerError, Refused

if TYPE_CHECKING:
    from listener.app import App
    from listener.service.poll import Report
    from listener.web import WebSettings
    from listener.web.server import WebServer

POLL_GRACE_S = 5.0


def add(commands: Commands) -> None:
    runs = command(
        commands,
        "run",
        run,
        "listen, watch the clocks, send messages and serve the dashboard, until stopped",
        "listener run --log json",
    )
    runs.add_argument("--no-web", action="store_true", help="without the dashboard")
    runs.add_argument(
        "--grace", type=seconds, metavar="S", help="seconds that work under way may take when stopped (8)"
    )
    polls = command(
        commands,
        "poll",
        poll,
        "poll what is due, sound due alarms, send what waits, and end (for cron)",
        "listener poll --once",
    )
    polls.add_argument("--once", action="store_true", help="as it does anyway; says so in a crontab")
    polls.add_argument("--quiet", action="store_true", help="print nothing unless it fails")
    shows = command(
        commands,
        "demo",
        demo,
        "run on a sample town whose people complain, at a quickened clock",
        "listener demo --speed 60",
    )
    shows.add_argument("--speed", type=seconds, help="how many times as fast the clock runs (120)")
    shows.add_argument("--port", type=port, help="of the dashboard (8420, or a free one)")
    shows.add_argument("--minutes", type=seconds, metavar="N", help="end after so many minutes")
    shows.add_argument("--no-web", action="store_true", help="without the dashboard")


def seconds(text: str) -> float:
    """A number above 0 that is no infinity."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:6]) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


# ---- run and demo -------------------------------------------------------------------------------------------


def run(args: argparse.Namespace) -> int:
    from listener.running import GRACE_S, serve

    stop = until_signal()  # first: a signal during the start counts too
    with opened(args, log_level="info") as app:
        section = app.config.web
        web = None
        if not args.no_web:
            from listener.web import WebSettings

            settings = WebSettings(
                public_url=section.public_url,
                token=section.token.get_secret_value() if section.token else None,
                allowed_hosts=section.allowed_hosts,
            )
            web = start_web(app, settings, section.host, [section.port])
        else:
            say("Listening.", flush=True)
        if not serve(app, stop, web=web, grace=args.grace or GRACE_S):
            leave()
    return 0


def demo(args: argparse.Namespace) -> int:
    set_up_logs(args)
    from listener import demo as town
    from listener.running import serve

    stop = until_signal()
    speed = args.speed or town.SPEED
    unfinished = []

    def show(app: App, speed: float, stop: threading.Event) -> None:
        say(
            f"A sample town, and a clock that runs {speed:g} times as fast: an hour takes "
            f"{3600 / speed:.3g} s. Ctrl-C ends it.",
            flush=True,
        )
        web = None
        if not args.no_web:
            from listener.web import WebSettings

            ports = [8420, 0] if args.port is None else [args.port]
            web = start_web(app, WebSettings(clock_speed=speed, demo=True), "127.0.0.1", ports)
        if not serve(app, stop, web=web):
            unfinished.append(app)

    town.run(show, speed=speed, minutes=args.minutes, stop=stop)
    if unfinished:
        leave()
    return 0


def start_web(app: App, settings: WebSettings, host: str, ports: Sequence[int]) -> WebServer:
    """Serve the dashboard at the first of the ports that is free, and print where it is.

    Raises ``ListenerError`` when it can't listen at any.
    """
    from listener.web import create_app
    from listener.web.login import login_token
    from listener.web.server import WebServer

    token = login_token(app.core, settings)
    asgi = create_app(app.core, settings, app.now)
    for number in ports:
        web = WebServer(asgi, host, number, grace_s=5.0)
        try:
            web.start()
            break
        except ListenerError:
            if number == ports[-1]:
                raise
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    url = settings.public_url or f"http://{name}:{web.port}"
    hint = " (the log-in link is shown this once; `listener token --reset` makes a new one)"
    say(f"Dashboard: {url}/login?token={token}{hint}" if token else f"Dashboard: {url}", flush=True)
    return web


def until_signal() -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets; a second one ends the process at once."""
    stop = threading.Event()
    # A handler may interrupt any line, also one inside of Event.set, whose lock would then wait for itself for
    # ever. SimpleQueue.put is made to be called from handlers.
    arrived: SimpleQueue[int] = SimpleQueue()

    def handler(number: int, _frame: object) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        arrived.put(number)

    def watch() -> None:
        arrived.get()
        stop.set()

    threading.Thread(target=watch, name="signals", daemon=True).start()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, handler)
    return stop


def leave() -> None:
    """End the process though threads are still at work.

    Python would wait for them at exit, up to a request's deadline for each, and be killed half-way by whoever asked
    it to stop. Each page and each message is a transaction, so what is cut off here is as if it had not begun.
    """
    logging.getLogger("listener").info("ending with work under way; it will be done again")
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


# ---- poll ---------------------------------------------------------------------------------------------------


def poll(args: argparse.Namespace) -> int:
    # cron's calls are ended by SIGTERM too: give the leases back, as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with opened(args, log_level="error") as app, contextlib.ExitStack() as stack:
        try:
            stack.enter_context(alone(app.core.db.file))
        except Refused as error:
            if not args.quiet:
                warn(str(error))
            return 0
        return poll_once(app, quiet=args.quiet)


@contextlib.contextmanager
def alone(database: Path | None) -> Iterator[None]:
    """Raises ``Refused`` when another poll of this database file runs; a server's leases suffice."""
    from listener.running import only_one

    with only_one(database) if database else contextlib.nullcontext():
        yield


def poll_once(app: App, *, quiet: bool) -> int:
    from listener.running import Jobs

    jobs = Jobs(app.core, app.now, workers=app.config.run.poll_workers)
    reports: list[Report] = []
    sent = 0
    stopped = False
    try:
        with progress("source") as shown:

            def done(report: Report) -> None:
                reports.append(report)
                shown.step()

            jobs.poll_all_due(done)
        jobs.tick()
        while accepted := jobs.deliver().accepted:
            sent += accepted
        stopped = True
    finally:
        if not jobs.stop(POLL_GRACE_S if stopped else 0.0) and isinstance(
            sys.exc_info()[1], KeyboardInterrupt
        ):
            logging.shutdown()
            os._exit(130)  # as in leave()
    failing = [r for r in reports if r.error is not None]
    if not quiet:
        for report in failing:
            warn(f"source {report.source}: {report.error}")
        parts = [
            f"{count(len(reports), 'source')} polled",
            count(sum(r.new for r in reports), "new mention"),
            count(sum(r.cases for r in reports), "case"),
            count(sent, "message"),
        ]
        say(", ".join(parts + ([f"{count(len(failing), 'source')} failing"] if failing else [])))
    return 0
