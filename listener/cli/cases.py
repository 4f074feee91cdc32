"""cases: list, show, and what people do to one; policy."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from listener.cli.output import ago, at, count, facts, json_line, length, paragraphs, plain, say, table
from listener.cli.parts import Commands, Parser, actor, command, flag, inner, number, opened
from listener.errors import UsageError

if TYPE_CHECKING:
    from listener.app import App
    from listener.cases import Event
    from listener.model import CaseView
    from listener.service.read import Story

STATES = ("open", "claimed", "responded", "waiting", "resolved", "dismissed", "merged", "closed")


def add(commands: Commands) -> None:
    top = command(
        commands,
        "cases",
        list_cases,
        "list cases, show one, or act on one (claim, respond, resolve, merge and so on)",
        "listener cases --state open",
        "listener cases respond 12 https://example.org/t/12#answer --promise 30",
    )
    _filters(top)
    below = inner(top)
    _filters(command(below, "list", list_cases, "list cases, the newest first"), below=True)
    shows = command(below, "show", show, "show all of one case", "listener cases show 12 --json")
    shows.add_argument("case", type=number)
    flag(shows, "--json", action="store_true", below=True, help="for programs")

    def act(name: str, help_text: str, example: str) -> argparse.ArgumentParser:
        parser = command(below, name, perform, help_text, f"listener cases {name} {example}", action=name)
        parser.add_argument("case", type=number)
        return parser

    act("claim", "take it: you are on it", "12")
    act("assign", "hand it to somebody", "12 ada").add_argument("person")
    act("release", "let it go: nobody is on it", "12")
    responds = act(
        "respond", "the public answer stands at this address", "12 https://example.org/t/12#answer"
    )
    responds.add_argument("url")
    responds.add_argument(
        "--promise", type=number, metavar="MIN", help="the waiting time that the answer told, in minutes"
    )
    act("wait", "the customer has to say something next", "12")
    act("resume", "go on with it", "12")
    act("snooze", "mute its reminders for a time", "12 2h").add_argument(
        "time", type=duration, help="such as 2h"
    )
    act("note", "write something down", "12 'called the shop'").add_argument("text")
    resolves = act("resolve", "the customer has been helped", "12 --outcome refunded")
    resolves.add_argument("--outcome", required=True, help="how it ended: refunded, replaced, explained, ...")
    resolves.add_argument("--reason", help="what it was really about, such as delivery")
    resolves.add_argument("--note", default="", help="more on it")
    act("dismiss", "it is not a complaint", "12 --why 'a joke'").add_argument("--why", required=True)
    act("reopen", "open it again, with new clocks", "12 --why 'not paid'").add_argument(
        "--why", required=True
    )
    act("merge", "it is one incident with another case, which goes on", "12 9").add_argument(
        "into", type=number, metavar="other", help="the number of the case that goes on"
    )
    for parser in below.choices.values():
        if parser.get_default("func") is perform:
            flag(parser, "--as", dest="who", metavar="NAME", below=True, help="who acts (default: $USER)")
            flag(parser, "--json", action="store_true", below=True, help="for programs")

    policies = command(commands, "policy", None, "policies of open cases", "listener policy reapply")  # type: ignore[arg-type]
    reapplies = command(
        inner_required(policies), "reapply", reapply, "give open cases their policy as it is configured now"
    )
    flag(reapplies, "--as", dest="who", metavar="NAME", help="who acts (default: $USER)")


def inner_required(parser: argparse.ArgumentParser) -> Commands:
    return parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser, required=True)


def _filters(parser: argparse.ArgumentParser, *, below: bool = False) -> None:
    flag(parser, "--state", choices=STATES, below=below, help="only in this state")
    flag(parser, "--brand", metavar="NAME", below=below, help="only of this brand")
    flag(parser, "--person", metavar="NAME", below=below, help="only what this person is on")
    flag(parser, "--reason", metavar="NAME", below=below, help="only for this reason, such as delivery")
    flag(parser, "--storm", type=number, metavar="N", below=below, help="only those of this storm")
    flag(parser, "--words", default="", below=below, help="only with these words in a text or a name")
    flag(parser, "--limit", type=number, default=50, below=below, metavar="N", help="at most so many (50)")
    flag(parser, "--json", action="store_true", below=below, help="one case a line, for programs")
    if not below:
        parser.set_defaults(who=None)


def duration(text: str) -> timedelta:
    from listener.clock import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


# ---- looking ------------------------------------------------------------------------------------------------


def list_cases(args: argparse.Namespace) -> int:
    from listener.service import read

    filters = {
        key: getattr(args, key) for key in ("state", "brand", "person", "reason", "storm", "words", "limit")
    }
    with opened(args) as app:
        now = app.now()
        found = read.list_cases(app.core, now, **filters)
        several = len(app.config.brands) > 1
    if args.json:
        for case in found:
            say(json_line(case))
        return 0
    rows = [
        (
            case.id,
            case.state,
            due(case, now),
            *([case.brand] if several else []),
            case.reason,
            case.assignee or "-",
            case.customer.name,
            case.mentions[-1].title or case.mentions[-1].text if case.mentions else "",
        )
        for case in found
    ]
    brand = ["brand"] if several else []
    columns = ["case", "state", "due", *brand, "reason", "on it", "customer", "text"]
    table(columns, rows, empty="There are no such cases.")
    return 0


def due(case: CaseView, now: datetime) -> str:
    """When the next clock is due, in few characters."""
    clock = case.next_clock
    if clock is None or clock.due_at is None:
        return "" if not case.open else "paused"
    if clock.due_at < now:
        return f"{length(now - clock.due_at)} late"
    return f"in {length(clock.due_at - now)}"


def show(args: argparse.Namespace) -> int:
    from listener.service import read

    with opened(args) as app:
        now = app.now()
        story = read.story(app.core, args.case, now)
    if args.json:
        say(json_line(story_json(story)))
        return 0
    case = story.case
    say(headline(case, now))
    customer = case.customer
    badges = [f"bad experience number {customer.bad_experiences} in {customer.window_days} days"]
    badges += ["likely to leave"] if customer.likely_to_leave else []
    badges += [f"new, day {customer.day_as_customer}"] if customer.new else []
    badges += [customer.tier] if customer.tier else []
    pairs: list[tuple[str, object]] = [
        ("customer", f"{customer.name} (customer {customer.id}): {', '.join(badges)}"),
        ("opened", f"{at(case.opened_at)} ({ago(case.opened_at, now)})"),
    ]
    for clock in case.clocks:
        late = clock.late_by(now)
        told = "met" if clock.met_at else "paused" if clock.due_at is None else ago(clock.due_at, now)
        when = clock.met_at or clock.due_at
        words = f"{at(when)} ({told}{f', {length(late)} late' if late else ''})".strip()
        pairs.append((clock.name.replace("_", " "), words))
    promise = f", told {case.promise_minutes} min" if case.promise_minutes else ""
    pairs += [
        ("answer", f"{case.answer_url}{promise}" if case.answer_url else None),
        ("muted until", at(case.snoozed_until)),
        ("outcome", case.outcome),
        ("why", ", ".join(f"{w.words or w.rule} {w.share:+.2f}" for w in case.why)),
        ("dashboard", case.url),
        ("parked", story.error),
    ]
    facts(pairs)
    for mention in case.mentions:
        stars = f" · {mention.rating:g} of 5 stars" if mention.rating is not None else ""
        changed = " · deleted" if mention.deleted else " · edited" if mention.edited else ""
        written = at(mention.published or mention.seen)
        say(f"\n{written} · {plain(mention.author)} · {plain(mention.source)}{stars}{changed}")
        for line in paragraphs(f"{mention.title}\n{mention.text}"):
            say(f"    {line}")
        if mention.url:
            say(f"    {plain(mention.url)}")
    say("\nhistory")
    for event in story.events:
        say(f"    {at(event.at)}  {told_event(event)}")
    waiting = [d for d in story.deliveries if d.state not in ("accepted", "superseded")]
    if waiting:
        say("\nmessages not delivered")
        for d in waiting:
            say(f"    {d.responder}: {d.state}, {count(d.attempts, 'attempt')}: {plain(d.error or d.text)}")
    return 0


def headline(case: CaseView, now: datetime) -> str:
    """A case in one line."""
    who = (
        f"{case.assignee} is on it" if case.assignee and case.open else "nobody is on it" if case.open else ""
    )
    clock = case.next_clock
    name = clock.name.replace("_", " ") if clock else ""
    doubt = "is it a complaint?" if case.complaint == "check" and case.open else ""
    parts = [f"case {case.id}", case.brand, case.state, case.reason, case.severity, doubt, who]
    parts += [f"{name} {due(case, now)}" if clock else due(case, now)]
    return " · ".join(plain(part) for part in parts if part)


def told_event(event: Event) -> str:
    """What happened, in one line: the event's own words."""
    values = asdict(event)
    kind, who = values.pop("kind").replace("_", " "), values.pop("actor")
    hidden = {
        "at",
        "complaint",
        "policy",
        "starts_at",
        "first_response_target",
        "answered_at",
        "awaits_answer",
        "clocks",
    }
    details = [
        f"{key.replace('_', ' ')} {at(value) if isinstance(value, datetime) else value}"
        for key, value in values.items()
        if key not in hidden and value not in (None, "", False)
    ]
    return plain(" · ".join(filter(None, [kind, f"by {who}" if who else "", *details])))


