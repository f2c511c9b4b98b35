"""Items linked to items: what a history's items lead to, each link with a weight."""

from typing import Any, Literal, Self

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix, diags_array, vstack
from torch import Tensor

from cluster.config import Config
from train.models.closed_form.base import ClosedModel, bought, decayed, sparse_state, stored_sparse
from train.models.transitions import TransitionsConfig, fit_transitions, strongest
from train.training_set import TrainingSet

BLOCK = 2_048  # items whose neighbours are looked for together, so that memory does not grow with their square


class RulesConfig(TransitionsConfig):
    """Settings of sequential rules."""

    kind: Literal["rules"] = Field(default="rules", description="what came soon after what; for comparison")


class NeighboursConfig(Config):
    """Settings of item-based neighbours."""

    kind: Literal["neighbours"] = Field(
        default="neighbours", description="items that the same shoppers had; for comparison"
    )
    max_neighbours: int = Field(default=100, ge=1, description="nearest items kept per item")
    shrinkage: float = Field(default=30, ge=0, description="shoppers of doubt in a similarity")
    history_decay: float = Field(default=0.4, gt=0, le=1, description="weight lost per step back in a history")
    window: int | None = Field(default=None, ge=1, description="newest items of a history that count; empty: all")


class LinkedItems(ClosedModel):
    """The score of item j is Σ_k history_decay^k · W[i_k, j], i_0 the newest item of the history."""

    def __init__(self, config: Any, links: csr_matrix) -> None:
        """links: W, (n_items, n_items) float32."""
        self.config, self.links, self.n_items = config, links, links.get_shape()[0]

    def scores(self, histories: list[np.ndarray]) -> np.ndarray:
        config = self.config
        return (decayed(histories, self.n_items, config.history_decay, config.window) @ self.links).toarray()

    def state_dict(self) -> dict[str, Tensor]:
        return sparse_state(self.links)

    @classmethod
    def from_state(cls, config: Any, state: dict[str, Tensor]) -> Self:
        return cls(config, stored_sparse(state))


class Rules(LinkedItems):
    """Sequential rules (Ludewig and Jannach, 2018, section 3.1): the same counts that live events extend."""

    @classmethod
    def fit(cls, config: RulesConfig, data: TrainingSet, seed: int) -> Self:
        counted = fit_transitions(data.train, data.n_items, config)
        rows = diags_array(np.maximum(counted.rows, 1e-9) ** -config.row_power)
        columns = diags_array(np.maximum(counted.columns, 1e-9) ** -config.column_power)
        return cls(config, csr_matrix(rows @ counted.base @ columns, dtype=np.float32))


class Neighbours(LinkedItems):
    """Item-based nearest neighbours (Sarwar et al., 2001) by cosine, shrunk as Bell and Koren (2007) shrink it."""

    @classmethod
    def fit(cls, config: NeighboursConfig, data: TrainingSet, seed: int) -> Self:
        had = bought(data.train, data.n_items)
        by_item = csr_matrix(had.T)
        length = np.sqrt(np.diff(by_item.indptr))
        blocks = [
            _nearest(by_item[start : start + BLOCK] @ had, length, start, config)
            for start in range(0, data.n_items, BLOCK)
        ]
        return cls(config, csr_matrix(vstack(blocks), dtype=np.float32))


def _nearest(together: csr_matrix, length: np.ndarray, start: int, config: NeighboursConfig) -> csr_matrix:
    """Return the strongest similarities of a block of items, of which the first is `start`."""
    pairs = together.tocoo()
    other = pairs.col != pairs.row + start
    row, column, count = pairs.row[other], pairs.col[other], pairs.data[other]
    similarity = count / (length[row + start] * length[column] + config.shrinkage)
    block = csr_matrix((similarity, (row, column)), shape=together.get_shape())
    return strongest(block, config.max_neighbours)
