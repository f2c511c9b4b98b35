"""Tracing: a span for each request, which goes on the caller's trace where it names one."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.requests import request_id
from cluster.tracing import fail, is_tracing, span, within


class Traced:
    """Spans what passes through it, while spans are wanted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or not is_tracing():
            await self._app(scope, receive, send)
            return
        with within(Headers(scope=scope).get("traceparent", "")), span(scope["method"], "SERVER") as current:

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start" and current is not None:
                    current.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        fail(current, str(message["status"]))
                await send(message)

            try:
                await self._app(scope, receive, noting)
            finally:
                if current is not None:
                    route = getattr(scope.get("route"), "path_format", "none")  # as metrics have it: no ids
                    current.update_name(f"{scope['method']} {route}")
                    about = {"http.request.method": scope["method"], "http.route": route}
                    current.set_attributes(about | {"liveshelf.request_id": request_id()})
