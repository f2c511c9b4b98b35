"""The request at hand, in whichever process: its id, which each line of a log names, its trace, and whose it is."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import NamedTuple, TypeVar
from uuid import uuid4

from cluster.tracing import traceparent, within

T = TypeVar("T")

SAFE_ID = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")  # in a header and in a line of a log
MOST_NAMED = 8  # of those that are worked on together

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_tenant: ContextVar[str] = ContextVar("tenant", default="")


class Carried(NamedTuple):
    """What goes along with a request from one process to the next."""

    request_id: str = ""
    traceparent: str = ""


NOBODYS = Carried()


def request_id() -> str:
    """Return the id of the request at hand, empty where there is none."""
    return _request_id.get()


def accepted(given: str) -> str:
    """Return the id that a client gave, or one of our own where it gave none or one that is not safe to repeat."""
    return given if SAFE_ID.fullmatch(given) else uuid4().hex


def begin(request_id: str) -> None:
    """Work on a request from here to the end of the task, its failure included; nobody knows yet whose it is."""
    _request_id.set(request_id)
    _tenant.set("")


def current_tenant() -> str:
    """Return the tenant that the request at hand is for, empty where it is none's."""
    return _tenant.get()


def enter(tenant: str) -> None:
    """Work for a tenant from here to the end of the request."""
    _tenant.set(tenant)


def within_each(tenants: Iterable[str], ask: Callable[[], T]) -> dict[str, T]:
    """Return what is answered to each of several tenants."""

    def asked(tenant: str) -> T:
        enter(tenant)
        return ask()

    return {tenant: copy_context().run(asked, tenant) for tenant in tenants}


def carried() -> Carried:
    """Return what another process needs to go on with the request at hand."""
    return Carried(_request_id.get(), traceparent())


@contextmanager
def arriving(several: Sequence[Carried]) -> Iterator[None]:
    """Work on what came from elsewhere, one request or several together, until the block ends.

    Spans belong to the first of several.
    """
    ids = list(dict.fromkeys(one.request_id for one in several if one.request_id))
    more = [f"+{len(ids) - MOST_NAMED}"] if len(ids) > MOST_NAMED else []
    token = _request_id.set(",".join(ids[:MOST_NAMED] + more))
    try:
        with within(several[0].traceparent if several else ""):
            yield
    finally:
        _request_id.reset(token)
