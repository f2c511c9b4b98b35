"""Item vectors that no longer learn: each is kept whole, and of content only what describes items to come."""

from typing import Self

import torch
from torch import Tensor, nn

from train.models.neural.content_tower import ContentTower
from train.models.neural.item_embedding import ItemEmbedding

ATTRIBUTES, LENGTHENING = "attribute_embedding.weight", "lengthening"


class FoldedItems(ItemEmbedding):
    """Answers as the items that it was made of, without knowing any more which attributes and content are whose."""

    lengthening: Tensor

    def __init__(self, n_items: int, embedding_dim: int, n_attributes: int = 0) -> None:
        super().__init__(n_items, embedding_dim, attributes=None)
        self.register_buffer(LENGTHENING, torch.ones(()))
        self.has_attributes = n_attributes > 0
        if self.has_attributes:
            self.attribute_embedding = nn.Embedding(n_attributes, embedding_dim)

    @classmethod
    def shaped_as(cls, state: dict[str, Tensor], prefix: str = "items.") -> Self | None:
        """Return items that such a state can be loaded into, if it is one of folded items."""
        if prefix + LENGTHENING not in state:
            return None
        n_items, embedding_dim = state[f"{prefix}embedding.weight"].shape
        return cls(n_items, embedding_dim, len(state.get(prefix + ATTRIBUTES, ())))

    @classmethod
    @torch.no_grad()
    def of(cls, items: ItemEmbedding) -> Self:
        """Return items that give the same vectors, to known items and to new ones."""
        items.eval()
        n_attributes = len(items.attribute_embedding.weight) if items.has_attributes else 0
        folded = cls(len(items.table()), items.embedding.embedding_dim, n_attributes).eval()
        folded.embedding.weight.copy_(items.table())
        folded.lengthening.copy_(items.lengthening_of_content())
        if items.has_attributes:
            folded.attribute_embedding.load_state_dict(items.attribute_embedding.state_dict())
        if items.tower is not None:
            folded.tower = _without_items(items.tower)
        return folded

    def forward(self, item_idx: Tensor) -> Tensor:
        return self.embedding(item_idx)

    def lengthening_of_content(self) -> Tensor:
        return self.lengthening

    def _whole(self) -> Tensor:
        return self.embedding.weight


def _without_items(tower: ContentTower) -> ContentTower:
    """Return the tower without the content of the items that it learned from."""
    kept = ContentTower.shaped_as(tower.features[:0], tower.outer.out_features)
    kept.inner.load_state_dict(tower.inner.state_dict())
    kept.outer.load_state_dict(tower.outer.state_dict())
    return kept.eval()
