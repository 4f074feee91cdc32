"""The connection over which Slack sends what people do.

Reference: docs.slack.dev/apis/events-api/using-socket-mode.
"""

from __future__ import annotations

import logging
import threading

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk.errors import SlackApiError

from responders.slack import refusals

log = logging.getLogger(__name__)

PING_S = 5.0  # between looks whether the socket is still there
LONGEST_PAUSE_S = 60.0  # between attempts to reach Slack
CONNECT_ADVICE = (
    "open api.slack.com/apps, choose the app, Basic Information, App-Level Tokens: make one with the scope "
    "connections:write, and turn on Socket Mode"
)


class Socket:
    """One Socket Mode connection, kept up by slack_sdk once it has been made; and what the log tells of it."""

    def __init__(self, app: App, token: str) -> None:
        self._stopping = threading.Event()
        self._up = self._asked = False
        errors = logging.Logger("slack socket", logging.ERROR)
        errors.addFilter(self._failed)
        self._handler = SocketModeHandler(app, token, errors, ping_interval=PING_S)
        self._handler.client.on_message_listeners.append(self._heard)
        self._thread = threading.Thread(target=self._connect, name="slack socket", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        client = self._handler.client
        client.auto_reconnect_enabled = False
        client.closed = True
        client.message_queue.put(None)  # wakes the thread that would wait a second for the next message
        reader = client.current_session_runner
        reader.event.set()
        while reader.is_alive():  # a reader that has only just begun forgets that it was told to end
            client.current_session_state.terminated = True
            client.disconnect()
            reader.thread.join(0.1)
        client.close()

    def _connect(self) -> None:
        """Until Slack has been reached once: from then on the client looks after itself."""
        pause, told = 1.0, ""
        while not self._stopping.is_set():
            try:
                self._handler.connect()  # type: ignore[no-untyped-call]
            except (SlackApiError, *refusals.TRANSPORT) as error:
                why = str(error)
                if isinstance(error, SlackApiError):
                    why = f"{refusals.code_of(error)}: {CONNECT_ADVICE}"
                if why != told:
                    log.error("Slack: can't listen (%s); trying again", why)  # noqa: TRY400 - plain
                told = why
            else:
                return
            self._stopping.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _heard(self, message: str) -> None:
        kind = message[:200]
        if '"disconnect"' in kind:
            self._asked = True  # Slack renews each connection every few hours
        elif '"hello"' in kind:
            if not self._up:
                log.info("Slack: listening")
            elif not self._asked:
                log.warning("Slack: the connection was lost; listening again")
            self._up, self._asked = True, False

    def _failed(self, _record: logging.LogRecord) -> bool:
        """Tell once what slack_sdk logs as an error every few seconds, with a session's number and no advice."""
        if self._up and not self._stopping.is_set():
            log.warning("Slack: the connection was lost; connecting again")
            self._up = False
        return False
