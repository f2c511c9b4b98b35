"""People over HTTP: what is held of them, and what becomes of it."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from serve.api.decision_schemas import DecisionSummary
from serve.api.schemas import Id, Wire
from serve.api.slate_schemas import Traits


class UserBody(Wire):
    """What is known of a shopper beside what they did."""

    traits: Traits = Field(description="taken for known in every request of the shopper's that does not say otherwise")


class UserAnswer(BaseModel):
    """What was written of a shopper."""

    user: str
    version: int = Field(description="as minVersion it makes an answer reflect this")
    traits: dict[str, Any]


class MergeBody(Wire):
    """Whose history joins the account's."""

    source: Id = Field(description="the guest; whoever uses this id again begins anew")


class MergeAnswer(BaseModel):
    """A merge, or its end."""

    user: str
    source: str
    version: int | None = Field(description="as minVersion it makes an answer reflect the merge; none for its end")


class ErasureAnswer(BaseModel):
    """The receipt of an erasure."""

    user: str
    erasedIds: int = Field(description="the asked one, and the guests merged into it")
    erasedEvents: int
    erasedDecisions: int = Field(description="what was shown, and why")
    revision: int = Field(description="of the log: how often a part of it was made silent")
    erasedAt: datetime


class HeldEvent(BaseModel):
    """An event as it is held."""

    id: str
    version: int
    type: str
    user: str
    item: str | None
    time: datetime
    orderId: str | None
    value: float | None
    weight: float
    more: dict[str, Any] = Field(description="the rest of what was sent")


class HistoryRow(BaseModel):
    """What the engine knows of a shopper at this moment, row by row."""

    item: str
    time: datetime


class RefusedEvent(BaseModel):
    """An event that was refused for what it says, and is kept for a while to be mended."""

    time: datetime = Field(description="of the refusal")
    reason: str
    event: dict[str, Any] = Field(description="as it was sent")


class ExportAnswer(BaseModel):
    """All that is held of a person."""

    user: str
    ids: list[str] = Field(description="the asked one first, then the guests merged into it")
    events: list[HeldEvent] = Field(description="in the order in which they were acknowledged")
    traits: dict[str, Any] = Field(description="that were written of the person, and hold now")
    history: list[HistoryRow] = Field(description="what answers follow from, oldest first; also of before the log")
    bought: list[HistoryRow] = Field(description="and not returned, oldest first; also of before the log")
    refused: list[RefusedEvent] = Field(description="of late, oldest first")
    decisions: list[DecisionSummary] = Field(description="what was shown, and why, oldest first")
