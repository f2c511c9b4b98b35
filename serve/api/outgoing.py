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
from serve.stages.filters.catalogues import within
from serve.stages.filters.expression import bound, every
from serve.stages.filters.facts import values_of
from serve.stages.filters.language import parse
from serve.stages.reasons import Reason
from serve.stages.searching import LEXICAL, VECTOR, Hits
from serve.state.catalogue import LiveCatalogue
from serve.state.clock import now_ms
from serve.state.decision_log import new_id
from serve.state.membership import misplaced
from train.data.schema import PRODUCTS
from train.models.candidates import Source

FOUND_BY = {LEXICAL: "lexical", VECTOR: "vector"}
SOURCE_NAMES = [Source(flags).names() for flags in range(2 ** len(Source))]


def read_ask(body: RecommendationsBody, known: LiveCatalogue, policy: Policy) -> Ask:
    """Return a request with its item ids as numbers."""
    excluded = [known.index[item_id] for item_id in body.exclude_items if item_id in known.index]
    ask = _slate_ask(body, known, policy, _catalogue(body, policy) or PRODUCTS)
    return replace(ask, count=body.count, excluded=np.array(excluded, dtype=np.int64))


def read_basket(body: BasketBody, known: LiveCatalogue, policy: Policy) -> Ask:
    """Return the question what goes with a basket, which the slate does not hold."""
    basket = known_items("items", body.items, known.index)
    ask = _slate_ask(body, known, policy, _catalogue(body, policy) or PRODUCTS)
    return replace(ask, count=body.count, basket=basket, excluded=basket, route="basket")


def read_rank(body: RankBody, known: LiveCatalogue, policy: Policy) -> Ask:
    """Return the wish that a list be put in the shopper's order, all of it in the catalogue if one is named."""
    candidates = np.unique(known_items("candidates", body.candidates, known.index))
    catalogue = _catalogue(body, policy)
    ask = _slate_ask(body, known, policy, catalogue)
    for one in candidates.tolist():
        wrong = catalogue and misplaced(f"item {known.item_ids[one]!r}", known.membership.of(one), catalogue)
        if wrong:
            raise UnprocessableError(f"candidates: {wrong}")
    return replace(ask, count=len(candidates), only=candidates, route="rank")


def read_search(body: SearchBody, known: LiveCatalogue) -> Ask:
    """Return who asks, and what the answer must be like."""
    return replace(_ask(body, known, body.catalogue or PRODUCTS), count=body.count)


def _catalogue(body: SlateBody, policy: Policy) -> str | None:
    """Return whose items alone are wished for."""
    return policy.config.catalogue if body.catalogue is None else body.catalogue


def _slate_ask(body: SlateBody, known: LiveCatalogue, policy: Policy, catalogue: str | None) -> Ask:
    """Return what all wishes for slates say alike; catalogue: whose items alone are wished for."""
    return replace(
        _ask(body, known, catalogue, policy.config.filter), policy=policy.changed(body.diversity, body.explore),
        min_score=body.min_score, seed=body.seed, recommendation_id=new_id(now_ms()), sent=body,
        reasons="reasons" in body.return_,
    )  # fmt: skip


def _ask(body: AskBody, known: LiveCatalogue, catalogue: str | None, usual_filter: str | None = None) -> Ask:
    said = {
        "context": {"device": values_of(body.context.device), "items": values_of(body.context.items)},
        "user": {name: values_of(told) for name, told in body.traits.items()},
    }
    theirs = None if catalogue is None else within(catalogue, known.membership)
    filter = every(theirs, *(bound(parse(text), said) for text in (usual_filter, body.filter) if text is not None))
    context = known_items("context.items", body.context.items, known.index)
    return Ask(
        user_id=body.user or body.session, count=0, context=context, excluded=NOTHING, min_version=body.min_version,
        filter=filter, said=said, order_key=body.context.order_id or "", traits=body.traits,
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
