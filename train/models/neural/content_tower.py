"""What an item says of itself, mapped to where item vectors live, so that an item nobody had yet has a vector too."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemContent:
    """What training reads of items' content."""

    dense: np.ndarray  # (n_items, D) float32, see train/encoders/items.py
    dropout: float = 0.0  # how often an item's own embedding is hidden


class ContentTower(nn.Module):
    """Maps content to the part of h_i that it explains, and says where an item's own embedding counts.

    Training hides embeddings at random, so that content learns to stand in for them (DropoutNet; Volkovs et al., 2017,
    section 3); those of items without a history say nothing and are always hidden.
    """

    features: Tensor  # (n_items, D) float16
    seen: Tensor  # (n_items,) bool

    def __init__(self, content: ItemContent, seen: np.ndarray, embedding_dim: int) -> None:
        """seen: (n_items,) bool, the items with a history."""
        super().__init__()
        self.dropout = content.dropout
        self.register_buffer("features", torch.from_numpy(content.dense.astype(np.float16)))
        self.register_buffer("seen", torch.from_numpy(seen.astype(bool)))
        self.inner = nn.Linear(content.dense.shape[1], 2 * embedding_dim)
        self.outer = nn.Linear(2 * embedding_dim, embedding_dim)
        nn.init.normal_(self.outer.weight, std=0.02)  # small beside an embedding that knows what is bought together
        nn.init.zeros_(self.outer.bias)

    @classmethod
    def shaped_as(cls, features: Tensor, embedding_dim: int) -> "ContentTower":
        """Return a tower that weights for such features can be loaded into."""
        empty = ItemContent(dense=np.zeros(tuple(features.shape), dtype=np.float32))
        return cls(empty, np.zeros(len(features)), embedding_dim)

    def forward(self, item_idx: Tensor) -> Tensor:
        """Return what the content of items explains of h_i, (..., d)."""
        return self.explained(self.features[item_idx])

    def explained(self, features: Tensor) -> Tensor:
        """Return the same for features (..., D), of items of the catalogue or not."""
        return self.outer(nn.functional.gelu(self.inner(features.to(self.inner.weight.dtype))))

    def own_share(self, item_idx: Tensor) -> Tensor:
        """Return 1 where the item's own embedding counts and 0 where it is hidden, (..., 1)."""
        shown = self.seen[item_idx]
        if self.training and self.dropout > 0:
            shown = shown & (torch.rand(item_idx.shape, device=item_idx.device) >= self.dropout)
        return shown.unsqueeze(-1).to(self.inner.weight.dtype)
