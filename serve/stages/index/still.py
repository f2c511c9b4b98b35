"""Search by the item vectors that a bundle was published with, beside an index of the live ones."""

import numpy as np

from serve.stages.index.exact import FlatIndex, Index, Shelf, best_of

SHORTLIST = 2  # live proposals for each item wanted


class StillIndex:
    """What an approximate live index proposes, in the order of the published vectors.

    A second approximate index would take as much memory again. No live vector is far from its published one, so little
    is lost: an item that live vectors took far down the list.
    """

    def __init__(self, live: Index, published: Shelf) -> None:
        self._live, self._published = live, published

    def search(self, vector: np.ndarray, k: int, shown: np.ndarray | None = None) -> np.ndarray:
        """As Index.search."""
        proposed = self._live.search(vector, SHORTLIST * k, shown)
        proposed = proposed[proposed >= 0]
        return best_of(proposed, self._published.vectors[proposed] @ vector, k)

    def search_each(self, vectors: np.ndarray, k: int) -> np.ndarray:
        """As Index.search_each."""
        return np.stack([self.search(vector, k) for vector in vectors])


def still_index(live: Index, published: Shelf) -> Index:
    """Return the index of published items that goes with a live one."""
    return FlatIndex(published) if isinstance(live, FlatIndex) else StillIndex(live, published)
