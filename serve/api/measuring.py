"""Measuring: how many requests came, how they ended and how long they took; and telling it to Prometheus."""

import time
from collections.abc import Callable

from fastapi import APIRouter, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import UnavailableError
from serve.engine import Engine
from serve.metrics import CONTENT_TYPE, Metrics, together


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


def metric_routes(engine_of: Callable[[], Engine]) -> APIRouter:
    """Return the route that Prometheus reads."""
    routes = APIRouter(tags=["metrics"])

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def get_metrics() -> Response:
        """Return what every process counted, this one and, as of some seconds ago, the others."""
        engine = engine_of()
        try:
            others = await engine.store.reports.others(engine.metrics.process)
        except UnavailableError:
            others = []
        return Response(together([engine.told(), *others]), media_type=CONTENT_TYPE)

    return routes
