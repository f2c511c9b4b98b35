"""What every index does, and the exact one, the oracle that the others are measured against."""

from typing import Protocol

import faiss
import numpy as np


class Index(Protocol):
    """Finds items by inner product with their vectors as they are now."""

    def search(self, vector: np.ndarray, k: int) -> np.ndarray:
        """Return the item_idx (k,) with the highest ⟨vector, h_i⟩, best first, -1 beyond the last item."""
        ...

    def remove(self, item_idx: np.ndarray) -> None:
        """Let no search find these items again."""
        ...


class FlatIndex:
    """Exact search over the live vectors themselves, so that it is always up to date."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors  # (n_items, d) float32, written in place by the view
        self.removed = np.zeros(len(vectors), dtype=bool)
        self._n_removed = 0

    def search(self, vector: np.ndarray, k: int) -> np.ndarray:
        """As Index.search; it reads every vector."""
        found = nearest(vector[None], self._vectors, k + self._n_removed)[0]
        return found if not self._n_removed else padded(found[(found >= 0) & ~self.removed[found]], k)

    def remove(self, item_idx: np.ndarray) -> None:
        """As Index.remove."""
        self.removed[item_idx] = True
        self._n_removed = int(self.removed.sum())


def nearest(queries: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    """Return the item_idx (s, k) of each query (s, d), best first, -1 beyond the last of vectors (n_items, d)."""
    return faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)[1]


def padded(found: np.ndarray, k: int) -> np.ndarray:
    """Return the first k item_idx, -1 where there are fewer."""
    result = np.full(k, -1, dtype=np.int64)
    result[: len(found)] = found[:k]
    return result
