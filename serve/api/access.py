"""Access: which key may call which route."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum

from fastapi import Request

from cluster.errors import ConfigError, ForbiddenError, UnauthorizedError, UnavailableError
from cluster.keys import Keyring, Scope

log = logging.getLogger(__name__)

SCOPES: dict[str, Scope | None] = {
    "events": "events", "recommendations": "read", "lists": "read", "evaluations": "read", "catalogue": "catalogue",
    "policies": "catalogue", "users": "admin", "metrics": "read", "decisions": "admin", "models": "admin",
    "operations": "admin", "health": None,
}  # fmt: skip  # by the tag of a route; None: open to anybody
BEARER = "bearer "


def access(keyring_of: Callable[[], Keyring]) -> Callable[[Request], Awaitable[None]]:
    """Return what lets a request pass or raises: 401 without a live key, 403 with one that may not do this."""

    async def check(request: Request) -> None:
        scope = needed(request)
        if scope is None:
            return
        try:
            keyring = keyring_of()
            is_open = keyring.is_open
        except (ConfigError, OSError) as error:
            log.error("keys cannot be read error=%s", error)
            raise UnavailableError("the server cannot read its keys") from None
        if is_open:
            return
        given = request.headers.get("authorization", "")
        if given[: len(BEARER)].lower() != BEARER:
            raise UnauthorizedError("send a key: `Authorization: Bearer ls_…`; `python -m cluster.keys` makes them")
        if (key := keyring.holder(given[len(BEARER) :].strip())) is None:
            raise UnauthorizedError("this key is unknown or revoked")
        if not key.allows(scope):
            raise ForbiddenError(f"the key {key.id} may {' and '.join(key.scopes)}, but this needs {scope}")

    return check


def needed(request: Request) -> Scope | None:
    """Return the scope that a request needs."""
    return scope_of(getattr(request.scope["route"], "tags", []), request.method)


def scope_of(tags: Sequence[str | Enum], method: str) -> Scope | None:
    """Return the scope that a route's tag asks for; a route that says nothing of itself needs the highest."""
    tag = tags[0] if tags else "users"
    scope = SCOPES.get(str(tag), "admin")
    return "read" if scope == "catalogue" and method in ("GET", "HEAD") else scope
