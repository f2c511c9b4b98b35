"""Slots: the places of a slate, filled one after the other from what is still allowed.

At every place each item left has a utility: its worth, less what is said of it above. The best stands
there or, with exploration, one that is drawn. Whatever was chosen above is taken for given, so that the probability of
each choice is known exactly, whatever limits and diversity do.
"""

from dataclasses import dataclass

import numpy as np

from serve.stages.arranging.config import ScenarioConfig
from serve.stages.arranging.laws import law_of
from serve.stages.arranging.room import Limits, Room
from serve.stages.arranging.variety import Variety


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Items that a slate may be made of."""

    item_idx: np.ndarray  # (n,) int64
    worth: np.ndarray  # (n,) float64, finite, descending
    n_events: np.ndarray  # (n,) float64, that each item ever had
    direction: np.ndarray  # (n, d) float32, item vectors at length 1 or 0
    limits: Limits
    open_at_once: int  # the worthiest items, among which a place is given; once limits leave none, as many more


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What stands in the slots, from the top."""

    chosen: np.ndarray  # (k,) int64, positions in the pool
    propensity: np.ndarray  # (k,) float64, of each choice, given those above
    by_lot: np.ndarray  # (k,) bool, whether another item was best there
    reach: int  # items of the pool that a place was given among


def filled(pool: Pool, count: int, config: ScenarioConfig, draws: np.ndarray) -> Filled:
    """Return up to `count` items; fewer only where every item left would break a limit.

    draws: (count,) in [0, 1), one for each place.
    """
    law, left = law_of(config.exploration, pool.item_idx, pool.n_events), _Left(pool, count, config.diversity)
    chosen, propensity, by_lot = [], [], []
    for place, draw in enumerate(draws[:count].tolist()):
        if (found := left.best(place)) is None:
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
        n = len(pool.worth)
        self._pool, self._room = pool, Room(pool.limits, n, count)
        self.reach = min(max(pool.open_at_once, self._room.depth), n)
        self._worth = (1 - diversity) * pool.worth
        self._price = diversity * float(np.ptp(pool.worth[: self.reach])) if self.reach else 0.0
        self._variety = Variety(pool.direction, count) if self._price else None

    def best(self, place: int) -> tuple[np.ndarray, int] | None:
        """Return the utility of each item among which a place is given, −∞ for some, and where the highest stands."""
        able = self._room.open(place)
        while not able[: self.reach].any():
            if self.reach == len(able):
                return None
            self.reach = min(self.reach + self._pool.open_at_once, len(able))
        utility = self._worth if self._variety is None else self._worth + self._price * self._variety.added()
        utility = np.where(able[: self.reach], utility[: self.reach], -np.inf)
        return utility, int(utility.argmax())

    def take(self, one: int) -> None:
        """Choose an item."""
        self._room.take(one)
        if self._variety is not None:
            self._variety.choose(one)
