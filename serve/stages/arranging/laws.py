"""Laws of exploration: with which probability each item left stands at a place."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

import numpy as np

from serve.stages.arranging.config import Exploration

WORLDS = 128
SAMPLED = 4_096  # items until samples come again, which makes two of them lucky in the same worlds


class Lots(Protocol):
    """How a drawn place is drawn."""

    def lots(self, behind: np.ndarray) -> np.ndarray:
        """Return probabilities (n,) of items; behind: (n,) their utility less the highest, −∞ where none may be."""
        ...


@dataclass(frozen=True, slots=True)
class Even:
    """Every item left has the same chance."""

    def lots(self, behind: np.ndarray) -> np.ndarray:
        """As Lots.lots."""
        able = behind > -np.inf
        return able / np.count_nonzero(able)


@dataclass(frozen=True, slots=True)
class Softmax:
    """Chances grow with utility; one place after the other this is the law of Plackett (1975) and Luce (1959)."""

    temperature: float

    def lots(self, behind: np.ndarray) -> np.ndarray:
        """As Lots.lots; however large the differences are, nothing overflows."""
        weight = np.exp(behind / self.temperature)
        return weight / weight.sum()


@dataclass(frozen=True, slots=True)
class Worlds:
    """Chances are the share of possible worlds in which an item is the best one left: Thompson's sampling (1933).

    The worlds are fixed samples of what is not known about items, always the same ones, so that the share is exact and
    no estimate: who draws a world and shows what is best there shows an item with just this probability.
    """

    luck: np.ndarray  # (n, w) float32, by how much an item's utility is more in each world
    least: np.ndarray  # (n,) of its worlds
    most: np.ndarray  # (n,)

    @classmethod
    def of(cls, luck: np.ndarray) -> "Worlds":
        """Return the worlds of some luck (n, w)."""
        return cls(luck, luck.min(axis=1), luck.max(axis=1))

    def lots(self, behind: np.ndarray) -> np.ndarray:
        """As Lots.lots."""
        n, behind = len(behind), behind.astype(np.float32)
        able = np.flatnonzero(behind + self.most[:n] >= (behind + self.least[:n]).max())  # no other is best anywhere
        best = able[(self.luck[able] + behind[able, None]).argmax(axis=0)]
        return np.bincount(best, minlength=n) / self.luck.shape[1]


@dataclass(frozen=True, slots=True)
class Law:
    """A place holds a drawn item with probability `share`, else the best one."""

    share: float
    lots: Lots

    def chances(self, utility: np.ndarray, best: int) -> np.ndarray:
        """Return the probability (n,) that each item is chosen; best: position of the highest utility."""
        chance = self.share * self.lots.lots(utility - utility[best])  # only differences count
        chance[best] += 1 - self.share
        return chance

    def drawn(self, utility: np.ndarray, best: int, draw: float) -> tuple[int, float]:
        """Return the chosen position and its probability; draw: in [0, 1)."""
        chance = self.chances(utility, best)
        upto = chance.cumsum()
        one = int(upto.searchsorted(draw * upto[-1], side="right"))
        if one == len(chance):  # the product was rounded up to the whole
            one = int(upto.searchsorted(upto[-1]))
        return one, float(chance[one])


def law_of(exploration: Exploration, item_idx: np.ndarray, n_events: np.ndarray) -> Law | None:
    """Return the law that a scenario asks for, or nothing where the best items are shown.

    item_idx, n_events: (n,) the items of the pool, and the events that each ever had.
    """
    match exploration.method:
        case "none":
            return None
        case "epsilon":
            return Law(exploration.share, Even())
        case "softmax":
            return Law(exploration.share, Softmax(exploration.temperature))
        case "thompson":
            deviation = (exploration.doubt / np.sqrt(1 + n_events)).astype(np.float32)
            return Law(exploration.share, Worlds.of(luck_of(item_idx) * deviation[:, None]))


def luck_of(item_idx: np.ndarray) -> np.ndarray:
    """Return fixed samples of a standard normal distribution for items (n,), (n, WORLDS) float32."""
    return _samples()[item_idx % SAMPLED]


@lru_cache(1)
def _samples() -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=0)).standard_normal((SAMPLED, WORLDS), dtype=np.float32)


def draws_of(lot: str, count: int) -> np.ndarray:
    """Return numbers (count,) in [0, 1) that follow from a text alone; fewer are the beginning of more."""
    key = int.from_bytes(blake2b(lot.encode(), digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key)).random(count)
