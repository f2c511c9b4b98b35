"""How far events moved the items, in order, for readers such as an index that each keep their own place."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Moved(NamedTuple):
    """Steps of item vectors; an item may take several."""

    item_idx: np.ndarray  # (m,) int64
    distance: np.ndarray  # (m,) float32, how long the step was at most; endless where the item is another one now


STILL = Moved(np.empty(0, np.int64), np.empty(0, np.float32))


def joined(parts: Sequence[Moved]) -> Moved:
    """Return the steps of several, one after the other."""
    item_idx, distance = zip(STILL, *parts, strict=True)
    return Moved(np.concatenate(item_idx), np.concatenate(distance))


class Moves:
    """The latest steps of all items, as many as there were items at first and some more."""

    SPARE = 65_536  # steps kept beyond one of each item

    def __init__(self, n_items: int) -> None:
        self._n_items = n_items
        self._item_idx = np.zeros(n_items + self.SPARE, dtype=np.int64)
        self._distance = np.zeros(n_items + self.SPARE, dtype=np.float32)
        self.place = 0  # steps ever

    def note(self, moved: Moved) -> None:
        """Take down steps that were just taken."""
        kept = slice(max(0, len(moved.item_idx) - len(self._item_idx)), None)
        at = np.arange(self.place, self.place + len(moved.item_idx))[kept] % len(self._item_idx)
        self._item_idx[at], self._distance[at] = moved.item_idx[kept], moved.distance[kept]
        self.place += len(moved.item_idx)
        self._n_items = max(self._n_items, int(moved.item_idx.max(initial=0)) + 1)  # items that came are noted, too

    def since(self, place: int) -> Moved:
        """Return the steps after a place; endless ones of all items where the place is too long ago to tell."""
        if self.place - place > len(self._item_idx):
            return Moved(np.arange(self._n_items), np.full(self._n_items, np.inf, dtype=np.float32))
        at = np.arange(place, self.place) % len(self._item_idx)
        return Moved(self._item_idx[at], self._distance[at])
