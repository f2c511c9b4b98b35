"""Slots: the places of a slate, filled one after the other from what is still allowed.

At every place each item left has a utility: its worth, less what is said of it above. The best stands
there or, with exploration, one that is drawn. Whatever was chosen above is taken for given, so that the probability of
each choice is known exactly, whatever caps and diversity do.
"""

from dataclasses import dataclass

import numpy as np

from serve.stages.arranging.config import ScenarioConfig
from serve.stages.arranging.laws import law_of
from serve.stages.arranging.variety import Variety


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Items that a slate may be made of."""

    item_idx: np.ndarray  # (n,) int64
    worth: np.ndarray  # (n,) float64, finite, descending
    n_events: np.ndarray  # (n,) float64, that each item ever had
    direction: np.ndarray  # (n, d) float32, item vectors at length 1 or 0
    holder: np.ndarray  # (m,) int64, the item that has a capped value
    value: np.ndarray  # (m,) int64, which of the v capped values it is
    limit: np.ndarray  # (v,) int64, most items of a slate that may have it
    open_at_once: int  # the worthiest items, among which a place is given; once caps leave none of them, as many more


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What stands in the slots, from the top."""

    chosen: np.ndarray  # (k,) int64, positions in the pool
    propensity: np.ndarray  # (k,) float64, of each choice, given those above
    by_lot: np.ndarray  # (k,) bool, whether another item was best there
    reach: int  # items of the pool that a place was given among


def filled(pool: Pool, count: int, config: ScenarioConfig, draws: np.ndarray) -> Filled:
    """Return up to `count` items; fewer only where every item left would break a cap.

    draws: (count,) in [0, 1), one for each place.
    """
    law, left = law_of(config.exploration, pool.item_idx, pool.n_events), _Left(pool, count, config.diversity)
    chosen, propensity, by_lot = [], [], []
    for draw in draws[:count].tolist():
        if (found := left.best()) is None:
            break
        utility, best = found
        one, chance = (best, 1.0) if law is None else law.drawn(utility, best, draw)
        chosen.append(one)
        propensity.append(chance)
        by_lot.append(one != best)
        left.take(one)
    return Filled(
        chosen=np.array(chosen, np.int64), propensity=np.array(propensity), by_lot=np.array(by_lot, bool),
        reach=left.reach,
    )  # fmt: skip


class _Left:
    """The items that may still be chosen.

    Utility is (1 − λ) worth + λ R added: λ is the diversity, `added` what an item adds to those above, −1 to 0, and R
    by how much the best worth exceeds the least, so that an item that adds nothing loses λ times that distance.
    """

    def __init__(self, pool: Pool, count: int, diversity: float) -> None:
        self._pool, self._room, self.reach = pool, pool.limit.copy(), min(pool.open_at_once, len(pool.worth))
        self._worth = (1 - diversity) * pool.worth  # −∞ for what may not be chosen any more
        self._price = diversity * float(np.ptp(pool.worth[: self.reach])) if self.reach else 0.0
        self._variety = Variety(pool.direction, count) if self._price else None

    def best(self) -> tuple[np.ndarray, int] | None:
        """Return the utility of each item among which a place is given, −∞ for some, and where the highest stands."""
        utility = self._worth if self._variety is None else self._worth + self._price * self._variety.added()
        while self.reach:
            best = int(utility[: self.reach].argmax())
            if utility[best] > -np.inf:
                return utility[: self.reach], best
            if self.reach == len(utility):
                break
            self.reach = min(self.reach + self._pool.open_at_once, len(utility))
        return None

    def take(self, one: int) -> None:
        """Choose an item, and let no more in of values that have no room left."""
        pool, room = self._pool, self._room
        self._worth[one] = -np.inf
        if len(room):
            values = pool.value[pool.holder == one]
            room[values] -= 1
            for full in values[room[values] == 0].tolist():
                self._worth[pool.holder[pool.value == full]] = -np.inf
        if self._variety is not None:
            self._variety.choose(one)
