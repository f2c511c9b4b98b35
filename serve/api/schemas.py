"""What travels over HTTP: camelCase on the wire, unknown fields refused."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from train.data.ids import id_problem

MAX_EVENTS = 500


def _checked_id(text: str) -> str:
    if found := id_problem(text):
        raise ValueError(found)
    return text


Id = Annotated[str, AfterValidator(_checked_id)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Millis = Annotated[int, Field(ge=0, le=253_402_300_799_999)]  # the last one is in the year 9999


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
    catalogue: Id | None = None
    time: AwareDatetime | Millis | None = Field(None, description="RFC 3339 or epoch milliseconds; now when missing")
    value: Finite | None = None
    quantity: Finite | None = None
    price: Finite | None = Field(None, ge=0)
    currency: str | None = Field(None, pattern="^[A-Z]{3}$")
    order_id: Id | None = None
    recommendation_id: Id | None = None
    position: int | None = Field(None, ge=1)
    text: str | None = Field(None, max_length=10_000)
    properties: dict[str, Any] = Field(default_factory=dict)

    def time_ms(self, now: datetime) -> int:
        """Return the event's time in epoch milliseconds; a future one is now."""
        now_ms = int(now.timestamp() * 1e3)
        if self.time is None:
            return now_ms
        given_ms = self.time if isinstance(self.time, int) else int(self.time.astimezone(UTC).timestamp() * 1e3)
        return min(max(given_ms, 0), now_ms)


class EventsBody(Wire):
    """Up to 500 events."""

    events: list[EventBody] = Field(min_length=1, max_length=MAX_EVENTS)


class ProblemBody(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


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


class Context(Wire):
    """What is going on in this visit."""

    items: list[Id] = Field(default_factory=list, max_length=50, description="looked at, oldest first")
    device: str | None = Field(None, max_length=64)


class RecommendationsBody(Wire):
    """Who asks, and for how many."""

    user: Id | None = Field(None, description="the shopper; `session` stands in for a guest")
    session: Id | None = None
    scenario: Literal["home"] = "home"
    count: int = Field(20, ge=1, le=100)
    context: Context = Context.model_validate({})
    exclude_items: list[Id] = Field(default_factory=list, max_length=1_000)
    return_: list[Literal["properties", "scores"]] = Field(default_factory=list, alias="return", max_length=2)
    min_version: int = Field(0, ge=0, le=2**62, description="the version of an event that the answer must reflect")


class RecommendedItem(BaseModel):
    """An item of a slate."""

    id: str
    rank: int
    sources: list[str]
    score: float | None = None
    properties: dict[str, Any] | None = None


class Freshness(BaseModel):
    """How current the answer is."""

    lagMs: float


class RecommendationsAnswer(BaseModel):
    """A slate."""

    recommendationId: str
    items: list[RecommendedItem]
    modelVersion: str
    stateVersion: int
    freshness: Freshness
    degraded: list[str]
    fallback: Literal["none", "popular"]
