"""What lists are beyond right: how much of the catalogue they show, how new, how varied, how popular it is.

`shown` (q, n_items) is sparse 0/1: a row for each query's list. Values per query are (q,), NaN where a list is too
short to have one.
"""

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from train.evaluation.lists import ENDED


def shown_items(lists: np.ndarray, n_items: int) -> csr_matrix:
    """Return lists of item_idx, (q, k) with ENDED behind a short one's end, as a sparse matrix, (q, n_items)."""
    within = lists != ENDED
    offsets = np.concatenate(([0], np.cumsum(np.count_nonzero(within, axis=1)))).astype(np.int64)
    columns = lists[within]
    return csr_matrix((np.ones(len(columns)), columns, offsets), shape=(len(lists), n_items))


def mean_of_items(shown: csr_matrix, value: np.ndarray) -> np.ndarray:
    """Return the mean over each list of a value that items have, (n_items,)."""
    with np.errstate(invalid="ignore"):
        return (shown @ value) / _lengths(shown)


def self_information(popularity: np.ndarray) -> np.ndarray:
    """Return how surprising each item is, −log₂ of its share of events in bits (Zhou et al., 2010); one event added.

    Its mean over lists is their novelty.
    """
    return -np.log2((popularity + 1) / (popularity + 1).sum())


def popularity_percentile(popularity: np.ndarray) -> np.ndarray:
    """Return the share of the catalogue that is less popular than each item, ties half-way, in 0..1.

    Its mean over lists is their average popularity (Yin et al., 2012, ARP), in a unit that other shops share.
    """
    _, level, count = np.unique(popularity, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - count / 2)[level] / len(popularity)


def diversity(shown: csr_matrix, attributes: csr_matrix) -> np.ndarray:
    """Return 1 − the mean cosine of all pairs of items in each list (Ziegler et al., 2005, equation 2).

    attributes: (n_items, n_attributes). An item without any resembles no other.
    """
    norms = np.sqrt(_lengths(attributes.power(2)))
    unit = diags_array(1 / np.maximum(norms, 1e-12)) @ attributes.astype(np.float64)
    together = csr_matrix(shown @ unit)
    # |Σ a|² counts each pair twice, and each item once with itself.
    squares = _lengths(together.power(2)) - shown @ (norms > 0).astype(float)
    n = _lengths(shown)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n > 1, 1 - squares / (n * (n - 1)), np.nan)


def coverage(shown: csr_matrix) -> float:
    """Return the share of the catalogue that is in any list."""
    return float((_exposure(shown) > 0).mean())


def gini(shown: csr_matrix) -> float:
    """Return how unequally the lists show the catalogue: 0 all items alike, near 1 always the same few."""
    exposure = np.sort(_exposure(shown))
    n = len(exposure)
    place = 2 * np.arange(1, n + 1) - n - 1
    return float((place * exposure).sum() / (n * max(exposure.sum(), 1)))


def category_divergence(past: csr_matrix, shown: csr_matrix, categories: csr_matrix, alpha: float = 0.01) -> np.ndarray:
    """Return how far each list's mix of categories is from the shopper's own, in nats (Steck, 2018, equation 6).

    past: (q, n_items), the counts of each history; categories: (n_items, n_categories) 0/1, an item of several parts
    itself evenly. KL(p ‖ (1 − alpha) q + alpha p); NaN where a history or a list has no category.
    """
    evenly = _rows_to_one(categories)
    wanted, given = (_rows_to_one(csr_matrix(lists @ evenly)) for lists in (past, shown))
    mixed = (1 - alpha) * given + alpha * wanted
    cells = wanted.tocoo()
    nats = cells.data * np.log(cells.data / np.asarray(mixed[cells.row, cells.col]).ravel())
    total = np.bincount(cells.row, nats, minlength=shown.shape[0])
    return np.where((_lengths(wanted) > 0) & (_lengths(given) > 0), total, np.nan)


def _rows_to_one(matrix: csr_matrix) -> csr_matrix:
    return csr_matrix(diags_array(1 / np.maximum(_lengths(matrix), 1e-12)) @ matrix)


def _lengths(shown: csr_matrix) -> np.ndarray:
    return np.asarray(shown.sum(axis=1)).ravel()


def _exposure(shown: csr_matrix) -> np.ndarray:
    return np.asarray(shown.sum(axis=0)).ravel()
