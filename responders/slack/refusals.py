"""What Slack's refusals mean for a delivery, and what a person can do about each."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPException
from urllib.error import URLError

from slack_sdk.errors import SlackApiError

from listener.errors import DeliveryError

FIND_ID = "find it in Slack: click the channel's name, About, at the bottom"
_REINSTALL = "open api.slack.com/apps, choose the app, click Install App, then copy the Bot User OAuth Token"
_INVITE = "open the channel in Slack and type /invite followed by the app's name"
_FORMAT = "Slack refuses the form of the message, also as plain text; please report this"

# Trying again can't help: code -> what to do. Codes: docs.slack.dev/reference/methods/chat.postMessage.
ADVICE = {
    "channel_not_found": f"check the channel's ID ({FIND_ID}); if it is private, {_INVITE}",
    "not_in_channel": _INVITE,
    "is_archived": "the channel is archived: unarchive it in Slack or configure another one",
    "channel_is_archived": "the channel is archived: unarchive it in Slack or configure another one",
    "restricted_action": "a workspace setting keeps apps from posting there: ask a workspace admin",
    "no_permission": f"the app may not do this: {_REINSTALL}",
    "invalid_auth": f"the token is not valid: {_REINSTALL}",
    "not_authed": f"no token arrived: {_REINSTALL}",
    "token_revoked": f"the token was revoked: {_REINSTALL}",
    "token_expired": f"the token has expired: {_REINSTALL}",
    "account_inactive": f"the app was removed from the workspace: {_REINSTALL}",
    "org_login_required": "the workspace is being moved to an organisation: sign in again as its admin",
    "team_access_not_granted": f"the app was not given this workspace: {_REINSTALL}",
    "not_allowed_token_type": f"it must be a bot token (xoxb-…): {_REINSTALL}",
    "missing_scope": "open api.slack.com/apps, choose the app, OAuth & Permissions, add it, reinstall",
    "invalid_blocks": _FORMAT,
    "invalid_blocks_format": _FORMAT,
    "msg_blocks_too_long": _FORMAT,
    "msg_too_long": _FORMAT,
    "no_text": _FORMAT,
    "invalid_arguments": _FORMAT,
    "invalid_metadata_format": _FORMAT,
    "metadata_too_large": _FORMAT,
}
# Nothing gets through, whatever the channel, until somebody mends it.
ALL_REFUSED = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "token_expired",
        "account_inactive",
        "org_login_required",
        "team_access_not_granted",
        "not_allowed_token_type",
    }
)
# This channel takes nothing; another one may.
CHANNEL_REFUSED = frozenset(
    {"channel_not_found", "not_in_channel", "is_archived", "channel_is_archived", "restricted_action"}
)
# Slack refuses the form, not the message: it goes out as plain text instead.
FORM_REFUSED = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
# The case's message can't be edited any more (deleted by a person, or too old): a new one takes its place.
MESSAGE_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
# The message to reply to was deleted.
THREAD_GONE = frozenset({"thread_not_found", "message_not_found", "cannot_reply_to_message"})
# Slack documents that the message may have been posted all the same.
MAYBE_DONE = frozenset({"fatal_error", "internal_error", "service_unavailable", "request_timeout"})
# What slack_sdk lets through besides its own error; ValueError is an answer that is no text or no JSON.
TRANSPORT = (OSError, HTTPException, ValueError)


def as_delivery_error(error: Exception) -> DeliveryError:
    return refused(error) if isinstance(error, SlackApiError) else unreachable(error)


def code_of(error: SlackApiError) -> str:
    """Slack's word for it, or the start of an answer that was not Slack's."""
    data = error.response.data
    return str(data.get("error") or "unknown")[:200] if isinstance(data, dict) else "unreadable answer"


def refused(error: SlackApiError) -> DeliveryError:
    """Slack, or something in between, answered no. A code that is not known counts as temporary, and as this
    message's own.
    """
    code, status = code_of(error), error.response.status_code
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return DeliveryError("Slack asks to slow down", retry_after=retry_after(error))
    if code in ADVICE:
        needed = str(error.response.data.get("needed") or "")
        held = code in ALL_REFUSED or needed.startswith("chat:write")
        text = f"Slack refused ({' '.join(filter(None, (code, needed)))}): {ADVICE[code]}"
        return DeliveryError(text, permanent=not held, held=held)
    answered = f"HTTP {status}" if status != 200 else code
    not_slack = status == 200 and " " in code  # no JSON: a proxy's page; what lies behind it is not known
    uncertain = status >= 500 or code in MAYBE_DONE or not_slack
    return DeliveryError(
        f"Slack did not take the message ({answered})",
        uncertain=uncertain,
        alone=status == 200 and not uncertain and isinstance(error.response.data, dict),
    )


def retry_after(error: SlackApiError) -> float:
    """Seconds that Slack asks to wait; 30 (its usual value) when it does not say."""
    headers = {name.lower(): value for name, value in error.response.headers.items()}
    value = str(headers.get("retry-after", ""))
    return float(value) if value.isdigit() else 30.0


def unreachable(error: Exception) -> DeliveryError:
    """No answer, or none that can be read. Only a connection that failed is known to have sent nothing."""
    reason = error.reason if isinstance(error, URLError) else error
    never_sent = isinstance(reason, ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError)
    return DeliveryError(
        f"Slack is not reachable ({reason or type(reason).__name__})", uncertain=not never_sent
    )
