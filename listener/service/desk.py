"""What people do and ask at a responder, each thing on its own: the use cases, with the clock bound in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from listener import cases
from listener.errors import NotModified, Refused, SourceError, UsageError
from listener.model import Answer, Author, CaseView, CustomerView, Draft, Mention, OnDuty, Person, Today
from listener.ports import AnswerFinder
from listener.service import act, read
from listener.service.core import Core, Now, Source, Tell
from listener.service.record import load, record
from listener.storage import Connection, household
from listener.storage import customers as customer_rows
from listener.storage import mentions as mention_rows

LONGEST_KEY = 200  # characters
LONGEST_NAME = 100  # characters, as at the dashboard's log-in


class ServiceDesk:
    """``listener.ports.Desk`` over the use cases. ``now`` returns aware UTC."""

    def __init__(self, core: Core, now: Now) -> None:
        self._core = core
        self._now = now

    def now(self) -> datetime:
        return self._now()

    def once(self, key: str) -> bool:
        if len(key) > LONGEST_KEY:
            key = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
        with self._core.db.write() as connection:
            return household.handle_once(connection, key, self._now())

    def person(self, kind: str, handle: str, shown: str) -> str:
        people = self._core.rules.people
        for person in people.values():
            if person.handles.get(kind) == handle:
                return person.name
        name = " ".join("".join(c for c in shown if c.isprintable()).split())[:LONGEST_NAME] or handle
        # People choose what they are called there: nobody becomes one of the team by a name alone.
        taken = name in people and people[name].handles.get(kind) is not None
        return f"{name} ({handle})" if taken else name

    def people(self) -> dict[str, Person]:
        return dict(self._core.rules.people)

    # ---- cases

    def case(self, case_id: int) -> CaseView:
        with self._core.db.read() as connection:
            return read.case_view(self._core, connection, case_id, self._now())

    def claim(self, case_id: int, who: str) -> None:
        act.claim(self._core, case_id, who, self._now())

    def release(self, case_id: int, who: str) -> None:
        act.release(self._core, case_id, who, self._now())

    def assign(self, case_id: int, who: str, to: str) -> None:
        act.assign(self._core, case_id, who, to, self._now())

    def respond(self, case_id: int, who: str, url: str, promise_minutes: int | None) -> None:
        act.respond(self._core, case_id, who, url, self._now(), promise_minutes=promise_minutes)

    def wait(self, case_id: int, who: str) -> None:
        act.wait(self._core, case_id, who, self._now())

    def resume(self, case_id: int, who: str) -> None:
        act.resume(self._core, case_id, who, self._now())

    def snooze(self, case_id: int, who: str, minutes: int) -> None:
        if not 0 < minutes <= 7 * 24 * 60:
            raise UsageError("Snooze for 1 minute to 7 days.")
        now = self._now()
        act.snooze(self._core, case_id, who, now + timedelta(minutes=minutes), now)

    def note(self, case_id: int, who: str, text: str) -> None:
        act.note(self._core, case_id, who, text, self._now())

    def resolve(self, case_id: int, who: str, outcome: str, note: str, reason: str | None) -> None:
        act.resolve(self._core, case_id, who, outcome, self._now(), note=note, reason=reason)

    def dismiss(self, case_id: int, who: str, why: str) -> None:
        act.dismiss(self._core, case_id, who, why, self._now())

    def reopen(self, case_id: int, who: str, why: str) -> None:
        act.reopen(self._core, case_id, who, why, self._now())

    def merge(self, case_id: int, who: str, into: int) -> None:
        act.merge(self._core, case_id, who, into, self._now())

    def draft(self, case_id: int, who: str) -> Draft:
        from listener.service import replies  # templates are loaded where somebody wants one

        return replies.draft(self._core, case_id, who, self._now())

    # ---- the public answer

    def look_for_answer(self, case_id: int) -> bool:
        """As the port says. Raises ``Refused`` when the source has no way to tell, or can't be read just now."""
        core = self._core
        with core.db.read() as connection:
            view = read.case_view(core, connection, case_id, self._now())
            _must_be_open(view)
            found = _mentions(connection, view)
        finders = [
            (core.sources[source], mention, connector)
            for source, mention in found
            if isinstance(connector := _connector(core, source), AnswerFinder)
        ]
        if not finders:
            names = ", ".join(sorted({source for source, _ in found})) or "no source any more"
            raise Refused(f"Listener can't see answers there ({names}). Give the link of the answer instead.")
        for source, mention, finder in reversed(finders):
            answer = self._ask(mention, finder)
            if answer is not None and _is_ours(answer, source, view.brand) and _answers(answer, view):
                self._verified(case_id, answer)
                return True
        return False

    def _ask(self, mention: Mention, finder: AnswerFinder) -> Answer | None:
        # A memory of its own: what is unchanged for the source's polls must be read here all the same.
        http = self._core.fetch.client(self._core.memory(None))
        try:
            return finder.answer(http, mention)
        except NotModified:
            return None
        except SourceError as error:
            raise Refused(f"The source can't be read just now: {error}") from error

    def _verified(self, case_id: int, answer: Answer) -> None:
        now = self._now()
        with self._core.db.write() as connection:
            found = load(connection, case_id)
            if not found.case.open:
                return
            at = min(answer.published or now, now)
            if found.case.verified and (answer.url in (None, found.case.answer_url)):
                return
            event = cases.Verified(at=now, url=answer.url, answered_at=at)
            text = "The brand's answer stands in public: seen by Listener."
            record(self._core, connection, found, [event], now, [Tell("changed", text)])

    # ---- lists

    def mine(self, who: str) -> Sequence[CaseView]:
        return read.mine(self._core, who, self._now())

    def queue(self) -> Sequence[CaseView]:
        return read.queue_of(self._core, self._now())

    def today(self) -> Today:
        return read.today(self._core, self._now())

    def on_duty(self) -> Sequence[OnDuty]:
        from listener.service import duty

        return duty.on_duty(self._core, self._now())

    def customers(self, name: str) -> Sequence[CustomerView]:
        return read.find_customers(self._core, name, self._now())

    def cases_of(self, customer_id: int) -> Sequence[CaseView]:
        return read.cases_of(self._core, customer_id, self._now())

    def search(self, words: str) -> Sequence[CaseView]:
        return read.search_cases(self._core, words, self._now())


