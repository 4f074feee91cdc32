"""A message that comes with a picture. Reference: docs.slack.dev/messaging/working-with-files (external upload)."""

from __future__ import annotations

import json
import logging

from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web import WebClient

from listener.errors import DeliveryError
from listener.model import Delivery
from responders.slack import refusals
from responders.slack.blocks import Message

log = logging.getLogger(__name__)

ATTEMPTS = 3  # then the words go out alone: a picture must not keep them back
PAGES, PAGE_SIZE = 5, 200  # how far back an uncertain picture is looked for


def share(
    client: WebClient, channel: str, delivery: Delivery, message: Message, *, name: str, alt: str
) -> str | None:
    """Post the delivery's picture with the message. None: it is there; else why the message must go alone ("": no
    picture). The file's name is what an uncertain one is found by: a file's message takes no metadata.

    Raises ``DeliveryError`` when trying again may help, and what slack_sdk raises while an earlier one is looked for.
    """
    picture, filename = delivery.notice.picture, f"{name}.png"
    if picture is None:
        return ""
    if delivery.uncertain and _is_there(client, channel, filename):
        return None
    if delivery.attempt > ATTEMPTS:
        return "Its chart could not be uploaded."
    try:
        client.files_upload_v2(
            channel=channel,
            content=picture,
            filename=filename,
            title=alt[:200],
            alt_txt=alt[:1000],
            blocks=json.dumps(message.blocks),  # ignored where there is an initial_comment
        )
    except SlackApiError as error:
        failed = refusals.refused(error)
        if refusals.code_of(error) in refusals.ADVICE:
            log.warning("a digest goes out without its chart: %s", failed)
            return f"Its chart is missing: {failed}"
        failed.alone = failed.retry_after is None
        raise failed from error
    except (SlackRequestError, *refusals.TRANSPORT) as error:
        # Files go to a host of their own, which a firewall may stop: the words of others need not wait for that.
        raise DeliveryError(
            f"Slack did not take the chart ({error})"[:500], uncertain=True, alone=True
        ) from error
    return None


def _is_there(client: WebClient, channel: str, filename: str) -> bool:
    cursor: str | None = None
    for _ in range(PAGES):
        try:
            page = client.conversations_history(channel=channel, limit=PAGE_SIZE, cursor=cursor)
        except SlackApiError as error:
            if refusals.code_of(error) != "missing_scope":
                raise
            log.warning("Slack app lacks a history scope: can't see whether %s has arrived", filename)
            return False  # a double is the lesser evil
        for found in page.get("messages") or ():
            if any(file.get("name") == filename for file in found.get("files") or ()):
                return True
        cursor = (page.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            return False
    return False
