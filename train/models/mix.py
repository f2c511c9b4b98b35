"""How many places of a list are for items that the shopper never had."""

import math

import numpy as np

from train.models.candidates import Candidates


def new_places(share: float, k: int) -> int:
    """Return how many of k places a share of them is, rounded up."""
    return math.ceil(round(share * k, 9))


def best_mixed(ranked: Candidates, k: int, had: np.ndarray, n_new: int) -> Candidates:
    """Return the k best items, best first, at least `n_new` ≤ k of them new while there are as many.

    had: the shopper's item_idx. A new item takes the place of the worst old one only where the best k lack new ones.
    """
    ordered = ranked.best(len(ranked))
    new = np.flatnonzero(~np.isin(ordered.item_idx, had))[:n_new]
    others = np.delete(np.arange(len(ordered)), new)[: k - len(new)]
    return ordered.take(np.sort(np.concatenate((new, others))))
