"""Laws of exploration: with which probability each item left stands at a place."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

import numpy as np

from serve.stages.arranging.config import Exploration


class Lots(Protocol):
    """How a drawn place is drawn."""

    def lots(self, utility: np.ndarray) -> np.ndarray:
        """Return probabilities (n,) of items of some utility (n,), −∞ for those that may not be chosen."""
        ...


@dataclass(frozen=True, slots=True)
class Even:
    """Every item left has the same chance."""

    def lots(self, utility: np.ndarray) -> np.ndarray:
        """As Lots.lots."""
        able = utility > -np.inf
        return able / np.count_nonzero(able)


@dataclass(frozen=True, slots=True)
class Softmax:
    """Chances grow with utility; one place after the other this is the law of Plackett (1975) and Luce (1959)."""

    temperature: float

    def lots(self, utility: np.ndarray) -> np.ndarray:
        """As Lots.lots; only differences of utility count, and however large they are nothing overflows."""
        weight = np.exp((utility - utility.max()) / self.temperature)
        return weight / weight.sum()


@dataclass(frozen=True, slots=True)
class Law:
    """A place holds a drawn item with probability `share`, else the best one."""

    share: float
    lots: Lots

    def chances(self, utility: np.ndarray, best: int) -> np.ndarray:
        """Return the probability (n,) that each item is chosen; best: position of the highest utility."""
        chance = self.share * self.lots.lots(utility)
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


def law_of(exploration: Exploration) -> Law | None:
    """Return the law that a scenario asks for, or nothing where the best items are shown."""
    match exploration.method:
        case "none":
            return None
        case "epsilon":
            return Law(exploration.share, Even())
        case "softmax":
            return Law(exploration.share, Softmax(exploration.temperature))


def draws_of(lot: str, count: int) -> np.ndarray:
    """Return numbers (count,) in [0, 1) that follow from a text alone; fewer are the beginning of more."""
    key = int.from_bytes(blake2b(lot.encode(), digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key)).random(count)
