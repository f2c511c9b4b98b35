"""Slates to the wire."""

from typing import Any

import numpy as np

from cluster.errors import UnprocessableError
from serve.api.slate_schemas import AskBody, BasketBody, RankBody, RecommendationsBody, SearchBody
from serve.engine import NOTHING, Ask, Engine, Slate
from serve.stages.browsing import Browsed
from serve.stages.filters.expression import Expression, bound
from serve.stages.filters.facts import values_of
from serve.stages.filters.language import parse
from serve.stages.searching import LEXICAL, VECTOR, Hits
from train.models.candidates import Source

FOUND_BY = {LEXICAL: "lexical", VECTOR: "vector"}
SOURCE_NAMES = [Source(flags).names() for flags in range(2 ** len(Source))]


def read_ask(body: RecommendationsBody, index: dict[str, int]) -> Ask:
    """Return a request with its item ids as numbers; index: item_id → item_idx."""
    return Ask(
        user_id=body.user or body.session,
        count=body.count,
        context=known_items("context.items", body.context.items, index),
        excluded=np.array([index[item_id] for item_id in body.exclude_items if item_id in index], dtype=np.int64),
        min_version=body.min_version,
        filter=read_filter(body),
        order_key=body.context.order_id or "",
        traits=body.traits,
    )


def read_basket(body: BasketBody, index: dict[str, int]) -> Ask:
    """Return the question what goes with a basket, which the slate does not hold."""
    basket = known_items("items", body.items, index)
    visited = known_items("context.items", body.context.items, index)
    return Ask(
        user_id=body.user or body.session, count=body.count, context=visited, basket=basket, excluded=basket,
        min_version=body.min_version, filter=read_filter(body), order_key=body.context.order_id or "",
        traits=body.traits,
    )  # fmt: skip


def read_rank(body: RankBody, index: dict[str, int]) -> Ask:
    """Return the wish that a list be put in the shopper's order."""
    candidates = np.unique(known_items("candidates", body.candidates, index))
    return Ask(
        user_id=body.user or body.session, count=len(candidates),
        context=known_items("context.items", body.context.items, index), excluded=NOTHING,
        min_version=body.min_version, filter=read_filter(body), order_key=body.context.order_id or "",
        traits=body.traits, only=candidates,
    )  # fmt: skip


def read_search(body: SearchBody, index: dict[str, int]) -> Ask:
    """Return who asks, and what the answer must be like."""
    return Ask(
        user_id=body.user or body.session, count=body.count,
        context=known_items("context.items", body.context.items, index), excluded=NOTHING,
        min_version=body.min_version, filter=read_filter(body), traits=body.traits,
    )  # fmt: skip


def read_filter(body: AskBody) -> Expression | None:
    """Return what items must say of themselves, with the request's own words in it."""
    if body.filter is None:
        return None
    given = {
        "context": {"device": values_of(body.context.device), "items": values_of(body.context.items)},
        "user": {name: values_of(told) for name, told in body.traits.items()},
    }
    return bound(parse(body.filter), given)


def show(slate: Slate, wanted: list[Any], engine: Engine, recommendation_id: str) -> dict[str, Any]:
    """Return a slate as RecommendationsAnswer says, with what is `wanted`; plain values cost a fifth of models."""
    rows = zip(
        slate.candidates.item_idx.tolist(), slate.candidates.score.tolist(), slate.candidates.source.tolist(),
        strict=True,
    )  # fmt: skip
    return {
        "recommendationId": recommendation_id,
        "items": [_item(engine, rank, *row, wanted) for rank, row in enumerate(rows, start=1)],
        "modelVersion": engine.bundle.manifest.version,
        "stateVersion": slate.state_version,
        "freshness": {"lagMs": round(slate.lag_ms, 1)},
        "degraded": slate.degraded,
        "fallback": slate.fallback,
    }


def _item(engine: Engine, rank: int, item_idx: int, score: float, source: int, wanted: list[Any]) -> dict[str, Any]:
    item: dict[str, Any] = {"id": engine.item_ids[item_idx], "rank": rank, "sources": SOURCE_NAMES[source]}
    return _with_more(item, engine, item_idx, score, wanted)


def _with_more(
    item: dict[str, Any], engine: Engine, item_idx: int, score: float, wanted: list[Any]
) -> dict[str, Any]:  # fmt: skip
    if "scores" in wanted:
        item["score"] = score
    if "properties" in wanted:
        item["properties"] = engine.properties(item_idx)
    return item


def show_hits(hits: Hits, wanted: list[Any], engine: Engine, degraded: tuple[str, ...]) -> dict[str, Any]:
    """Return hits as SearchAnswer says, with what is `wanted`."""
    answer = show_list(hits, wanted, engine, degraded)
    for item, flags in zip(answer["items"], hits.found_by.tolist(), strict=True):
        item["sources"] = [name for flag, name in FOUND_BY.items() if flags & flag]
    return answer


def show_list(found: Browsed, wanted: list[Any], engine: Engine, degraded: tuple[str, ...]) -> dict[str, Any]:
    """Return a list as ListAnswer says, with what is `wanted`."""
    items = []
    for rank, (item_idx, score) in enumerate(zip(found.item_idx.tolist(), found.score.tolist(), strict=True), start=1):
        item: dict[str, Any] = {"id": engine.item_ids[item_idx], "rank": rank}
        items.append(_with_more(item, engine, item_idx, score, wanted))
    return {
        "items": items, "modelVersion": engine.bundle.manifest.version, "stateVersion": found.version,
        "freshness": {"lagMs": round(engine.follower.lag_ms(), 1)}, "degraded": degraded,
    }  # fmt: skip


def known_items(field: str, item_ids: list[str], index: dict[str, int]) -> np.ndarray:
    """Return the item_idx (n,) of ids in a field of the request, or raise UnprocessableError."""
    unknown = next((item_id for item_id in item_ids if item_id not in index), None)
    if unknown is not None:
        raise UnprocessableError(f"{field}: item {unknown!r} is not in the catalogue")
    return np.array([index[item_id] for item_id in item_ids], dtype=np.int64)
