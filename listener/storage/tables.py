"""The tables. Instants are stored as microseconds since 1970-01-01 UTC, so that one SQL works on every database:
an integer sorts, indexes and divides into days alike on SQLite and PostgreSQL, and can't lose its zone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(value: datetime) -> int:
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return (value - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime in, the same out; a naive one is refused."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


# Partial indexes carry their condition for SQLite only: naming PostgreSQL's would import its dialect, 45 ms at each
# start. The migrations, which alone create the schema, name both.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives a rowid-backed key only to INTEGER; PostgreSQL wants BIGINT.
_Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True)


sources = Table(
    "sources",
    metadata,
    _id(),
    Column("name", String(200), nullable=False, unique=True),
    Column("connector", String(100), nullable=False),
    Column("options_hash", String(64), nullable=False),  # other options: cursor and validators start anew
    # active, paused (by a person), off (by the configuration), stopped (410), parked (a bug), removed
    Column("state", String(20), nullable=False),
    Column("cursor", Text),
    Column("http_memory", Text),
    Column("first_poll_done_at", Instant),
    Column("next_poll_at", Instant, nullable=False),
    Column("lease_until", Instant),
    Column("lease_token", String(32)),
    Column("last_poll_at", Instant),
    Column("last_success_at", Instant),
    Column("last_new_at", Instant),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Column("error_at", Instant),
    Column("mentions_found", Integer, nullable=False, server_default="0"),
    Index(
        "ix_sources_due",
        "next_poll_at",
        sqlite_where=text("state = 'active'"),
    ),
)

hosts = Table(  # what politeness must remember of a host across restarts
    "hosts",
    metadata,
    Column("origin", String(300), primary_key=True),
    Column("robots", Text),
    Column("robots_until", Instant),
    Column("not_before", Instant),
)

customers = Table(
    "customers",
    metadata,
    _id(),
    Column("name", String(300), nullable=False),
    Column("since", Instant),  # when they became a customer; unknown for most
    Column("tier", String(100)),
    Column("note", Text),
    Column("created_at", Instant, nullable=False),
)

authors = Table(
    "authors",
    metadata,
    _id(),
    Column("platform", String(200), nullable=False),
    Column("platform_id", String(500), nullable=False),
    Column("name", String(300), nullable=False),
    Column("url", Text),
    Column("customer_id", ForeignKey("customers.id"), nullable=False, index=True),
    Column("first_seen_at", Instant, nullable=False),
    UniqueConstraint("platform", "platform_id"),
)

mentions = Table(
    "mentions",
    metadata,
    _id(),
    Column("source_id", ForeignKey("sources.id"), nullable=False),
    Column("external_id", String(500), nullable=False),
    Column("brand", String(200), nullable=False),
    Column("competitor", String(200)),  # named instead of the brand: counted, never a case
    Column("author_id", ForeignKey("authors.id"), index=True),
    Column("case_id", ForeignKey("cases.id"), index=True),
    Column("thread", String(1000)),
    Column("url", Text),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("rating", Float),
    Column("content_hash", String(32), nullable=False),
    Column("published_at", Instant),
    Column("seen_at", Instant, nullable=False),
    Column("edited_at", Instant),
    Column("deleted_at", Instant),
    Column("lang", String(20), nullable=False),
    Column("compound", Float, nullable=False),
    Column("probability", Float, nullable=False),
    Column("complaint", String(20), nullable=False),
    Column("reason", String(50), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("why", JSON, nullable=False),
    UniqueConstraint("source_id", "external_id"),
    Index("ix_mentions_seen", "seen_at", "id"),
)

cases = Table(
    "cases",
    metadata,
    _id(),
    Column("brand", String(200), nullable=False),
    Column("customer_id", ForeignKey("customers.id"), nullable=False),
    Column("state", String(20), nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("reason", String(50), nullable=False),
    Column("severity", String(20), nullable=False),
    Column("complaint", String(20), nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("assignee", String(200)),
    Column("opened_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("due_at", Instant),  # of the running clock that is due first
    Column("next_alarm_at", Instant),
    Column(
        "first_response_due_at", Instant
    ),  # of the present cycle, with when it was met: the SLA's raw figures
    Column("first_response_at", Instant),
    Column("body", JSON, nullable=False),  # the whole state, derived from the events
    Column("error", Text),  # parked: an alarm of it could not be worked out
    Column("storm_id", ForeignKey("storms.id")),  # opened while that storm was on
    Index("ix_cases_customer", "customer_id", "changed_at"),
    Index("ix_cases_opened", "opened_at"),
    # Holds all that counting a brand's cases by the hour needs: four weeks are counted within a poll's transaction.
    Index("ix_cases_brand", "brand", "opened_at", "state"),
    Index(
        "ix_cases_parked",
        "id",
        sqlite_where=text("error IS NOT NULL"),
    ),
    # Partial: open cases stay few while closed ones grow for years (50 soonest due of a million: .04 ms, not 50).
    Index(
        "ix_cases_due",
        "due_at",
        "id",
        sqlite_where=text("closed_at IS NULL"),
    ),
    Index(
        "ix_cases_alarm",
        "next_alarm_at",
        sqlite_where=text("next_alarm_at IS NOT NULL"),
    ),
    Index(
        "ix_cases_storm",
        "storm_id",
        sqlite_where=text("storm_id IS NOT NULL"),
    ),
)

storms = Table(  # many complaints of one brand at once
    "storms",
    metadata,
    _id(),
    Column("brand", String(200), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("usual_per_hour", Float, nullable=False),  # complaint cases, learned when it began
    Column("looked_at", Instant, nullable=False),
    Column("told_cases", Integer, nullable=False),  # what its message says, or will when it is delivered
    Column("told_open", Integer, nullable=False),
    # One storm of a brand at a time, whatever two processes do.
    Index(
        "ix_storms_on",
        "brand",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
    ),
)

events = Table(  # append-only
    "events",
    metadata,
    _id(),
    Column("case_id", ForeignKey("cases.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("actor", String(200)),
    Column("body", JSON, nullable=False),
    UniqueConstraint("case_id", "seq"),
    Index("ix_events_at", "at"),
)

alarms = Table(
    "alarms",
    metadata,
    _id(),
    Column("case_id", ForeignKey("cases.id"), nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("clock", String(40), nullable=False),
    Column("step", String(100), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column(
        "skipped", Boolean, nullable=False
    ),  # superseded by a later step, muted, or nobody needs it any more
    UniqueConstraint("case_id", "cycle", "clock", "step"),
)

deliveries = Table(  # the outbox
    "deliveries",
    metadata,
    _id(),
    Column("key", String(200), nullable=False, unique=True),
    Column("responder", String(100), nullable=False),
    Column("case_id", ForeignKey("cases.id")),
    Column("channel", String(200)),
    Column("kind", String(20), nullable=False),
    Column("text", Text, nullable=False),
    Column("call", JSON, nullable=False),  # names of the people to call
    Column("state", String(20), nullable=False),  # pending, accepted, superseded, parked
    Column("created_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", Instant, nullable=False),
    Column("lease_until", Instant),
    Column("lease_token", String(32)),
    Column("uncertain", Boolean, nullable=False, server_default=text("false")),
    Column("accepted_at", Instant),
    Column("error", Text),
    Column("fell_back", Boolean, nullable=False, server_default=text("false")),
    Column("storm_id", ForeignKey("storms.id")),  # the storm's own message, or one for its thread
    Index(
        "ix_deliveries_pending",
        "responder",
        "next_attempt_at",
        sqlite_where=text("state = 'pending'"),
    ),
    Index(
        "ix_deliveries_parked",
        "id",
        sqlite_where=text("state = 'parked'"),
    ),
    Index("ix_deliveries_case", "case_id", "responder", "id"),
    # Only the storms' own messages, for which those of thousands of cases wait.
    Index(
        "ix_deliveries_storm",
        "storm_id",
        "responder",
        "id",
        sqlite_where=text("storm_id IS NOT NULL AND case_id IS NULL"),
    ),
)

case_messages = Table(  # where a responder put a case's message, to edit it in place and to thread
    "case_messages",
    metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("responder", String(100), primary_key=True),
    Column("ref", JSON, nullable=False),
)

storm_messages = Table(  # where a responder put a storm's message
    "storm_messages",
    metadata,
    Column("storm_id", ForeignKey("storms.id"), primary_key=True),
    Column("responder", String(100), primary_key=True),
    Column("ref", JSON, nullable=False),
)

bad_experiences = Table(
    "bad_experiences",
    metadata,
    _id(),
    Column("customer_id", ForeignKey("customers.id"), nullable=False),
    Column("case_id", ForeignKey("cases.id")),
    Column("mention_id", ForeignKey("mentions.id")),  # heard before Listener opened cases: history
    Column("key", String(100), nullable=False, unique=True),  # what it is of; counted once
    Column("kind", String(20), nullable=False),  # complaint, reopening, promise, history
    Column("at", Instant, nullable=False),
    Column("taken_back_at", Instant),
    Index("ix_bad_experiences_customer", "customer_id", "at"),
    Index("ix_bad_experiences_case", "case_id"),
)

labels = Table(  # what people said of a mention: examples to learn from
    "labels",
    metadata,
    _id(),
    Column("mention_id", ForeignKey("mentions.id"), nullable=False, index=True),
    Column("label", String(40), nullable=False),  # not_complaint, reason:<name>
    Column("why", Text, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("at", Instant, nullable=False),
)

jobs = Table(  # when each of the three jobs last ran, whichever process ran it
    "jobs",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("last_run_at", Instant, nullable=False),
    Column("seconds", Float, nullable=False),
)

web_sessions = Table(
    "web_sessions",
    metadata,
    Column("id_hash", String(64), primary_key=True),
    Column("csrf", String(64), nullable=False),
    Column("person", String(200)),
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant, nullable=False),
)

settings = Table(  # the few things that the program itself must remember, such as the web token's hash
    "settings",
    metadata,
    Column("key", String(100), primary_key=True),
    Column("value", Text, nullable=False),
)

handled = Table(  # actions that must have one effect, however often they are asked for
    "handled",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("at", Instant, nullable=False, index=True),
)
