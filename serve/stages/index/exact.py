"""What every index does, and the exact one, the oracle that the others are measured against."""

from typing import Protocol

import faiss
import numpy as np

MOST_GONE = 256  # items no longer offered that are looked for along with the others, and then left out
SIDE_BY_SIDE = 4  # queries from which one product for all of them takes less than reading the items for each
HELD = 2**22  # scores of a product, which should stay in the processor's cache
BLOCKS = 4  # for each item that is wanted
SMALLEST = 8  # items in one of them
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
        """As Index.search_each; sixteen together take as long as six apart."""
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
    at_once = min(len(queries), HELD // max(len(vectors), 1))
    if at_once < SIDE_BY_SIDE or len(vectors) < BLOCKS * k * SMALLEST:
        return faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)[1]
    starts = range(0, len(queries), at_once)
    return np.concatenate([_best_rows(vectors @ queries[start : start + at_once].T, k) for start in starts])


def _best_rows(score: np.ndarray, k: int) -> np.ndarray:
    """Return the rows (s, k) with the highest scores (n, s) of each column, best first, the earlier among equals.

    Rows are dealt into blocks. The k-th best of the blocks' best is no better than the k-th best row, and little worse:
    so few rows are left to be put in order.
    """
    s, n_blocks = score.shape[1], BLOCKS * k
    dealt = len(score) // n_blocks * n_blocks
    blocks, rest = score[:dealt].reshape(-1, n_blocks * s), score[dealt:]
    best = blocks.max(axis=0).reshape(n_blocks, s)
    least = np.partition(best, n_blocks - k, axis=0)[n_blocks - k]
    # A comparison of long rows takes a seventh of the time of one that is s wide.
    at = np.concatenate((np.flatnonzero(blocks >= np.tile(least, n_blocks)), dealt * s + np.flatnonzero(rest >= least)))
    row, column = np.divmod(at, s)
    order = np.lexsort((-score.ravel()[at], column))
    begins = np.searchsorted(column[order], np.arange(s))
    return row[order[begins[:, None] + np.arange(k)]]


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
