"""The composition root: a configuration becomes wired objects."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from listener.config import Config
from listener.config.models import Source as SourceSection
from listener.fetch import Fetcher, FetchSettings, HostState, SourceMemory
from listener.matching import BrandRules, Matcher
from listener.model import Person
from listener.ports import Connector, Responder
from listener.service.core import Core, Digests, Rules, Source
from listener.storage import sources as source_rows
from listener.storage.database import Database
from listener.storage.sources import SourceSpec
from listener.storm import StormRules
from listener.triage import Triage, TriageSettings

Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class App:
    """Everything wired. ``close`` it in the end."""

    config: Config
    core: Core
    fetcher: Fetcher
    now: Now

    def close(self) -> None:
        self.fetcher.close()
        self.core.db.close()


def build(config: Config, *, now: Now = utc_now) -> App:
    """Open the database (making or migrating it), and wire everything that the configuration names.

    Raises ``StorageError`` when the database can't be used.
    """
    db = Database(config.database_url())
    db.open()
    fetcher = make_fetcher(config, db, now)
    core = Core(
        db=db,
        rules=rules(config),
        matcher=Matcher([_brand_rules(b) for b in config.brands]),
        triage=make_triage(config),
        fetch=fetcher,
        memory=SourceMemory.from_json,
        sources={s.name: _source(s) for s in config.sources},
        responders={name: cast(Responder, r.build()) for name, r in config.responders.items()},
    )
    specs = [_spec(s) for s in config.sources]
    with db.read() as connection:
        current = source_rows.in_step(connection, specs)
    if not current:
        with db.write() as connection:
            source_rows.sync(connection, specs, now())
    # What is loaded by now stays; looking it over for garbage again and again costs polls a tenth of their time.
    gc.freeze()
    return App(config, core, fetcher, now)


def make_fetcher(config: Config, db: Database, now: Now) -> Fetcher:
    """The way out, with what it must remember of hosts kept in the database."""

    def load_host(origin: str) -> HostState | None:
        with db.read() as connection:
            row = source_rows.load_host(connection, origin)
        return HostState(row.robots, row.robots_until, row.not_before) if row else None

    def save_host(origin: str, state: HostState) -> None:
        with db.write() as connection:
            source_rows.save_host(connection, origin, state.robots, state.robots_until, state.not_before)

    return Fetcher(fetch_settings(config), now=now, load_host=load_host, save_host=save_host)


def fetch_settings(config: Config) -> FetchSettings:
    section = config.fetch
    return FetchSettings(
        contact=config.listener.contact,
        allow_private=section.allow_private,
        deadline=section.deadline.total_seconds(),
        max_bytes=int(section.max_bytes),
        max_decoded=int(section.max_decoded),
        host_pace=section.host_pace.total_seconds(),
        host_concurrency=section.host_concurrency,
        robots=section.robots,
    )


def make_triage(config: Config) -> Triage:
    section = config.triage
    settings = TriageSettings(complaint=section.complaint, check=section.check, reasons=section.reasons)
    if section.languages:
        settings = TriageSettings(
            languages=section.languages,
            complaint=section.complaint,
            check=section.check,
            reasons=section.reasons,
        )
    return Triage(settings)


def rules(config: Config) -> Rules:
    """What the configuration says about cases and people."""
    names = {"default", *config.policies}
    return Rules(
        policies={name: config.policy(name) for name in names},
        brand_policies={b.name: b.policy for b in config.brands},
        people={name: Person(name, handles) for name, handles in config.people.items()},
        groups=config.groups,
        bad_experience_window=config.customers.window,
        new_customer_days=config.customers.new_days,
        backfill_alert=config.alerts.backfill_alert,
        keep_text=config.retention.text,
        fallback=config.alerts.fallback,
        fallback_after=config.alerts.fallback_after,
        public_url=config.web.public_url,
        duty=config.rotation(),
        reply_folder=config.reply_folder(),
        storm=StormRules(**dict(config.storm)),
        digests=Digests(**config.digest.sent_at(), zone=config.digest.zone, channel=config.digest.channel),
    )


def _brand_rules(brand: Any) -> BrandRules:
    return BrandRules(
        name=brand.name,
        names=brand.names,
        phrases=brand.phrases,
        case_sensitive=brand.case_sensitive,
        exclude=brand.exclude,
        competitors=brand.competitors,
    )


def _source(section: SourceSection) -> Source:
    return Source(
        name=section.name,
        connector=cast(Connector, section.build()),
        every=section.every,
        brand=section.brand,
        policy=section.policy,
        own_accounts=frozenset(section.own_accounts),
    )


def _spec(section: SourceSection) -> SourceSpec:
    """Secrets are left out of the hash: a new token is no new place."""
    options = section.build().model_dump_json()
    return SourceSpec(
        name=section.name,
        connector=section.connector,
        options_hash=hashlib.sha256(json.dumps([section.connector, options]).encode()).hexdigest(),
        paused=section.paused,
    )
