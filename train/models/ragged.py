"""Arrays of several shoppers side by side: who owns each row, and one number for each pair of shopper and item."""

from collections.abc import Sequence

import numpy as np

ITEM_BITS = 32
ITEM_MASK = (1 << ITEM_BITS) - 1
NEVER = np.iinfo(np.int64).max  # stands where a row has ended


def places(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row its owner, and its place among the owner's rows; owner i has counts[i] rows."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def pairs(owner: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
    """Return a number (n,) int64 for each pair of an owner and an item; it grows with the owner, then with the item."""
    return owner << ITEM_BITS | item_idx


def side_by_side(lists: Sequence[np.ndarray]) -> np.ndarray:
    """Return the pairs of owner and item of several lists of item_idx, one list after the other."""
    owner, _ = places(np.array([len(items) for items in lists], dtype=np.int64))
    return pairs(owner, np.concatenate([np.empty(0, np.int64), *lists]))


def offsets_of(pair: np.ndarray, n_owners: int) -> list[int]:
    """Return where each owner's rows start in ascending pairs, and where the last one's end."""
    return np.searchsorted(pair, np.arange(n_owners + 1) << ITEM_BITS).tolist()


def positions(known: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the `wanted` numbers are among the ascending `known` ones, (w,) bool, and where those stand."""
    if not len(known):
        return np.zeros(len(wanted), dtype=bool), np.empty(0, dtype=np.int64)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found = known[place] == wanted
    return found, place[found]


def merged(parts: Sequence[np.ndarray], bits: int) -> np.ndarray:
    """Return all numbers of some arrays, ascending; each array has its owners, the bits above `bits`, in order."""
    owners = [part >> bits for part in parts]
    n_owners = max(int(owner.max(initial=-1)) for owner in owners) + 1
    counts = np.array([np.bincount(owner, minlength=n_owners) for owner in owners])
    starts = np.cumsum(counts, axis=0) - counts
    # Short rows are sorted in a third of the time that one long array takes.
    rows = np.full((n_owners, counts.sum(axis=0).max(initial=0)), NEVER)
    for part, owner, count, start in zip(parts, owners, counts, starts, strict=True):
        rows[owner, places(count)[1] + start[owner]] = part
    rows.sort(axis=1)
    return rows[rows != NEVER]


def union(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the distinct numbers of some ascending arrays, ascending."""
    every = np.sort(np.concatenate(parts), kind="stable")  # merges what is in order, in a third of the time
    return every[np.diff(every, prepend=-1) != 0]


def add_up(pair: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct pairs, ascending, and the sum of each one's values, added in the order given."""
    order = np.argsort(pair, kind="stable")
    pair = pair[order]
    first = np.diff(pair, prepend=-1) != 0
    return pair[first], np.bincount(np.cumsum(first) - 1, value[order], minlength=int(first.sum()))
