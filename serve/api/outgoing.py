"""Slates to the wire."""

from typing import Any

import numpy as np

from cluster.errors import UnprocessableError
from serve.api.schemas import RecommendationsBody
from serve.engine import Ask, Engine, Slate
from serve.stages.filters.expression import Expression, bound
from serve.stages.filters.facts import values_of
from serve.stages.filters.language import parse
from train.models.candidates import Source

SOURCE_NAMES = [Source(flags).names() for flags in range(2 ** len(Source))]


def read_ask(body: RecommendationsBody, index: dict[str, int]) -> Ask:
    """Return a request with its item ids as numbers; index: item_id → item_idx."""
    return Ask(
        user_id=body.user or body.session,
        count=body.count,
        context=_known("context.items", body.context.items, index),
        excluded=np.array([index[item_id] for item_id in body.exclude_items if item_id in index], dtype=np.int64),
        min_version=body.min_version,
        filter=read_filter(body),
        order_key=body.context.order_id or "",
        traits=body.traits,
    )


def read_filter(body: RecommendationsBody) -> Expression | None:
    """Return what the items of a slate must say of themselves, with the request's own words in it."""
    if body.filter is None:
        return None
    device = body.context.device
    given = {
        "context": {"device": values_of(device), "items": values_of(body.context.items)},
        "user": {name: values_of(told) for name, told in body.traits.items()},
    }
    return bound(parse(body.filter), given)


def show(slate: Slate, body: RecommendationsBody, engine: Engine, recommendation_id: str) -> dict[str, Any]:
    """Return the answer to `body`, as RecommendationsAnswer says; plain values cost a fifth of models."""
    rows = zip(
        slate.candidates.item_idx.tolist(), slate.candidates.score.tolist(), slate.candidates.source.tolist(),
        strict=True,
    )  # fmt: skip
    return {
        "recommendationId": recommendation_id,
        "items": [_item(engine, rank, *row, body.return_) for rank, row in enumerate(rows, start=1)],
        "modelVersion": engine.bundle.manifest.version,
        "stateVersion": slate.state_version,
        "freshness": {"lagMs": round(slate.lag_ms, 1)},
        "degraded": slate.degraded,
        "fallback": slate.fallback,
    }


def _item(engine: Engine, rank: int, item_idx: int, score: float, source: int, wanted: list[Any]) -> dict[str, Any]:
    item: dict[str, Any] = {"id": engine.item_ids[item_idx], "rank": rank, "sources": SOURCE_NAMES[source]}
    if "scores" in wanted:
        item["score"] = score
    if "properties" in wanted:
        item["properties"] = engine.properties(item_idx)
    return item


def _known(field: str, item_ids: list[str], index: dict[str, int]) -> np.ndarray:
    unknown = next((item_id for item_id in item_ids if item_id not in index), None)
    if unknown is not None:
        raise UnprocessableError(f"{field}: item {unknown!r} is not in the catalogue")
    return np.array([index[item_id] for item_id in item_ids], dtype=np.int64)
