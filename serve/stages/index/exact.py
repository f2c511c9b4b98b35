"""What every index does, and the exact one, the oracle that the others are measured against."""

from typing import Protocol

import faiss
import numpy as np

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


class FlatIndex:
    """Exact search over the live vectors themselves, so that it is always up to date."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def search(self, vector: np.ndarray, k: int, shown: np.ndarray | None = None) -> np.ndarray:
        """As Index.search; it reads every vector that may be found."""
        vectors, gone = self._shelf.vectors, self._shelf.gone
        if shown is not None:
            return best_among(vector, vectors, np.flatnonzero(shown & ~gone), k)
        if not gone.any():
            return nearest(vector[None], vectors, k)[0]
        score = vectors @ vector
        score[gone] = -np.inf
        return best_of(np.arange(len(score)), score, k)


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