def story_json(story: Story) -> dict[str, Any]:
    return {
        "case": story.case,
        "policy": story.policy,
        "events": story.events,
        "deliveries": list(story.deliveries),
        "error": story.error,
    }


# ---- acting -------------------------------------------------------------------------------------------------


def perform(args: argparse.Namespace) -> int:
    from listener.service import act, read

    who = actor(args)
    with opened(args) as app:
        now, core, case = app.now(), app.core, args.case
        do: dict[str, Callable[[], None]] = {
            "claim": lambda: act.claim(core, case, who, now),
            "assign": lambda: act.assign(core, case, who, args.person, now),
            "release": lambda: act.release(core, case, who, now),
            "respond": lambda: act.respond(core, case, who, args.url, now, promise_minutes=args.promise),
            "wait": lambda: act.wait(core, case, who, now),
            "resume": lambda: act.resume(core, case, who, now),
            "snooze": lambda: act.snooze(core, case, who, now + args.time, now),
            "note": lambda: act.note(core, case, who, args.text, now),
            "resolve": lambda: act.resolve(
                core, case, who, args.outcome, now, note=args.note, reason=_reason(app, args.reason)
            ),
            "dismiss": lambda: act.dismiss(core, case, who, args.why, now),
            "reopen": lambda: act.reopen(core, case, who, args.why, now),
            "merge": lambda: act.merge(core, case, who, args.into, now),
        }
        do[args.action]()
        with core.db.read() as connection:
            view = read.case_view(core, connection, case, now)
    say(json_line(view) if args.json else headline(view, now))
    return 0


def _reason(app: App, name: str | None) -> str | None:
    """A reason that there is. Raises ``UsageError``: a misspelt one would be a reason of its own in all figures."""
    from listener.triage import REASONS

    known = sorted({*REASONS, *app.config.triage.reasons})
    if name is not None and name not in known:
        raise UsageError(f"there is no reason {name!r}; there are: {', '.join(known)}")
    return name


def reapply(args: argparse.Namespace) -> int:
    from listener.service import act

    who = actor(args)
    with opened(args) as app:
        changed = act.reapply_policies(app.core, who, app.now())
    say(
        f"{count(changed, 'open case')} changed."
        if changed
        else "Every open case has its policy as configured."
    )
    return 0
