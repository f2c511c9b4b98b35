"""What the shop writes over HTTP, items, documents and traits: who read an old version cannot overwrite a newer one."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from fastapi import Request, Response

from cluster.errors import ConflictError, LiveshelfError, NotFoundError, PreconditionError, UnprocessableError
from serve.api.bodies import as_json
from serve.engine import Engine
from serve.state.catalogue import etag
from serve.state.events import Write
from serve.state.writing import WriteRequest

REFUSALS: dict[int, type[LiveshelfError]] = {
    404: NotFoundError, 409: ConflictError, 412: PreconditionError, 422: UnprocessableError
}  # fmt: skip

PATCHES = 3  # tries of a PATCH without If-Match, when others write the same thing


async def write(engine: Engine, write: Write, expected: str | None, catalogue: str | None = None) -> int:
    """Return the version that shows a write, or raise its refusal; catalogue: as of WriteRequest."""
    [ack] = await engine.assortment.write([request_of(write, expected, catalogue)])
    if ack.problem is not None:
        raise REFUSALS[ack.problem.status](ack.problem.detail)
    return ack.version or 0


def request_of(write: Write, expected: str | None = None, catalogue: str | None = None) -> WriteRequest:
    """Return a write under an id of its own; expected, catalogue: as of WriteRequest."""
    return WriteRequest(f"{write.kind}-{uuid4().hex}", write, expected, catalogue)


def expectation(request: Request, content: str) -> str | None:
    """Return the ETag that the thing must have, empty where it must not be there, None where it may be as it is."""
    if request.headers.get("if-none-match", "").strip() == "*":
        return ""
    given = request.headers.get("if-match")
    if given is None:
        return None
    if given.strip() == "*":
        return etag(content) if content else "*"
    return given.strip().removeprefix("W/").strip('"')


async def patched(once: Callable[[], Awaitable[Response]], request: Request) -> Response:
    """Return what a PATCH answers, tried again where somebody else wrote between its reading and its writing."""
    for _ in range(PATCHES - 1):
        try:
            return await once()
        except PreconditionError:
            if "if-match" in request.headers or "if-none-match" in request.headers:
                raise
    return await once()


def tagged(body: dict[str, Any], content: str) -> Response:
    """Return an answer with the ETag of what it tells."""
    answer = as_json(body)
    answer.headers["etag"] = f'"{etag(content)}"'
    return answer
