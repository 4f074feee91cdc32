"""``poll(source)``: read a source's new pages, one transaction a page, and decide what becomes a case."""

from __future__ import annotations

import hashlib
import random
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import httpx

from listener.errors import NotModified, NotOurTurn, RetryLater, SourceError, SourceGone, StorageError
from listener.matching import Hit
from listener.model import Author, Mention, Page, Skipped
from listener.ports import Selective, matched_text
from listener.service.core import Core, Now, Source, Tell, log, queue, verdict_columns
from listener.storage import Connection
from listener.storage import customers as customer_rows
from listener.storage import mentions as mention_rows
from listener.storage import sources as source_rows
from listener.storage.sources import LeasedSource

if TYPE_CHECKING:
    from listener.service.incidents import Heard

LEASE = timedelta(minutes=10)  # longer than any one page may take; renewed with each page
MAX_PAGES = 200  # of one poll; the cursor goes on from there at the next
MAX_BACKOFF = timedelta(hours=6)
MAX_FLOOR = timedelta(hours=24)  # a feed that wishes for a week is asked once a day all the same
MAX_TEXT = 200_000  # characters; twice the longest review or post seen, and it keeps a row harmless
MAX_REMEMBERED = 200  # texts of one poll whose hits are known, as selecting and storing both ask for them
EARLIEST = datetime(1995, 1, 1, tzinfo=UTC)  # older than any review site: such a date is a mistake


Hits = Callable[[str], tuple[Hit, ...]]  # what the matcher finds in a text


