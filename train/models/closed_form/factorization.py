"""Shoppers and items as factors of the matrix of who had what; a new shopper is folded in."""

import logging
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits
from torch import Tensor

from cluster.config import Config
from train.data.told import NOTHING, Told
from train.models.base import VectorModel
from train.models.closed_form.base import ClosedModel, bought, decayed
from train.training_set import TrainingSet

CHUNK = 2**24  # floats of gathered factors at a time


class FactorizationConfig(Config):
    """Settings of matrix factorisation."""

    kind: Literal["factorization"] = Field(default="factorization", description="matrix factorisation")
    method: Literal["als", "bpr"] = Field(default="als", description="squared error, or which of two items came")
    embedding_dim: int = Field(default=64, ge=1, le=1024, description="width of h_u and h_i")
    iterations: int = Field(default=15, ge=1, le=10_000, description="passes over the matrix; bpr needs about 100")
    ridge: float = Field(default=0.1, ge=0, description="λ, what long factors cost")
    confidence: float = Field(default=80, gt=0, description="α of als: an item that was had counts 1 + α, others 1")
    learning_rate: float = Field(default=0.05, gt=0, le=1, description="of bpr")
    history_decay: float = Field(default=0.6, gt=0, le=1, description="weight lost per step back, when folding in")


class Factorization(ClosedModel, VectorModel):
    """Implicit feedback by alternating least squares (Hu et al., 2008) or BPR-MF (Rendle et al., 2009).

    h_u solves equation 4 of the former for the history at hand, so that strangers need no training.
    """

    def __init__(self, config: FactorizationConfig, items: np.ndarray) -> None:
        """items: (n_items, d) float32."""
        self.config, self.items = config, items
        self.n_items, self.embedding_dim = items.shape

    @classmethod
    def fit(cls, config: FactorizationConfig, data: TrainingSet, seed: int) -> Self:
        had = bought(data.train, data.n_items)
        if config.method == "als":
            had.data[:] = 1 + config.confidence
        solver = _solver(config, seed)
        with threadpool_limits(1):
            solver.fit(had, show_progress=False)
        return cls(config, np.ascontiguousarray(solver.item_factors, dtype=np.float32))

    def encode_histories(self, histories: list[np.ndarray], told: Told[np.ndarray] = NOTHING) -> np.ndarray:
        had = decayed(histories, self.n_items, self.config.history_decay)
        longest = max(1, int(np.diff(had.indptr).max(initial=0)))
        step = max(1, CHUNK // (longest * self.embedding_dim))
        base = self.items.T @ self.items + (self.config.ridge + 1e-6) * np.eye(self.embedding_dim, dtype=np.float32)
        parts = [self._folded_in(had[start : start + step], base) for start in range(0, len(histories), step)]
        return np.concatenate(parts or [np.empty((0, self.embedding_dim), np.float32)])

    def item_vectors(self) -> Tensor:
        return torch.from_numpy(self.items)

    def state_dict(self) -> dict[str, Tensor]:
        return {"items": self.item_vectors()}

    @classmethod
    def from_state(cls, config: FactorizationConfig, state: dict[str, Tensor]) -> Self:
        return cls(config, state["items"].cpu().numpy())

    def _folded_in(self, had: csr_matrix, base: np.ndarray) -> np.ndarray:
        """Return h_u = (YᵀY + λI + α Σ w y yᵀ)⁻¹ Σ (1 + α w) y over the items had, w their weights, (n, d)."""
        item_idx, weight = _rows(had)
        factors = self.items[item_idx] * (weight > 0)[..., None]  # (n, L, d)
        extra = self.config.confidence * weight[..., None] * factors
        left = base + factors.transpose(0, 2, 1) @ extra
        right = (factors + extra).sum(axis=1)
        return np.linalg.solve(left, right[..., None])[..., 0].astype(np.float32)


def _rows(matrix: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and values of each row side by side, (n, L), value 0 where a row has fewer."""
    lengths = np.diff(matrix.indptr)
    row = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(row)) - np.asarray(matrix.indptr)[row]
    columns = np.zeros((len(lengths), int(lengths.max(initial=0))), dtype=np.int64)
    values = np.zeros(columns.shape, dtype=np.float32)
    columns[row, place], values[row, place] = matrix.indices, matrix.data
    return columns, values


def _solver(config: FactorizationConfig, seed: int) -> Any:
    logging.getLogger("implicit").setLevel(logging.ERROR)
    # Imported here: nothing but these two families needs it.
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    shared: dict[str, Any] = {
        "factors": config.embedding_dim,
        "iterations": config.iterations,
        "num_threads": 1,
        "random_state": seed,
    }
    if config.method == "als":
        return AlternatingLeastSquares(regularization=config.ridge, alpha=1.0, **shared)
    return BayesianPersonalizedRanking(regularization=config.ridge, learning_rate=config.learning_rate, **shared)
