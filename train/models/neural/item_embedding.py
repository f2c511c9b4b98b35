"""Item vectors: what an item is, what it shares with others, and what it says of itself."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from train.encoders.features import Features
from train.models.neural.content_tower import ContentTower


class ItemEmbedding(nn.Module):
    """h_i: an embedding of the item's own, plus the sum of its attributes' embeddings times 1/√n, plus its content."""

    attribute_idx: Tensor
    attribute_offsets: Tensor
    tower: ContentTower | None

    def __init__(self, n_items: int, embedding_dim: int, attributes: csr_matrix | None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_items, embedding_dim)
        nn.init.normal_(self.embedding.weight, std=0.5 / embedding_dim**0.5)
        self.has_attributes = attributes is not None and attributes.nnz > 0
        if attributes is not None and self.has_attributes:
            self.register_buffer("attribute_idx", torch.from_numpy(attributes.indices.astype(np.int64)))
            self.register_buffer("attribute_offsets", torch.from_numpy(attributes.indptr.astype(np.int64)))
            self.attribute_embedding = nn.Embedding(attributes.get_shape()[1], embedding_dim)
            nn.init.normal_(self.attribute_embedding.weight, std=0.02)
        self.tower = None
        self._cached: Tensor | None = None
        self.register_load_state_dict_pre_hook(_with_tower)
        self.register_load_state_dict_post_hook(lambda module, _: module.forget())

    def forward(self, item_idx: Tensor) -> Tensor:
        """Return h_i of the given items, (..., d)."""
        if not self.training and not torch.is_grad_enabled():
            return F.embedding(item_idx, self.table())
        vectors = self._own(item_idx)
        if self.has_attributes:
            vectors = vectors + self._attribute_sum(item_idx.reshape(-1)).view_as(vectors)
        return vectors

    def table(self) -> Tensor:
        """Return h_i of every item, (n_items, d); kept while the model only answers."""
        if self.training or torch.is_grad_enabled():
            return self._whole()
        if self._cached is None:
            self._cached = self._whole().detach()  # else torch would take the weight itself for a second parameter
        return self._cached

    def train(self, mode: bool = True) -> "ItemEmbedding":
        """Switch between learning and answering; the kept table is dropped either way."""
        if mode != self.training:
            self.forget()
        return super().train(mode)

    def forget(self) -> None:
        """Drop the kept table, because a weight changed."""
        self._cached = None

    def described(self, features: Features) -> Tensor:
        """Return h_i of items that are not in the table, (n, d), from what they say of themselves.

        Content alone is shorter than a whole h_i, so that a new item would lose to every known one; it is lengthened
        by as much as makes the content of known items as long as their median.
        """
        return self.lengthening_of_content() * self.content(features)

    def content(self, features: Features) -> Tensor:
        """Return what content adds to h_i, (n, d): the attributes' part and the tower's."""
        weight = self.embedding.weight
        vectors = torch.zeros(len(features), weight.shape[1], device=weight.device)
        if self.tower is not None:
            vectors = vectors + self.tower.explained(torch.from_numpy(features.dense).to(weight.device))
        if self.has_attributes:
            indices = torch.from_numpy(features.attributes.indices.astype(np.int64)).to(weight.device)
            offsets = torch.from_numpy(features.attributes.indptr.astype(np.int64)).to(weight.device)
            vectors = vectors + self._bags(indices, offsets[:-1], offsets.diff())
        return vectors

    def lengthening_of_content(self) -> Tensor:
        """Return what `described` multiplies content by, a scalar."""
        own, seen = self.embedding.weight, slice(None)
        if self.tower is not None:
            own, seen = own * self.tower.seen.unsqueeze(-1), self.tower.seen
        lengths, content = self.table()[seen].norm(dim=1), (self.table() - own)[seen].norm(dim=1)
        if not len(lengths) or content.mean() == 0:
            return torch.ones((), device=own.device)
        return lengths.median() / content.mean()

    def _own(self, item_idx: Tensor) -> Tensor:
        if self.tower is None:
            return self.embedding(item_idx)
        return self.embedding(item_idx) * self.tower.own_share(item_idx) + self.tower(item_idx)

    def _whole(self) -> Tensor:
        own = self.embedding.weight
        if self.tower is not None:
            own = self._own(torch.arange(len(own), device=own.device))
        if not self.has_attributes:
            return own
        return own + self._bags(self.attribute_idx, self.attribute_offsets[:-1], self._counts())

    def _counts(self) -> Tensor:
        return self.attribute_offsets[1:] - self.attribute_offsets[:-1]

    def _attribute_sum(self, item_idx: Tensor) -> Tensor:
        starts = self.attribute_offsets[item_idx]
        counts = self.attribute_offsets[item_idx + 1] - starts
        bags = counts.cumsum(0) - counts
        shifts = (starts - bags).repeat_interleave(counts)
        return self._bags(self.attribute_idx[shifts + torch.arange(len(shifts), device=shifts.device)], bags, counts)

    def _bags(self, attribute_idx: Tensor, offsets: Tensor, counts: Tensor) -> Tensor:
        sums = F.embedding_bag(attribute_idx, self.attribute_embedding.weight, offsets, mode="sum")
        return sums * counts.clamp(min=1).to(sums.dtype).rsqrt().unsqueeze(-1)


def _with_tower(items: ItemEmbedding, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Make room for the tower that a state holds, before its weights are loaded."""
    features = state.get(f"{prefix}tower.features")
    if features is not None and items.tower is None:
        items.tower = ContentTower.shaped_as(features, items.embedding.embedding_dim)
