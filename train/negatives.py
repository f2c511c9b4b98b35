"""Which items a training step compares its targets with."""

from typing import Literal

import numpy as np

from train.data.batches import Batch
from train.data.schema import NO_ITEM

Sampling = Literal["uniform", "popular", "batch", "all"]

POPULARITY_POWER = 0.75  # as word2vec draws its negatives (Mikolov et al., 2013, section 2.2)


class Negatives:
    """Draws a step's negatives from every item alike, by popularity, from its own targets, or takes all items."""

    def __init__(self, sampling: Sampling, size: int, popularity: np.ndarray) -> None:
        """popularity: (n_items,) how often each item is a target."""
        self.sampling, self.size, self.n_items = sampling, size, len(popularity)
        power = {"popular": POPULARITY_POWER, "batch": 1.0}.get(sampling, 0.0)
        chances = np.where(popularity > 0, popularity.astype(np.float64), 0.0) ** power
        self.share = chances / chances.sum() if chances.sum() > 0 else np.full(self.n_items, 1 / self.n_items)
        self.until = np.cumsum(self.share)

    def of(self, batch: Batch, rng: np.random.Generator) -> np.ndarray:
        """Return the negatives of a step, (m,) item_idx, repeats among them."""
        if self.sampling == "all":
            return np.arange(self.n_items)
        if self.sampling == "batch":
            return batch.target[batch.target != NO_ITEM]
        if self.sampling == "uniform":
            return rng.integers(self.n_items, size=self.size)
        return np.minimum(np.searchsorted(self.until, rng.random(self.size), side="right"), self.n_items - 1)

    @property
    def log_share(self) -> np.ndarray:
        """(n_items,) float32, the log of each item's chance to be the next negative; tiny where it never is."""
        return np.log(np.maximum(self.share, 1e-12)).astype(np.float32)
