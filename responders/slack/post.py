"""Messages into channels: at Slack's pace, in a form that it takes, where it lets us, and never twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse, WebClient

from listener.errors import DeliveryError
from listener.model import Delivery
from responders._text import clip
from responders.slack import refusals
from responders.slack.blocks import Message, context, escape
from responders.slack.pace import EDIT_S, POST_S, Pace

log = logging.getLogger(__name__)

EVENT_TYPE = "listener_delivery"
PAGES, PAGE_SIZE = 25, 200  # 5,000 messages since it was queued; Slack advises against larger pages
CLOCKS_APART_S = 300.0  # how far ours may be ahead of Slack's
PLAIN_LENGTH = 3900  # Slack advises 4,000 characters of text at most, and cuts at 40,000

Ref = dict[str, str]


class Post:
    """The way into the channels, for one token."""

    def __init__(self, client: WebClient) -> None:
        self._client = client
        self._pace = Pace()

    def post(
        self,
        delivery: Delivery,
        channel: str,
        message: Message,
        *,
        thread: str | None = None,
        broadcast: bool = False,
    ) -> Ref:
        """Post a message that can be found again by the delivery's key. Raises what slack_sdk raises."""
        case = delivery.notice.case
        payload: dict[str, Any] = {"key": delivery.key} | ({"case_id": case.id} if case else {})
        in_thread = {"thread_ts": thread, "reply_broadcast": broadcast} if thread else {}
        answer = self._call(
            self._client.chat_postMessage,
            (channel, POST_S),
            channel=channel,
            metadata={"event_type": EVENT_TYPE, "event_payload": payload},
            unfurl_links=False,
            unfurl_media=False,
            **in_thread,
            **_content(message),
        )
        return {"channel": str(answer["channel"]), "ts": str(answer["ts"])}

    def post_in_first(self, delivery: Delivery, channels: Iterable[str | None], message: Message) -> Ref:
        """Post to the first of the channels that takes it; in another than the first, it says why.

        Raises ``DeliveryError``, held, when none does: then nothing of that kind gets through.
        """
        first: SlackApiError | None = None
        why = ""
        for channel in dict.fromkeys(filter(None, channels)):
            try:
                return self.post(delivery, channel, elsewhere(message, why) if why else message)
            except SlackApiError as error:
                code = refusals.code_of(error)
                if code not in refusals.CHANNEL_REFUSED:
                    raise
                first = first or error
                why = why or f"Posted here because Slack refused {channel} ({code}): {refusals.ADVICE[code]}."
                log.warning("Slack refused channel %s: %s", channel, code)
        assert first is not None  # there is always a channel
        raise DeliveryError(str(refusals.refused(first)), held=True, uncertain=delivery.uncertain) from first

    def edit(self, ref: Ref, message: Message) -> None:
        """Raises what slack_sdk raises."""
        turn = ("chat.update", EDIT_S)
        self._call(self._client.chat_update, turn, channel=ref["channel"], ts=ref["ts"], **_content(message))

    def _call(
        self, method: Callable[..., SlackResponse], turn: tuple[str, float], **arguments: Any
    ) -> SlackResponse:
        """Calls Slack; a message whose form it refuses goes out as plain text: an ugly alarm beats none."""
        try:
            with self._pace.turn(*turn):
                return method(**arguments)
        except SlackApiError as error:
            if refusals.code_of(error) not in refusals.FORM_REFUSED:
                raise
            log.warning("Slack refused the form of a message, sent as plain text: %s", error.response.data)
        plain = {name: value for name, value in arguments.items() if name != "blocks"}
        with self._pace.turn(*turn):
            return method(**plain | {"text": clip(plain["text"], PLAIN_LENGTH)})

    def find(self, delivery: Delivery, channel: str, thread: str | None = None) -> Ref | None:
        """What an earlier attempt posted after all: Slack has no idempotency key, so ours is looked for.

        In a thread, or else among what the channel shows. Raises what slack_sdk raises.
        """
        where: dict[str, Any] = {"channel": channel, "include_all_metadata": True, "limit": PAGE_SIZE}
        if delivery.queued_at is not None:
            where["oldest"] = f"{delivery.queued_at.timestamp() - CLOCKS_APART_S:.6f}"
        cursor: str | None = None
        for _ in range(PAGES):
            try:
                if thread:
                    page = self._client.conversations_replies(ts=thread, cursor=cursor, **where)
                else:
                    page = self._client.conversations_history(cursor=cursor, **where)
            except SlackApiError as error:
                code = refusals.code_of(error)
                if code == "thread_not_found" or code in refusals.CHANNEL_REFUSED:
                    return None
                if code != "missing_scope":
                    raise
                # A double is the lesser evil than an alarm that is not sent; `check` names the missing scope.
                log.warning("Slack app lacks a history scope: can't see whether %s has arrived", delivery.key)
                return None
            for message in page.get("messages") or ():
                metadata = message.get("metadata") or {}
                ours = metadata.get("event_type") == EVENT_TYPE
                if ours and metadata.get("event_payload", {}).get("key") == delivery.key:
                    return {"channel": channel, "ts": str(message["ts"])}
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return None
        log.warning("Slack: more than %d messages since %s was queued", PAGES * PAGE_SIZE, delivery.key)
        return None


def elsewhere(message: Message, why: str) -> Message:
    """The message with a line that says why it is not where it should be."""
    said = escape(why, 600)
    return Message(f"{message.text} {said}", [*message.blocks, context(said)])


def _content(message: Message) -> dict[str, Any]:
    # chat.update's own default for parse makes links and mentions of plain words, unlike chat.postMessage's.
    return {"text": message.text, "blocks": message.blocks, "parse": "none"}
