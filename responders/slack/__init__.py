"""Cases in a Slack channel. Reference: docs.slack.dev/reference/methods."""

from __future__ import annotations

import logging
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_validator
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState
from slack_sdk.web import WebClient

from listener.errors import DeliveryError
from listener.model import Delivery, StormView
from listener.ports import Desk
from responders.slack import blocks, digest, doctor, pictures, refusals, storm
from responders.slack.buttons import REACTIONS, Emoji
from responders.slack.pace import LONGEST_SLEEP_S
from responders.slack.post import EVENT_TYPE, Post

if TYPE_CHECKING:
    from responders.slack.app import SlackApp

__all__ = ["EVENT_TYPE", "Slack"]


class Slack(BaseModel):
    """Posts each case as one message that always shows its present state; its thread is the timeline.

    `listener slack manifest` prints what makes the Slack app; invite it to each channel. People are known by
    their Slack id, in the configuration of people: ``ada = { slack = "U0123ABC" }`` (or S… for a user group).
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    takes_pictures: ClassVar[bool] = True

    token: SecretStr = Field(description="Bot User OAuth Token, xoxb-…")
    channel: str = Field(description="ID of the channel for cases, such as C0123ABC")
    channels: dict[str, str] = Field(
        default_factory=dict,
        description="other channels that policies name, such as { manager = 'C0456DEF' }",
    )
    fallback_channel: str | None = Field(
        default=None,
        description="ID of the channel that takes its messages when Slack refuses another one (archived, left)",
    )
    base_url: str = Field(
        default=WebClient.BASE_URL,
        description="address of the Web API; only for a proxy",
        pattern=r"^https?://",
    )
    app_token: SecretStr | None = Field(
        default=None,
        description="App-Level Token, xapp-…: people can act in Slack, over Socket Mode (no public address)",
    )
    signing_secret: SecretStr | None = Field(
        default=None,
        description="Signing Secret: people can act in Slack, over HTTP at <public_url>/responders/<its name>",
    )
    reactions: dict[str, Emoji] = Field(
        default=REACTIONS,
        description="emoji that stand for an action, such as { eyes = 'claim' }",
    )
    timeout_seconds: int = Field(
        default=15, ge=1, le=120, description="the longest wait for an answer of Slack"
    )

    _made: SlackApp | None = PrivateAttr(default=None)
    _making: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @field_validator("channel", "channels", "fallback_channel")
    @classmethod
    def _ids(cls, value: str | dict[str, str] | None) -> str | dict[str, str] | None:
        for channel in value.values() if isinstance(value, dict) else [value] if value else []:
            if not re.fullmatch(r"[CGD][A-Z0-9]+", channel):
                raise ValueError(f"{channel!r} is not a channel ID; {refusals.FIND_ID}")
        return value

    @property
    def acting(self) -> bool:
        """Whether people can act there: then messages have buttons."""
        return self.app_token is not None or self.signing_secret is not None

    def listen(self, desk: Desk) -> Callable[[], None] | None:
        """Take what people do in Slack, until the returned function is called. None when it is not set up."""
        if not self.acting:
            return None
        app = self._app(desk)
        app.start()
        return app.close

    def handle(self, desk: Desk, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
        """Answer a request of Slack: 401 unless it is signed, and less than 5 minutes old."""
        if self.signing_secret is None:
            return 404, "text/plain", b"Nothing is asked here over HTTP: there is no signing_secret."
        return self._app(desk).handle(body, headers)

    def _app(self, desk: Desk) -> SlackApp:
        from responders.slack.app import SlackApp  # 0.2 s of imports that posting does without

        with self._making:
            if self._made is None:
                self._made = SlackApp(
                    desk,
                    self._client,
                    app_token=self.app_token.get_secret_value() if self.app_token else None,
                    signing_secret=self.signing_secret.get_secret_value() if self.signing_secret else None,
                    reactions=self.reactions,
                )
            return self._made

    @field_validator("reactions")
    @classmethod
    def _without_colons(cls, value: dict[str, Emoji]) -> dict[str, Emoji]:
        return {name.strip(": "): action for name, action in value.items()}

    def send(self, delivery: Delivery) -> dict[str, str] | None:
        """Posts, or edits and adds to the thread. The ref is ``{"channel", "ts"}`` of the case's message.

        Raises ``DeliveryError``; once a delivery is uncertain it stays so, whatever comes after.
        """
        with _as_delivery_error(delivery):
            found = self._find(delivery) if delivery.uncertain else None
            return self._send(delivery) if found is None else found or None

    def find(self, delivery: Delivery) -> dict[str, str] | None:
        """As ``Finder`` says. A digest's chart is looked for by ``send``."""
        with _as_delivery_error(delivery):
            return self._find(delivery)

    def _target(self, delivery: Delivery) -> str:
        home = delivery.ref["channel"] if delivery.ref else self.channel
        return self.channels.get(delivery.channel or "", home)

    def _send(self, delivery: Delivery) -> dict[str, str] | None:
        notice, case, ref = delivery.notice, delivery.notice.case, delivery.ref
        target = self._target(delivery)
        if delivery.channel and delivery.channel not in self.channels:
            # An alarm for a channel that nobody configured must still be seen by somebody.
            note = f"{notice.text} (meant for the channel “{delivery.channel}”, which is not configured)"
            notice = replace(notice, text=note)
        if (view := notice.digest) is not None:
            told = digest.message(notice, view)
            lost = pictures.share(self._client, target, delivery, told, name=view.name, alt=view.alt)
            if lost is not None:
                self._post_to(target, delivery, digest.message(notice, view, lost))
            return None
        if notice.storm is not None:
            return self._send_storm(delivery, target, notice.storm)
        if case is None:
            self._post_to(target, delivery, blocks.system_message(notice))
            return None
        first = blocks.case_message(notice, case, acting=self.acting)
        if ref is None and delivery.storm_ref is not None:
            return self._into_storm(delivery, delivery.storm_ref, first)
        if _is_first(delivery, target, ref["channel"] if ref else self.channel):
            return self._post_to(target, delivery, first)
        if ref is None or target != ref["channel"]:
            link = self._permalink(ref) if ref else None
            self._post_to(target, delivery, blocks.pointer(notice, case, link))
            return None
        quiet = replace(notice, call=())  # its people are called in the thread
        try:
            self._channels.edit(ref, blocks.case_message(quiet, case, acting=self.acting))
            if "thread" in ref:  # of a storm
                if notice.call or notice.kind not in storm.SHOWN_BY_EDIT:
                    self._channels.post(delivery, target, storm.step(notice, case), thread=ref["thread"])
                return None
            # A breach or a return must be seen by people who do not follow the thread; those of a storm, once.
            loud = notice.kind in ("breach", "reopened") and delivery.storm_ref is None
            reply = blocks.thread_reply(notice, case)
            self._channels.post(delivery, target, reply, thread=ref["ts"], broadcast=loud)
        except SlackApiError as error:
            if refusals.code_of(error) not in refusals.MESSAGE_GONE | refusals.CHANNEL_REFUSED:
                raise
            return self._post_to(self.channel, delivery, first)
        return None

    def _send_storm(self, delivery: Delivery, target: str, view: StormView) -> dict[str, str] | None:
        """One message, edited as the storm grows; when it is over the channel is told."""
        notice, ref = delivery.notice, delivery.storm_ref
        if ref is None:
            return self._post_to(target, delivery, storm.message(notice, view))
        try:
            self._channels.edit(ref, storm.message(replace(notice, call=()), view))
            if view.ended_at is not None or notice.call:
                end = storm.summary(notice, view)
                self._channels.post(delivery, ref["channel"], end, thread=ref["ts"], broadcast=True)
        except SlackApiError as error:
            if refusals.code_of(error) not in refusals.MESSAGE_GONE | refusals.CHANNEL_REFUSED:
                raise
            return self._post_to(target, delivery, storm.message(notice, view))
        return None

    def _into_storm(
        self, delivery: Delivery, place: dict[str, str], message: blocks.Message
    ) -> dict[str, str]:
        """The case's own message, in the storm's thread; where that is gone, in the channel as ever."""
        try:
            ref = self._channels.post(delivery, place["channel"], message, thread=place["ts"])
        except SlackApiError as error:
            if refusals.code_of(error) not in refusals.THREAD_GONE | refusals.CHANNEL_REFUSED:
                raise
            return self._post_to(self.channel, delivery, message)
        return ref | {"thread": place["ts"]}

    def _post_to(self, target: str, delivery: Delivery, message: blocks.Message) -> dict[str, str]:
        """Where Slack refuses the channel, the fallback channel and then the main one take its place."""
        return self._channels.post_in_first(delivery, (target, self.fallback_channel, self.channel), message)

    def _find(self, delivery: Delivery) -> dict[str, str] | None:
        """Looks in the case's thread, and wherever ``_send`` may have posted instead."""
        target, ref = self._target(delivery), delivery.ref
        home = ref["channel"] if ref else self.channel
        if place := delivery.storm_ref:
            found = self._channels.find(delivery, place["channel"], place["ts"])
            if found and (delivery.notice.case is None or ref):
                return {}
            if found:
                return found | {"thread": place["ts"]}
        if ref and target == home and self._channels.find(delivery, home, ref["ts"]):
            return {}
        for channel in dict.fromkeys(filter(None, (target, self.fallback_channel, self.channel))):
            if found := self._channels.find(delivery, channel):
                is_case = delivery.notice.case is not None
                if delivery.notice.storm is not None:
                    return found
                return found if is_case and (target == home or _is_first(delivery, target, home)) else {}
        return None

    def _permalink(self, ref: dict[str, str]) -> str | None:
        try:
            return str(
                self._client.chat_getPermalink(channel=ref["channel"], message_ts=ref["ts"])["permalink"]
            )
        except SlackApiError as error:
            if refusals.code_of(error) in ("message_not_found", "channel_not_found"):
                return None  # deleted by a person: the dashboard's link remains
            raise

    def check(self) -> list[tuple[bool, str]]:
        """Token, scopes, channels and the way back: whether each is good, in words that say what to click."""
        secrets = (self.app_token, self.signing_secret)
        app_token, signing_secret = [s.get_secret_value() if s else None for s in secrets]
        channels = {"channel": self.channel, **self.channels}
        if self.fallback_channel:
            channels["fallback_channel"] = self.fallback_channel
        return list(doctor.examine(self._client, channels, app_token, signing_secret))

    def check_people(self, people: Mapping[str, str]) -> list[tuple[bool, str]]:
        """Whether the ids here of these people, by name, are good; as ``check``."""
        return list(doctor.examine_people(self._client, people))

    @cached_property
    def _channels(self) -> Post:
        return Post(self._client)

    @cached_property
    def _client(self) -> WebClient:
        quiet = logging.getLogger(f"{__name__}.sdk")
        quiet.setLevel(
            logging.CRITICAL
        )  # each failure is raised, and logged once by whoever asked for the delivery
        return WebClient(
            token=self.token.get_secret_value(),
            base_url=self.base_url,
            timeout=self.timeout_seconds,
            ssl=ssl.create_default_context(),  # one for all requests: building it takes 20 ms
            retry_handlers=[_ShortWaits(max_retry_count=2)],
            logger=quiet,
        )


class _ShortWaits(RateLimitErrorRetryHandler):
    """slack_sdk's own handler of Retry-After, for waits so short that a thread may sleep through them."""

    def _can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        if response is None or response.status_code != 429:
            return False
        values = next((v for k, v in response.headers.items() if k.lower() == "retry-after"), [""])
        return values[0].isdigit() and int(values[0]) <= LONGEST_SLEEP_S


def _is_first(delivery: Delivery, target: str, home: str) -> bool:
    """Whether it becomes the case's own message."""
    return delivery.ref is None and (target == home or delivery.notice.kind == "opened")


@contextmanager
def _as_delivery_error(delivery: Delivery) -> Iterator[None]:
    try:
        yield
    except (SlackApiError, *refusals.TRANSPORT) as error:
        failed = refusals.as_delivery_error(error)
        failed.uncertain = failed.uncertain or delivery.uncertain
        raise failed from error
    except DeliveryError as error:
        error.uncertain = error.uncertain or delivery.uncertain
        raise
