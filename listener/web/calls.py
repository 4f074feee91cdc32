"""What the services of responders ask over HTTP (a click in Slack): they prove themselves, so there is no session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import Response

from listener.ports import Interactive
from listener.service.desk import ServiceDesk
from listener.web.visit import Web, web_of

router = APIRouter(include_in_schema=False)


async def body_of(request: Request) -> bytes:
    return await request.body()


@router.post("/responders/{name}")
def call(
    request: Request,
    name: str,
    web: Annotated[Web, Depends(web_of)],
    body: Annotated[bytes, Depends(body_of)],
) -> Response:
    """The responder of this name answers; it refuses what is not signed by whom it knows."""
    responder = web.core.responders.get(name)
    if not isinstance(responder, Interactive):
        raise HTTPException(404, "There is no responder here that can be asked.")
    headers: Mapping[str, str] = dict(request.headers)
    status, kind, answer = responder.handle(ServiceDesk(web.core, web.now), body, headers)
    return Response(answer, status, media_type=kind)
