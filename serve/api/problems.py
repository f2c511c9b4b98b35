"""Errors as application/problem+json (RFC 9457): every refusal says what was wrong, never how we are built."""

import logging
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from cluster.errors import LiveshelfError, RequestError

log = logging.getLogger(__name__)

RETRY_AFTER_S = {429: "1", 503: "1"}


class TooLargeError(RequestError):
    """The body is larger than any honest request."""

    status = 413


class InvalidError(RequestError):
    """A body whose fields are wrong, each with its place."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{error['pointer'] or '/'}: {error['detail']}" for error in errors))


def invalid(error: ValidationError | RequestValidationError, prefix: str = "") -> InvalidError:
    """Return pydantic's findings as pointers (RFC 6901) and sentences."""
    return InvalidError([
        {"pointer": prefix + "".join(f"/{_escape(str(part))}" for part in found["loc"]), "detail": found["msg"]}
        for found in error.errors()
    ])  # fmt: skip


def problem(status: int, detail: str, errors: list[dict[str, str]] | None = None, **more: Any) -> dict[str, Any]:
    """Return the members of a problem."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"detail": detail, **more}
    return body | ({"errors": errors} if errors else {})


def install_problems(app: FastAPI) -> None:
    """Make `app` answer every error as a problem."""

    async def refused(request: Request, error: LiveshelfError) -> Response:
        if error.status >= 500:
            log.warning("path=%s status=%d %s", request.url.path, error.status, error)
        return _respond(request, error.status, str(error), getattr(error, "errors", None))

    async def http(request: Request, error: HTTPException) -> Response:
        return _respond(request, error.status_code, str(error.detail))

    async def broken(request: Request, error: Exception) -> Response:
        log.exception("path=%s", request.url.path, exc_info=error)
        return _respond(request, 500, "the engine failed on this request; its log says why")

    app.add_exception_handler(LiveshelfError, refused)  # pyright: ignore[reportArgumentType]
    app.add_exception_handler(HTTPException, http)  # pyright: ignore[reportArgumentType]
    app.add_exception_handler(Exception, broken)


def _respond(request: Request, status: int, detail: str, errors: list[dict[str, str]] | None = None) -> Response:
    request_id = request.headers.get("x-request-id", "")[:64] or uuid4().hex
    body = problem(status, detail, errors, instance=request.url.path, requestId=request_id)
    headers = {"retry-after": RETRY_AFTER_S[status]} if status in RETRY_AFTER_S else {}
    return Response(orjson.dumps(body), status, headers, media_type="application/problem+json")


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
