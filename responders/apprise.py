"""Notices by e-mail and to a hundred other services, through the apprise library."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import ClassVar

import apprise
from apprise.attachment.memory import AttachMemory
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_validator

from listener.errors import DeliveryError
from listener.model import CaseView, Delivery, Notice, NoticeKind
from responders import _storm
from responders._digest import paragraphs
from responders._text import (
    TITLES,
    badges,
    clip,
    deadline,
    defuse,
    holder,
    line,
    mood,
    more_mentions,
    quote,
    quoted,
    web_url,
    why,
)

# apprise logs addresses whole that it does not understand, passwords and all; what it says of a failed delivery
# is in the DeliveryError.
_logger = logging.getLogger("apprise")
_logger.propagate = False
_logger.addHandler(logging.NullHandler())

TYPES: dict[NoticeKind, apprise.NotifyType] = {
    "reminder": apprise.NotifyType.WARNING,
    "warning": apprise.NotifyType.WARNING,
    "breach": apprise.NotifyType.FAILURE,
    "escalation": apprise.NotifyType.FAILURE,
    "closed": apprise.NotifyType.SUCCESS,
}


class Apprise(BaseModel):
    """Sends each notice as a short text to every address of apprise: e-mail, Teams, Telegram, SMS and more.

    E-mail is ``mailto://user:password@example.com?to=me@example.com``; others: github.com/caronc/apprise.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    takes_pictures: ClassVar[bool] = True

    urls: list[SecretStr] = Field(
        min_length=1, description="addresses for apprise; secret: they hold passwords"
    )

    # Which addresses took a delivery that others refused: its next attempt leaves them out. Lost at a
    # restart, when they may get it twice; apprise knows no idempotency key.
    _taken: dict[str, set[int]] = PrivateAttr(default_factory=dict)

    @field_validator("urls")
    @classmethod
    def _understood(cls, urls: list[SecretStr]) -> list[SecretStr]:
        for number, url in enumerate(urls, start=1):
            if apprise.Apprise.instantiate(url.get_secret_value()) is None:
                # Never the address itself: it holds a password.
                raise ValueError(f"address {number} of urls is not one that apprise understands")
        return urls

    def send(self, delivery: Delivery) -> dict[str, str] | None:
        """Raises ``DeliveryError`` (temporary) when an address refuses; apprise tells no time to wait.

        A storm is told when it begins and when it is over: what is sent here can't be edited as it grows.
        """
        storm = delivery.notice.storm
        if storm is not None and storm.ended_at is None and delivery.storm_ref is not None:
            return None
        title, body = message(delivery.notice)
        picture = _attachment(delivery)
        taken = self._taken.setdefault(delivery.key, set())
        refusals = []
        for number, service in enumerate(self._services):
            if number in taken:
                continue
            sender = apprise.Apprise(service)
            with apprise.LogCapture(  # type: ignore[no-untyped-call]
                level=logging.WARNING, fmt="%(message)s"
            ) as told:
                accepted = sender.notify(
                    body=body,
                    title=title,
                    notify_type=TYPES.get(delivery.notice.kind, apprise.NotifyType.INFO),
                    body_format=apprise.NotifyFormat.TEXT,
                    attach=picture,  # left out where a service takes none
                )
                reason = line(told.getvalue(), 200) if told else ""
            if accepted:
                taken.add(number)
            else:
                refusals.append(f"{service.service_name} ({reason})" if reason else str(service.service_name))
        if refusals:
            raise DeliveryError(f"not accepted by {', '.join(refusals)}")
        del self._taken[delivery.key]
        return {"storm": "told"} if storm is not None else None

    @cached_property
    def _services(self) -> list[apprise.NotifyBase]:
        found = (apprise.Apprise.instantiate(url.get_secret_value()) for url in self.urls)
        return [service for service in found if service]  # all of them: validated above


def _attachment(delivery: Delivery) -> AttachMemory | None:
    notice = delivery.notice
    if notice.picture is None or notice.digest is None:
        return None
    name = f"{notice.digest.name}.png"
    return AttachMemory(  # type: ignore[no-untyped-call]
        content=notice.picture, name=name, mimetype="image/png"
    )


def message(notice: Notice) -> tuple[str, str]:
    """Title and body, plain text. Commands of chat services in strangers' text are broken (``@everyone``)."""
    case = notice.case
    if notice.digest is not None:
        body = [
            notice.text,
            *(f"\n{t}\n" + "\n".join(f"- {e}" for e in found) for t, found in paragraphs(notice.digest)),
        ]
        return line(defuse(notice.digest.title), 150), clip(defuse("\n".join(body)), 8000)
    if notice.storm is not None:
        found = [line(notice.text, 1000), *_storm.lines(notice.storm)]
        found += ["For " + ", ".join(line(person.name, 60) for person in notice.call)] if notice.call else []
        found += [f"Dashboard: {notice.storm.url}"] if web_url(notice.storm.url) else []
        return line(defuse(_storm.title(notice.storm)), 150), defuse("\n".join(found))
    if case is None:
        return f"Listener: {line(defuse(notice.text), 100)}", clip(defuse(notice.text), 2000)
    title = f"{TITLES[notice.kind]}: {case.brand}, {case.reason} complaint, case {case.id}"
    parts = [line(defuse(notice.text), 500), _status(notice, case), " · ".join(badges(case.customer))]
    if notice.call:
        parts.append("For " + ", ".join(line(person.name, 60) for person in notice.call))
    if mention := quoted(case):
        by = f"{line(case.customer.name, 60)}, {line(mention.source, 60)}, {mood(mention)}"
        words = "\n".join(f"> {part}" for part in quote(mention, 600).split("\n"))
        parts.append(f"\n{defuse(by)}:\n{defuse(words)}\n")
    parts.append(f"Why: {defuse(why(case))}" if why(case) else "")
    parts.append(more_mentions(case))
    parts.append(f"Original: {mention.url}" if mention and web_url(mention.url) else "")
    parts.append(f"Dashboard: {case.url}" if web_url(case.url) else "")
    return line(defuse(title), 150), "\n".join(part for part in parts if part)


def _status(notice: Notice, case: CaseView) -> str:
    due = deadline(case, notice.at)
    when = f"{due[0]} {due[1]:%Y-%m-%d %H:%M} UTC; " if due else ""
    return f"{when}{holder(case)}"
