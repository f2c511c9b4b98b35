"""A base under an exact overlay of the items that have left it behind."""

import numpy as np

from serve.stages.index.base import Base
from serve.stages.index.exact import padded
from serve.stages.index.mask import Mask
from serve.state.moves import Moved


class Overlay:
    """Item vectors side by side, so that reading all of them takes one pass."""

    def __init__(self, live: np.ndarray) -> None:
        self._live = live  # (n_items, d) float32
        self._slot = np.full(len(live), -1, dtype=np.int32)
        self._item_idx = np.empty(64, dtype=np.int64)
        self._vectors = np.empty((64, live.shape[1]), dtype=np.float32)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def put(self, item_idx: np.ndarray) -> None:
        """Take the live vectors of items (m,), each given once, in place of those that are held of them."""
        new = item_idx[self._slot[item_idx] < 0]
        if self._n + len(new) > len(self._item_idx):
            size = 2 * (self._n + len(new))
            self._item_idx = np.resize(self._item_idx, size)
            self._vectors = np.resize(self._vectors, (size, self._vectors.shape[1]))
        self._slot[new] = np.arange(self._n, self._n + len(new))
        self._item_idx[self._n : self._n + len(new)] = new
        self._n += len(new)
        self._vectors[self._slot[item_idx]] = self._live[item_idx]

    def scored(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the item_idx (m,) and their scores (m,)."""
        return self._item_idx[: self._n], self._vectors[: self._n] @ vector


class Layered:
    """Search in a base for what stayed near where the base saw it, and exactly among the rest.

    Every score is that of the live vectors. The base is asked for nothing that the overlay holds or that was removed.
    """

    def __init__(self, base: Base, live: np.ndarray, drift: np.ndarray, removed: np.ndarray, tolerance: float) -> None:
        """Start from a base, and what happened while it was built.

        drift: (n_items,) float32, how far each item may have come since; removed: (n_items,) bool, written in place by
        the owner; tolerance: the drift up to which the base's proposals are trusted, in mean lengths of a vector.
        """
        self.base, self.overlay, self._mask = base, Overlay(live), Mask(removed)
        self._live, self._drift, self._removed, self._tolerance = live, drift, removed, tolerance * base.scale
        self._lift(np.flatnonzero(drift > self._tolerance))

    def move(self, moved: Moved) -> None:
        """Take note of steps."""
        np.add.at(self._drift, moved.item_idx, moved.distance)
        item_idx = np.unique(moved.item_idx)
        self._lift(item_idx[self._drift[item_idx] > self._tolerance])

    def remove(self, item_idx: np.ndarray) -> None:
        """Propose these items no more."""
        self._mask.hide(np.unique(item_idx))

    def search(self, vector: np.ndarray, k: int) -> np.ndarray:
        """As Index.search, with the base's recall for items that it is asked for."""
        proposed = self.base.propose(vector, k, self._mask)
        lifted, score = self.overlay.scored(vector)
        item_idx = np.concatenate((proposed, lifted))
        score = np.concatenate((self._live[proposed] @ vector, score))
        score[self._removed[item_idx]] = -np.inf
        best = np.argpartition(-score, k)[:k] if len(score) > k else np.arange(len(score))
        best = best[np.argsort(-score[best], kind="stable")]
        return padded(item_idx[best[score[best] > -np.inf]], k)

    def _lift(self, item_idx: np.ndarray) -> None:
        self.overlay.put(item_idx)
        self._mask.hide(item_idx)
