"""Variety: how much of an item those that stand above it say already, by a determinantal point process."""

import math

import numpy as np

LEAST = 1e-3  # share of an item that others never say, so that two of one kind differ in something
SCALE = -1 / math.log(LEAST)
MOST_ABOVE = 100  # items that later ones are held against; whoever looks further forgot the first


class Variety:
    """Items in a space where their inner products are (1 + cosine) / 2, and the volume that those chosen span there.

    The best next item is found as in Chen, Zhang and Zhou (2018, algorithm 1): an item adds to the logarithm of the
    volume that of its share which lies outside of the others' span, and one row of a Cholesky factor for each item
    that is chosen keeps those shares.
    """

    def __init__(self, direction: np.ndarray, count: int) -> None:
        """direction: (n, d) item vectors at length 1 or 0; count: items that will be chosen at most."""
        self._half, self._n_above = direction * np.float32(0.5**0.5), 0
        self._share = np.ones(len(direction))  # of each item, not said above
        self._rows = np.empty((min(count, MOST_ABOVE), len(direction)))

    def added(self) -> np.ndarray:
        """Return what each item (n,) adds to what is above, from −1, nothing that others might not say, to 0, all."""
        return np.log(np.maximum(self._share, LEAST)) * SCALE

    def choose(self, one: int) -> None:
        """Put an item above all that will be chosen."""
        n = self._n_above
        if n == len(self._rows):
            return
        alike = self._half @ self._half[one] + 0.5
        alike[one] = 1.0
        row = (alike - self._rows[:n, one] @ self._rows[:n]) / math.sqrt(max(self._share[one], LEAST))
        self._rows[n] = row
        self._share -= row * row
        self._n_above += 1
