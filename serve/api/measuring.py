"""Measuring: how many requests came, how they ended and how long they took; and telling it to Prometheus."""

import time
from asyncio import gather
from collections.abc import Callable, Sequence

from fastapi import APIRouter, Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import UnavailableError
from cluster.front_door import CLUSTER, REFUSED
from cluster.requests import current_tenant, within_each
from serve.api.access import caller_of
from serve.engine import Engine
from serve.metrics import CONTENT_TYPE, Metrics, refusals, together


class Measured:
    """Counts what passes through it."""

    def __init__(self, app: ASGIApp, metrics_of: Callable[[], Metrics]) -> None:
        self._app, self._metrics_of = app, metrics_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path_format", "none")  # never the path asked for: it may hold an id
            self._metrics_of().request(scope["method"], route, status, time.perf_counter() - began)


def metric_routes(engine_of: Callable[[], Engine], tenants: Sequence[str], mark: str) -> APIRouter:
    """Return the route that Prometheus reads.

    tenants: whose figures the operator's keys are told, beside its own; mark: as `cluster_mark`.
    """
    routes = APIRouter(tags=["metrics"])

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def get_metrics(request: Request) -> Response:
        """Return what every process counted, this one and, as of some seconds ago, the others."""
        key = caller_of(request).key
        is_operator = key is not None and not key.tenant
        engines = within_each(tenants if is_operator else [current_tenant()], engine_of)
        told = await gather(*map(figures_of, engines.values()))
        names = engines if is_operator else [""]  # its own figures a shop is told like one without tenants
        texts = [(name, text) for name, own in zip(names, told, strict=True) for text in own]
        if (refused := refused_before(request, mark)) and (is_operator or not current_tenant()):
            texts.append(("", refused))
        return Response(together(texts), media_type=CONTENT_TYPE)

    return routes


def refused_before(request: Request, mark: str) -> str:
    """Return how many requests the balancer that this one came through has refused by itself; nothing without one."""
    balancer, _, refused = request.headers.get(REFUSED, "").partition(" ")
    if not mark or request.headers.get(CLUSTER) != mark or not refused.isdecimal():
        return ""
    return refusals(balancer, int(refused))


async def figures_of(engine: Engine) -> list[str]:
    """Return what this process and others tell of one shop; this one alone while the store is away."""
    try:
        others = await engine.store.reports.others(engine.metrics.process)
    except UnavailableError:
        others = []
    return [engine.told(), *others]
