"""customers, mentions, sources."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime
from typing import Any

from listener.cli.cases import headline
from listener.cli.output import ago, at, facts, json_line, paragraphs, plain, say, table
from listener.cli.parts import Commands, command, flag, inner, number, opened
from listener.errors import UsageError


def add(commands: Commands) -> None:
    top = command(
        commands,
        "customers",
        list_customers,
        "list customers, show all about one, or edit one",
        "listener customers --words mia",
        "listener customers edit 4 --since 2026-01-31 --tier gold",
    )
    _words(top)
    below = inner(top)
    _words(command(below, "list", list_customers, "list customers, the most let down first"), below=True)
    _show(below, show_customer, "show all about one customer", "listener customers show 4")
    edits = command(
        below, "edit", edit_customer, "change what is known of a customer; '' forgets it",
        "listener customers edit 4 --tier gold",
    )  # fmt: skip
    edits.add_argument("id", type=number)
    edits.add_argument("--name")
    edits.add_argument("--since", metavar="DATE", help="customer since, like 2026-01-31")
    edits.add_argument("--tier")
    edits.add_argument("--note")

    top = command(
        commands, "mentions", list_mentions, "list what was heard, or show one mention",
        "listener mentions --brand Acme --complaint complaint --json",
    )  # fmt: skip
    _mention_filters(top)
    below = inner(top)
    _mention_filters(command(below, "list", list_mentions, "list mentions, the newest first"), below=True)
    _show(below, show_mention, "show one mention with its verdict", "listener mentions show 7")

    top = command(
        commands, "sources", list_sources, "list sources with their health, show, pause or poll one",
        "listener sources poll town-forum",
    )  # fmt: skip
    flag(top, "--json", action="store_true", help="one source a line, for programs")
    below = inner(top)
    lists = command(below, "list", list_sources, "list sources with their health")
    flag(lists, "--json", action="store_true", below=True, help="one source a line, for programs")
    shows = command(below, "show", show_source, "show one source", "listener sources show town-forum")
    shows.add_argument("name")
    flag(shows, "--json", action="store_true", below=True, help="for programs")
    for action, help_text in {
        "pause": "don't poll it until it is resumed",
        "resume": "poll it again, at once, and forget its errors",
        "poll": "poll it at the next chance",
    }.items():
        acts = command(
            below, action, set_source, help_text, f"listener sources {action} town-forum", action=action
        )
        acts.add_argument("name")


def _show(below: Commands, func: Any, help_text: str, example: str) -> None:
    parser = command(below, "show", func, help_text, example)
    parser.add_argument("id", type=number)
    flag(parser, "--json", action="store_true", below=True, help="for programs")


def _words(parser: argparse.ArgumentParser, *, below: bool = False) -> None:
    flag(parser, "--words", default="", below=below, help="only with this in the name")
    flag(parser, "--limit", type=number, default=50, below=below, metavar="N", help="at most so many (50)")
    flag(parser, "--json", action="store_true", below=below, help="one customer a line, for programs")


def _mention_filters(parser: argparse.ArgumentParser, *, below: bool = False) -> None:
    labels = ("complaint", "check", "not")
    flag(parser, "--brand", metavar="NAME", below=below, help="only of this brand")
    flag(parser, "--source", metavar="NAME", below=below, help="only from this source")
    flag(parser, "--complaint", choices=labels, below=below, help="only with this verdict")
    flag(parser, "--words", default="", below=below, help="only with these words")
    flag(parser, "--limit", type=number, default=50, below=below, metavar="N", help="at most so many (50)")
    flag(parser, "--json", action="store_true", below=below, help="one mention a line, for programs")


def day(text: str) -> datetime | None:
    """Midnight UTC of a day; None for ''. Raises ``UsageError``."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError:
        raise UsageError(f"{text!r} is not a date like 2026-01-31") from None


# ---- customers ----------------------------------------------------------------------------------------------


def list_customers(args: argparse.Namespace) -> int:
    from listener.service import read

    with opened(args) as app:
        found = read.list_customers(app.core, app.now(), words=args.words, limit=args.limit)
    if args.json:
        for line in found:
            say(json_line(line))
        return 0
    rows = [
        (
            line.customer.id,
            line.customer.bad_experiences,
            line.open_cases,
            line.customer.tier or "-",
            "likely to leave" if line.customer.likely_to_leave else "new" if line.customer.new else "",
            line.customer.name,
        )
        for line in found
    ]
    columns = ["customer", "bad experiences", "open cases", "tier", "", "name"]
    table(columns, rows, empty="There are no such customers.")
    return 0


def show_customer(args: argparse.Namespace) -> int:
    from listener.service import read

    with opened(args) as app:
        now = app.now()
        page = read.customer_page(app.core, args.id, now)
    if args.json:
        fields = ("customer", "since", "note", "identities", "cases", "mentions", "bad_experiences")
        say(json_line({name: getattr(page, name) for name in fields}))
        return 0
    view = page.customer
    say(f"customer {view.id} · {plain(view.name)}")
    facts(
        [
            ("bad experiences", f"{view.bad_experiences} in {view.window_days} days"),
            ("likely to leave", "yes" if view.likely_to_leave else None),
            (
                "customer since",
                f"{page.since:%Y-%m-%d}{' (new)' if view.new else ''}" if page.since else None,
            ),
            ("tier", view.tier),
            ("note", page.note),
            ("writes as", ", ".join(f"{i.name} ({i.platform})" for i in page.identities)),
        ]
    )
    for case in page.cases:
        say(headline(case, now))
    for mention in page.mentions:
        say(f"mention {mention.id} · {at(mention.seen_at)} · {plain(mention.title or mention.text)[:150]}")
    return 0


