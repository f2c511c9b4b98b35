"""Access: who asks, whether it may, and how often."""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

from fastapi import Request

from cluster.errors import ConfigError, ForbiddenError, UnauthorizedError, UnavailableError
from cluster.keys import Key, Keyring, Scope
from cluster.requests import enter
from cluster.tokens import PREFIX, shopper_of
from serve.api.addresses import address_of
from serve.api.problems import checked
from serve.api.schemas import EventBody
from serve.api.slate_schemas import AskBody
from serve.limits import Limits

log = logging.getLogger(__name__)

SCOPES: dict[str, Scope | None] = {
    "events": "events", "recommendations": "read", "lists": "read", "evaluations": "read", "catalogue": "catalogue",
    "policies": "catalogue", "users": "admin", "metrics": "read", "decisions": "admin", "models": "admin",
    "operations": "admin", "tokens": "read", "health": None,
}  # fmt: skip  # by the tag of a route; None: open to anybody
FOR_SHOPPERS = ("events", "recommendations", "lists")  # what a browser may ask with the token of its shopper
UNCOUNTED = ("health", "metrics")  # whoever watches over a server is answered however often others ask
BEARER = "bearer "

Body = TypeVar("Body", bound=EventBody | AskBody)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request, and what it may still ask."""

    key: Key | None  # none where nobody needs one
    shopper: str | None  # whose token it was sent with, in the place of the key itself
    limits: Limits

    def about(self, body: Body) -> Body:
        """Return a body that names its shopper, who with a token is no other than its own; counted for them.

        Raises ForbiddenError and TooManyError.
        """
        if self.shopper is None:
            self.count(body.user or body.session)
            return body
        if body.user is not None:
            self.require(body.user)
        self.count(self.shopper)
        return body.model_copy(update={"user": self.shopper})

    def require(self, user_id: str) -> None:
        """Raise ForbiddenError unless it may ask for this shopper."""
        if self.shopper not in (None, user_id):
            raise ForbiddenError("this token is another shopper's than the one that is named")

    def count(self, user_id: str | None) -> None:
        """Count one for a shopper; raises TooManyError."""
        if user_id is not None:
            self.limits.take("shopper", user_id)


def access(
    keyring_of: Callable[[], Keyring], limits_of: Callable[[], Limits], mark: str, tenants: Collection[str]
) -> Callable[[Request], Awaitable[None]]:
    """Return what lets a request pass, with its caller, or raises: 401 without a live key, 403, 429; mark: ours.

    tenants: who has a shop here. From here on all that is done is done in the shop of the key's own.
    """

    async def check(request: Request) -> None:
        tags = tags_of(request)
        scope = scope_of(tags, request.method)
        if scope is None:
            return
        everybodys, is_counted = limits_of(), counts(tags)
        if is_counted and everybodys.holds("address"):
            everybodys.take("address", address_of(request, mark, everybodys.proxies))
        key, shopper = holder(request, keyring_of)
        if key is not None:
            if key.tenant not in tenants:
                raise UnauthorizedError("this key opens no shop of this server")
            enter(key.tenant)
        limits = limits_of()
        if key is not None and shopper is None and is_counted:
            limits.take("key", key.name)
        if shopper is not None and not is_for_shoppers(tags):
            raise ForbiddenError("a shopper's token asks for lists and sends events, and does nothing else")
        if key is not None and not key.allows(scope):
            raise ForbiddenError(f"the key {key.id} may {' and '.join(key.scopes)}, but this needs {scope}")
        request.state.caller = caller = Caller(key=key, shopper=shopper, limits=limits)
        if "user_id" in request.path_params:
            caller.count(checked(request.path_params["user_id"]))

    return check


def caller_of(request: Request) -> Caller:
    """Return who sent a request that was let pass."""
    return request.state.caller


def holder(request: Request, keyring_of: Callable[[], Keyring]) -> tuple[Key | None, str | None]:
    """Return the key that a request was sent with, None where nobody needs one, and the shopper of a token of it.

    Raises UnauthorizedError.
    """
    try:
        keyring = keyring_of()
        is_open = keyring.is_open
    except (ConfigError, OSError) as error:
        log.error("keys cannot be read error=%s", error)
        raise UnavailableError("the server cannot read its keys") from None
    if is_open:
        return None, None
    given = request.headers.get("authorization", "")
    if given[: len(BEARER)].lower() != BEARER:
        raise UnauthorizedError("send a key: `Authorization: Bearer ls_…`; `python -m cluster.keys` makes them")
    if (given := given[len(BEARER) :].strip()).startswith(PREFIX):
        return shopper_of(given, keyring, datetime.now(UTC))
    if (key := keyring.holder(given)) is None:
        raise UnauthorizedError("this key is unknown or revoked")
    return key, None


def tags_of(request: Request) -> Sequence[str | Enum]:
    """Return the tags of the route that a request takes."""
    return getattr(request.scope["route"], "tags", [])


def counts(tags: Sequence[str | Enum]) -> bool:
    """Tell whether it is counted how often a route is asked."""
    return not tags or tags[0] not in UNCOUNTED


def is_for_shoppers(tags: Sequence[str | Enum]) -> bool:
    """Tell whether a route may be asked with the token of a shopper."""
    return bool(tags) and tags[0] in FOR_SHOPPERS


def scope_of(tags: Sequence[str | Enum], method: str) -> Scope | None:
    """Return the scope that a route's tag asks for; a route that says nothing of itself needs the highest."""
    tag = tags[0] if tags else "users"
    scope = SCOPES.get(str(tag), "admin")
    return "read" if scope == "catalogue" and method in ("GET", "HEAD") else scope
