"""What ``listener doctor`` looks at in Slack. Each finding says whether it is good, else what to click.

Nothing is posted. Methods and their errors: docs.slack.dev/reference/methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from slack_sdk.errors import SlackApiError
from slack_sdk.web import WebClient

from responders.slack import refusals

Finding = tuple[bool, str]

_APP = "open api.slack.com/apps, choose the app"
_MEMBER_ID = "in Slack click the person's picture, View full profile, ⋮, Copy member ID"
_GROUP_ID = "in Slack open People, User groups, the group, ⋮, Copy group ID"
_APP_TOKEN = (
    f"{_APP}, Basic Information, App-Level Tokens, Generate Token and Scopes, add connections:write, Generate, "
    "and copy the token (xapp-…) to where app_token points"
)
_SECRET = f"{_APP}, Basic Information, App Credentials, and copy the Signing Secret to where it points"

# Those of config/slack-app-manifest.yaml: to be told what happens,
SCOPES = {
    "chat:write": "to post",
    "channels:read": "to check public channels",
    "groups:read": "to check private channels",
    "channels:history": "to look, after a time-out, whether a message has arrived, before posting it again",
    "groups:history": "the same in private channels",
    "files:write": "to post the chart of a digest",
}
# to act in Slack,
TWO_WAY = {
    "commands": "for /listener",
    "reactions:read": "for emoji as shortcuts",
    "users:read": "for the names of those who act",
}
# and to call the user groups that the configuration names.
GROUPS = {"usergroups:read": "to check the user groups that are called"}


def examine(
    client: WebClient, channels: Mapping[str, str], app_token: str | None, signing_secret: str | None
) -> Iterator[Finding]:
    """Token, scopes, channels (by what the configuration calls them), and the way back from Slack."""
    try:
        me = client.auth_test()
    except (SlackApiError, *refusals.TRANSPORT) as error:
        yield False, str(refusals.as_delivery_error(error))
        return
    bot = str(me.get("user") or "the app")
    yield True, f"token is valid: {bot} in {me.get('team')}"
    headers = {name.lower(): value for name, value in me.headers.items()}
    granted = {scope.strip() for scope in str(headers.get("x-oauth-scopes", "")).split(",")}
    needed = SCOPES | TWO_WAY if app_token or signing_secret else SCOPES
    for scope, use in needed.items():
        if scope in granted:
            yield True, f"scope {scope}"
        else:
            yield False, f"scope {scope} is missing ({use}): {refusals.ADVICE['missing_scope']}"
    yield from _way_back(client, app_token, signing_secret)
    for name, channel in channels.items():
        yield _channel(client, name, channel, bot)


def _way_back(client: WebClient, app_token: str | None, signing_secret: str | None) -> Iterator[Finding]:
    if app_token:
        yield _socket_mode(client, app_token)
    if signing_secret:
        if signing_secret.startswith(("xapp-", "xox")):
            yield False, f"signing_secret holds a token: {_SECRET}"
        else:
            yield (
                True,
                "requests over HTTP are taken when signed. Slack must know the dashboard's public address: listener "
                f"slack manifest --http URL shows where; {_APP}, App Manifest, to put it in",
            )
    if not app_token and not signing_secret:
        yield True, f"Slack only shows cases; for people to act there, set app_token: {_APP_TOKEN}"


def _socket_mode(client: WebClient, app_token: str) -> Finding:
    if not app_token.startswith("xapp-"):
        return False, f"app_token is no app-level token (xapp-…): {_APP_TOKEN}"
    try:
        client.apps_connections_open(app_token=app_token)  # an address that nobody uses expires
    except SlackApiError as error:
        code = refusals.code_of(error)
        if error.response.status_code != 200 or code in refusals.MAYBE_DONE | {"ratelimited"}:
            return False, f"Socket Mode: {refusals.as_delivery_error(error)}"
        if code in _TOKEN_REFUSED:
            return False, f"app_token is refused ({code}): {_APP_TOKEN}"
        return False, f"Socket Mode is refused ({code}): {_APP}, Socket Mode, switch on Enable Socket Mode"
    except refusals.TRANSPORT as error:
        return False, f"Socket Mode: {refusals.as_delivery_error(error)}"
    return True, "Socket Mode: Slack opens a connection; clicks and commands come over it"


_TOKEN_REFUSED = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "missing_args",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "token_revoked",
        "token_expired",
        "account_inactive",
    }
)


def _channel(client: WebClient, name: str, channel: str, bot: str) -> Finding:
    label = f"{name} ({channel})"
    try:
        info = client.conversations_info(channel=channel)["channel"]
    except (SlackApiError, *refusals.TRANSPORT) as error:
        return False, f"{label}: {refusals.as_delivery_error(error)}"
    label = f"{name} #{info.get('name') or channel}"
    if info.get("is_archived"):
        return False, f"{label}: {refusals.ADVICE['is_archived']}"
    if not info.get("is_member") and not info.get("is_im"):
        return False, f"{label}: {bot} is not in it; open it in Slack and type /invite @{bot}"
    return True, f"{label}: {bot} is in it"


# ---- people -------------------------------------------------------------------------------------------------


def examine_people(client: WebClient, people: Mapping[str, str]) -> Iterator[Finding]:
    """Whether each person's id (of a user, or of a user group) is somebody in Slack, and nobody else's."""
    owners: dict[str, list[str]] = {}
    for name, handle in people.items():
        owners.setdefault(handle, []).append(name)
    for handle, names in owners.items():
        if len(names) > 1:
            shared = " and ".join(names)
            yield False, f"{shared} have the same id {handle}: give each their own; {_MEMBER_ID}"
    known = 0
    groups: dict[str, bool] | None = None
    for handle, names in owners.items():
        who = f"{names[0]} ({handle})"
        try:
            if handle.startswith("S"):
                groups = _groups(client) if groups is None else groups
                wrong = _group(groups, handle)
            else:
                wrong = _user(client, handle)
        except (SlackApiError, *refusals.TRANSPORT) as error:
            yield False, f"{who} can't be looked up: {_why(error)}"
            return
        if wrong:
            yield False, f"{who}: {wrong}"
        known += not wrong
    if known:
        yield True, f"people: Slack knows {known} of {len(owners)} ids"


def _why(error: Exception) -> str:
    if isinstance(error, SlackApiError) and refusals.code_of(error) == "plan_upgrade_required":
        return "this workspace's plan has no user groups; name people instead"
    return str(refusals.as_delivery_error(error))


def _user(client: WebClient, handle: str) -> str | None:
    """What is wrong with this user's id."""
    if not handle.startswith(("U", "W")):
        return f"it is not a Slack id (U…, or S… for a user group); {_MEMBER_ID}"
    try:
        user = client.users_info(user=handle)["user"]
    except SlackApiError as error:
        if refusals.code_of(error) in ("user_not_found", "user_not_visible", "users_not_found"):
            return f"Slack knows nobody with this id; {_MEMBER_ID}"
        raise
    if user.get("deleted"):
        return f"this account is deactivated; put in the one that is used now: {_MEMBER_ID}"
    if user.get("is_bot"):
        return f"this is an app, not a person; {_MEMBER_ID}"
    return None


def _groups(client: WebClient) -> dict[str, bool]:
    """The user groups by id: whether each is in use."""
    found = client.usergroups_list(include_disabled=True).get("usergroups") or []
    return {str(group["id"]): not group.get("date_delete") for group in found}


def _group(groups: Mapping[str, bool], handle: str) -> str | None:
    if handle not in groups:
        return f"Slack knows no user group with this id; {_GROUP_ID}"
    if not groups[handle]:
        return "this user group is disabled: enable it in Slack (People, User groups), or name another"
    return None
