"""A base under an exact overlay of the items that have left it behind."""

import numpy as np

from serve.stages.index.base import Base
from serve.stages.index.exact import Shelf, best_among, best_of
from serve.stages.index.mask import Mask
from serve.state.moves import Moved


class Overlay:
    """Item vectors side by side, so that reading all of them takes one pass."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._slot = np.full(len(shelf.vectors), -1, dtype=np.int32)
        self._item_idx = np.empty(64, dtype=np.int64)
        self._vectors = np.empty((64, shelf.vectors.shape[1]), dtype=np.float32)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def put(self, item_idx: np.ndarray) -> None:
        """Take the live vectors of items (m,), each given once, in place of those that are held of them."""
        if (later := len(self._shelf.vectors) - len(self._slot)) > 0:
            self._slot = np.pad(self._slot, (0, later + later // 8), constant_values=-1)
        new = item_idx[self._slot[item_idx] < 0]
        if self._n + len(new) > len(self._item_idx):
            size = 2 * (self._n + len(new))
            self._item_idx = np.resize(self._item_idx, size)
            self._vectors = np.resize(self._vectors, (size, self._vectors.shape[1]))
        self._slot[new] = np.arange(self._n, self._n + len(new))
        self._item_idx[self._n : self._n + len(new)] = new
        self._n += len(new)
        self._vectors[self._slot[item_idx]] = self._shelf.vectors[item_idx]

    def scored(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the item_idx (m,) and their scores (m,)."""
        return self._item_idx[: self._n], self._vectors[: self._n] @ vector


class Layered:
    """Search in a base for what stayed near where the base saw it, and exactly among the rest.

    Every score is that of the live vectors. The base is asked for nothing that the overlay holds or that is gone.
    """

    def __init__(self, base: Base, shelf: Shelf, drift: np.ndarray, tolerance: float) -> None:
        """Start from a base, and what happened while it was built.

        drift: (n,) float32, how far each item of the base may have come since; tolerance: the drift up to which the
        base's proposals are trusted, in mean lengths of a vector.
        """
        self.base, self.overlay, self._mask = base, Overlay(shelf), Mask(shelf.gone[: len(drift)])
        self._shelf, self._drift, self._tolerance = shelf, drift, tolerance * base.scale
        self._lift(np.flatnonzero(drift > self._tolerance))
        self._lift(np.arange(len(drift), len(shelf.vectors)))

    def move(self, moved: Moved) -> None:
        """Take note of steps; items that came after the base are beyond it for good."""
        known = moved.item_idx < len(self._drift)
        np.add.at(self._drift, moved.item_idx[known], moved.distance[known])
        item_idx = np.unique(moved.item_idx[known])
        self._lift(item_idx[self._drift[item_idx] > self._tolerance])
        self._lift(np.unique(moved.item_idx[~known]))

    def search(self, vector: np.ndarray, k: int, shown: np.ndarray | None = None) -> np.ndarray:
        """As Index.search, with the base's recall for items that it is asked for."""
        vectors, gone = self._shelf.vectors, self._shelf.gone
        if shown is not None and self.base.on_card:  # where FAISS knows no selectors
            return best_among(vector, vectors, np.flatnonzero(shown & ~gone), k)
        proposed = self.base.propose(vector, k, self._mask if shown is None else self._mask.within(shown))
        lifted, score = self.overlay.scored(vector)
        item_idx = np.concatenate((proposed, lifted))
        score = np.concatenate((vectors[proposed] @ vector, score))
        score[gone[item_idx]] = -np.inf
        if shown is not None:
            score[~shown[item_idx]] = -np.inf
        return best_of(item_idx, score, k)

    def _lift(self, item_idx: np.ndarray) -> None:
        self.overlay.put(item_idx)
        self._mask.hide(item_idx[item_idx < len(self._drift)])
