"""Events from the wire to the log: each judged by itself, so that a bad one spoils nothing beside it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson

from cluster.errors import ForbiddenError, RequestError, TooManyError
from serve.api.problems import InvalidError, problem, read
from serve.api.schemas import MAX_EVENTS, EventBody
from serve.state.events import UNKNOWN, Ack, Event, Problem
from train.critic import Critic
from train.data.schema import NO_ITEM
from train.data.steps.events import EVENT_WEIGHTS, VALUED_TYPES

NEEDS_NO_ITEM = frozenset({"search"})
Claim = Callable[[EventBody], EventBody | Problem]  # returns an event as its caller may send it, or its refusal
LOGGED_APART = {"id", "type", "user", "item", "order_id"}  # columns of the log; the rest of a body is its payload


def read_bodies(content: Any) -> list[EventBody | Problem]:
    """Return each event of a request's JSON, or what is wrong with it; one that stands alone must be right."""
    if not isinstance(content, dict):
        raise RequestError('the body must be one event, or {"events": […]}')
    if "events" not in content:
        return [read(EventBody, content)]
    events = content["events"]
    if unknown := sorted(set(content) - {"events"}):
        raise RequestError(f"unknown field {unknown[0]!r} beside events")
    if not isinstance(events, list) or not 1 <= len(events) <= MAX_EVENTS:
        found = f"{len(events)} events" if isinstance(events, list) else type(events).__name__
        raise RequestError(f"events must be a list of 1 to {MAX_EVENTS} events, not {found}; send several requests")
    return [_body(event, f"/events/{position}") for position, event in enumerate(events)]


def one_of_many(claim: Claim) -> Claim:
    """Return the same claim, which spoils nothing beside what it refuses."""

    def claimed(body: EventBody) -> EventBody | Problem:
        try:
            return claim(body)
        except (ForbiddenError, TooManyError) as error:
            return Problem(error.status, str(error))

    return claimed


def to_event(body: EventBody, index: dict[str, int], critic: Critic, now: datetime) -> Event | Problem:
    """Return what the store takes of a body, or why it means nothing anywhere; index: item_id → item_idx.

    An item that is not known here may be known to the store, which keeps the event for later where it is not.
    """
    user_id = body.user or body.session
    if user_id is None:
        return Problem(422, "an event needs a user, or a session for a guest")
    if body.item is None and body.type not in NEEDS_NO_ITEM:
        return Problem(422, f"an event of type {body.type!r} needs an item")
    return Event(
        event_id=body.id or f"evt_{uuid4().hex}", user_id=user_id, event_type=body.type, weight=_weight(body),
        item_idx=NO_ITEM if body.item is None else index.get(body.item, UNKNOWN), item_id=body.item or "",
        catalogue=body.catalogue or "", timestamp_ms=body.time_ms(now), order_key=body.order_id or "",
        value=body.value, payload=_payload(body), opinion=critic.of(body.type, body.value, body.text),
    )  # fmt: skip


def answer(bodies: Sequence[EventBody | Problem], outcomes: Sequence[Ack | Problem]) -> dict[str, Any]:
    """Return what became of each event, in the order sent, as EventsAnswer says; plain values cost less than models."""
    results = [_result(body, outcome) for body, outcome in zip(bodies, outcomes, strict=True)]
    statuses = [result["status"] for result in results]
    return {"results": results} | {status: statuses.count(status) for status in ("applied", "duplicate", "rejected")}


def _body(event: Any, pointer: str) -> EventBody | Problem:
    try:
        return read(EventBody, event, pointer)
    except InvalidError as error:
        return Problem(400, str(error))


def _weight(body: EventBody) -> float:
    weight = EVENT_WEIGHTS.get(body.type, 1.0)
    return weight * body.value if body.type in VALUED_TYPES and body.value is not None else weight


def _payload(body: EventBody) -> str:
    if body.model_fields_set <= LOGGED_APART:
        return "{}"
    rest = body.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=LOGGED_APART)
    return orjson.dumps(rest, option=orjson.OPT_SORT_KEYS).decode()


def _result(body: EventBody | Problem, outcome: Ack | Problem) -> dict[str, Any]:
    if isinstance(outcome, Ack) and outcome.problem is None:
        return {"id": outcome.event_id, "status": outcome.status, "version": outcome.version, "problem": None}
    found = outcome if isinstance(outcome, Problem) else outcome.problem
    event_id = body.id if isinstance(body, EventBody) else None
    status, detail = found if found is not None else (500, "no reason was given")
    return {"id": event_id, "status": "rejected", "version": None, "problem": problem(status, detail)}