@dataclass(slots=True)
class Report:
    """What one poll brought."""

    source: str
    mentions: int = 0
    new: int = 0
    cases: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    error: str | None = None
    waits_for_turn: bool = False  # other sources are first at its host
    unchanged: Unchanged | None = None


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A poll that found nothing new. There is no page to store, so many of these share one transaction."""

    leased: LeasedSource
    row: dict[str, Any]


def lease_due(core: Core, now: datetime, token: str, *, limit: int) -> list[LeasedSource]:
    """Take due sources for this process, the longest overdue first. Give the rest back with ``give_back``."""
    with core.db.write() as connection:
        return source_rows.lease_due(connection, now, LEASE, token, limit)


def give_back(core: Core, token: str) -> None:
    """Give back all that this process leased under the token."""
    with core.db.write() as connection:
        source_rows.release_all(connection, token)


def poll(core: Core, leased: LeasedSource, now: Now) -> Report:
    """Poll one leased source. What fails is written on the source, which backs off; only a broken database raises.

    A report with ``unchanged`` is not written down yet: hand some together to ``save_unchanged``.
    """
    with core.fetch.computing():
        return _poll(core, leased, now)


def _poll(core: Core, leased: LeasedSource, now: Now) -> Report:
    source = core.sources[leased.name]
    report = Report(source.name)
    memory = core.memory(leased.http_memory)
    wish: timedelta | None = None
    try:
        http = core.fetch.client(memory)
        cursor = leased.cursor
        hits = lru_cache(MAX_REMEMBERED)(core.matcher.hits)
        read = _reader(source, hits)
        for number in range(MAX_PAGES):
            page = read(http, cursor)
            wish = page.poll_after
            last = not page.more or page.cursor == cursor or number == MAX_PAGES - 1
            row: dict[str, Any] = {"lease_until": now() + LEASE}
            if last:
                row = _success(source, leased, memory, wish, now())
            row["cursor"] = page.cursor
            if not _store(core, source, leased, page, hits, now(), row, report, last=last):
                report.error = "another process has taken this source over"
                return report
            cursor = page.cursor
            if last:
                break
    except NotModified:
        report.unchanged = Unchanged(leased, _success(source, leased, memory, wish, now()))
    except SourceGone as error:
        _fail(core, source, leased, report, str(error), now(), state="stopped")
    except RetryLater as error:
        report.error = str(error)
        row = _released(now() + timedelta(seconds=error.seconds))
        if isinstance(error, NotOurTurn):
            report.waits_for_turn = True
        else:
            row |= {"error": report.error, "error_at": now()}
        if not error.asked:
            row["failures"] = leased.failures + 1
        _save(core, leased, row)
    except SourceError as error:
        _fail(core, source, leased, report, str(error), now())
    except StorageError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug parks this source and never stops the others
        log.exception("source %s: a bug stopped its poll", source.name)
        place = traceback.extract_tb(error.__traceback__)[-1]
        message = f"a bug stopped it: {type(error).__name__}: {error} ({place.name}, line {place.lineno})"
        _fail(core, source, leased, report, message, now(), state="parked")
    return report


def _reader(source: Source, hits: Hits) -> Callable[[httpx.Client, str | None], Page]:
    """How the source is read: where only what names a brand is taken, the rest need not even be made."""
    connector = source.connector
    if source.brand is None and isinstance(connector, Selective):
        return partial(connector.select, wanted=lambda text: bool(hits(text)))
    return connector.poll


def save_unchanged(core: Core, found: Sequence[Unchanged]) -> None:
    """Write down polls that found nothing new, in one transaction (a tenth of the time of one each)."""
    with core.db.write() as connection:
        source_rows.save_unchanged(connection, [(u.leased, u.row) for u in found])


# ---- the outcome on the source ------------------------------------------------------------------------------


def _released(next_poll_at: datetime) -> dict[str, Any]:
    return {"next_poll_at": next_poll_at, "lease_until": None, "lease_token": None}


def _success(
    source: Source, leased: LeasedSource, memory: Any, wish: timedelta | None, now: datetime
) -> dict[str, Any]:
    floor = max(wish or timedelta(0), memory.poll_after or timedelta(0))
    pause = max(source.every, min(floor, MAX_FLOOR))
    # A little jitter, so that sources added together do not knock together for ever.
    values = _released(now + pause * random.uniform(1.0, 1.1))  # noqa: S311 - spreads load, guards nothing
    values |= {
        "last_success_at": now,
        "failures": 0,
        "error": None,
        "error_at": None,
        "http_memory": memory.to_json(),
    }
    if leased.first_poll:
        values["first_poll_done_at"] = now
    return values


def _fail(
    core: Core,
    source: Source,
    leased: LeasedSource,
    report: Report,
    message: str,
    now: datetime,
    state: str | None = None,
) -> None:
    report.error = message
    pause = min(source.every * 2 ** min(leased.failures + 1, 16), max(MAX_BACKOFF, source.every))
    values = _released(now + pause * random.uniform(0.9, 1.1))  # noqa: S311 - spreads load, guards nothing
    values |= {"error": message, "error_at": now, "failures": leased.failures + 1}
    if state is not None:
        values["state"] = state
    with core.db.write() as connection:
        if source_rows.save_poll(connection, leased, **values) and state is not None:
            text = f"Source {source.name} {state}: {message}"
            queue(core, connection, f"source-{leased.id}-{leased.token}", None, now, [Tell("system", text)])
    log.warning("source %s: %s", source.name, message)


def _save(core: Core, leased: LeasedSource, values: dict[str, Any]) -> None:
    with core.db.write() as connection:
        source_rows.save_poll(connection, leased, **values)


# ---- one page -----------------------------------------------------------------------------------------------


def _store(
    core: Core,
    source: Source,
    leased: LeasedSource,
    page: Page,
    hits: Hits,
    now: datetime,
    row: dict[str, Any],
    report: Report,
    *,
    last: bool,
) -> bool:
    """Store the page in one transaction; False when the lease was lost. Scoring is done before, outside it.

    A last page that brings nothing is left to ``save_unchanged``.
    """
    found = {m.external_id: m for raw in page.mentions if (m := _clean(source, raw, now)) is not None}
    about = {m.external_id: hit for m in found.values() if (hit := _about(source, m, hits)) is not None}
    known: dict[str, Any] = {}
    if about:
        with core.db.read() as connection:
            known = mention_rows.known(connection, leased.id, list(about))
    fresh = []
    for external_id, (brand, competitor) in about.items():
        mention, before = found[external_id], known.get(external_id)
        digest = _content_hash(mention)
        # Text that retention has deleted is not heard anew.
        if before is None or (before.content_hash != digest and before.text):
            fresh.append((mention, brand, competitor, digest, before))
    report.mentions += len(page.mentions)
    report.skipped += page.skipped
    if last and not fresh:
        report.unchanged = Unchanged(leased, row)
        return True
    from listener.service.incidents import Heard, edited, settle  # cron's quiet calls do without its 60 ms

    new, changed = [], []
    for mention, brand, competitor, digest, before in fresh:
        verdict = core.triage.verdict(
            mention.text, title=mention.title, rating=mention.rating, lang=mention.lang
        )
        item = Heard(mention, brand, competitor, digest, verdict)
        if before is None:
            new.append(item)
        else:
            changed.append((item, before))
    with core.db.write() as connection:
        if not source_rows.save_poll(connection, leased, new=len(new), now=now, **row):
            return False
        _add(core, connection, leased, new, now)
        opened = settle(core, connection, source, new, now, backfill=leased.first_poll)
        for item, before in changed:
            opened += edited(core, connection, source, item, before, now)
    report.new += len(new)
    report.cases += opened
    return True


def _clean(source: Source, mention: Mention, now: datetime) -> Mention | None:
    """The mention as it can be stored; None when it is the brand's own."""
    author = _author(mention.author)
    if author is not None and source.own_accounts & {author.name, author.platform_id}:
        return None
    published = mention.published
    if published is not None and not EARLIEST <= published <= now + timedelta(hours=24):
        published = None  # a mistake (1793, 2099): better unknown than wrong
    elif published is not None:
        published = min(published, now)  # their clock is ahead of ours
    return replace(
        mention,
        external_id=_key(mention.external_id, 500),
        text=_fit(mention.text),
        title=_fit(mention.title)[:2000],
        url=_fit(mention.url)[:2000] if mention.url else None,
        author=author,
        published=published,
        thread=_key(mention.thread, 1000) if mention.thread else None,
    )


