"""What every index does, and the exact one, the oracle that the others are measured against."""

from typing import Protocol

import faiss
import numpy as np

MOST_GONE = 256  # items no longer offered that are looked for along with the others, and then left out
GATHERED = 4  # times what a row costs that is read in its turn, one costs that is picked


class Shelf(Protocol):
    """The items as they are now; both arrays are written in place, and replaced by longer ones when items come."""

    @property
    def vectors(self) -> np.ndarray:
        """(n_items, d) float32, h_i."""
        ...

    @property
    def gone(self) -> np.ndarray:
        """(n_items,) bool, those that no search shall find."""
        ...


class Index(Protocol):
    """Finds items by inner product with their vectors as they are now."""

    def search(self, vector: np.ndarray, k: int, shown: np.ndarray | None = None) -> np.ndarray:
        """Return the item_idx (k,) with the highest ⟨vector, h_i⟩, best first, -1 beyond the last item.

        shown: (n_items,) bool, those that may be found; all where it is left out.
        """
        ...

    def search_each(self, vectors: np.ndarray, k: int) -> np.ndarray:
        """Return what `search` does for each vector (s, d), as rows (s, k)."""
        ...


class FlatIndex:
    """Exact search over the live vectors themselves, so that it is always up to date."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def search(self, vector: np.ndarray, k: int, shown: np.ndarray | None = None) -> np.ndarray:
        """As Index.search; it reads every vector that may be found."""
        if shown is None:
            return self.search_each(vector[None], k)[0]
        return best_among(vector, self._shelf.vectors, np.flatnonzero(shown & ~self._shelf.gone), k)

    def search_each(self, vectors: np.ndarray, k: int) -> np.ndarray:
        """As Index.search_each."""
        items, gone = self._shelf.vectors, self._shelf.gone
        if not (n_gone := int(np.count_nonzero(gone))):
            return nearest(vectors, items, k)
        if n_gone > MOST_GONE:
            offered = np.flatnonzero(~gone)
            return np.stack([best_among(vector, items, offered, k) for vector in vectors])
        found = nearest(vectors, items, k + n_gone)  # no more than the gone can stand among the first
        return np.stack([row[(row < 0) | ~gone[row]][:k] for row in found])


def nearest(queries: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    """Return the item_idx (s, k) of each query (s, d), best first, -1 beyond the last of vectors (n_items, d)."""
    return faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)[1]


def best_among(vector: np.ndarray, vectors: np.ndarray, item_idx: np.ndarray, k: int) -> np.ndarray:
    """Return the best k of items (m,) by inner product, as Index.search."""
    few = len(item_idx) * GATHERED < len(vectors)  # else it is faster to read all than to pick
    score = vectors[item_idx] @ vector if few else (vectors @ vector)[item_idx]
    return best_of(item_idx, score, k)


def best_of(item_idx: np.ndarray, score: np.ndarray, k: int) -> np.ndarray:
    """Return the k items (m,) with the highest scores (m,), best first; those of -inf count for none, -1 fills up."""
    best = np.argpartition(-score, k)[:k] if len(score) > k else np.arange(len(score))
    best = best[np.argsort(-score[best], kind="stable")]
    found = item_idx[best[score[best] > -np.inf]]
    result = np.full(k, -1, dtype=np.int64)
    result[: len(found)] = found
    return result