def _must_be_open(case: CaseView) -> None:
    if not case.open:
        raise Refused(f"The case is closed ({case.outcome}).")


def _connector(core: Core, source: str) -> object:
    return core.sources[source].connector if source in core.sources else None


def _mentions(connection: Connection, view: CaseView) -> list[tuple[str, Mention]]:
    """(source, mention as its connector made it) of the case, oldest first."""
    authors = {row.id: row for row in customer_rows.identities(connection, view.customer.id)}
    found = []
    for row in mention_rows.of_cases(connection, [view.id]).get(view.id, []):
        author = authors.get(row.author_id)
        mention = Mention(
            external_id=row.external_id,
            text=row.text,
            title=row.title,
            url=row.url,
            author=Author(author.platform, author.platform_id, author.name, author.url) if author else None,
            published=row.published_at,
            edited=row.edited_at,
            rating=row.rating,
            thread=row.thread,
            lang=row.lang,
        )
        found.append((row.source, mention))
    return found


def _is_ours(answer: Answer, source: Source, brand: str) -> bool:
    """Whether the brand wrote it: strangers comment on reviews too, and must not stop a clock.

    By the source's ``own_accounts``; by the brand's name; where no author is told, a site has one reply, the owner's.
    """
    if answer.author is None:
        return True
    names = {answer.author.name, answer.author.platform_id}
    return bool(names & source.own_accounts) or answer.author.name.casefold() == brand.casefold()


def _answers(answer: Answer, case: CaseView) -> bool:
    """Whether it answers what the customer wrote last. One without a date might be older than that."""
    newest = case.mentions[-1]
    if answer.published is None:
        return case.cycle == 1 and len(case.mentions) == 1
    return answer.published >= (newest.published or case.opened_at)
