"""Which case a mention belongs to: an open one, one to reopen, a new one, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from listener import cases
from listener.cases import EVENT, Case
from listener.clock import Policy, starts_at
from listener.model import SEVERITIES, ClockName, Mention, State, Verdict
from listener.service import duty, storm
from listener.service.core import Core, Source, Tell, verdict_columns
from listener.service.record import Open, columns, follow_up, from_row, record, survivor
from listener.storage import Connection, Row
from listener.storage import cases as case_rows
from listener.storage import customers as customer_rows
from listener.storage import mentions as mention_rows
from listener.triage import near_duplicate


@dataclass(slots=True)
class Heard:
    """A mention on its way into the database."""

    mention: Mention
    brand: str
    competitor: str | None
    content_hash: str
    verdict: Verdict
    id: int = 0
    author_id: int | None = None
    customer_id: int | None = None
    new_customer: bool = False

    @property
    def needs_answer(self) -> bool:
        """A complaint, or perhaps one: missing a complaint is worse than showing one too many."""
        return self.competitor is None and self.verdict.complaint != "not"


def settle(
    core: Core,
    connection: Connection,
    source: Source,
    heard: Sequence[Heard],
    now: datetime,
    *,
    backfill: bool,
) -> int:
    """Put each new mention where it belongs; how many cases were opened or reopened."""
    opened, brands = 0, set()
    for item in heard:
        published = item.mention.published
        if backfill and (published is None or published < now - core.rules.backfill_alert):
            # The first poll of a source brings years: stored, scored and counted, but no clock and no storm.
            _count_history(connection, item, now)
        else:
            settled = _settle_one(core, connection, source, item, now)
            opened += settled
            if settled:
                brands.add(item.brand)
    storm.look(core, connection, brands, now)
    return opened


def edited(
    core: Core, connection: Connection, source: Source, item: Heard, row: Row[Any], now: datetime
) -> int:
    """A known mention's text or stars have changed: the case is told, and a resolved one may be confirmed by it."""
    mention_rows.change(
        connection,
        row.id,
        title=item.mention.title,
        text=item.mention.text,
        rating=item.mention.rating,
        content_hash=item.content_hash,
        edited_at=item.mention.edited or now,
        deleted_at=None,
        **verdict_columns(item.verdict),
    )
    if row.case_id is None:
        item.id, item.author_id = row.id, row.author_id
        item.customer_id = customer_rows.of_author(connection, row.author_id)
        return _settle_one(core, connection, source, item, now) if item.needs_answer else 0
    case_row = case_rows.lock(connection, row.case_id)
    if case_row is None:
        return 0
    found = from_row(connection, case_row)
    events: list[cases.Event] = [
        cases.MentionChanged(
            at=now,
            mention_id=row.id,
            change="edited",
            before=row.text,
            rating_before=row.rating,
            rating=item.mention.rating,
        )
    ]
    text = "The customer has edited what they wrote."
    better = item.mention.rating is not None and row.rating is not None and item.mention.rating > row.rating
    if better and found.case.state == State.RESOLVED:
        events.append(cases.Recovered(at=now, mention_id=row.id))
        stars = f"{item.mention.rating:g} stars instead of {row.rating:g}"
        text = f"The customer now gives {stars}: it is really resolved."
    record(core, connection, found, events, now, [Tell("changed", text)])
    return 0


def _settle_one(core: Core, connection: Connection, source: Source, item: Heard, now: datetime) -> int:
    if item.customer_id is not None and not item.new_customer:
        for row in case_rows.of_customer(connection, item.customer_id, item.brand):
            outcome = _consider(core, connection, row, item, now)
            if outcome is not None:
                return outcome
    if not item.needs_answer:
        return 0
    _open(core, connection, source, item, now)
    return 1


def _consider(core: Core, connection: Connection, row: Row[Any], item: Heard, now: datetime) -> int | None:
    """Join or reopen this case of the customer: 0 joined, 1 reopened, None: it is another matter."""
    found = from_row(connection, row)
    if found.case.state == State.MERGED:
        found = survivor(connection, found)
        row = case_rows.get(connection, found.id) or row
        if found.customer_id != item.customer_id and not _same_matter(connection, found.id, item):
            return None  # it is somebody else's case but for what was merged into it
    policy = Policy.from_json(found.case.policy)
    closed_at = found.case.closed_at
    if found.case.open:
        if now - row.changed_at <= policy.join_window and _same_matter(connection, row.id, item):
            _join(core, connection, found, policy, item, now)
            return 0
        return None
    if found.case.state != State.RESOLVED or closed_at is None or now - closed_at > policy.reopen_window:
        return None
    if item.needs_answer:
        _reopen(core, connection, found, policy, item, now)
        return 1
    if _same_matter(connection, row.id, item):
        _join(core, connection, found, policy, item, now)
        return 0
    return None


def _same_matter(connection: Connection, case_id: int, item: Heard) -> bool:
    """In the same thread, or with a near-duplicate text anywhere."""
    for known in mention_rows.of_cases(connection, [case_id]).get(case_id, []):
        if known.thread is not None and known.thread == item.mention.thread:
            return True
        if item.needs_answer and near_duplicate(known.text, item.mention.text):
            return True
    return False


