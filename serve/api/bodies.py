"""Bodies in and out: bounded before they are parsed."""

from typing import Any

import orjson
from fastapi import Request, Response

from cluster.errors import RequestError
from serve.api.problems import MediaTypeError, TooLargeError

MAX_BODY_BYTES = 262_144
JSON = ("application/json", "application/x-ndjson")
UNSAID = ("", "application/x-www-form-urlencoded")


async def read_bytes(request: Request) -> bytes:
    """Return the body of a request, bounded before it is parsed; raises where it says that it is no JSON."""
    _require_json(request)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise TooLargeError(f"the body is larger than {MAX_BODY_BYTES} bytes; send less at a time")
    return bytes(content)


async def read_json(request: Request) -> Any:
    """Return the body of a request as what its JSON holds."""
    content = await read_bytes(request)
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error}") from None


def _require_json(request: Request) -> None:
    """Raise unless the body is said to be JSON, by who has to say it.

    A browser lets any page send a body to any server as long as it is not said to be JSON, and tells whose page it is:
    what has an Origin must say so. `curl -d` says that it sends a form, and other clients say nothing.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given in JSON or given.endswith("+json") or (given in UNSAID and "origin" not in request.headers):
        return
    raise MediaTypeError(f"the body is said to be {given or 'nothing'!r}; send it with Content-Type: application/json")


def as_json(body: dict[str, Any]) -> Response:
    """Return an answer."""
    return Response(orjson.dumps(body), media_type="application/json")
