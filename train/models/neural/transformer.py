"""A causal transformer over item histories: pre-norm attention and SwiGLU, both gated by their input."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cluster.config import Config
from train.models.neural.dropout import Dropout
from train.models.neural.embedded import EmbeddedSequenceModel

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


class Transformer(EmbeddedSequenceModel):
    """Self-attentive sequential recommendation (Kang and McAuley, 2018) with the gated block of LiGR.

    h_i is the item's own embedding plus the sum of its attributes' embeddings times 1/√n. Positions are counted from
    the end of the history, so padding on the left changes nothing.
    """

    def __init__(self, config: TransformerConfig, n_items: int, attributes: csr_matrix | None = None) -> None:
        super().__init__(config, n_items, attributes)
        self.position = nn.Parameter(0.02 * torch.randn(config.max_length, config.embedding_dim))
        self.input_dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.output_norm = nn.LayerNorm(config.embedding_dim)

    def hidden(self, item_idx: Tensor) -> Tensor:
        x, mask = self._positioned(item_idx), self._mask(item_idx)
        for block in self.blocks:
            x = block(x, mask)
        return self.output_norm(x)

    def encode(self, item_idx: Tensor) -> Tensor:
        item_idx = self.known_last(item_idx)
        x = self._positioned(item_idx)
        if len(self.blocks) > 1:
            mask = self._mask(item_idx)
            for block in self.blocks[:-1]:
                x = block(x, mask)
        # Only the newest position is asked for, so the last block answers for that one alone.
        return self.output_norm(self.blocks[-1](x, self._newest_mask(item_idx), newest_only=True))[:, 0]

    def _positioned(self, item_idx: Tensor) -> Tensor:
        """Return the input vectors, (B, L, d)."""
        return self.input_dropout(self.inputs(item_idx) + self.position[: item_idx.shape[1]].flip(0))

    def _mask(self, item_idx: Tensor) -> Tensor:
        """Return what each position may attend to, (B, 1, L, L), added to the attention's scores."""
        length = item_idx.shape[1]
        causal = torch.full((length, length), MASKED, device=item_idx.device, dtype=self.position.dtype).triu(1)
        mask = causal + self._padding(item_idx)
        mask.diagonal(dim1=-2, dim2=-1).zero_()  # an empty history sees itself alone, however far it is padded
        return mask

    def _newest_mask(self, item_idx: Tensor) -> Tensor | None:
        """Return the last row of `_mask`, (B, 1, 1, L), or nothing where the newest position may attend to all."""
        if self.known(item_idx).all():
            return None
        mask = self._padding(item_idx)
        mask[..., -1] = 0
        return mask

    def _padding(self, item_idx: Tensor) -> Tensor:
        return (~self.known(item_idx)).to(self.position.dtype).mul(MASKED)[:, None, None, :]


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
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None, newest_only: bool = False) -> Tensor:
        """Return x after both branches, (B, L, d), or (B, 1, d) for the newest position alone."""
        keys = self.attention_norm(x)
        queries = keys[:, -1:] if newest_only else keys
        x = (x[:, -1:] if newest_only else x) + self._attention(queries, keys, mask)
        return x + self._feedforward(self.feedforward_norm(x))

    def _attention(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
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
