"""Arranging: ranked candidates become a slate."""

from dataclasses import dataclass

import numpy as np

from serve.stages.arranging.config import ScenarioConfig
from serve.stages.arranging.knowledge import Knowledge
from serve.stages.arranging.laws import draws_of
from serve.stages.arranging.objective import parse_objective
from serve.stages.arranging.slots import Filled, Pool, filled
from serve.stages.directions import directions
from serve.stages.rules.config import Rule
from serve.stages.rules.effects import limits_of, odds, weighed
from serve.state.view import View
from train.models.candidates import Candidates

POOL = 200  # items among which a place is given, or as many as the slate holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How many items are wanted, and in which manner."""

    count: int
    config: ScenarioConfig
    lot: str  # what all that is drawn follows from
    min_score: float | None = None
    is_stranger: bool = False  # whether scores are no logits but popularity
    rules: tuple[Rule, ...] = ()  # one for each of the candidates' marks

    @property
    def has_limits(self) -> bool:
        """Whether the slate as a whole must be like something."""
        return bool(self.config.max_per) or any(rule.is_limit for rule in self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worthy:
    """Candidates, worthiest first."""

    candidates: Candidates  # scores are what the answer tells: the objective's values, NaN where they are not finite
    worth: np.ndarray  # (n,) float64, finite, descending; what differences of utility are told in
    degraded: tuple[str, ...] = ()  # what could not be done


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """A slate and what it was made of."""

    shown: Candidates  # from the top
    propensity: np.ndarray  # (n,) float64, probability of each to stand at its place, given those above it
    by_lot: np.ndarray  # (n,) bool, whether it was drawn where another item was best
    pool: Candidates  # those that places were given among, worthiest first
    slots: Pool | None = None  # what places were given by; None where the worthiest were shown in their order
    degraded: tuple[str, ...] = ()  # what could not be done


class Arranging:
    """The last stage, over one view of the state."""

    def __init__(self, view: View, knowledge: Knowledge) -> None:
        self._view, self._knowledge = view, knowledge

    async def arrange(self, candidates: Candidates, order: Order) -> Arranged:
        """Return a slate of the candidates."""
        config, most = order.config, max(POOL, order.count)
        # With limits, items may be needed that lie deeper.
        worthy = await self._worthy(candidates, order, len(candidates) if order.has_limits else most)
        is_by_worth = config.is_by_worth and not order.has_limits
        slots = None if is_by_worth else await self._slots(worthy, order, most)
        found = placed(slots, len(worthy.worth), order)
        return Arranged(
            shown=worthy.candidates.take(found.chosen), propensity=found.propensity, by_lot=found.by_lot,
            pool=worthy.candidates.take(np.arange(found.reach)), slots=slots, degraded=worthy.degraded,
        )  # fmt: skip

    async def _worthy(self, candidates: Candidates, order: Order, reach: int) -> Worthy:
        """Return the worthiest candidates, in the ranker's order where nobody asks for another."""
        degraded, factor = (), odds(order.rules, candidates)
        if order.config.objective is not None:
            objective = parse_objective(order.config.objective)
            logit = logits(candidates.score, order.is_stranger)
            known = await self._knowledge.numbers(objective.names, candidates, logit)
            if known is not None:
                value = weighed(objective.values(known, len(candidates)), factor, are_logits=False)
                return _by_value(candidates, value, order.min_score, reach)
            degraded = ("objective",)
        if factor is not None:
            score = weighed(candidates.score, factor, are_logits=not order.is_stranger)
            candidates = candidates.scored(score.astype(np.float32))
        if order.min_score is not None:
            candidates = candidates.keep(candidates.score >= order.min_score)
        best = candidates.best(reach)
        return Worthy(candidates=best, worth=logits(best.score, order.is_stranger), degraded=degraded)

    def directions_of(self, item_idx: np.ndarray) -> np.ndarray:
        """Return where items lie, (n, d), as nobody's events move them: a replay finds them there."""
        return directions(self._view.published.vectors[item_idx])

    async def _slots(self, worthy: Worthy, order: Order, most: int) -> Pool:
        config, items = order.config, worthy.candidates.item_idx
        limits = limits_of(order.rules, worthy.candidates, order.count)
        if config.max_per:
            limits = limits.with_caps(*await self._knowledge.caps(config.max_per, items))
        return Pool(
            item_idx=items, worth=worthy.worth, n_events=self._view.items.popularity[items],
            direction=self.directions_of(items) if config.diversity else np.empty((len(items), 0)),
            limits=limits, open_at_once=most,
        )  # fmt: skip


def placed(slots: Pool | None, n: int, order: Order) -> Filled:
    """Return which of n items stand where, worthiest first; slots: as of Arranged."""
    if slots is None:
        return _from_the_top(n, order.count)
    return filled(slots, order.count, order.config, draws_of(order.lot, order.count))


def logits(score: np.ndarray, is_popularity: bool) -> np.ndarray:
    """Return scores (n,) as logits, float64: whose softmax says how likely items are against each other."""
    score = score.astype(np.float64)
    return np.log(np.maximum(score, 1e-300)) if is_popularity else score


def _by_value(candidates: Candidates, value: np.ndarray, min_score: float | None, reach: int) -> Worthy:
    """Return the candidates of the highest values; those without a finite one come last and are worth the least.

    Among equals the higher score comes first, then the smaller item_idx.
    """
    told = value.astype(np.float32)  # as the answer has it; beyond single precision nothing is finite
    finite = np.isfinite(told)
    told[~finite] = np.nan
    order = np.lexsort((candidates.item_idx, -candidates.score, -np.where(finite, told, -np.inf)))
    if min_score is not None:
        order = order[told[order] >= min_score]
    best = candidates.scored(told).take(order[:reach])
    least = np.nanmin(best.score) if finite[order[:reach]].any() else 0.0
    return Worthy(candidates=best, worth=np.nan_to_num(best.score, nan=float(least)).astype(np.float64))


def _from_the_top(n: int, count: int) -> Filled:
    k = min(n, count)
    return Filled(chosen=np.arange(k), propensity=np.ones(k), by_lot=np.zeros(k, bool), reach=n)
