"""Models that look at their data once: counted or solved, not descended to."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_matrix

from train.models.base import Model
from train.training_set import TrainingSet


class ClosedModel(Model):
    """A family whose fit is a formula or a solver of its own."""

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, data: TrainingSet, seed: int) -> Self:
        """Return the model of a history."""


def decayed(histories: list[np.ndarray], n_items: int, decay: float = 1.0, newest: int | None = None) -> csr_matrix:
    """Return (n, n_items) float32: an item counts decay^k, k steps back in a history, summed where it repeats.

    newest: how many rows of each history count; all when None. Items born after training count nothing.
    """
    tails = [history if newest is None else history[-newest:] for history in histories]
    lengths = np.array([len(tail) for tail in tails], dtype=np.int64)
    ends = np.cumsum(lengths)
    item_idx = np.concatenate(tails).astype(np.int64) if tails else np.empty(0, np.int64)
    owner = np.repeat(np.arange(len(tails)), lengths)
    weight = decay ** (ends[owner] - 1 - np.arange(len(item_idx)))
    known = (item_idx >= 0) & (item_idx < n_items)
    matrix = csr_matrix((weight[known], (owner[known], item_idx[known])), shape=(len(tails), n_items))
    return matrix.astype(np.float32)
