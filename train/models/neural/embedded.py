"""What neural families share: one table of item vectors, read from the left, whatever a batch pads."""

from typing import Any, NamedTuple, Self

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from train.data.schema import NO_ITEM
from train.encoders.features import Features
from train.models.base import NeuralModel, NeuralVectorModel, SequenceModel
from train.models.neural.folded import FoldedItems
from train.models.neural.item_embedding import ItemEmbedding


class EmbeddedModel(NeuralModel):
    """A neural model over `ItemEmbedding`; its state alone says how many items and attributes there are."""

    def __init__(self, config: Any, n_items: int, attributes: csr_matrix | None = None) -> None:
        super().__init__()
        self.config, self.n_items = config, n_items
        self.embedding_dim, self.max_length = config.embedding_dim, config.max_length
        self.items = ItemEmbedding(n_items, config.embedding_dim, attributes)

    @classmethod
    def from_state(cls, config: Any, state: dict[str, Tensor]) -> Self:
        model = cls(config, len(state["items.embedding.weight"]), stored_attributes(state))
        model.items = FoldedItems.shaped_as(state) or model.items
        model.load_state_dict(state)
        return model.eval()

    def known(self, item_idx: Tensor) -> Tensor:
        """Return which entries are items of this model, (B, L) bool; padding and items born later are not."""
        return (item_idx >= 0) & (item_idx < self.n_items)

    def inputs(self, item_idx: Tensor) -> Tensor:
        """Return the vectors of a history's items, (B, L, d), zero where there is none."""
        known = self.known(item_idx)
        if not self.training and known.all():  # as of nearly every shopper who is answered alone
            return self.items(item_idx)
        return self.items(torch.where(known, item_idx, 0)) * known.unsqueeze(-1)

    def known_last(self, item_idx: Tensor) -> Tensor:
        """Return histories with their known items moved to the right, (B, L); NO_ITEM stands before them."""
        known = self.known(item_idx)
        if known.all():
            return item_idx
        order = known.to(torch.int8).argsort(dim=1, stable=True)
        return torch.where(known, item_idx, NO_ITEM).gather(1, order)


class EmbeddedVectorModel(EmbeddedModel, NeuralVectorModel):
    """h_i are the rows of the embedding."""

    def item_vectors(self) -> Tensor:
        return self.items.table()

    def vectors(self, item_idx: Tensor) -> Tensor:
        return self.items(item_idx)

    @torch.inference_mode()
    def content_vectors(self, features: Features) -> np.ndarray:
        return self.items.described(features).cpu().numpy()

    @torch.inference_mode()
    def content_steps(self, item_idx: np.ndarray, before: Features, after: Features) -> np.ndarray:
        return (self.items.content(after) - self.items.content(before)).cpu().numpy()


class EmbeddedSequenceModel(EmbeddedVectorModel, SequenceModel):
    """Reads left to right, with h_i the rows of the embedding."""


class LeftAligned(NamedTuple):
    """Histories moved to the left, so that neither padding nor unknown items come between or before their items."""

    item_idx: Tensor  # (B, L), NO_ITEM on the right
    place: Tensor  # (B, L) int64, how many known items stand up to each original position, itself included

    def back(self, outputs: Tensor) -> Tensor:
        """Return (B, L, d) at the original positions; zero before the first item."""
        padded = torch.cat([torch.zeros_like(outputs[:, :1]), outputs], dim=1)
        return padded.gather(1, self.place.unsqueeze(-1).expand(-1, -1, outputs.shape[-1]))


def left_aligned(item_idx: Tensor, known: Tensor) -> LeftAligned:
    """Return histories (B, L) without their gaps; known (B, L) bool."""
    order = known.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    return LeftAligned(torch.where(known, item_idx, NO_ITEM).gather(1, order), known.cumsum(1))


def stored_attributes(state: dict[str, Tensor]) -> csr_matrix | None:
    """Return the attributes that a model with this state was made with."""
    if "items.attribute_idx" not in state:
        return None
    indices, indptr = state["items.attribute_idx"].cpu().numpy(), state["items.attribute_offsets"].cpu().numpy()
    shape = (len(indptr) - 1, len(state["items.attribute_embedding.weight"]))
    return csr_matrix((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=shape)
