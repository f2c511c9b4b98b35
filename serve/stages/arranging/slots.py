"""Slots: the places of a slate, filled one after the other from what is still allowed.

At every place each item left has a utility: its worth, less how much it resembles what stands above. The best stands
there or, with exploration, one that is drawn. Whatever was chosen above is taken for given, so that the probability of
each choice is known exactly, whatever caps and diversity do.
"""

from dataclasses import dataclass

import numpy as np

from serve.stages.arranging.config import ScenarioConfig
from serve.stages.arranging.laws import law_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Items that a slate may be made of."""

    worth: np.ndarray  # (n,) float64, finite, descending
    direction: np.ndarray  # (n, d) float32, item vectors at length 1 or 0
    holder: np.ndarray  # (m,) int64, the item that has a capped value
    value: np.ndarray  # (m,) int64, which of the v capped values it is
    limit: np.ndarray  # (v,) int64, most items of a slate that may have it


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What stands in the slots, from the top."""

    chosen: np.ndarray  # (k,) int64, positions in the pool
    propensity: np.ndarray  # (k,) float64, of each choice, given those above


def filled(pool: Pool, count: int, config: ScenarioConfig, draws: np.ndarray) -> Filled:
    """Return up to `count` items; fewer only where every item left would break a cap.

    draws: (count,) in [0, 1), one for each place.
    Utility is (1 − λ) worth − λ R max cos (Carbonell and Goldstein, 1998): λ is the diversity, the maximum goes over
    what stands above, and R is by how much the best worth exceeds the least, so that both count in the unit of worth.
    """
    law, weight = law_of(config.exploration), config.diversity
    left = (1 - weight) * pool.worth
    spread = weight * float(np.ptp(pool.worth)) if len(left) else 0.0
    nearest = np.full(len(left), -1.0)  # cosine to the nearest of those above
    room = pool.limit.copy()
    chosen, propensity = [], []
    for draw in draws[:count].tolist():
        utility = left - spread * nearest if spread else left
        best = int(utility.argmax()) if len(utility) else 0
        if not len(utility) or utility[best] == -np.inf:
            break
        one, share = (best, 1.0) if law is None else law.drawn(utility, best, draw)
        chosen.append(one)
        propensity.append(share)
        left[one] = -np.inf
        if len(room):
            _close(left, pool, room, one)
        if spread:
            np.maximum(nearest, pool.direction @ pool.direction[one], out=nearest)
    return Filled(chosen=np.array(chosen, np.int64), propensity=np.array(propensity))


def _close(left: np.ndarray, pool: Pool, room: np.ndarray, chosen: int) -> None:
    """Let no more items in of values that have no room left."""
    values = pool.value[pool.holder == chosen]
    room[values] -= 1
    full = values[room[values] == 0]
    if len(full):
        left[pool.holder[np.isin(pool.value, full)]] = -np.inf
