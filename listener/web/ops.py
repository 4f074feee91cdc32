"""For machines that watch: /healthz and /metrics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.responses import JSONResponse, Response

import listener
from listener.service import read, storm
from listener.web import login
from listener.web.visit import Web, web_of

router = APIRouter(include_in_schema=False)

WebDep = Annotated[Web, Depends(web_of)]
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


# ---- health -------------------------------------------------------------------------------------------------


@router.api_route("/healthz", methods=["GET", "HEAD"])
def healthz(web: WebDep) -> Response:
    """Without log-in, and so without anything that was heard: 200 when the jobs run and messages get through."""
    health = web.health(web.now())
    body = {"ok": health.ok, "problems": [t.what for t in health.troubles]}
    return JSONResponse(body, 200 if health.ok else 503)


# ---- who may read -------------------------------------------------------------------------------------------


def _bearer(request: Request) -> str | None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def reader(request: Request, web: WebDep) -> None:
    """The log-in token as ``Authorization: Bearer``, or a logged-in browser. Raises 401, and 429 after wrong ones."""
    token = _bearer(request)
    if token is None:
        cookie = request.cookies.get(web.cookie)
        speed = web.settings.clock_speed
        if login.find_session(web.core, cookie, web.now(), touch=False, speed=speed) is None:
            raise HTTPException(
                401, "Send the log-in token as 'Authorization: Bearer ...'.", {"WWW-Authenticate": "Bearer"}
            )
        return
    now, client = web.now(), request.client.host if request.client else ""
    if wait := web.brake.wait(client, now):
        raise HTTPException(
            429, "Too many wrong tokens.", {"Retry-After": str(int(wait.total_seconds()) + 1)}
        )
    if not login.token_is_right(web.core, token):
        web.brake.wrong(client, now)
        raise HTTPException(401, "That is not the log-in token.", {"WWW-Authenticate": "Bearer"})
    web.brake.right(client)


def metrics_reader(request: Request, web: WebDep) -> None:
    """A Prometheus on this machine needs no token. A proxy on this machine speaks for others, so it does."""
    if _bearer(request) is None and _is_local(request):
        return
    reader(request, web)


def _is_local(request: Request) -> bool:
    if request.client is None or any(h in request.headers for h in PROXY_HEADERS):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False


# ---- metrics ------------------------------------------------------------------------------------------------


@router.get("/metrics", dependencies=[Depends(metrics_reader)])
def metrics(web: WebDep) -> Response:
    registry = CollectorRegistry()
    registry.register(_Figures(web))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Figures(Collector):
    """Read from the database at each scrape: any process may have done the work."""

    def __init__(self, web: Web) -> None:
        self.web = web

    def describe(self) -> list[Metric]:
        return []  # else the registry would collect once at registration

    def collect(self) -> Iterator[Metric]:
        core, now = self.web.core, self.web.now()
        health = self.web.health(now)
        yield InfoMetricFamily("listener_build", "This program", {"version": listener.__version__})
        yield _by("listener_cases_open", "Open cases", "state", health.open_cases)
        yield GaugeMetricFamily(
            "listener_cases_late", "Open cases past due", value=read.late_cases(core, now)
        )
        alarms = read.alarms(core, now - timedelta(hours=24))
        yield _by("listener_alarms_24h", "Alarms sent in the last 24 hours", "kind", alarms)
        deliveries = {"pending": health.pending_deliveries, "parked": health.parked_deliveries}
        yield _by("listener_deliveries", "Messages not accepted yet", "state", deliveries)
        yield GaugeMetricFamily(
            "listener_delivery_oldest_pending_seconds",
            "Age of the oldest message not accepted yet",
            value=health.oldest_pending_s,
        )
        if health.tick_age_s is not None:
            yield GaugeMetricFamily(
                "listener_tick_age_seconds", "Since the alarms were last looked at", value=health.tick_age_s
            )
        yield GaugeMetricFamily(
            "listener_healthy", "1 when the jobs run and messages get through", value=float(health.ok)
        )
        storms = {shown.brand: shown.cases for shown in storm.storms_on(core, now)}
        yield _by("listener_storm", "Cases of the storm that is on", "brand", storms)
        yield _by("listener_sources", "Sources", "state", health.sources)
        heard = CounterMetricFamily("listener_mentions", "Mentions stored", labels=["source"])
        for source in read.list_sources(core):
            heard.add_metric([source.name], source.mentions_found)
        yield heard


def _by(name: str, text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
