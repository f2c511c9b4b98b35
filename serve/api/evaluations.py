"""What the engine can tell of how good it is."""

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from serve.engine import Engine
from serve.state.figures import Lead, Score

Z95 = 1.959963984540054  # standard errors to either side of a 95 % interval


class JudgedEvents(BaseModel):
    """What the figures rest on."""

    total: int = Field(description="events judged since the bundle was first served")
    effective: float = Field(description="how many of equal weight tell as much as they do by now")
    window: int = Field(description="judged events after which one counts a third")


class SlateScore(BaseModel):
    """How well a slate foresaw the judged events."""

    ndcg: float = Field(alias="ndcg@10", description="1 / log2(place + 1) of the event's item, 0 below the tenth")
    hit_rate: float = Field(alias="hitRate@10", description="share of events whose item is among the first ten")


class Difference(BaseModel):
    """NDCG@10 of the live slate less that of another, on the same events."""

    mean: float
    low: float | None = Field(description="of the 95 % interval; none while there are too few events")
    high: float | None


class PrequentialAnswer(BaseModel):
    """How well judged events were foreseen before they were learned from; none of it before the first one."""

    modelVersion: str
    stateVersion: int
    guard: Literal["off", "watching", "holding"] = Field(description="holding: the bundle's items answer")
    judged: JudgedEvents
    live: SlateScore | None = Field(description="what was answered at that moment")
    still: SlateScore | None = Field(description="the bundle's items, for the shopper as of that moment")
    frozen: SlateScore | None = Field(description="the bundle alone, as if nothing had happened since")
    liveMinusStill: Difference | None = Field(description="what it is worth that items move")
    liveMinusFrozen: Difference | None = Field(description="what it is worth to be live")


def evaluation_routes(engine_of: Callable[[], Engine]) -> APIRouter:
    """Return the routes below /v1/evaluations."""
    routes = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])

    @routes.get("/prequential")
    async def get_prequential() -> PrequentialAnswer:
        """Say how well live answers foresee events, and answers that learned nothing."""
        engine = engine_of()
        figures = engine.view.figures
        return PrequentialAnswer(
            modelVersion=engine.bundle.manifest.version, stateVersion=engine.view.version,
            guard=guard_of(engine),
            judged=JudgedEvents(total=figures.judged, effective=figures.effective, window=figures.window),
            live=score(figures.score("live")), still=score(figures.score("still")),
            frozen=score(figures.score("frozen")), liveMinusStill=difference(figures.lead("still")),
            liveMinusFrozen=difference(figures.lead("frozen")),
        )  # fmt: skip

    return routes


def guard_of(engine: Engine) -> Literal["off", "watching", "holding"]:
    """Return what the guard does."""
    if not engine.has_guard:
        return "off"
    return "holding" if engine.view.figures.guarded else "watching"


def score(found: Score | None) -> SlateScore | None:
    """Return a score as it is told."""
    return found and SlateScore.model_validate({"ndcg@10": found.ndcg, "hitRate@10": found.hit_rate})


def difference(found: Lead | None) -> Difference | None:
    """Return a lead as it is told."""
    if found is None:
        return None
    low, high = (None, None) if found.error is None else (found.mean + z * found.error for z in (-Z95, Z95))
    return Difference(mean=found.mean, low=low, high=high)
