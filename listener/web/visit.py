"""One request of somebody who is logged in: who they are, and how a page is answered."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from listener.service import read
from listener.service.core import Core
from listener.web import login, words
from listener.web.login import Brake, Session
from listener.web.render import Renderer
from listener.web.settings import WebSettings

LIVE = "listener-live"  # the page's own script asks with this header for what has changed


@dataclass(frozen=True)
class Web:
    """What every route needs."""

    core: Core
    settings: WebSettings
    now: Callable[[], datetime]
    renderer: Renderer
    brake: Brake

    def health(self, now: datetime) -> read.Health:
        return read.health(
            self.core, now, embedded=self.settings.embedded, clock_speed=self.settings.clock_speed
        )

    @property
    def cookie(self) -> str:
        """The session cookie's name; with https the prefix makes browsers insist on Secure, Path and no Domain."""
        return "__Host-listener" if self.settings.secure_cookies else "listener"


def web_of(request: Request) -> Web:
    web: Web = request.app.state.web
    return web


class GoTo(Exception):
    """Answer with a redirect: log in, or say who you are."""

    def __init__(self, url: str) -> None:
        self.url = url


@dataclass(frozen=True)
class Visit:
    """A request of a logged-in person. ``session.person`` is set."""

    web: Web
    request: Request
    session: Session
    now: datetime

    @property
    def core(self) -> Core:
        return self.web.core

    @property
    def person(self) -> str:
        assert self.session.person is not None
        return self.session.person

    def page(
        self,
        template: str,
        values: Mapping[str, Any],
        *,
        path: str | None = None,
        status: int = 200,
        error: str = "",
        entered: Mapping[str, str] | None = None,
    ) -> Response:
        """The page, whose own address is ``path`` (the request's when left out).

        The page's own script gets it only when it has changed (ETag), without what the clock alone changes.
        """
        live = LIVE in self.request.headers
        done = "" if live else words.DONE.get(self.request.query_params.get("done", ""), "")
        body = self.web.renderer.text(
            template,
            {
                **values,
                "now": self.now,
                "live": live,
                "person": self.session.person,
                "csrf": self.session.csrf,
                "path": path or self.request.url.path,
                "speed": self.web.settings.clock_speed,
                "demo": self.web.settings.demo,
                "done": done,
                "error": error,
                "entered": entered or {},
            },
        ).encode("utf-8", "replace")
        headers = {"Listener-Now": self.now.isoformat(timespec="milliseconds")}
        if live:
            tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            headers["ETag"] = tag
            if self.request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=headers)
        return Response(body, status, headers, media_type="text/html")


def local_path(path: str) -> str:
    """The path when it leads to a page of ours; anything else (another site, a script) becomes the start page."""
    plain = path.isprintable() and path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if plain else "/"


def session_of(request: Request, web: Annotated[Web, Depends(web_of)]) -> Session:
    """The session, with or without a person. A page that refreshes itself does not keep it alive."""
    live = LIVE in request.headers
    session = login.find_session(
        web.core,
        request.cookies.get(web.cookie),
        web.now(),
        touch=not live,
        speed=web.settings.clock_speed,
    )
    if session is not None:
        return session
    if live:
        raise HTTPException(401, "You are logged out.")
    raise GoTo(f"/login?next={quote(_here(request), safe='/')}")


def visit_of(
    request: Request, web: Annotated[Web, Depends(web_of)], session: Annotated[Session, Depends(session_of)]
) -> Visit:
    if session.person is None:
        raise GoTo(f"/me?next={quote(_here(request), safe='/')}")
    return Visit(web, request, session, web.now())


def _here(request: Request) -> str:
    """Where to go after the log-in: this page; after a form the start page, since the form is lost."""
    if request.method not in ("GET", "HEAD"):
        return "/"
    query = f"?{request.url.query}" if request.url.query else ""
    return request.url.path + query


async def form_of(request: Request) -> dict[str, str]:
    """The form's fields; files are ignored."""
    form = await request.form(max_files=0, max_fields=50)
    return {name: value for name, value in form.items() if isinstance(value, str)}


Form = Annotated[dict[str, str], Depends(form_of)]


def checked_form(form: Form, session: Annotated[Session, Depends(session_of)]) -> dict[str, str]:
    """The fields of a form that this session was given. Raises 403 without its token."""
    token = form.pop("csrf", "")
    if not hmac.compare_digest(token.encode("utf-8", "replace"), session.csrf.encode()):
        raise HTTPException(
            403, "This form is out of date, so nothing was done. Go back, reload and try again."
        )
    return form


Visitor = Annotated[Visit, Depends(visit_of)]
CheckedForm = Annotated[dict[str, str], Depends(checked_form)]


def see(url: str) -> RedirectResponse:
    return RedirectResponse(url, 303)
