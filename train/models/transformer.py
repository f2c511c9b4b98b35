"""A causal transformer over item histories: pre-norm attention and SwiGLU, both gated by their input."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cluster.config import Config
from train.data.schema import NO_ITEM
from train.encoders.features import Features
from train.models.base import SequenceModel
from train.models.item_embedding import ItemEmbedding

MASKED = -1e4  # finite even in float16, so that a row with every key masked stays a number


class AttentionConfig(Config):
    """The shape of blocks of self-attention."""

    embedding_dim: int = Field(default=64, ge=4, le=1024, description="width of h_u and h_i")
    layers: int = Field(default=1, ge=1, le=24, description="blocks of attention and feed-forward")
    heads: int = Field(default=2, ge=1, le=32, description="attention heads; must divide embedding_dim")
    max_length: int = Field(default=50, ge=2, le=4096, description="newest items of a history that are read")
    feedforward_dim: int = Field(default=256, ge=4, le=8192, description="inner width of SwiGLU")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="dropout of each branch")
    embedding_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout of the input vectors")


class TransformerConfig(AttentionConfig):
    """The shape of the transformer."""

    kind: Literal["transformer"] = Field(default="transformer", description="causal self-attention")


class Transformer(SequenceModel):
    """Self-attentive sequential recommendation (Kang and McAuley, 2018) with the gated block of LiGR.

    h_i is the item's own embedding plus the sum of its attributes' embeddings times 1/√n. Positions are counted from
    the end of the history, so padding on the left changes nothing.
    """

    def __init__(self, config: TransformerConfig, n_items: int, attributes: csr_matrix | None = None) -> None:
        super().__init__()
        self.config = config
        self.n_items, self.embedding_dim, self.max_length = n_items, config.embedding_dim, config.max_length
        self.items = ItemEmbedding(n_items, config.embedding_dim, attributes)
        self.position = nn.Parameter(0.02 * torch.randn(config.max_length, config.embedding_dim))
        self.input_dropout = nn.Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.output_norm = nn.LayerNorm(config.embedding_dim)

    @classmethod
    def from_state(cls, config: TransformerConfig, state: dict[str, Tensor]) -> "Transformer":
        """Return the model that `state_dict()` described; the catalogue is not needed."""
        n_items = len(state["items.embedding.weight"])
        attributes = None
        if "items.attribute_idx" in state:
            indices, indptr = state["items.attribute_idx"].cpu().numpy(), state["items.attribute_offsets"].cpu().numpy()
            shape = (n_items, len(state["items.attribute_embedding.weight"]))
            attributes = csr_matrix((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=shape)
        model = cls(config, n_items, attributes)
        model.load_state_dict(state)
        return model.eval()

    def hidden(self, item_idx: Tensor) -> Tensor:
        x, mask = self._inputs(item_idx)
        for block in self.blocks:
            x = block(x, mask)
        return self.output_norm(x)

    def encode(self, item_idx: Tensor) -> Tensor:
        """Return h_u (B, d). Items the model does not know are left out, wherever they stand in the history."""
        x, mask = self._inputs(self._known_last(item_idx))
        for block in self.blocks[:-1]:
            x = block(x, mask)
        # Only the newest position is asked for, so the last block answers for that one alone.
        return self.output_norm(self.blocks[-1](x, mask[:, :, -1:], newest_only=True))[:, 0]

    def item_vectors(self) -> Tensor:
        return self.items.table()

    def vectors(self, item_idx: Tensor) -> Tensor:
        return self.items(item_idx)

    @torch.inference_mode()
    def content_vectors(self, features: Features) -> np.ndarray:
        return self.items.described(features).cpu().numpy()

    def _known_last(self, item_idx: Tensor) -> Tensor:
        known = (item_idx >= 0) & (item_idx < self.n_items)
        order = known.to(torch.int8).argsort(dim=1, stable=True)
        return torch.where(known, item_idx, NO_ITEM).gather(1, order)

    def _inputs(self, item_idx: Tensor) -> tuple[Tensor, Tensor]:
        """Return input vectors (B, L, d) and what may be attended to, (B, 1, L, L), added to the attention's scores."""
        length = item_idx.shape[1]
        known = (item_idx >= 0) & (item_idx < self.n_items)
        x = self.items(torch.where(known, item_idx, 0)) * known.unsqueeze(-1)
        x = self.input_dropout(x + self.position[:length].flip(0))
        causal = torch.full((length, length), MASKED, device=x.device, dtype=x.dtype).triu(1)
        mask = causal + (~known).to(x.dtype).mul(MASKED)[:, None, None, :]
        mask.diagonal(dim1=-2, dim2=-1).zero_()  # an empty history sees itself alone, however far it is padded
        return x, mask


class Block(nn.Module):
    """x + σ(gate) · attention, then x + σ(gate) · SwiGLU (LiGR; Borisyuk et al., 2025); pre-norm."""

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        d = config.embedding_dim
        self.heads = config.heads
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.query_gate, self.key_value = nn.Linear(d, 2 * d), nn.Linear(d, 2 * d)
        self.attention_output = nn.Linear(d, d)
        self.feedforward_gate = nn.Linear(d, d)
        self.feedforward_input = nn.Linear(d, 2 * config.feedforward_dim)
        self.feedforward_output = nn.Linear(config.feedforward_dim, d)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor, newest_only: bool = False) -> Tensor:
        """Return x after both branches, (B, L, d), or (B, 1, d) for the newest position alone."""
        keys = self.attention_norm(x)
        queries = keys[:, -1:] if newest_only else keys
        x = (x[:, -1:] if newest_only else x) + self._attention(queries, keys, mask)
        return x + self._feedforward(self.feedforward_norm(x))

    def _attention(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        query, gate = self.query_gate(queries).chunk(2, dim=-1)
        key, value = self.key_value(keys).chunk(2, dim=-1)
        mixed = F.scaled_dot_product_attention(self._split(query), self._split(key), self._split(value), attn_mask=mask)
        mixed = self.attention_output(mixed.transpose(1, 2).flatten(2))
        return self.dropout(mixed) * torch.sigmoid(gate)

    def _feedforward(self, x: Tensor) -> Tensor:
        inner, activation = self.feedforward_input(x).chunk(2, dim=-1)
        branch = self.feedforward_output(inner * F.silu(activation))
        return self.dropout(branch) * torch.sigmoid(self.feedforward_gate(x))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
