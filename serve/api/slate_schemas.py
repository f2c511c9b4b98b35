"""Slates and other lists over HTTP."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from serve.api.schemas import Finite, Id, Wire
from serve.stages.reasons import Code
from serve.state.documents import HOME
from serve.state.membership import CatalogueName
from serve.state.shoppers import MAX_TRAITS
from train.data.schema import PRODUCTS


class Context(Wire):
    """What is going on in this visit."""

    items: list[Id] = Field(default_factory=list, max_length=50, description="looked at, oldest first")
    order_id: Id | None = Field(None, description="of the order being filled, as its events have it")
    device: str | None = Field(None, max_length=64)


Trait = Annotated[str, Field(max_length=256)] | bool | int | Finite
Traits = Annotated[
    dict[Annotated[str, Field(max_length=64)], Trait | Annotated[list[Trait], Field(max_length=64)]],
    Field(max_length=MAX_TRAITS),
]


Return = Annotated[list[Literal["properties", "scores"]], Field(max_length=2)]
SlateReturn = Annotated[list[Literal["properties", "scores", "reasons"]], Field(max_length=3)]
Filter = Annotated[
    str, Field(max_length=4_000, description="what items must say of themselves: `inStock and price <= 50`")
]  # fmt: skip


class AskBody(Wire):
    """Who asks, and what the answer must be like."""

    user: Id | None = Field(None, description="the shopper; `session` stands in for a guest")
    session: Id | None = None
    context: Context = Field(default_factory=lambda: Context.model_validate({}))
    traits: Traits = Field(
        default_factory=dict, description="of the shopper; used where the model was told of such traits"
    )
    catalogue: CatalogueName | None = Field(
        None, description="whose items alone are shown; where it is left out the scenario's, else products"
    )
    filter: Filter | None = None
    return_: Return = Field(default_factory=list, alias="return")
    min_version: int = Field(0, ge=0, le=2**62, description="the version of an event that the answer must reflect")


class SlateBody(AskBody):
    """A wish for a list in the manner of a scenario."""

    return_: SlateReturn = Field(default_factory=list, alias="return")
    scenario: Id = Field(HOME, description="in whose manner, as written to /v1/scenarios")
    diversity: float | None = Field(
        None, ge=0, le=1, description="weight of being unlike what stands above; the scenario's when left out"
    )
    explore: bool = Field(True, description="whether places may be drawn where the scenario says so")
    seed: int | None = Field(None, ge=0, le=2**63 - 1, description="what is drawn follows from it and the user alone")
    min_score: Finite | None = Field(None, description="least score of an item that is shown")


class RecommendationsBody(SlateBody):
    """A wish for a slate."""

    count: int = Field(20, ge=1, le=100)
    exclude_items: list[Id] = Field(default_factory=list, max_length=1_000)


class RankBody(SlateBody):
    """A list to be put in the shopper's order."""

    catalogue: CatalogueName | None = Field(
        None, description="that all candidates are in; where neither it nor the scenario's is given they may be in any"
    )
    candidates: list[Id] = Field(min_length=1, max_length=1_000)


class BasketBody(SlateBody):
    """A basket that something may be missing in."""

    items: list[Id] = Field(min_length=1, max_length=50, description="in the order in which they went in")
    count: int = Field(20, ge=1, le=100)


class SearchBody(AskBody):
    """A query; who asks has a say in the order."""

    query: str = Field(min_length=1, max_length=500)
    count: int = Field(20, ge=1, le=100)


class ListBody(Wire):
    """A wish for a list that is the same for everybody, such as one of a catalogue's own."""

    count: int = Field(20, ge=1, le=100)
    catalogue: CatalogueName = Field(PRODUCTS, description="whose items alone are shown")
    filter: Filter | None = None
    return_: Return = Field(default_factory=list, alias="return")
    min_version: int = Field(0, ge=0, le=2**62, description="the version of a write that the answer must reflect")


class SimilarBody(ListBody):
    """Items that others shall be like."""

    items: list[Id] = Field(min_length=1, max_length=50)


class ReasonAnswer(BaseModel):
    """Something that is true of an item and this shopper."""

    code: Code
    item: str | None = Field(None, description="of the shopper's history, that it is true of")
    weight: float | None = Field(None, description="how much, in the unit of the code")


class RecommendedItem(BaseModel):
    """An item of a slate."""

    id: str
    rank: int
    propensity: float = Field(description="probability to stand at this rank, given the items above")
    sources: list[str]
    reasons: list[ReasonAnswer] | None = None
    score: float | None = None
    properties: dict[str, Any] | None = None


class Freshness(BaseModel):
    """How current the answer is."""

    lagMs: float


class AppliedPolicy(BaseModel):
    """Which version of which scenario a slate follows."""

    scenario: str
    version: int = Field(description="0 where nobody wrote the scenario")


class RecommendationsAnswer(BaseModel):
    """A slate."""

    recommendationId: str
    items: list[RecommendedItem]
    policy: AppliedPolicy
    modelVersion: str
    stateVersion: int
    freshness: Freshness
    degraded: list[str]
    fallback: Literal["none", "popular"]


class ListedItem(BaseModel):
    """An item of a list."""

    id: str
    rank: int
    score: float | None = None
    properties: dict[str, Any] | None = None


class SearchHit(ListedItem):
    """An item that answers a query."""

    sources: list[Literal["lexical", "vector"]] = Field(description="who found it: by its words, by what it means")


class SearchAnswer(BaseModel):
    """What answers a query."""

    items: list[SearchHit]
    modelVersion: str
    stateVersion: int
    freshness: Freshness
    degraded: list[str]


class ListAnswer(BaseModel):
    """A list that is the same for everybody."""

    items: list[ListedItem]
    modelVersion: str
    stateVersion: int
    freshness: Freshness
    degraded: list[str]
