"""The sections of ``listener.toml`` and their keys. The descriptions are what editors show."""

from __future__ import annotations

import ipaddress
import re
from datetime import time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ByteSize,
    Field,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from listener import clock
from listener.config.duty import Duty
from listener.config.times import Calendar, Duration, Pause, Policy, Section

if TYPE_CHECKING:
    from listener.duty import Duty as Rotation


def _key(value: str) -> str:
    """Names that go into URLs, logs and metrics."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise ValueError("must be 1 to 64 letters, digits, dots, dashes or underscores")
    return value


def _web_address(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        raise ValueError("must be a web address, like https://listener.example.org")
    return value.rstrip("/")


def _language(value: str) -> str:
    if not re.fullmatch("[a-z]{2}", value):
        raise ValueError("must be an ISO 639-1 code, such as en")
    return value


def _contact(value: str) -> str:
    if not re.fullmatch(r"\S+@\S+\.\S+|https?://\S+", value):
        raise ValueError("must be an e-mail address or a web address at which people can reach you")
    return value


def _time_of_day(value: str) -> time:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError("must be a time of the day, such as 09:00")
    return time.fromisoformat(value)


def _day_and_time(value: str) -> tuple[int, time]:
    day, _, at = value.strip().lower().partition(" ")
    if day not in _WEEKDAYS:
        raise ValueError("must be a weekday and a time, such as monday 09:00")
    return _WEEKDAYS.index(day), _time_of_day(at.strip())


def _daily(value: str) -> str:
    _time_of_day(value)
    return value


def _weekly(value: str) -> str:
    _day_and_time(value)
    return value


_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Key = Annotated[str, AfterValidator(_key)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Words = tuple[Title, ...]
Network = Annotated[
    ipaddress.IPv4Network | ipaddress.IPv6Network,
    PlainValidator(lambda value: ipaddress.ip_network(value)),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8", "127.0.0.1"]}),
]


class General(Section):
    """The installation."""

    contact: Annotated[str, AfterValidator(_contact)] = Field(
        description="e-mail or web address that sites see in our User-Agent, to reach you"
    )
    database: str = Field(default="listener.db", description="SQLite file, relative to this file")
    database_url: SecretStr | None = Field(
        default=None, description="instead of a file: the SQLAlchemy URL of a database"
    )

    @model_validator(mode="after")
    def _one_database(self) -> Self:
        if "://" in self.database:
            raise ValueError('database is a file; a URL is database_url = { env = "DATABASE_URL" }')
        if self.database_url and "database" in self.model_fields_set:
            raise ValueError("give database or database_url, not both")
        return self


class Brand(Section):
    """What is listened for."""

    name: Title = Field(description="as people see it")
    names: Words = Field(default=(), description="what customers call it, in any case; when left out, name")
    phrases: Words = Field(default=(), description="other words that mean this brand, such as a product")
    case_sensitive: Words = Field(default=(), description="names that count only as written, such as Orange")
    exclude: Words = Field(default=(), description="phrases in which a name does not mean this brand")
    competitors: Words = Field(default=(), description="names of others, reported apart")
    policy: str = Field(default="default", description="policy of its cases")

    @model_validator(mode="before")
    @classmethod
    def _its_own_name(cls, data: Any) -> Any:
        if (
            isinstance(data, dict)
            and "name" in data
            and not data.keys() & {"names", "phrases", "case_sensitive"}
        ):
            return {**data, "names": [data["name"]]}
        return data


class Plugin(Section):
    """A connector or responder with its options, which it checks itself."""

    options: dict[str, Any] = Field(default_factory=dict, description="options of this kind")
    _built: BaseModel | None = PrivateAttr(None)

    def build(self) -> BaseModel:
        """The connector or responder, made when the configuration was read, its secrets filled in."""
        assert self._built is not None
        return self._built


class Source(Plugin):
    """One place to poll."""

    name: Key = Field(description="unique; letters, digits, dots, dashes and underscores")
    connector: str = Field(description="kind; `listener connectors` lists them")
    every: Duration = Field(
        default=timedelta(minutes=5), description="time between polls; a source may ask for longer"
    )
    brand: str | None = Field(
        default=None, description="everything there is about this brand; else by the brand's names"
    )
    policy: str | None = Field(default=None, description="policy of cases from here, instead of the brand's")
    own_accounts: Words = Field(
        default=(), description="the brand's own there: they answer, they don't complain"
    )
    paused: bool = Field(default=False, description="don't poll it")


class Responder(Plugin):
    """One way to reach people."""

    kind: str = Field(description="`listener responders` lists them")


class Alerts(Section):
    """What reaches people, and when."""

    backfill_alert: Duration = Field(
        default=timedelta(hours=24),
        description="first poll of a source: what is older opens no case with a running clock",
    )
    fallback: str | None = Field(
        default=None, description="responder to use when the others don't get through"
    )
    fallback_after: Duration = Field(
        default=timedelta(minutes=15), description="and how long they are tried first"
    )


class Triage(Section):
    """How a text is judged."""

    languages: tuple[Annotated[str, AfterValidator(_language)], ...] = Field(
        default=(), description="ISO 639-1 codes of what is spoken there; when left out, all that we know"
    )
    complaint: float = Field(default=0.5, gt=0, lt=1, description="a complaint from this probability on")
    check: float = Field(default=0.4, gt=0, lt=1, description="below it, a person is asked from here on")
    reasons: dict[str, Words] = Field(
        default_factory=dict, description="more words by reason, such as delivery"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.check > self.complaint:
            raise ValueError("check can't be above complaint")
        return self


class Customers(Section):
    """What is remembered of customers."""

    window: Duration = Field(default=timedelta(days=365), description="in which bad experiences are counted")
    new_days: int = Field(default=90, ge=0, description="so long a customer is new, and comes first")


class Retention(Section):
    """How long texts are kept; counts are kept for ever."""

    text: Duration | None = Field(
        default=timedelta(days=730), description="age at which texts of closed cases are deleted"
    )


class Replies(Section):
    """Drafts of public replies."""

    folder: str | None = Field(
        default=None, description="your templates, instead of the built-in ones; relative to this file"
    )


class Web(Section):
    """The dashboard."""

    host: str = Field(
        default="127.0.0.1", description="address to listen on; loopback can't be reached from outside"
    )
    port: int = Field(default=8420, ge=0, le=65535)
    public_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None, description="as browsers see it, for links in messages"
    )
    token: SecretStr | None = Field(
        default=None, description="to log in; when left out, it is made and printed"
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="names that browsers may use, besides that of public_url"
    )


class Fetch(Section):
    """The way out to the network."""

    allow_private: tuple[Network, ...] = Field(
        default=(), description="networks to fetch from though they are not public"
    )
    deadline: Duration = Field(default=timedelta(seconds=30), description="for a request with its redirects")
    max_bytes: ByteSize = Field(default=ByteSize(20_000_000), gt=0, description="of one answer as sent")
    max_decoded: ByteSize = Field(default=ByteSize(60_000_000), gt=0, description="of one answer unpacked")
    host_pace: Pause = Field(
        default=timedelta(seconds=1), description="between the starts of two requests to one host"
    )
    host_concurrency: int = Field(default=2, ge=1, description="requests under way at one host")
    robots: bool = Field(default=True, description="obey robots.txt")


class Run(Section):
    """The running process."""

    poll_workers: int = Field(default=20, ge=1, le=200, description="sources polled at the same time")


class Storm(Section):
    """Many complaints of one brand at once: one message that counts them, and a thread for their cases."""

    enabled: bool = True
    floor: int = Field(
        default=10, ge=3, description="fewer cases within window are never a storm, whatever is usual"
    )
    window: Duration = Field(default=timedelta(minutes=30), description="in which cases are counted")
    calm: Duration = Field(
        default=timedelta(hours=1), description="it is over when so long hardly more came than usual"
    )
    call: tuple[str, ...] = Field(
        default=("duty", "escalation"),
        description="people or groups to call when one begins, or duty; its cases call nobody one by one",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.calm < self.window:
            raise ValueError("calm can't be shorter than window")
        return self


class Digest(Section):
    """The day and the week in figures."""

    enabled: bool = Field(default=True, description="false: neither is sent")
    daily: Annotated[str, AfterValidator(_daily)] | None = Field(
        default=None, description="local time, such as 09:00; when left out, not sent"
    )
    weekly: Annotated[str, AfterValidator(_weekly)] | None = Field(
        default=None, description="local day and time, such as monday 09:00; when left out, not sent"
    )
    zone: Annotated[str, AfterValidator(lambda zone: clock.Calendar(zone).zone)] = Field(
        default="UTC", description="IANA time zone of these times and of the days, such as Europe/Berlin"
    )
    channel: str | None = Field(
        default=None, description="a channel that the responder knows, instead of its default"
    )

    def sent_at(self) -> dict[str, Any]:
        """``daily``: a time; ``weekly``: a weekday, Monday is 0, and a time. None for what is not sent."""
        return {
            "daily": _time_of_day(self.daily) if self.enabled and self.daily else None,
            "weekly": _day_and_time(self.weekly) if self.enabled and self.weekly else None,
        }


ACK_TIMEOUT = timedelta(minutes=30)  # of policies that say none, where there is somebody else to ask


class Config(Section):
    """A whole ``listener.toml`` in which every name refers to something."""

    listener: General
    brands: tuple[Brand, ...] = Field(description="what is listened for, at least one")
    sources: tuple[Source, ...] = ()
    policies: dict[Key, Policy] = Field(default_factory=dict)
    calendars: dict[Key, Calendar] = Field(default_factory=dict)
    people: dict[Title, dict[str, Title]] = Field(
        default_factory=dict,
        description="by name: their id at each kind of responder, such as slack or email",
    )
    groups: dict[Title, tuple[str, ...]] = Field(default_factory=dict, description="names of people")
    duty: Duty | None = None
    responders: dict[Key, Responder] = Field(default_factory=dict)
    alerts: Alerts = Field(default_factory=Alerts)
    triage: Triage = Field(default_factory=Triage)
    customers: Customers = Field(default_factory=Customers)
    retention: Retention = Field(default_factory=Retention)
    storm: Storm = Field(default_factory=Storm)
    digest: Digest = Field(default_factory=Digest)
    replies: Replies = Field(default_factory=Replies)
    web: Web = Field(default_factory=Web)
    fetch: Fetch = Field(default_factory=Fetch)
    run: Run = Field(default_factory=Run)
    _base: Path = PrivateAttr(Path())
    _policies: dict[str, clock.Policy] = PrivateAttr(default_factory=dict)

    @field_validator("brands")
    @classmethod
    def _at_least_one(cls, brands: tuple[Brand, ...]) -> tuple[Brand, ...]:
        if not brands:
            raise ValueError("there must be at least one")
        return brands

    def database_url(self) -> str:
        """The SQLAlchemy URL of the database. It may hold a password: never show it."""
        if self.listener.database_url:
            return self.listener.database_url.get_secret_value()
        return f"sqlite:///{(self._base / self.listener.database).absolute()}"

    def reply_folder(self) -> Path | None:
        """Where the installation's own reply templates are."""
        return (self._base / self.replies.folder).absolute() if self.replies.folder else None

    def policy(self, name: str = "default") -> clock.Policy:
        """The policy of this name, its calendar filled in; ``default`` is built in. Raises ``KeyError``."""
        if name not in self._policies:
            section = Policy() if name == "default" and name not in self.policies else self.policies[name]
            calendar = (
                self.calendars[section.calendar].calendar() if section.calendar else clock.Calendar.ALWAYS
            )
            self._policies[name] = section.policy(name, calendar, ACK_TIMEOUT if self.duty else None)
        return self._policies[name]

    def rotation(self) -> Rotation | None:
        """Who is on duty when; None without such a section."""
        calendars = {name: section.calendar() for name, section in self.calendars.items()}
        return self.duty.rotation(calendars) if self.duty is not None else None

    def warnings(self) -> list[str]:
        """What is allowed but surely not meant, one line each, for `listener check`."""
        found = []
        if not self.sources:
            found.append("there are no sources: nothing is listened to")
        if not self.responders:
            found.append("there are no responders: nobody is told of a case")
        for name in sorted({b.policy for b in self.brands} | {s.policy for s in self.sources if s.policy}):
            policy = self.policy(name)
            called = dict.fromkeys([c for step in policy.steps for c in step.call] + [*policy.third_call])
            found += [
                f'policy {name} calls "{who}", but no person or group has this name'
                for who in called
                if who not in ("assignee", "duty") and who not in self.people and who not in self.groups
            ]
            section = self.policies.get(name)
            if self.duty is None and "duty" in called and section is not None and section.steps is not None:
                found.append(f"policy {name} calls who is on duty, but there is no section duty")
        found += [
            f'storm calls "{who}", but no person or group has this name'
            for who in self.storm.call
            if "call" in self.storm.model_fields_set
            if who != "duty" and who not in self.people and who not in self.groups
        ]
        return found
