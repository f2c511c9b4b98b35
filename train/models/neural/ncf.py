"""A score that a network computes from shopper and item, not an inner product."""

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cluster.config import Config
from train.data.schema import NO_ITEM
from train.models.base import Examples
from train.models.neural.dropout import Dropout
from train.models.neural.embedded import EmbeddedModel, left_aligned
from train.models.neural.pooling import CausalPooling

CHUNK = 2**24  # floats of the hidden layer at a time


class NcfConfig(Config):
    """The shape of both branches."""

    kind: Literal["ncf"] = Field(default="ncf", description="a network over shopper and item; for comparison")
    embedding_dim: int = Field(default=64, ge=4, le=1024, description="width of shopper and item")
    hidden_dim: int = Field(default=16, ge=1, le=1024, description="inner width of the network over each pair")
    max_length: int = Field(default=50, ge=2, le=4096, description="newest items of a history that are read")
    embedding_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout of the input vectors")


class Ncf(EmbeddedModel):
    """NeuMF (He et al., 2017, equation 12): a weighted inner product plus a network over shopper and item.

    The paper's vector per shopper is here the pooled history, so that strangers need no training. Every pair passes
    through the network, which makes a step cost `negatives` times more than an inner product's: give few.
    """

    def __init__(self, config: NcfConfig, n_items: int, attributes: csr_matrix | None = None) -> None:
        super().__init__(config, n_items, attributes)
        d = config.embedding_dim
        self.input_dropout = Dropout(config.embedding_dropout)
        self.pooling = CausalPooling(d, config.max_length)
        self.product = nn.Parameter(torch.ones(d))
        self.shopper, self.item = nn.Linear(d, config.hidden_dim), nn.Linear(d, config.hidden_dim, bias=False)
        self.output = nn.Linear(config.hidden_dim, 1, bias=False)

    def encode(self, item_idx: Tensor) -> Tensor:
        return self._hidden(item_idx)[:, -1]

    def examples(self, item_idx: Tensor, target: Tensor, weight: Tensor) -> Examples:
        trained = target != NO_ITEM
        return Examples(self._hidden(item_idx)[trained], target[trained], weight[trained])

    def logits(self, hidden: Tensor, target: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        own = self.items(target)
        pair = torch.relu(self.shopper(hidden) + self.item(own))
        positive = (hidden * self.product * own).sum(1) + self.output(pair)[:, 0]
        return positive, self._all_pairs(hidden, self.items(negatives))

    @torch.inference_mode()
    def scores(self, histories: list[np.ndarray]) -> np.ndarray:
        device = self.product.device
        shoppers = torch.from_numpy(self.encode_histories(histories)).to(device)
        step = max(1, CHUNK // (self.n_items * self.config.hidden_dim))
        chunks = [self._all_pairs(chunk, self.items.table()).float().cpu() for chunk in shoppers.split(step)]
        return torch.cat(chunks).numpy()

    def _hidden(self, item_idx: Tensor) -> Tensor:
        aligned = left_aligned(item_idx, self.known(item_idx))
        return aligned.back(
            self.pooling(self.input_dropout(self.inputs(aligned.item_idx)), self.known(aligned.item_idx))
        )

    def _all_pairs(self, shoppers: Tensor, items: Tensor) -> Tensor:
        """Return the scores of shoppers (t, d) and items (m, d), (t, m)."""
        pairs = torch.relu(self.shopper(shoppers)[:, None] + self.item(items)[None])
        return (shoppers * self.product) @ items.T + self.output(pairs)[..., 0]
