"""Models that look at their data once: counted or solved, not descended to."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from train.data.schema import Interactions
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

    newest: how many rows of each history count; all when None. Items born after training are passed over.
    """
    known = [history[(history >= 0) & (history < n_items)] for history in histories]
    tails = [history if newest is None else history[-newest:] for history in known]
    lengths = np.array([len(tail) for tail in tails], dtype=np.int64)
    item_idx = np.concatenate(tails).astype(np.int64) if tails else np.empty(0, np.int64)
    owner = np.repeat(np.arange(len(tails)), lengths)
    steps_back = np.cumsum(lengths)[owner] - 1 - np.arange(len(item_idx))
    weight = np.asarray(decay**steps_back, dtype=np.float32)
    return csr_matrix((weight, (owner, item_idx)), shape=(len(tails), n_items))


def bought(interactions: Interactions, n_items: int) -> csr_matrix:
    """Return which user had which item, (n_users, n_items) 0/1 float32."""
    ones = np.ones(len(interactions), dtype=np.float32)
    matrix = csr_matrix((ones, interactions.item_idx, interactions.offsets), shape=(interactions.n_users, n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def sparse_state(matrix: csr_matrix) -> dict[str, Tensor]:
    """Return a sparse matrix as tensors."""
    return {
        "data": torch.from_numpy(matrix.data), "indices": torch.from_numpy(matrix.indices.astype(np.int32)),
        "indptr": torch.from_numpy(matrix.indptr.astype(np.int64)), "shape": torch.tensor(matrix.shape),
    }  # fmt: skip


def stored_sparse(state: dict[str, Tensor]) -> csr_matrix:
    """Return the matrix that `sparse_state` took apart."""
    n_rows, n_columns = state["shape"].tolist()
    arrays = tuple(state[name].cpu().numpy() for name in ("data", "indices", "indptr"))
    return csr_matrix(arrays, shape=(n_rows, n_columns))
