"""What every model offers: a score for each item of the catalogue, given the items of a history."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from train.data.schema import NO_ITEM
from train.data.told import NOTHING, Told
from train.encoders.features import Features
from train.models.shopper import History, told_of


class Model(ABC):
    """Gives every item a score for a history; higher is better, and only differences within one history count."""

    hears = False  # whether it listens to what questions say beside histories
    config: Any  # a Config of the family, see train/models/registered.py
    n_items: int

    @abstractmethod
    def scores(self, histories: list[np.ndarray]) -> np.ndarray:
        """Return (n, n_items) float32; each history is item_idx, oldest first, and may be empty."""

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """Return all that was learned."""

    @classmethod
    @abstractmethod
    def from_state(cls, config: Any, state: dict[str, Tensor]) -> Self:
        """Return the model that `state_dict()` described, ready to answer; the catalogue is not needed."""


class VectorModel(Model):
    """Shoppers and items as vectors whose inner product is the score, so that an index can serve it."""

    embedding_dim: int

    @abstractmethod
    def encode_histories(self, histories: list[np.ndarray], told: Told[np.ndarray] = NOTHING) -> np.ndarray:
        """Return h_u for many histories, (n, d) float32 on the CPU; each history is item_idx, oldest first.

        told: of each history's question; families that do not hear it pass over it.
        """

    def encode_shoppers(self, shoppers: list[History]) -> np.ndarray:
        """Return h_u of shoppers, (n, d) float32, from all that is known of them."""
        return self.encode_histories([shopper.item_idx for shopper in shoppers], told_of(shoppers))

    @abstractmethod
    def item_vectors(self) -> Tensor:
        """Return h_i of every item, (n_items, d)."""

    def content_vectors(self, features: Features) -> np.ndarray:
        """Return h_i of items that training never saw, (n, d) float32, from what they say of themselves.

        Zero where a family knows its items by number alone.
        """
        return np.zeros((len(features), self.embedding_dim), dtype=np.float32)

    def content_steps(self, item_idx: np.ndarray, before: Features, after: Features) -> np.ndarray:
        """Return how far h_i of known items goes when what they say of themselves changes, (n, d) float32.

        item_idx: (n,); before, after: their n features. Zero where a family knows its items by number alone.
        """
        return np.zeros((len(item_idx), self.embedding_dim), dtype=np.float32)

    def scores(self, histories: list[np.ndarray], told: Told[np.ndarray] = NOTHING) -> np.ndarray:
        vectors = self.encode_histories(histories, told)
        with torch.inference_mode():
            return vectors @ self.item_vectors().float().cpu().numpy().T


class Examples(NamedTuple):
    """What a batch teaches; t targets in all."""

    hidden: Tensor  # (t, d), what is known of the shopper where each target is to be predicted
    target: Tensor  # (t,) int64 item_idx
    weight: Tensor  # (t,), what each target is worth
    penalty: Tensor | float = 0.0  # added to the summed loss


class NeuralModel(nn.Module, Model):
    """A model that gradient descent trains on batches of histories."""

    embedding_dim: int
    max_length: int

    @abstractmethod
    def encode(self, item_idx: Tensor) -> Tensor:
        """Return what is known of each shopper, (B, d); item_idx (B, L) int64, padded with NO_ITEM on the left."""

    @abstractmethod
    def examples(self, item_idx: Tensor, target: Tensor, weight: Tensor) -> Examples:
        """Return what to predict from what; item_idx, target (NO_ITEM: none) and weight are a batch's, (B, L)."""

    @abstractmethod
    def logits(self, hidden: Tensor, target: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of each hidden's (t, d) own target, (t,), and of negatives (m,) item_idx, (t, m)."""

    @torch.inference_mode()
    def encode_histories(
        self, histories: list[np.ndarray], told: Told[np.ndarray] = NOTHING, batch_size: int = 256
    ) -> np.ndarray:
        """Return `encode` of many histories, (n, d) float32 on the CPU; each history is item_idx, oldest first.

        Only the last `max_length` items count. Histories are encoded in order of length, so that little is padded.
        """
        if self.training:
            self.eval()
        device = next(self.parameters()).device
        vectors = np.empty((len(histories), self.embedding_dim), dtype=np.float32)
        order = np.argsort([min(len(history), self.max_length) for history in histories], kind="stable")
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            item_idx = pad([histories[position] for position in chosen], self.max_length)
            own = told.each(lambda part, chosen=chosen: torch.from_numpy(part[chosen]).to(device))
            asked = (torch.from_numpy(item_idx).to(device), *((own,) if self.hears else ()))
            vectors[chosen] = self.encode(*asked).float().cpu().numpy()
        return vectors


class NeuralVectorModel(NeuralModel, VectorModel):
    """A neural model whose score is ⟨h_u, h_i⟩."""

    def vectors(self, item_idx: Tensor) -> Tensor:
        """Return h_i of the given items, (..., d)."""
        return self.item_vectors()[item_idx]

    def logits(self, hidden: Tensor, target: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        positive, negative = self.vectors(torch.cat([target, negatives])).split([len(target), len(negatives)])
        return (hidden * positive).sum(1), hidden @ negative.T


class SequenceModel(NeuralVectorModel):
    """Reads a history from left to right and predicts, after each item, what comes next."""

    @abstractmethod
    def hidden(self, item_idx: Tensor) -> Tensor:
        """Return h after each position, (B, L, d); item_idx (B, L) int64, padded with NO_ITEM on the left."""

    def encode(self, item_idx: Tensor) -> Tensor:
        return self.hidden(item_idx)[:, -1]

    def examples(self, item_idx: Tensor, target: Tensor, weight: Tensor) -> Examples:
        trained = target != NO_ITEM
        return Examples(self.hidden(item_idx)[trained], target[trained], weight[trained])


def pad(histories: list[np.ndarray], max_length: int) -> np.ndarray:
    """Return histories cut to their last `max_length` items and left-padded with NO_ITEM, (n, L) int64."""
    length = max(1, min(max_length, max((len(history) for history in histories), default=1)))
    padded = np.full((len(histories), length), NO_ITEM, dtype=np.int64)
    for row, history in enumerate(histories):
        tail = history[-length:]
        if len(tail):
            padded[row, -len(tail) :] = tail
    return padded
