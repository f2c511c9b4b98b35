"""What travels over HTTP: camelCase on the wire, unknown fields refused."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from serve.state.membership import CatalogueName
from train.data.ids import id_problem

MAX_EVENTS = 500
MAX_DEPTH = 16
MAX_MILLIS = 253_402_300_799_999  # the last one of the year 9999
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _checked_id(text: str) -> str:
    if found := id_problem(text):
        raise ValueError(found)
    return text


def _from_millis(given: Any) -> Any:
    if type(given) is not int:
        return given
    if not 0 <= given <= MAX_MILLIS:
        raise ValueError(f"epoch milliseconds must be between 0 and {MAX_MILLIS}")
    return EPOCH + timedelta(milliseconds=given)


def shallow(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties that are not nested too deeply, or raise."""
    level: list[Any] = [properties]
    for _ in range(MAX_DEPTH):
        children = [part.values() if isinstance(part, dict) else part for part in level]
        level = [child for parts in children for child in parts if isinstance(child, dict | list)]
        if not level:
            return properties
    raise ValueError(f"must not be nested deeper than {MAX_DEPTH} levels")


Id = Annotated[str, AfterValidator(_checked_id), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 128})]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Time = Annotated[
    AwareDatetime, BeforeValidator(_from_millis),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]}),
]  # fmt: skip


class Wire(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False, extra="forbid", frozen=True)


class EventBody(Wire):
    """Something a shopper did."""

    id: Id | None = Field(None, description="idempotency key; made here when missing")
    type: Id = Field(description="view, click, cart, purchase, … or a type of your own")
    user: Id | None = Field(None, description="the shopper; `session` stands in for a guest")
    session: Id | None = None
    item: Id | None = None
    catalogue: CatalogueName | None = Field(None, description="of the item; another one's is refused")
    time: Time | None = Field(None, description="RFC 3339 or epoch milliseconds; now when missing")
    value: Finite | None = None
    quantity: Finite | None = Field(None, ge=0)
    price: Finite | None = Field(None, ge=0)
    currency: str | None = Field(None, pattern="^[A-Z]{3}$")
    order_id: Id | None = None
    recommendation_id: Id | None = None
    position: int | None = Field(None, ge=1, le=1_000_000)
    text: str | None = Field(None, max_length=10_000)
    properties: Annotated[dict[str, Any], AfterValidator(shallow)] = Field(default_factory=dict)

    def time_ms(self, now: datetime) -> int:
        """Return the event's time in epoch milliseconds; a future one is now."""
        time = now if self.time is None else min(max(self.time, EPOCH), now)
        return (time - EPOCH) // timedelta(milliseconds=1)


class EventsBody(Wire):
    """Up to 500 events."""

    events: list[EventBody] = Field(min_length=1, max_length=MAX_EVENTS)


class Finding(BaseModel):
    """One thing wrong with a request."""

    pointer: str = Field(description="where in the body, RFC 6901")
    detail: str
    position: int | None = Field(None, description="of a character in a filter, from 1")


class ProblemBody(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    requestId: str | None = None
    errors: list[Finding] | None = None


class EventResult(BaseModel):
    """What became of one event."""

    id: str | None
    status: Literal["applied", "duplicate", "rejected"]
    version: int | None = Field(description="as minVersion it makes an answer reflect this event")
    problem: ProblemBody | None


class EventsAnswer(BaseModel):
    """One result per event, in the order sent."""

    results: list[EventResult]
    applied: int
    duplicate: int
    rejected: int


def moment(timestamp_ms: int) -> datetime:
    """Return epoch milliseconds as a time."""
    return EPOCH + timedelta(milliseconds=timestamp_ms)
