"""Two towers: one for the history, one for the item's content, that meet in an inner product."""

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cluster.config import Config
from train.encoders.features import Features
from train.models.base import SequenceModel
from train.models.neural.dropout import Dropout
from train.models.neural.embedded import EmbeddedModel, left_aligned
from train.models.neural.pooling import CausalPooling


class TwoTowerConfig(Config):
    """The shape of both towers."""

    kind: Literal["two_tower"] = Field(default="two_tower", description="pooled history against item content")
    embedding_dim: int = Field(default=64, ge=4, le=1024, description="width of h_u and h_i")
    hidden_dim: int = Field(default=128, ge=4, le=4096, description="inner width of each tower")
    max_length: int = Field(default=50, ge=2, le=4096, description="newest items of a history that are read")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="dropout inside the towers")
    embedding_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout of the input vectors")


class TwoTower(EmbeddedModel, SequenceModel):
    """A pooled history (Covington et al., 2016) against a tower of item content (Yi et al., 2019).

    An item enters as its own embedding and those of its attributes, so one that nobody had yet is told by them.
    """

    def __init__(self, config: TwoTowerConfig, n_items: int, attributes: csr_matrix | None = None) -> None:
        super().__init__(config, n_items, attributes)
        self.input_dropout = Dropout(config.embedding_dropout)
        self.pooling = CausalPooling(config.embedding_dim, config.max_length)
        self.history_tower, self.item_tower = Tower(config), Tower(config)

    def hidden(self, item_idx: Tensor) -> Tensor:
        aligned = left_aligned(item_idx, self.known(item_idx))
        pooled = self.pooling(self.input_dropout(self.inputs(aligned.item_idx)), self.known(aligned.item_idx))
        return self.history_tower(aligned.back(pooled))

    def item_vectors(self) -> Tensor:
        return self.item_tower(self.items.table())

    def vectors(self, item_idx: Tensor) -> Tensor:
        return self.item_tower(self.items(item_idx))

    @torch.inference_mode()
    def content_vectors(self, features: Features) -> np.ndarray:
        return self.item_tower(self.items.content(features)).cpu().numpy()


class Tower(nn.Module):
    """x + a network of one hidden layer."""

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__()
        d, inner = config.embedding_dim, config.hidden_dim
        self.network = nn.Sequential(nn.Linear(d, inner), nn.ReLU(), Dropout(config.dropout), nn.Linear(inner, d))

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) → (..., d)."""
        return x + self.network(x)
