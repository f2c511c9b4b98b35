"""The best linear map from what a shopper had to what they had, no item standing for itself."""

from collections.abc import Callable
from typing import Any, Literal, Self, cast

import numpy as np
import torch
from pydantic import Field
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from cluster.config import Config
from cluster.errors import DataError
from train.models.closed_form.base import ClosedModel, bought, decayed
from train.training_set import TrainingSet


class EaseConfig(Config):
    """Settings of the linear autoencoder."""

    kind: Literal["ease"] = Field(default="ease", description="linear autoencoder; for comparison")
    ridge: float = Field(default=100, gt=0, description="λ, what large weights cost")
    history_decay: float = Field(default=0.6, gt=0, le=1, description="weight lost per step back in a history")
    max_items: int = Field(
        default=20_000,
        ge=1,
        le=100_000,
        description="largest catalogue: memory grows with its square",
    )


class Ease(ClosedModel):
    """EASE (Steck, 2019, equation 8): B = I − P · diag(1 / diag P) with P = (XᵀX + λI)⁻¹."""

    def __init__(self, config: EaseConfig, weights: np.ndarray) -> None:
        """weights: B, (n_items, n_items) float32."""
        self.config, self.weights, self.n_items = config, weights, len(weights)

    @classmethod
    def fit(cls, config: EaseConfig, data: TrainingSet, seed: int) -> Self:
        if data.n_items > config.max_items:
            raise DataError(
                f"ease inverts a matrix of items by items, and {data.n_items} items are more than "
                f"max_items={config.max_items}; raise it where memory allows, or take model.kind=neighbours"
            )
        had = bought(data.train, data.n_items)
        gram = np.asarray((had.T @ had).todense(), dtype=np.float32)
        gram[np.diag_indices(data.n_items)] += np.float32(config.ridge)
        weights = _inverse(gram)
        weights /= -np.diag(weights).copy()
        np.fill_diagonal(weights, 0)
        return cls(config, weights)

    def scores(self, histories: list[np.ndarray]) -> np.ndarray:
        return np.asarray(decayed(histories, self.n_items, self.config.history_decay) @ self.weights)

    def state_dict(self) -> dict[str, Tensor]:
        return {"weights": torch.from_numpy(self.weights)}

    @classmethod
    def from_state(cls, config: EaseConfig, state: dict[str, Tensor]) -> Self:
        return cls(config, state["weights"].cpu().numpy())


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a symmetric positive definite matrix, a third of the work of a general one."""
    factor, invert = cast(list[Callable[..., Any]], get_lapack_funcs(("potrf", "potri"), (matrix,)))
    triangle, failed = factor(matrix, lower=False, overwrite_a=True)
    if failed:
        raise DataError("the items' matrix cannot be inverted; raise ridge")
    inverse, _ = invert(triangle, lower=False, overwrite_c=True)
    upper = np.triu(inverse)
    return np.ascontiguousarray(upper + np.triu(upper, 1).T)
