"""Replaying: a decision made again from what is kept of it, through the rooms that made it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cluster.errors import ConflictError
from serve.stages.arranging.arrange import Order, logits, placed
from serve.stages.arranging.config import ScenarioConfig
from serve.stages.arranging.room import Limits
from serve.stages.arranging.slots import Pool
from serve.trust.decisions import Decision
from train.bundle import Bundle
from train.models.features import FEATURES
from train.models.ranker import Ranker

Directions = Callable[[np.ndarray], np.ndarray]  # item_idx (n,) → (n, d), as Arranging.directions_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The list as it comes out now."""

    shown_ids: list[str]
    score: np.ndarray  # (k,)
    propensity: np.ndarray  # (k,)
    identical: bool  # whether every bit of it is what it was


def replayed(
    decision: Decision, bundle: Bundle, index: dict[str, int], directions: Directions
) -> Replayed:  # fmt: skip
    """Return the decision made again; raises ConflictError where this server has not what it was made by.

    index: item_id → item_idx.
    """
    require_same(decision, bundle)
    ranked, before = scores_again(decision, bundle.ranker), ranked_scores(decision)
    score = decision.score if len(decision.ranked_score) else ranked
    order = order_of(decision)
    slots = slots_of(decision, score, order.is_stranger, index, directions)
    # Without slots the best scores are shown, whichever those are now; equals keep their order.
    again = np.arange(len(score)) if slots is not None else np.argsort(-score, kind="stable")
    found = placed(slots, len(score), order)
    chosen = again[found.chosen]
    identical = (
        chosen.tolist() == decision.shown.tolist() and ranked.tobytes() == before.tobytes()
        and found.propensity.tobytes() == decision.propensity.tobytes()
    )  # fmt: skip
    return Replayed(
        shown_ids=[decision.item_ids[place] for place in chosen.tolist()], score=score[chosen],
        propensity=found.propensity, identical=identical,
    )  # fmt: skip


def ranked_scores(decision: Decision) -> np.ndarray:
    """Return the ranker's scores (n,) of the pool as they were."""
    return decision.ranked_score if len(decision.ranked_score) else decision.score


def scores_again(decision: Decision, ranker: Ranker) -> np.ndarray:
    """Return the ranker's scores (n,) of the pool, anew from its features; those of which none are kept stay.

    The last bits of a product depend on how many rows it has, and on a row's place among them: each row goes back to
    the place it had, among as many.
    """
    score = ranked_scores(decision)
    if not len(decision.features):
        return score
    columns = np.zeros((len(FEATURES), decision.n_ranked), dtype=np.float32)
    columns[:, decision.place] = decision.features.T
    score = score.copy()
    score[: len(decision.features)] = ranker.score(columns.T)[decision.place]
    return score


def slots_of(
    decision: Decision, score: np.ndarray, is_stranger: bool, index: dict[str, int], directions: Directions
) -> Pool | None:
    """Return what places were given by; as many rows as there were, for the sake of last bits as above."""
    if not decision.n_slots:
        return None
    worth = decision.worth if len(decision.worth) else logits(score, is_stranger)
    item_idx = np.array([index[item_id] for item_id in decision.item_ids], dtype=np.int64)
    of_pool = directions(item_idx) if decision.config.get("diversity") else np.empty((len(worth), 0))
    beyond = decision.n_slots - len(worth)
    return Pool(
        item_idx=np.pad(item_idx, (0, beyond)), n_events=np.resize(decision.n_events, decision.n_slots),
        worth=np.pad(worth, (0, beyond)), direction=np.pad(of_pool, ((0, beyond), (0, 0))),
        limits=limits_of(decision), open_at_once=decision.open_at_once,
    )  # fmt: skip


def limits_of(decision: Decision) -> Limits:
    """Return what was asked of the slate as a whole."""
    holder, value, limit = (getattr(decision, name).astype(np.int64) for name in ("holder", "value", "limit"))
    return Limits(
        holder=holder, value=value, limit=limit,
        pins=tuple((place, many, np.array(items, np.int64)) for place, many, items in decision.pins),
        quotas=tuple((minimum, np.array(items, np.int64)) for minimum, items in decision.quotas),
    )  # fmt: skip


def order_of(decision: Decision) -> Order:
    """Return how the decision's candidates became a slate."""
    seed, user = decision.sent.get("seed"), decision.user_id
    return Order(
        count=decision.count, config=ScenarioConfig.model_validate(decision.config),
        lot=decision.recommendation_id if seed is None else f"{seed} {user}", min_score=decision.sent.get("minScore"),
        is_stranger=decision.fallback == "popular",
    )  # fmt: skip


def require_same(decision: Decision, bundle: Bundle) -> None:
    """Raise where a decision was made by another bundle, or by an engine that knew other features."""
    if decision.model_version != bundle.manifest.version:
        raise ConflictError(
            f"bundle {decision.model_version} decided this and {bundle.manifest.version} is served; "
            f"start the server with bundle={decision.model_version}"
        )
    if decision.feature_names != FEATURES:
        raise ConflictError("an engine that knew other features decided this; start the version of that time")
