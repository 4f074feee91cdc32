"""Coming in and going out: /login, /me, /logout."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from listener.errors import UsageError
from listener.web import login
from listener.web.login import Session
from listener.web.visit import CheckedForm, Form, Web, local_path, see, session_of, web_of

router = APIRouter(include_in_schema=False)

WebDep = Annotated[Web, Depends(web_of)]
AnySession = Annotated[Session, Depends(session_of)]


@router.get("/login")
def login_page(request: Request, web: WebDep) -> Response:
    """The form; with ``?token=`` (the link that the first start prints) the log-in itself."""
    target = local_path(request.query_params.get("next", "/"))
    token = request.query_params.get("token")
    if token:
        return _log_in(request, web, token, target)
    return _form(web, target)


@router.post("/login")
def log_in(request: Request, web: WebDep, form: Form) -> Response:
    return _log_in(request, web, form.get("token", "").strip(), local_path(form.get("next", "/")))


def _log_in(request: Request, web: Web, token: str, target: str) -> Response:
    now, client = web.now(), request.client.host if request.client else ""
    wait = web.brake.wait(client, now)
    if wait:
        seconds = int(wait.total_seconds()) + 1
        page = _form(web, target, f"Too many wrong tokens. Try again in {seconds} s.", 429)
        page.headers["Retry-After"] = str(seconds)
        return page
    if not login.token_is_right(web.core, token):
        web.brake.wrong(client, now)
        return _form(web, target, "That is not the token. `listener run` printed it at the first start.", 401)
    web.brake.right(client)
    new = login.start_session(
        web.core, now, old=request.cookies.get(web.cookie), person=None, speed=web.settings.clock_speed
    )
    answer = see(f"/me?next={quote(target, safe='/')}")
    answer.set_cookie(
        web.cookie,
        new,
        max_age=int(login.ABSOLUTE.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=web.settings.secure_cookies,
    )
    return answer


def _form(web: Web, target: str, error: str = "", status: int = 200) -> Response:
    values = {"target": target, "error": error, "demo": web.settings.demo}
    return Response(web.renderer.text("login.html", values), status, media_type="text/html")


@router.get("/me")
def who_page(request: Request, web: WebDep, session: AnySession) -> Response:
    return _who(web, session, local_path(request.query_params.get("next", "/")))


@router.post("/me")
def who(web: WebDep, session: AnySession, form: CheckedForm) -> Response:
    target = local_path(form.get("next", "/"))
    try:
        name = login.person_name(form.get("other", "").strip() or form.get("person", ""))
    except UsageError as error:
        return _who(web, session, target, str(error), 400)
    login.set_person(web.core, session, name)
    return see(target)


def _who(web: Web, session: Session, target: str, error: str = "", status: int = 200) -> Response:
    values = {
        "people": list(web.core.rules.people),
        "now_called": session.person,
        "csrf": session.csrf,
        "target": target,
        "error": error,
    }
    return Response(web.renderer.text("me.html", values), status, media_type="text/html")


@router.post("/logout")
def log_out(web: WebDep, session: AnySession, form: CheckedForm) -> Response:
    login.end_session(web.core, session)
    answer = see("/login")
    answer.delete_cookie(web.cookie, httponly=True, samesite="lax", secure=web.settings.secure_cookies)
    return answer
