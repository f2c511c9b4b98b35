"""Arrays of several shoppers side by side: who owns each row, and one number for each pair of shopper and item."""

import numpy as np

ITEM_BITS = 32
ITEM_MASK = (1 << ITEM_BITS) - 1


def places(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row its owner, and its place among the owner's rows; owner i has counts[i] rows."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def pairs(owner: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
    """Return a number (n,) int64 for each pair of an owner and an item; it grows with the owner, then with the item."""
    return owner << ITEM_BITS | item_idx


def offsets_of(pair: np.ndarray, n_owners: int) -> list[int]:
    """Return where each owner's rows start in ascending pairs, and where the last one's end."""
    return np.searchsorted(pair, np.arange(n_owners + 1) << ITEM_BITS).tolist()


def positions(pair: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the `wanted` pairs are in the ascending `pair`, (w,) bool, and where those stand."""
    if not len(pair):
        return np.zeros(len(wanted), dtype=bool), np.empty(0, dtype=np.int64)
    place = np.minimum(np.searchsorted(pair, wanted), len(pair) - 1)
    found = pair[place] == wanted
    return found, place[found]


def add_up(pair: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct pairs, ascending, and the sum of each one's values, added in the order given."""
    order = np.argsort(pair, kind="stable")
    pair = pair[order]
    first = np.diff(pair, prepend=-1) != 0
    return pair[first], np.bincount(np.cumsum(first) - 1, value[order], minlength=int(first.sum()))
