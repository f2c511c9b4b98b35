"""Bodies in and out: bounded before they are parsed."""

from typing import Any

import orjson
from fastapi import Request, Response

from cluster.errors import RequestError
from serve.api.problems import TooLargeError

MAX_BODY_BYTES = 262_144


async def read_bytes(request: Request) -> bytes:
    """Return the body of a request, bounded before it is parsed."""
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


def as_json(body: dict[str, Any]) -> Response:
    """Return an answer."""
    return Response(orjson.dumps(body), media_type="application/json")
