"""Decisions over HTTP."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from serve.api.schemas import Wire
from serve.api.slate_schemas import AppliedPolicy
from serve.slates import Route


class NextBody(Wire):
    """A wish for the next items of a list."""

    count: int = Field(20, ge=1, le=100)


class ShownItem(BaseModel):
    """An item as it was shown."""

    id: str
    rank: int
    propensity: float = Field(description="probability to stand at this rank, given the items above")
    score: float | None
    sources: list[str]


class Candidate(BaseModel):
    """An item that might have been shown."""

    id: str
    score: float | None
    sources: list[str]
    features: list[float | None] | None = Field(description="what the ranker read, as `features` names it")


class AppliedRule(BaseModel):
    """Which version of which rule was in force."""

    id: str
    version: int


class DecisionSummary(BaseModel):
    """What was shown, to whom and why."""

    recommendationId: str
    continues: str | None = Field(description="the list whose next items these are")
    time: datetime
    route: Route
    user: str | None
    request: dict[str, Any] = Field(description="as it was sent, without who asked")
    items: list[ShownItem]
    policy: AppliedPolicy
    rules: list[AppliedRule] = Field(description="those in force, whether or not they changed anything")
    modelVersion: str
    stateVersion: int
    degraded: list[str]
    fallback: Literal["none", "popular"]


class DecisionAnswer(DecisionSummary):
    """A decision with all that it was made of."""

    candidates: list[Candidate] = Field(description="what the list was made from, best first")
    features: list[str] = Field(description="their names")
    history: list[str] = Field(description="items that the shopper's vector came from, the newest last")
    historyLength: int = Field(description="rows of the whole history, of which the newest 200 are kept")


class RowShare(BaseModel):
    """What a row of the history has to do with an item."""

    item: str
    rowsAgo: int = Field(description="0 for the newest row")
    contribution: float = Field(description="by how much the product would be less without the row")


class ExplainedItem(BaseModel):
    """Why an item was shown."""

    id: str
    rank: int
    score: float | None = Field(description="of the ranker")
    ranker: dict[str, float] | None = Field(
        description="Shapley values by kind of feature; with `baseline` they add up to the score"
    )
    product: float = Field(description="⟨h_u, h_i⟩")
    history: list[RowShare] = Field(description="of the newest 20 rows, the one that matters most first")


class ExplanationAnswer(BaseModel):
    """Why a list is what it is."""

    recommendationId: str
    baseline: float | None = Field(description="the ranker's score of the average candidate of the list")
    exact: bool = Field(description="whether the history that is kept holds all that the model reads")
    stateVersion: int = Field(description="of the item vectors in `product`")
    items: list[ExplainedItem]


class ReplayedItem(BaseModel):
    """An item of a list that was made again."""

    id: str
    rank: int
    propensity: float
    score: float | None


class ReplayAnswer(BaseModel):
    """A decision made again."""

    recommendationId: str
    identical: bool = Field(description="whether every bit of the list is what it was")
    items: list[ReplayedItem]
