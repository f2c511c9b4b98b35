"""Arranging: ranked candidates become a slate."""

from dataclasses import dataclass

import numpy as np

from serve.stages.arranging.config import ScenarioConfig
from serve.stages.arranging.laws import draws_of
from serve.stages.arranging.slots import Filled, Pool, filled
from serve.state.view import View
from train.models.candidates import Candidates

POOL = 200  # best candidates that a slate is arranged from, or as many as it holds

NO_CAPS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How many items are wanted, and in which manner."""

    count: int
    config: ScenarioConfig
    lot: str  # what all that is drawn follows from
    min_score: float | None = None
    is_stranger: bool = False  # whether scores are no logits but popularity


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """A slate and what it was made of."""

    shown: Candidates  # from the top
    propensity: np.ndarray  # (n,) float64, probability of each to stand at its place, given those above it
    pool: Candidates  # best first


class Arranging:
    """The last stage, over one view of the state."""

    def __init__(self, view: View) -> None:
        self._view = view

    async def arrange(self, candidates: Candidates, order: Order) -> Arranged:
        """Return a slate of the candidates."""
        if order.min_score is not None:
            candidates = candidates.keep(candidates.score >= order.min_score)
        pool = candidates.best(max(POOL, order.count))
        if order.config.is_plain:
            shown = pool.take(np.arange(min(order.count, len(pool))))
            return Arranged(shown=shown, propensity=np.ones(len(shown)), pool=pool)
        found = self._filled(pool, order)
        return Arranged(shown=pool.take(found.chosen), propensity=found.propensity, pool=pool)

    def _filled(self, pool: Candidates, order: Order) -> Filled:
        score = pool.score.astype(np.float64)
        worth = np.log(np.maximum(score, 1e-300)) if order.is_stranger else score
        vectors = self._view.items.vectors[pool.item_idx]
        direction = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        items = Pool(worth=worth, direction=direction, holder=NO_CAPS, value=NO_CAPS, limit=NO_CAPS)
        return filled(items, order.count, order.config, draws_of(order.lot, order.count))
