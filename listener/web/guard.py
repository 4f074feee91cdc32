"""What every request passes and every answer carries: host, origin and size checks, security headers, error ids."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("listener.web")

MAX_BODY = 64 * 1024  # our forms carry at most a note of 10,000 characters
MAX_CALL = 1024 * 1024  # a click in Slack brings along the whole message and its form
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

ErrorPage = Callable[[int, str, str], Response]  # status, title, message


class _TooLarge(Exception):
    pass


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], secure: bool, error_page: ErrorPage) -> None:
        self.app = app
        self.hosts = hosts
        self.error_page = error_page
        self.headers = dict(SECURITY_HEADERS)
        if secure:
            self.headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, guarded_send)
            return
        try:
            await self.app(scope, _limited(receive, _most(scope)), guarded_send)
        except _TooLarge:
            await self._too_much(scope)(scope, receive, guarded_send)
        except Exception:
            error_id = secrets.token_hex(4)
            log.exception("error %s at %s %s", error_id, scope["method"], scope["path"])
            if started:
                raise
            text = f"Something went wrong here. It is in the log, under the number {error_id}."
            await self.error_page(500, "That failed", text)(scope, receive, guarded_send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _hostname(host) not in self.hosts:
            # DNS rebinding: a foreign name that points here must not be able to read the pages.
            text = (
                "This name is not known here. Add it to allowed_hosts in the [web] section of listener.toml."
            )
            return self.error_page(400, "Unknown host", text)
        if scope["method"] in SAFE_METHODS:
            return None
        if not _same_origin(headers, host):
            text = "This form came from another site, so nothing was done."
            return self.error_page(403, "Not from here", text)
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > _most(scope):
            return self._too_much(scope)
        return None

    def _too_much(self, scope: Scope) -> Response:
        return self.error_page(413, "Too much", f"A form may hold at most {_most(scope) // 1024} kB.")


def _most(scope: Scope) -> int:
    """Bytes that the body of the request may have."""
    return MAX_CALL if scope["path"].startswith("/responders/") else MAX_BODY


def _hostname(host: str) -> str:
    """The name within a Host header, without port and brackets; empty when it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if "@" not in host else ""
    except ValueError:
        return ""


def _same_origin(headers: Headers, host: str) -> bool:
    """Whether a form came from our own pages, as far as the browser says.

    Our Referrer-Policy makes browsers send ``Origin: null`` even for our own forms; then Sec-Fetch-Site tells,
    and where that is missing too (plain http in a LAN) the CSRF token alone decides.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None or origin == "null":
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _limited(receive: Receive, most: int) -> Receive:
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise _TooLarge
        return message

    return limited
