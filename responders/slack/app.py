"""The Slack app: takes what people do there, over Socket Mode or signed HTTP, acknowledges it and does it.

slack_bolt takes requests apart and finds their handler. Each handler only acknowledges and queues: Slack wants its
acknowledgement within three seconds, and the work may have to wait for the database, a source or Slack itself.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from slack_bolt import Ack, App, BoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web import WebClient
from slack_sdk.webhook import WebhookClient

from listener.errors import ListenerError, Refused, UsageError
from listener.ports import Desk
from responders.slack import EVENT_TYPE, actions, modals, refusals
from responders.slack.actions import Kept, Where
from responders.slack.blocks import Message, escape
from responders.slack.buttons import AT_ONCE, PREFIX, Emoji
from responders.slack.socket_mode import Socket

log = logging.getLogger(__name__)

Body = dict[str, Any]

WORKERS = 4
FORM_WAIT_S = 1.5  # a form that is done by then shows its own error; a later outcome comes as a message
ANYTHING = re.compile(".*", re.DOTALL)

OUR_FAULT = "That failed in Listener, and nothing was done. It is in its log."
NO_DATABASE = "Listener can't use its database just now, so nothing was done. Try again in a minute."
TOO_SLOW = "Slack gave the form no time to open. Please click again."


class SlackApp:
    """What listens for one Slack responder. ``close`` it in the end."""

    def __init__(
        self,
        desk: Desk,
        client: WebClient,
        *,
        app_token: str | None,
        signing_secret: str | None,
        reactions: Mapping[str, Emoji],
    ) -> None:
        self._desk = desk
        self._client = client
        self._app_token = app_token
        self._verifier = SignatureVerifier(signing_secret) if signing_secret else None
        self._reactions = reactions
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="slack")
        self._socket: Socket | None = None
        # Its messages hold what people and customers wrote, and Slack's token: ours tell what an operator needs.
        quiet = logging.getLogger(f"{__package__}.sdk")
        quiet.setLevel(logging.CRITICAL)
        self._bolt = App(
            name=quiet.name,  # bolt gives the logger of this name our level: "listener" would fall silent
            logger=quiet,
            client=client,
            # One workspace, whose token is known: asking Slack who we are would hold up the first click.
            authorize=lambda enterprise_id, team_id: AuthorizeResult(
                enterprise_id=enterprise_id, team_id=team_id, bot_token=client.token
            ),
            process_before_response=True,  # handlers run in the thread that answers; they only queue
            listener_executor=self._pool,
            request_verification_enabled=False,  # see handle: bolt's fails on a time stamp that is no number,
            ssl_check_enabled=False,  # and lets this one by before it has looked at the signature
            ignoring_self_events_enabled=False,
        )
        self._bolt.action(ANYTHING)(self._on_click)
        self._bolt.view(ANYTHING)(self._on_form)
        self._bolt.command(ANYTHING)(self._on_command)
        self._bolt.event("reaction_added")(self._on_reaction)
        self._bolt.event("app_home_opened")(self._on_home)
        self._bolt.event(ANYTHING)(_on_nothing)

    def start(self) -> None:
        """Listen on a socket, when there is a token for it. Returns at once; Slack may be down just now."""
        if self._app_token is not None:
            self._socket = Socket(self._bolt, self._app_token)
            self._socket.start()

    def close(self) -> None:
        """Take nothing more, and finish what was acknowledged."""
        if self._socket is not None:
            self._socket.close()
        self._pool.shutdown()

    def handle(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
        """Answer a request over HTTP: 401 unless Slack has signed it within the last 5 minutes."""
        if self._verifier is None:
            return 404, "text/plain", b"This Slack app is not asked over HTTP: it has no signing_secret."
        if not _is_signed(self._verifier, body, headers):
            log.warning("Slack: a request with a wrong signature, or an old one, was refused")
            return 401, "text/plain", b"The signature is wrong, or older than 5 minutes."
        answer = self._bolt.dispatch(BoltRequest(body=body.decode("utf-8", "replace"), headers=dict(headers)))
        return answer.status, answer.headers["content-type"][0], answer.body.encode()

    # ---- what people do: acknowledged at once, done by the pool

    def _on_click(self, ack: Ack, body: Body) -> None:
        click = actions.click(body)
        if click is not None:
            self._queue(click.where, lambda: self._click(click), click.trigger)
        ack()

    def _on_form(self, ack: Ack, body: Body) -> None:
        view = body["view"]
        action = str(view.get("callback_id", "")).removeprefix(PREFIX)
        if action != "draft" and action not in modals.FIRST_FIELD:
            ack()  # a notice
            return
        try:
            kept = Kept.read(view.get("private_metadata", ""))
            if action == "draft":  # its button leads on to the form that records the answer
                ack(response_action="update", view=modals.respond(self._desk.case(kept.case_id), kept))
                return
        except (Refused, UsageError) as error:
            ack(response_action="update", view=modals.notice(escape(str(error), 1000)))
            return
        fields = modals.entered(view)
        if wrong := modals.mistakes(action, fields):
            ack(response_action="errors", errors=wrong)
            return
        job = self._pool.submit(self._form, action, kept, fields, body)
        try:
            problem = job.result(FORM_WAIT_S)
        except TimeoutError:
            job.add_done_callback(lambda done: self._tell_late(kept.where, done))
            ack()
            return
        if problem:
            ack(response_action="errors", errors={modals.FIRST_FIELD[action]: problem})
        else:
            ack()

    def _on_command(self, ack: Ack, body: Body) -> None:
        self._queue(Where(body["user_id"], body["channel_id"]), lambda: self._command(body))
        ack()

    def _on_reaction(self, ack: Ack, body: Body) -> None:
        event = body["event"]
        action = self._reactions.get(str(event["reaction"]).partition("::")[0])  # ::skin-tone-2
        if action is not None and event["item"].get("type") == "message":
            place = Where(event["user"], event["item"]["channel"])
            self._queue(place, lambda: self._react(action, event, str(body.get("event_id")), place))
        ack()

    def _on_home(self, ack: Ack, body: Body) -> None:
        if body["event"].get("tab") == "home":
            self._queue(Where(body["event"]["user"]), lambda: self._publish_home(body["event"]["user"], ""))
        ack()

    # ---- the work

    def _queue(self, place: Where, work: Callable[[], str | None], trigger: str = "") -> None:
        """Do the work soon; what it returns, or what is wrong, is told to the person."""

        def run() -> None:
            text = self._safely(work)
            if text:
                self._tell(place, text, trigger)

        self._pool.submit(run)

    def _safely(self, work: Callable[[], str | None]) -> str | None:
        try:
            return work()
        except (Refused, UsageError) as error:
            return escape(str(error), 1000)
        except ListenerError as error:
            log.error("Slack: an action failed: %s", error)  # noqa: TRY400 - the operator's to mend: no traceback
            return NO_DATABASE
        except (SlackApiError, *refusals.TRANSPORT) as error:
            log.warning("Slack: an action was not finished: %s", refusals.as_delivery_error(error))
            return None
        except Exception:
            log.exception("Slack: a bug in an action")
            return OUR_FAULT

    def _click(self, click: actions.Click) -> str | None:
        if not self._desk.once(click.key):
            return None
        who = self._person(click.where.user, click.name)
        if click.action in AT_ONCE:
            text = actions.do(self._desk, click.action, click.case_id, who)
            if click.where.channel is None:
                self._publish_home(click.where.user, click.name)
                return None  # the tab shows it
            return text
        view = modals.opened(self._desk, click.action, click.case_id, who, click.where)
        try:
            self._client.views_open(trigger_id=click.trigger, view=view)
        except SlackApiError as error:
            if refusals.code_of(error) not in ("expired_trigger_id", "exchanged_trigger_id"):
                raise
            return TOO_SLOW
        return None

    def _form(self, action: str, kept: Kept, fields: modals.Entered, body: Body) -> str | None:
        """Does what the form asks for and tells the person; returns what is wrong, in plain text, for the form."""
        user, view_id = body["user"], body["view"]["id"]
        # Once corrected, a form may be sent again: each press has its own trigger. Nothing in it needs correcting
        # when reminders are snoozed, and only there would a second press do anything more.
        key = view_id if action == "snooze" else f"{view_id}:{body.get('trigger_id')}"
        place = Where(str(user["id"]), kept.where.channel, kept.where.thread)
        try:
            if not self._desk.once(f"slack:form:{key}"):
                return None
            who = self._person(place.user, str(user.get("name") or ""))
            text = modals.do(self._desk, action, kept.case_id, who, fields)
        except (Refused, UsageError) as error:
            return str(error)[:1000]
        except ListenerError as error:
            log.error("Slack: a form failed: %s", error)  # noqa: TRY400 - as above
            return NO_DATABASE
        except Exception:
            log.exception("Slack: a bug in a form")
            return OUR_FAULT
        if place.channel is None:
            self._queue(place, lambda: self._publish_home(place.user, str(user.get("name") or "")))
        else:
            self._queue(place, lambda: text)
        return None

    def _tell_late(self, place: Where, done: Future[str | None]) -> None:
        if problem := done.result():
            self._queue(place, lambda: escape(problem, 1000))

    def _react(self, action: Emoji, event: Body, event_id: str, place: Where) -> str | None:
        case_id = self._case_at(event["item"]["channel"], event["item"]["ts"])
        if case_id is None or not self._desk.once(f"slack:event:{event_id}"):
            return None
        try:
            return actions.do(self._desk, action, case_id, self._person(place.user))
        except (Refused, UsageError) as error:
            return f"Your :{event['reaction']}: at case {case_id}: {escape(str(error), 1000)}"

    def _case_at(self, channel: str, ts: str) -> int | None:
        """The case whose message this is; the message itself says so."""
        found = self._client.conversations_replies(channel=channel, ts=ts, limit=1, include_all_metadata=True)
        for message in found.get("messages") or ():
            metadata = message.get("metadata") or {}
            if message.get("ts") == ts and metadata.get("event_type") == EVENT_TYPE:
                number = metadata.get("event_payload", {}).get("case_id")
                return number if isinstance(number, int) else None
        return None

    def _command(self, body: Body) -> str | None:
        from responders.slack import commands

        if not self._desk.once(f"slack:command:{body.get('trigger_id')}"):
            return None
        who = self._person(body["user_id"], body.get("user_name", ""))
        try:
            answer = commands.answer(self._desk, who, body.get("text", ""), self._desk.now())
        except (Refused, UsageError) as error:
            answer = Message(text := escape(str(error), 1000), [_section(text)])
        reply = WebhookClient(body["response_url"], ssl=self._client.ssl, proxy=self._client.proxy)
        sent = reply.send(text=answer.text, blocks=answer.blocks, response_type="ephemeral")
        if sent.status_code != 200:
            log.warning("Slack: the answer to a command was not taken (HTTP %s)", sent.status_code)
        return None

    def _publish_home(self, user: str, name: str) -> None:
        from responders.slack.home import home

        view = home(self._desk, self._person(user, name), self._desk.now())
        self._client.views_publish(user_id=user, view=view)

    def _person(self, user: str, shown: str = "") -> str:
        who = self._desk.person("slack", user, shown or user)
        if who != user:
            return who
        try:  # an event brings only the id, and nobody in the configuration has it
            profile = self._client.users_info(user=user)["user"]
        except (SlackApiError, *refusals.TRANSPORT):
            return who
        return self._desk.person("slack", user, str(profile.get("name") or user))

    def _tell(self, place: Where, text: str, trigger: str) -> None:
        try:
            if place.channel is not None:
                self._client.chat_postEphemeral(
                    channel=place.channel,
                    user=place.user,
                    thread_ts=place.thread,
                    text=text,
                    blocks=[_section(text)],
                )
            elif trigger:
                self._client.views_open(trigger_id=trigger, view=modals.notice(text))
        except (SlackApiError, *refusals.TRANSPORT) as error:
            log.warning("Slack: a person could not be answered: %s", refusals.as_delivery_error(error))


def _on_nothing(ack: Ack) -> None:
    ack()


def _is_signed(verifier: SignatureVerifier, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        return verifier.is_valid_request(body, dict(headers))
    except (ValueError, TypeError):  # a time stamp that is no number, a body or signature that is no text
        return False


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:3000], "verbatim": True}}
