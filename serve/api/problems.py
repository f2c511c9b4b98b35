"""Errors as application/problem+json (RFC 9457): every refusal says what was wrong, never how we are built."""

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from cluster.errors import LiveshelfError, RequestError, TooManyError
from cluster.requests import request_id
from serve.api.identifying import id_headers
from train.data.ids import id_problem

log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
CHALLENGE = {"www-authenticate": "Bearer"}
RETRY_AFTER_S = {503: "1"}

# Of every answer: it is what it says, and a browser may show and keep none of it.
SAFE = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",  # an erased shopper lives on in nobody's cache
}

Body = TypeVar("Body", bound=BaseModel)


class TooLargeError(RequestError):
    """The body is larger than any honest request."""

    status = 413


class MediaTypeError(RequestError):
    """The body is said to be something else than JSON."""

    status = 415


class InvalidError(RequestError):
    """A body whose fields are wrong, each with its place."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors
        super().__init__(_sentence(errors))


def read(model: type[Body], content: Any, prefix: str = "") -> Body:
    """Return a body, or raise with pydantic's findings as pointers (RFC 6901) and sentences; prefix: of `content`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidError(_findings(found, prefix)) from None


def checked(given: str, kind: str = "user") -> str:
    """Return an id from a path, or raise."""
    if found := id_problem(given):
        raise RequestError(f"{kind} {given[:128]!r} {found}")
    return given


def problem(status: int, detail: str, errors: list[dict[str, str]] | None = None, **more: Any) -> dict[str, Any]:
    """Return the members of a problem."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"detail": detail, **more}
    return body | ({"errors": errors} if errors else {})


def install_problems(app: FastAPI, methods_of: Callable[[str], list[str]]) -> None:
    """Make `app` answer every error as a problem; methods_of: a path → the methods that it takes."""

    async def refused(request: Request, error: LiveshelfError) -> Response:
        if error.status >= 500:
            log.warning("route=%s status=%d %s", _route(request), error.status, error)
        headers = {"retry-after": str(error.retry_after_s)} if isinstance(error, TooManyError) else None
        return problem_response(request, error.status, str(error), getattr(error, "errors", None), headers)

    async def http(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:  # Starlette names those of one route alone
            headers["Allow"] = ", ".join(methods_of(request.url.path))
        return problem_response(request, error.status_code, str(error.detail), headers=headers)

    async def misread(request: Request, error: RequestValidationError) -> Response:
        findings = _findings(error.errors())
        return problem_response(request, 400, _sentence(findings), findings)

    async def broken(request: Request, error: Exception) -> Response:
        log.exception("route=%s", _route(request), exc_info=error)
        return problem_response(request, 500, "the engine failed on this request; its log says why")

    app.add_exception_handler(LiveshelfError, refused)  # pyright: ignore[reportArgumentType]
    app.add_exception_handler(HTTPException, http)  # pyright: ignore[reportArgumentType]
    app.add_exception_handler(RequestValidationError, misread)  # pyright: ignore[reportArgumentType]
    app.add_exception_handler(Exception, broken)


def problem_response(
    request: Request, status: int, detail: str, errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    """Return the answer that a request is refused with."""
    body = problem(status, detail, errors, instance=request.url.path, requestId=request_id())
    more = SAFE | id_headers(request.scope)
    more |= {"retry-after": RETRY_AFTER_S[status]} if status in RETRY_AFTER_S else {}
    more |= CHALLENGE if status == HTTPStatus.UNAUTHORIZED else {}
    return Response(orjson.dumps(body), status, {**(headers or {}), **more}, media_type=PROBLEM_TYPE)


def _route(request: Request) -> str:
    """Return the path as it was declared: the one that was asked for may hold a shopper's id."""
    return getattr(request.scope.get("route"), "path", "")


def _findings(errors: Sequence[Any], prefix: str = "") -> list[dict[str, str]]:
    """Return pydantic's findings as pointers and sentences."""
    return [
        {"pointer": prefix + "".join(f"/{_escape(str(part))}" for part in found["loc"]), "detail": found["msg"]}
        for found in errors
    ]


def _sentence(errors: list[dict[str, str]]) -> str:
    return "; ".join(f"{error['pointer'] or '/'}: {error['detail']}" for error in errors)


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
