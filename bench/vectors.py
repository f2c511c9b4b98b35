"""Generated item vectors that lie as a shop's do: in kinds within groups of kinds, some far longer than most."""

from typing import NamedTuple

import numpy as np

KIND, GROUP = 100, 30  # items in a kind and kinds in a group, on average
SPREAD, WITHIN = 0.8, 0.7  # of a group's kinds and of a kind's items, beside 1 for the groups
LENGTHS = 0.4  # standard deviation of the logarithm of an item's length


class Held(NamedTuple):
    """Items as an index sees them."""

    vectors: np.ndarray  # (n_items, d) float32
    gone: np.ndarray  # (n_items,) bool

    @classmethod
    def all_of(cls, vectors: np.ndarray) -> "Held":
        """Return items of which none is gone."""
        return cls(vectors, np.zeros(len(vectors), dtype=bool))


def item_vectors(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n, d) float32: coordinate j varies as 1 / j, sizes of kinds are by Zipf, lengths log-normal."""
    kinds = max(8, n // KIND)
    groups = rng.normal(size=(max(4, kinds // GROUP), d))
    centres = groups[rng.integers(len(groups), size=kinds)] + SPREAD * rng.normal(size=(kinds, d))
    size = np.minimum(rng.zipf(1.6, size=kinds), max(1, n // 50)).astype(float)
    kind = rng.choice(kinds, size=n, p=size / size.sum())
    vectors = (centres[kind] + WITHIN * rng.normal(size=(n, d))) / np.sqrt(np.arange(1, d + 1))
    vectors *= np.exp(LENGTHS * rng.normal(size=(n, 1))) / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def shopper_vectors(items: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n, d) float32: each a mean of three items, one weighing most, and noise."""
    picked = items[rng.integers(len(items), size=(n, 3))]
    vectors = np.einsum("nkd,k->nd", picked, [0.6, 0.3, 0.1])
    return (vectors + 0.02 * rng.normal(size=vectors.shape)).astype(np.float32)
