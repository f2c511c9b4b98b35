"""Request ids: the client's own or a new one, in every answer, every problem and every line of a log about it."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.front_door import REQUEST_ID
from cluster.requests import accepted, begin

KEY = "liveshelf.told"  # in a scope: the headers that tell of the request, for an internal error, answered beyond us


class Identified:
    """Gives what passes through it an id, by which its answer and the lines of logs about it are found again."""

    def __init__(self, app: ASGIApp, is_told: bool) -> None:
        """Begin; is_told: whether whoever stands before us puts the id into answers."""
        self._app, self._is_told = app, is_told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = accepted(Headers(scope=scope).get(REQUEST_ID, ""))
        begin(request_id)
        scope[KEY] = {} if self._is_told else {REQUEST_ID: request_id}

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in id_headers(scope).items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, telling)


def id_headers(scope: Scope) -> dict[str, str]:
    """Return the headers by which an answer tells its request's id."""
    return scope.get(KEY, {})