def edit_customer(args: argparse.Namespace) -> int:
    from listener.service import act

    values: dict[str, object] = {}
    since = None
    for name, limit in (("name", 300), ("tier", 100), ("note", 10_000)):
        text = getattr(args, name)
        if text is not None:
            values[name] = text.strip()[:limit] or None
    if values.get("name", "") is None:
        raise UsageError("a customer's name can't be empty")
    if args.since is not None:
        values["since"] = since = day(args.since)
    if not values:
        raise UsageError("say what to change: --name, --since, --tier or --note")
    with opened(args) as app:
        if since is not None and since > app.now():
            raise UsageError("--since is in the future")
        act.edit_customer(app.core, args.id, **values)
    say(f"Customer {args.id} changed.")
    return 0


# ---- mentions -----------------------------------------------------------------------------------------------


def list_mentions(args: argparse.Namespace) -> int:
    from listener.service import read

    filters = {key: getattr(args, key) for key in ("brand", "source", "complaint", "words", "limit")}
    with opened(args) as app:
        now = app.now()
        found = read.list_mentions(app.core, **filters)
    if args.json:
        for row in found:
            say(json_line(row))
        return 0
    rows = [
        (
            row.id,
            ago(row.published_at or row.seen_at, now),
            row.source,
            row.complaint,
            row.case_id or "-",
            row.author or "unknown",
            f"{row.title}: {row.text}" if row.title else row.text,
        )
        for row in found
    ]
    columns = ["mention", "written", "source", "verdict", "case", "author", "text"]
    table(columns, rows, empty="There are no such mentions.")
    return 0


def show_mention(args: argparse.Namespace) -> int:
    from listener.storage import mentions

    with opened(args) as app, app.core.db.read() as connection:
        now = app.now()
        row = mentions.get(connection, args.id)
    if row is None:
        raise UsageError(f"There is no mention {args.id}.")
    if args.json:
        say(json_line(row))
        return 0
    say(f"mention {row.id} · {plain(row.brand)} · {plain(row.source)} · {plain(row.author or 'unknown')}")
    facts(
        [
            (
                "published",
                f"{at(row.published_at)} ({ago(row.published_at, now)})" if row.published_at else None,
            ),
            ("seen", f"{at(row.seen_at)} ({ago(row.seen_at, now)})"),
            ("edited", at(row.edited_at)),
            ("deleted", at(row.deleted_at)),
            ("stars", f"{row.rating:g} of 5" if row.rating is not None else None),
            ("case", row.case_id),
            ("names instead", row.competitor),
            ("language", row.lang),
            ("verdict", f"{row.complaint} ({row.probability:.0%}), {row.reason}, {row.severity}"),
            ("sentiment", f"{row.compound:+.2f}"),
            ("why", ", ".join(f"{w['words'] or w['rule']} {w['share']:+.2f}" for w in row.why)),
            ("address", row.url),
        ]
    )
    say()
    for line in paragraphs(f"{row.title}\n{row.text}"):
        say(f"    {line}")
    return 0


# ---- sources ------------------------------------------------------------------------------------------------


def list_sources(args: argparse.Namespace) -> int:
    from listener.service import read

    with opened(args) as app:
        now = app.now()
        found = read.list_sources(app.core)
    if args.json:
        for row in found:
            say(json_line(source_json(row)))
        return 0
    rows = [
        (
            row.name,
            row.connector,
            state(row),
            ago(row.last_success_at, now) or "never",
            ago(row.next_poll_at, now) if row.state == "active" else "-",
            row.mentions_found,
            row.error or "",
        )
        for row in found
    ]
    columns = ["source", "kind", "state", "last read", "next poll", "mentions", "error"]
    table(columns, rows, empty="No sources are configured.")
    return 0


def state(row: Any) -> str:
    """A source's state, where ``failing`` is active with errors."""
    return "failing" if row.state == "active" and row.failures else str(row.state)


def source_json(row: Any) -> dict[str, Any]:
    """Without what belongs to the poller alone."""
    private = {"options_hash", "cursor", "http_memory", "lease_until", "lease_token"}
    return {key: value for key, value in row._asdict().items() if key not in private}


def show_source(args: argparse.Namespace) -> int:
    from listener.service import read

    with opened(args) as app:
        now = app.now()
        row = next((r for r in read.list_sources(app.core) if r.name == args.name), None)
        section = next((s for s in app.config.sources if s.name == args.name), None)
    if row is None or section is None:
        raise UsageError(f"There is no source {args.name!r}.")
    if args.json:
        say(json_line(source_json(row)))
        return 0
    say(f"source {plain(row.name)} · {plain(row.connector)} · {state(row)}")
    facts(
        [
            ("brand", section.brand),
            ("last poll", ago(row.last_poll_at, now)),
            ("last read", ago(row.last_success_at, now) or "never"),
            ("last news", ago(row.last_new_at, now)),
            ("next poll", ago(row.next_poll_at, now) if row.state == "active" else None),
            ("mentions", row.mentions_found),
            ("failures", f"{row.failures} in a row" if row.failures else None),
            ("error", f"{row.error} ({ago(row.error_at, now)})" if row.error else None),
        ]
    )
    for name, value in section.build().model_dump(exclude_unset=True).items():  # it shows no secret
        say(f"option {plain(name)} = {plain(value)}")
    return 0


def set_source(args: argparse.Namespace) -> int:
    from listener.service import act

    with opened(args) as app:
        if args.action == "poll":
            act.poll_soon(app.core, args.name, app.now())
        else:
            new = {"pause": "paused", "resume": "active"}[args.action]
            act.set_source_state(app.core, args.name, new, app.now())
    done = {
        "pause": "is paused",
        "resume": "is active; it is polled at the next chance",
        "poll": "is polled next",
    }
    say(f"Source {args.name} {done[args.action]}.")
    return 0
