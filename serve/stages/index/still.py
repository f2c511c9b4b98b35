"""Search by the item vectors that a bundle was published with, beside an index of the live ones."""

import numpy as np

from serve.stages.index.exact import FlatIndex, Index, padded

SHORTLIST = 2  # live proposals for each item wanted


class StillIndex:
    """What an approximate live index proposes, in the order of the published vectors.

    A second approximate index would take as much memory again. No live vector is far from its published one, so little
    is lost: an item that live vectors took far down the list.
    """

    def __init__(self, live: Index, vectors: np.ndarray) -> None:
        self._live, self._vectors = live, vectors  # (n_items, d) float32, which nobody writes

    def search(self, vector: np.ndarray, k: int) -> np.ndarray:
        """As Index.search."""
        proposed = self._live.search(vector, SHORTLIST * k)
        proposed = proposed[proposed >= 0]
        order = np.argsort(-(self._vectors[proposed] @ vector), kind="stable")
        return padded(proposed[order], k)

    def remove(self, item_idx: np.ndarray) -> None:
        """Do nothing: the live index proposes these items no more."""


def still_index(live: Index, vectors: np.ndarray) -> Index:
    """Return the index of published vectors (n_items, d) that goes with a live one."""
    return FlatIndex(vectors) if isinstance(live, FlatIndex) else StillIndex(live, vectors)
