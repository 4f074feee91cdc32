"""Cases in a Slack channel. Reference: docs.slack.dev/reference/methods."""

from __future__ import annotations

import logging
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_validator
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState
from slack_sdk.web import SlackResponse, WebClient

from listener.model import Delivery
from listener.ports import Desk
from responders.slack import blocks, digest, doctor, pictures, refusals
from responders.slack.buttons import REACTIONS, Emoji

if TYPE_CHECKING:
    from responders.slack.app import SlackApp

log = logging.getLogger(__name__)

EVENT_TYPE = "listener_delivery"
LONGEST_SLEEP = 3  # seconds that slack_sdk may wait inside a delivery; a longer wait goes back to the outbox
PAGES, PAGE_SIZE = 5, 200  # how far back an uncertain message is looked for


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

    @field_validator("channel", "channels")
    @classmethod
    def _ids(cls, value: str | dict[str, str]) -> str | dict[str, str]:
        for channel in [value] if isinstance(value, str) else value.values():
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

    def send(self, delivery: Delivery) -> dict[str, str] | None:
        """Posts, or edits and adds to the thread. The ref is ``{"channel", "ts"}`` of the case's message.

        Raises ``DeliveryError``; once a delivery is uncertain it stays so, whatever comes after.
        """
        try:
            return self._send(delivery)
        except (SlackApiError, *refusals.TRANSPORT) as error:
            failed = refusals.as_delivery_error(error)
            failed.uncertain = failed.uncertain or delivery.uncertain
            raise failed from error

    def _send(self, delivery: Delivery) -> dict[str, str] | None:
        notice, case, ref = delivery.notice, delivery.notice.case, delivery.ref
        home = ref["channel"] if ref else self.channel
        target = home
        if delivery.channel in self.channels:
            target = self.channels[delivery.channel]
        elif delivery.channel:
            # An alarm for a channel that nobody configured must still be seen by somebody.
            note = f"{notice.text} (meant for the channel “{delivery.channel}”, which is not configured)"
            notice = replace(notice, text=note)
        if (view := notice.digest) is not None:
            told = digest.message(notice, view)
            lost = pictures.share(self._client, target, delivery, told, name=view.name, alt=view.alt)
            if lost is not None:
                self._post(delivery, target, digest.message(notice, view, lost))
            return None
        if case is None:
            self._post(delivery, target, blocks.system_message(notice))
            return None
        if ref is None and (target == home or notice.kind == "opened"):
            return self._post(delivery, target, blocks.case_message(notice, case, acting=self.acting))
        if ref is None or target != home:
            link = self._permalink(ref) if ref else None
            self._post(delivery, target, blocks.pointer(notice, case, link))
            return None
        message = blocks.case_message(
            replace(notice, call=()), case, acting=self.acting
        )  # its people are called in the thread
        try:
            self._call(self._client.chat_update, channel=home, ts=ref["ts"], **_content(message))
        except SlackApiError as error:
            if refusals.code_of(error) not in refusals.MESSAGE_GONE:
                raise
            return self._post(delivery, home, blocks.case_message(notice, case, acting=self.acting))
        # A breach or a return must be seen by people who do not follow the thread.
        loud = notice.kind in ("breach", "reopened")
        reply = blocks.thread_reply(notice, case)
        self._post(delivery, home, reply, thread=ref["ts"], broadcast=loud)
        return None

    def _post(
        self,
        delivery: Delivery,
        channel: str,
        message: blocks.Message,
        *,
        thread: str | None = None,
        broadcast: bool = False,
    ) -> dict[str, str]:
        if delivery.uncertain and (found := self._find(delivery.key, channel, thread)):
            return found
        case = delivery.notice.case
        payload: dict[str, Any] = {"key": delivery.key} | ({"case_id": case.id} if case else {})
        in_thread = {"thread_ts": thread, "reply_broadcast": broadcast} if thread else {}
        answer = self._call(
            self._client.chat_postMessage,
            channel=channel,
            metadata={"event_type": EVENT_TYPE, "event_payload": payload},
            unfurl_links=False,
            unfurl_media=False,
            **in_thread,
            **_content(message),
        )
        return {"channel": str(answer["channel"]), "ts": str(answer["ts"])}

    def _call(self, method: Callable[..., SlackResponse], **arguments: Any) -> SlackResponse:
        """Calls Slack; a message whose blocks it refuses goes out as plain text: an ugly alarm beats none."""
        try:
            return method(**arguments)
        except SlackApiError as error:
            if refusals.code_of(error) not in refusals.BLOCKS_REFUSED:
                raise
            log.warning("Slack refused the blocks of a message, sent as plain text: %s", error.response.data)
            return method(**{name: value for name, value in arguments.items() if name != "blocks"})

    def _find(self, key: str, channel: str, thread: str | None) -> dict[str, str] | None:
        """What an earlier attempt posted after all: Slack has no idempotency key, so ours is looked for."""
        cursor: str | None = None
        for _ in range(PAGES):
            common: dict[str, Any] = {
                "channel": channel,
                "include_all_metadata": True,
                "limit": PAGE_SIZE,
                "cursor": cursor,
            }
            try:
                if thread:
                    page = self._client.conversations_replies(ts=thread, **common)
                else:
                    page = self._client.conversations_history(**common)
            except SlackApiError as error:
                if refusals.code_of(error) == "thread_not_found":
                    return None
                if refusals.code_of(error) != "missing_scope":
                    raise
                # A double is the lesser evil than an alarm that is not sent; `check` names the missing scope.
                log.warning("Slack app lacks a history scope: can't see whether delivery %s has arrived", key)
                return None
            for message in page.get("messages") or ():
                if message.get("metadata", {}).get("event_payload", {}).get("key") == key:
                    return {"channel": channel, "ts": str(message["ts"])}
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return None
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
        secrets = [getattr(self, name, None) for name in ("app_token", "signing_secret")]
        app_token, signing_secret = [s.get_secret_value() if s else None for s in secrets]
        channels = {"channel": self.channel, **self.channels}
        return list(doctor.examine(self._client, channels, app_token, signing_secret))

    def check_people(self, people: Mapping[str, str]) -> list[tuple[bool, str]]:
        """Whether the ids here of these people, by name, are good; as ``check``."""
        return list(doctor.examine_people(self._client, people))

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
        return values[0].isdigit() and int(values[0]) <= LONGEST_SLEEP


def _content(message: blocks.Message) -> dict[str, Any]:
    # chat.update's own default for parse makes links and mentions of plain words, unlike chat.postMessage's.
    return {"text": message.text, "blocks": message.blocks, "parse": "none"}