def _about(source: Source, mention: Mention, hits: Hits) -> tuple[str, str | None] | None:
    """The brand that the mention is about, and the competitor that it names instead; None: neither."""
    if source.brand is not None:
        return source.brand, None
    found = hits(matched_text(mention.title, mention.text))
    if not found:
        return None
    own = [hit for hit in found if not hit.competitor]
    return (own[0].brand, None) if own else (found[0].brand, found[0].words)


def _content_hash(mention: Mention) -> str:
    content = f"{mention.title}\0{mention.text}\0{mention.rating}"
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _fit(text: str) -> str:
    """Text that every database takes: no NUL, no lone surrogate, not endless."""
    return text[:MAX_TEXT].replace("\0", "").encode("utf-8", "replace").decode()


def _key(text: str, limit: int) -> str:
    """An id that fits its column; one that is too long is replaced by its hash."""
    text = _fit(text)
    return text if len(text) <= limit else hashlib.sha256(text.encode()).hexdigest()


def _author(author: Author | None) -> Author | None:
    if author is None:
        return None
    key = _key(author.platform_id, 500)
    url = _fit(author.url)[:2000] if author.url else None
    return Author(_fit(author.platform)[:200], key, _fit(author.name)[:300] or key[:300], url)


def _add(
    core: Core, connection: Connection, leased: LeasedSource, new: Sequence[Heard], now: datetime
) -> None:
    """Insert the new mentions with their authors and customers; fills in the ids."""
    authors, made = customer_rows.resolve_authors(
        connection, [h.mention.author for h in new if h.mention.author is not None], now
    )
    for item in new:
        author = item.mention.author
        if author is not None:
            item.author_id, item.customer_id = authors[author.platform, author.platform_id]
            item.new_customer = item.customer_id in made
    ids = mention_rows.add(connection, leased.id, [_row(item, leased.id, now) for item in new])
    for item, mention_id in zip(new, ids, strict=True):
        item.id = mention_id


def _row(item: Heard, source_id: int, now: datetime) -> dict[str, Any]:
    mention = item.mention
    return {
        "source_id": source_id,
        "external_id": mention.external_id,
        "brand": item.brand,
        "competitor": item.competitor,
        "author_id": item.author_id,
        "thread": mention.thread,
        "url": mention.url,
        "title": mention.title,
        "text": mention.text,
        "rating": mention.rating,
        "content_hash": item.content_hash,
        "published_at": mention.published,
        "seen_at": now,
        "edited_at": mention.edited,
        **verdict_columns(item.verdict),
    }
