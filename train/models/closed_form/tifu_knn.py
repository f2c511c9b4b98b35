"""What a shopper takes, lately more than long ago, mixed with what the most similar shoppers take."""

from typing import Literal, Self

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor

from cluster.config import Config
from train.models.closed_form.base import ClosedModel, sparse_state, stored_sparse
from train.training_set import TrainingSet

CHUNK = 2**23  # distances held in memory at once


class TifuKnnConfig(Config):
    """Settings of temporal item frequencies with neighbours."""

    kind: Literal["tifu_knn"] = Field(
        default="tifu_knn", description="own and similar shoppers' decayed frequencies; for comparison"
    )
    groups: int = Field(default=7, ge=1, description="m, even parts of a history, each older one counting less")
    within_decay: float = Field(default=0.9, gt=0, le=1, description="r_b, weight lost per order back in a group")
    between_decay: float = Field(default=0.7, gt=0, le=1, description="r_g, weight lost per group back")
    max_neighbours: int = Field(default=300, ge=1, description="k, nearest shoppers by Euclidean distance")
    own_share: float = Field(default=0.7, ge=0, le=1, description="α, weight of the shopper's own frequencies")


class TifuKnn(ClosedModel):
    """TIFU-KNN (Hu et al., 2020): P = α · v_u + (1 − α) · the mean v of the k shoppers of training nearest to v_u."""

    def __init__(self, config: TifuKnnConfig, vectors: csr_matrix) -> None:
        """vectors: v of everyone who trained, (n_users, n_items) float32."""
        self.config, self.vectors, self.n_items = config, vectors, vectors.get_shape()[1]
        self._squares = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()

    @classmethod
    def fit(cls, config: TifuKnnConfig, data: TrainingSet, seed: int) -> Self:
        train = data.train
        vectors = frequencies(train.user_idx, train.order_idx, train.item_idx, (train.n_users, data.n_items), config)
        return cls(config, csr_matrix(vectors[np.diff(vectors.indptr) > 0]))

    def scores(self, histories: list[np.ndarray], orders: list[np.ndarray] | None = None) -> np.ndarray:
        """Return (n, n_items) float32; orders: order_idx of each row, which is an order of its own when absent."""
        owner = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        item_idx = np.concatenate([np.empty(0, np.int64), *histories])
        order_idx = np.arange(len(item_idx)) if orders is None else np.concatenate([np.empty(0, np.int64), *orders])
        known = (item_idx >= 0) & (item_idx < self.n_items)
        shape = (len(histories), self.n_items)
        own = frequencies(owner[known], order_idx[known], item_idx[known], shape, self.config)
        step = max(1, CHUNK // max(1, self.vectors.get_shape()[0]))
        parts = [self._mixed(own[start : start + step]) for start in range(0, len(histories), step)]
        return np.concatenate(parts or [np.empty((0, self.n_items), np.float32)])

    def state_dict(self) -> dict[str, Tensor]:
        return sparse_state(self.vectors)

    @classmethod
    def from_state(cls, config: TifuKnnConfig, state: dict[str, Tensor]) -> Self:
        return cls(config, stored_sparse(state))

    def _mixed(self, own: csr_matrix) -> np.ndarray:
        """Return P of shoppers with the vectors `own` (n, n_items)."""
        n, n_users = own.get_shape()[0], self.vectors.get_shape()[0]
        k = min(self.config.max_neighbours, n_users)
        distance = self._squares - 2 * (own @ self.vectors.T).toarray()  # but for |v_u|², alike for all
        nearest = np.argpartition(distance, k - 1, axis=1)[:, :k] if k else np.empty((n, 0), np.int64)
        weight = np.full(n * k, (1 - self.config.own_share) / max(k, 1), dtype=np.float32)
        chosen = csr_matrix((weight, nearest.ravel(), np.arange(n + 1) * k), shape=(n, n_users))
        return (self.config.own_share * own + chosen @ self.vectors).toarray().astype(np.float32)


def frequencies(
    owner: np.ndarray, order_idx: np.ndarray, item_idx: np.ndarray, shape: tuple[int, int], config: TifuKnnConfig
) -> csr_matrix:
    """Return v of each owner (Hu et al., 2020, equations 2 and 3), (n, n_items) float32, from rows by owner and time.

    A history of h orders falls into m = min(groups, h) groups, as even as can be, the newer ones larger. An order that
    is i-th newest of τ in the group that is g-th newest, both from 0, counts r_b^i / τ · r_g^g / m.
    """
    first = np.flatnonzero((np.diff(owner, prepend=-1) != 0) | (np.diff(order_idx, prepend=-1) != 0))
    n_orders = np.bincount(owner[first], minlength=shape[0])
    back = np.repeat(np.cumsum(n_orders)[owner[first]] - 1 - np.arange(len(first)), np.diff(first, append=len(owner)))
    h = n_orders[owner]
    m = np.minimum(config.groups, h)
    small, n_large = h // np.maximum(m, 1), h % np.maximum(m, 1)
    in_large = back < n_large * (small + 1)
    size = small + in_large
    past_large = back - np.where(in_large, 0, n_large * (small + 1))
    group, place = past_large // np.maximum(size, 1), past_large % np.maximum(size, 1)
    group += np.where(in_large, 0, n_large)
    weight = config.within_decay**place / size * config.between_decay**group / m
    return csr_matrix((weight.astype(np.float32), (owner, item_idx)), shape=shape)
