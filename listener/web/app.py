"""The application: routes, errors, and the guard around them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

import listener
from listener.errors import ListenerError, Refused, StorageError, UsageError
from listener.service.core import Core
from listener.web import actions, api, calls, entry, ops, pages
from listener.web.guard import Guard
from listener.web.login import Brake
from listener.web.render import Renderer
from listener.web.settings import WebSettings
from listener.web.visit import GoTo, Web, see

log = logging.getLogger("listener.web")

TITLES = {
    400: "That can't be",
    401: "Logged out",
    403: "Not allowed",
    404: "Nothing here",
    405: "Not that way",
    409: "Not now",
    413: "Too much",
    429: "Too fast",
    503: "The database can't be used",
}
YEAR_S = 365 * 24 * 3600


def create_app(core: Core, settings: WebSettings, now: Callable[[], datetime]) -> FastAPI:
    """The dashboard over ``core``. ``now`` is asked once a request, and returns aware UTC."""
    # Swagger's and Redoc's pages load scripts from a CDN, which our Content-Security-Policy forbids.
    app = FastAPI(
        title="Listener",
        version=listener.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    renderer = Renderer()
    app.state.web = Web(core, settings, now, renderer, Brake())
    for part in (entry.router, pages.router, actions.router, calls.router, ops.router, api.api):
        app.include_router(part)
    app.add_api_route(
        "/api/openapi.json",
        lambda: JSONResponse(app.openapi()),
        include_in_schema=False,
        dependencies=[Depends(ops.reader)],
    )
    app.add_api_route("/static/{name}", static, include_in_schema=False)

    def answer(
        request: Request, status: int, message: str, headers: dict[str, str] | None = None
    ) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": message}, status, headers)
        page = renderer.error(status, TITLES.get(status, "That failed"), message)
        page.headers.update(headers or {})
        return page

    @app.exception_handler(GoTo)
    def elsewhere(request: Request, error: GoTo) -> Response:
        return see(error.url)

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        plain = {404: "There is no such page.", 405: "This page can't be used in that way."}
        standard = error.detail in ("Not Found", "Method Not Allowed")
        message = plain[error.status_code] if standard else error.detail
        return answer(request, error.status_code, message, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def not_valid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["loc"][0] == "path":
            return answer(request, 404, "There is no such page.")
        return answer(request, 400, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(ListenerError)
    def refused(request: Request, error: ListenerError) -> Response:
        if isinstance(error, StorageError):
            log.error("%s %s: %s", request.method, request.url.path, error)
            return answer(request, 503, str(error))
        status = {Refused: 409, UsageError: 400}.get(type(error), 500)
        return answer(request, status, str(error))

    app.add_middleware(Guard, hosts=settings.hosts, secure=settings.secure_cookies, error_page=renderer.error)
    return app


def static(request: Request, name: str) -> Response:
    """A static file under its hashed name: it never changes, so browsers keep it for a year."""
    web: Web = request.app.state.web
    found = web.renderer.static.get(name)
    if found is None:
        raise HTTPException(404)
    headers = {"Cache-Control": f"public, max-age={YEAR_S}, immutable"}
    return Response(found.body, headers=headers, media_type=found.media_type)
