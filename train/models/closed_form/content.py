"""Items that say the same as the items of a history: by their words, or by their attributes."""

from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix, diags_array
from torch import Tensor

from cluster.config import Config
from train.data.told import NOTHING, Told
from train.encoders.base import clean, unit
from train.encoders.tfidf import Tfidf
from train.models.base import VectorModel
from train.models.closed_form.base import ClosedModel, decayed, sparse_state, stored_sparse
from train.training_set import TrainingSet


class ContentConfig(Config):
    """Settings of the comparison by words."""

    kind: Literal["content"] = Field(default="content", description="the words of items; order and shoppers unheard")
    embedding_dim: int = Field(default=256, ge=1, le=1024, description="widest h_u and h_i")
    history_decay: float = Field(default=0.4, gt=0, le=1, description="weight lost per step back in a history")


class TagsConfig(Config):
    """Settings of the comparison by attributes."""

    kind: Literal["tags"] = Field(default="tags", description="a profile of attributes; for comparison")
    history_decay: float = Field(default=0.7, gt=0, le=1, description="weight lost per step back in a history")


class Content(ClosedModel, VectorModel):
    """The cosine of an item's TF-IDF vector and the decayed mean of a history's (Pazzani and Billsus, 2007)."""

    def __init__(self, config: ContentConfig, vectors: np.ndarray) -> None:
        """vectors: (n_items, d) float32 of length 1, or 0 where an item has no words."""
        self.config, self.vectors = config, vectors
        self.n_items, self.embedding_dim = vectors.shape

    @classmethod
    def fit(cls, config: ContentConfig, data: TrainingSet, seed: int) -> Self:
        if not any(clean(text) for text in data.texts):
            return cls(config, np.zeros((data.n_items, 1), dtype=np.float32))
        encoder = Tfidf.fit(data.texts, config.embedding_dim, seed)
        return cls(config, encoder.encode(data.texts, kind="passage"))

    def encode_histories(self, histories: list[np.ndarray], told: Told[np.ndarray] = NOTHING) -> np.ndarray:
        return unit(np.asarray(decayed(histories, self.n_items, self.config.history_decay) @ self.vectors))

    def item_vectors(self) -> Tensor:
        return torch.from_numpy(self.vectors)

    def state_dict(self) -> dict[str, Tensor]:
        return {"vectors": self.item_vectors()}

    @classmethod
    def from_state(cls, config: ContentConfig, state: dict[str, Tensor]) -> Self:
        return cls(config, state["vectors"].cpu().numpy())


class Tags(ClosedModel):
    """The cosine of an item's attributes and a shopper's profile, rare attributes counting more."""

    def __init__(self, config: TagsConfig, attributes: csr_matrix) -> None:
        """attributes: (n_items, n_attributes) float32, rows of length 1 or empty."""
        self.config, self.attributes, self.n_items = config, attributes, attributes.get_shape()[0]

    @classmethod
    def fit(cls, config: TagsConfig, data: TrainingSet, seed: int) -> Self:
        attributes = data.attributes
        if attributes is None:
            attributes = csr_matrix(np.zeros((data.n_items, 1), dtype=np.float32))
        holders = np.bincount(attributes.indices, minlength=attributes.get_shape()[1])
        rare = csr_matrix(attributes @ diags_array(np.log1p(data.n_items / np.maximum(holders, 1))))
        return cls(config, _unit_rows(rare))

    def scores(self, histories: list[np.ndarray]) -> np.ndarray:
        profile = _unit_rows(csr_matrix(decayed(histories, self.n_items, self.config.history_decay) @ self.attributes))
        return (profile @ self.attributes.T).toarray()

    def state_dict(self) -> dict[str, Tensor]:
        return sparse_state(self.attributes)

    @classmethod
    def from_state(cls, config: TagsConfig, state: dict[str, Tensor]) -> Self:
        return cls(config, stored_sparse(state))


def _unit_rows(matrix: csr_matrix) -> csr_matrix:
    """Return the rows at length 1; empty ones stay empty."""
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return csr_matrix(diags_array(1 / np.maximum(length, 1e-12)) @ matrix, dtype=np.float32)
