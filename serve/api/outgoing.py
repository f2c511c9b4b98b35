"""Slates to the wire."""

from dataclasses import replace
from typing import Any

import numpy as np

from cluster.errors import UnprocessableError
from serve.api.slate_schemas import AskBody, BasketBody, RankBody, RecommendationsBody, SearchBody, SlateBody
from serve.engine import Engine
from serve.slates import NOTHING, Ask, Slate
from serve.stages.arranging.policy import Policy
from serve.stages.browsing import Browsed
from serve.stages.filters.expression import bound, every
from serve.stages.filters.facts import values_of
from serve.stages.filters.language import parse
from serve.stages.reasons import Reason
from serve.stages.searching import LEXICAL, VECTOR, Hits
from serve.state.clock import now_ms
from serve.state.decision_log import new_id
from train.models.candidates import Source

FOUND_BY = {LEXICAL: "lexical", VECTOR: "vector"}
SOURCE_NAMES = [Source(flags).names() for flags in range(2 ** len(Source))]


def read_ask(body: RecommendationsBody, index: dict[str, int], policy: Policy) -> Ask:
    """Return a request with its item ids as numbers; index: item_id → item_idx."""
    excluded = np.array([index[item_id] for item_id in body.exclude_items if item_id in index], dtype=np.int64)
    return replace(_slate_ask(body, index, policy), count=body.count, excluded=excluded)


def read_basket(body: BasketBody, index: dict[str, int], policy: Policy) -> Ask:
    """Return the question what goes with a basket, which the slate does not hold."""
    basket = known_items("items", body.items, index)
    return replace(_slate_ask(body, index, policy), count=body.count, basket=basket, excluded=basket, route="basket")


def read_rank(body: RankBody, index: dict[str, int], policy: Policy) -> Ask:
    """Return the wish that a list be put in the shopper's order."""
    candidates = np.unique(known_items("candidates", body.candidates, index))
    return replace(_slate_ask(body, index, policy), count=len(candidates), only=candidates, route="rank")


def read_search(body: SearchBody, index: dict[str, int]) -> Ask:
    """Return who asks, and what the answer must be like."""
    return replace(_ask(body, index), count=body.count)


def _slate_ask(body: SlateBody, index: dict[str, int], policy: Policy) -> Ask:
    """Return what all wishes for slates say alike."""
    return replace(
        _ask(body, index, policy.config.filter), policy=policy.changed(body.diversity, body.explore),
        min_score=body.min_score, seed=body.seed, recommendation_id=new_id(now_ms()), sent=body,
        reasons="reasons" in body.return_,
    )  # fmt: skip


def _ask(body: AskBody, index: dict[str, int], usual_filter: str | None = None) -> Ask:
    said = {
        "context": {"device": values_of(body.context.device), "items": values_of(body.context.items)},
        "user": {name: values_of(told) for name, told in body.traits.items()},
    }
    filter = every(*(bound(parse(text), said) for text in (usual_filter, body.filter) if text is not None))
    return Ask(
        user_id=body.user or body.session, count=0, context=known_items("context.items", body.context.items, index),
        excluded=NOTHING, min_version=body.min_version, filter=filter, said=said,
        order_key=body.context.order_id or "", traits=body.traits,
    )  # fmt: skip


def show(slate: Slate, wanted: list[Any], engine: Engine, recommendation_id: str) -> dict[str, Any]:
    """Return a slate as RecommendationsAnswer says, with what is `wanted`; plain values cost a fifth of models."""
    rows = zip(
        slate.candidates.item_idx.tolist(), slate.candidates.score.tolist(), slate.candidates.source.tolist(),
        slate.arranged.propensity.tolist(), strict=True,
    )  # fmt: skip
    items = [_item(engine, rank, *row, wanted) for rank, row in enumerate(rows, start=1)]
    for item, reasons in zip(items, slate.reasons, strict=False):
        item["reasons"] = [_reason(engine, reason) for reason in reasons]
    return {
        "recommendationId": recommendation_id,
        "items": items,
        "policy": {"scenario": slate.policy.scenario, "version": slate.policy.version},
        "modelVersion": engine.bundle.manifest.version,
        "stateVersion": slate.state_version,
        "freshness": {"lagMs": round(slate.lag_ms, 1)},
        "degraded": slate.degraded,
        "fallback": slate.fallback,
    }


def _item(
    engine: Engine, rank: int, item_idx: int, score: float, source: int, propensity: float, wanted: list[Any]
) -> dict[str, Any]:  # fmt: skip
    item: dict[str, Any] = {
        "id": engine.item_ids[item_idx], "rank": rank, "propensity": propensity, "sources": SOURCE_NAMES[source]
    }  # fmt: skip
    return _with_more(item, engine, item_idx, score, wanted)


def _reason(engine: Engine, reason: Reason) -> dict[str, Any]:
    told: dict[str, Any] = {"code": reason.code}
    if reason.item_idx is not None:
        told["item"] = engine.item_ids[reason.item_idx]
    if reason.weight is not None:
        told["weight"] = reason.weight
    return told


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
