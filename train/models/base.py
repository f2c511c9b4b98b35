"""What every sequence model offers: shoppers and items as vectors whose inner product is the score."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from train.data.schema import NO_ITEM


class SequenceModel(nn.Module, ABC):
    """Encodes a history of items into h_u, so that the score of item i is ⟨h_u, h_i⟩."""

    n_items: int
    embedding_dim: int
    max_length: int

    @abstractmethod
    def hidden(self, item_idx: Tensor) -> Tensor:
        """Return h after each position, (B, L, d); item_idx (B, L) int64, padded with NO_ITEM on the left."""

    @abstractmethod
    def item_vectors(self) -> Tensor:
        """Return h_i of every item, (n_items, d)."""

    def vectors(self, item_idx: Tensor) -> Tensor:
        """Return h_i of the given items, (..., d)."""
        return self.item_vectors()[item_idx]

    def encode(self, item_idx: Tensor) -> Tensor:
        """Return h_u after the whole history, (B, d); item_idx as for `hidden`."""
        return self.hidden(item_idx)[:, -1]

    @torch.inference_mode()
    def encode_histories(self, histories: list[np.ndarray], batch_size: int = 256) -> np.ndarray:
        """Return h_u for many histories, (n, d) float32 on the CPU; each history is item_idx, oldest first.

        Only the last `max_length` items count. Histories are encoded in order of length, so that little is padded.
        """
        self.eval()
        device = next(self.parameters()).device
        vectors = np.empty((len(histories), self.embedding_dim), dtype=np.float32)
        order = np.argsort([min(len(history), self.max_length) for history in histories], kind="stable")
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = pad([histories[position] for position in chosen], self.max_length)
            vectors[chosen] = self.encode(torch.from_numpy(batch).to(device)).float().cpu().numpy()
        return vectors


def pad(histories: list[np.ndarray], max_length: int) -> np.ndarray:
    """Return histories cut to their last `max_length` items and left-padded with NO_ITEM, (n, L) int64."""
    length = max(1, min(max_length, max((len(history) for history in histories), default=1)))
    padded = np.full((len(histories), length), NO_ITEM, dtype=np.int64)
    for row, history in enumerate(histories):
        tail = history[-length:]
        if len(tail):
            padded[row, -len(tail) :] = tail
    return padded