def _start(policy: Policy, item: Heard, now: datetime, target: timedelta) -> datetime:
    return starts_at(policy, item.mention.published, now, target)


def _join(
    core: Core, connection: Connection, found: Open, policy: Policy, item: Heard, now: datetime
) -> None:
    mention_rows.change(connection, item.id, case_id=found.id)
    answer = found.case.open and (item.needs_answer or _asks(item))
    event = cases.Joined(
        at=now,
        mention_id=item.id,
        starts_at=_start(policy, item, now, policy.next_response),
        awaits_answer=answer,
        complaint=item.needs_answer and item.verdict.complaint == "complaint",
    )
    text = "The customer wrote again." if answer else "The customer wrote again, without a complaint."
    record(core, connection, found, [event], now, [Tell("joined", text)])


def _asks(item: Heard) -> bool:
    """Not just thanks: what is not clearly content may wait for an answer."""
    return item.verdict.sentiment != "positive"


def _target(
    core: Core, connection: Connection, customer_id: int, policy: Policy, now: datetime
) -> tuple[timedelta, int]:
    """The first-response target and the customer's bad experiences, the one at hand included."""
    before = customer_rows.count_bad_experiences(
        connection, customer_id, now - core.rules.bad_experience_window
    )
    return policy.target(ClockName.FIRST_RESPONSE, before + 1), before + 1


def _reopen(
    core: Core, connection: Connection, found: Open, policy: Policy, item: Heard, now: datetime
) -> None:
    mention_rows.change(connection, item.id, case_id=found.id)
    target, _ = _target(core, connection, found.customer_id, policy, now)
    before = found.case.assignee
    events: list[cases.Event] = cases.reopen(
        found.case,
        now,
        starts_at=_start(policy, item, now, target),
        first_response_target=target,
        mention_id=item.id,
    )
    called = duty.call(core, connection, cases.apply(found.case, events[0]), now)
    text = "The customer came back: the case is open again."
    call = core.rules.call(["assignee"], before) if core.rules.duty is None else [e.person for e in called]
    tell = [Tell("reopened", text, call)]
    events += called
    record(core, connection, found, events, now, tell)


def _open(core: Core, connection: Connection, source: Source, item: Heard, now: datetime) -> None:
    verdict = item.verdict
    if item.customer_id is None:
        item.customer_id = customer_rows.add_customer(connection, f"Somebody at {source.name}", now)
    name = source.policy or core.rules.brand_policies.get(item.brand, "default")
    policy = core.rules.policies[name]
    target, bad = _target(core, connection, item.customer_id, policy, now)
    event = cases.Opened(
        at=now,
        policy=policy.to_json(),
        starts_at=_start(policy, item, now, target),
        first_response_target=target,
        reason=verdict.reason,
        severity=verdict.severity,
        complaint=verdict.complaint,
        mention_id=item.id,
    )
    called = duty.call(core, connection, cases.apply(None, event), now)
    events: list[cases.Event] = [event, *called]
    case = cases.replay(events)
    customer = None if item.new_customer else customer_rows.get(connection, item.customer_id)
    new = is_new(customer.since if customer else None, now, core.rules.new_customer_days)
    row = columns(core, case, now) | {
        "brand": item.brand,
        "customer_id": item.customer_id,
        "opened_at": now,
        "priority": priority(case, bad, new=new),
        "storm_id": storm.of_new_case(core, connection, item.brand),
    }
    case_id = case_rows.add(connection, row)
    mention_rows.change(connection, item.id, case_id=case_id)
    stored = [
        case_rows.StoredEvent(seq, 1, now, e.kind, None, EVENT.dump_python(e, mode="json"))
        for seq, e in enumerate(events, 1)
    ]
    case_rows.append(connection, case_id, stored)
    text = (
        "A customer complains."
        if verdict.complaint == "complaint"
        else "Please check: this may be a complaint."
    )
    found = Open(case_id, case, item.brand, item.customer_id, len(events), row["storm_id"])
    tell = Tell("opened", text, [e.person for e in called])
    follow_up(core, connection, found, events, now, [tell])


def priority(case: Case, bad_experiences: int, *, new: bool) -> int:
    """Orders cases that are due alike: severity, then customers who were let down before, then new customers."""
    return SEVERITIES.index(case.severity) * 2 + (2 if bad_experiences >= 2 else 0) + (3 if new else 0)


def is_new(since: datetime | None, now: datetime, days: int) -> bool:
    """Within the first days (90) as a customer, which decide whether they stay."""
    return since is not None and timedelta(0) <= now - since < timedelta(days=days)


def _count_history(connection: Connection, item: Heard, now: datetime) -> None:
    if item.customer_id is None or item.competitor:
        return
    if item.verdict.complaint == "complaint":
        customer_rows.add_bad_experience(
            connection,
            item.customer_id,
            "history",
            f"mention-{item.id}",
            item.mention.published or now,
            mention_id=item.id,
        )
