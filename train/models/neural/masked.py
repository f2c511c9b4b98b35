"""A transformer that reads a history in both directions and fills its gaps."""

from typing import Literal

import torch
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from train.data.schema import NO_ITEM
from train.models.base import Examples
from train.models.neural.dropout import Dropout
from train.models.neural.embedded import EmbeddedVectorModel
from train.models.neural.transformer import MASKED, AttentionConfig, Block


class MaskedConfig(AttentionConfig):
    """The shape of the masked transformer."""

    kind: Literal["masked"] = Field(default="masked", description="bidirectional self-attention, cloze training")
    masked_share: float = Field(default=0.2, gt=0, lt=1, description="items of a history that are hidden at random")


class Masked(EmbeddedVectorModel):
    """BERT4Rec (Sun et al., 2019): hidden items are told from what stands on both sides of them.

    In half of the rows the newest item is hidden too, since that is the gap which is asked for later.
    """

    def __init__(self, config: MaskedConfig, n_items: int, attributes: csr_matrix | None = None) -> None:
        super().__init__(config, n_items, attributes)
        d = config.embedding_dim
        self.gap = nn.Parameter(0.02 * torch.randn(d))
        self.position = nn.Parameter(0.02 * torch.randn(config.max_length + 1, d))  # from the end, the gap included
        self.input_dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.output_norm = nn.LayerNorm(d)

    def encode(self, item_idx: Tensor) -> Tensor:
        sequence = torch.cat([self.known_last(item_idx), torch.full_like(item_idx[:, :1], NO_ITEM)], dim=1)
        gaps = torch.zeros_like(sequence, dtype=torch.bool)
        gaps[:, -1] = True
        return self._read(sequence, gaps)[:, -1]

    def examples(self, item_idx: Tensor, target: Tensor, weight: Tensor) -> Examples:
        sequence = torch.cat([item_idx, target[:, -1:]], dim=1)
        gaps = torch.rand(sequence.shape, device=sequence.device) < self.config.masked_share
        gaps[:, -1] |= torch.rand(len(gaps), device=sequence.device) < 0.5
        gaps &= self.known(sequence)
        share = weight.sum() / gaps.sum().clamp(min=1)  # so that a step weighs what its batch says
        return Examples(self._read(sequence, gaps)[gaps], sequence[gaps], share.expand(int(gaps.sum())))

    def _read(self, sequence: Tensor, gaps: Tensor) -> Tensor:
        """Return h at each position, (B, L, d)."""
        length = sequence.shape[1]
        x = torch.where(gaps.unsqueeze(-1), self.gap, self.inputs(sequence))
        x = self.input_dropout(x + self.position[:length].flip(0))
        hidden = (~(self.known(sequence) | gaps)).to(x.dtype).mul(MASKED)[:, None, None, :]
        mask = hidden.expand(-1, -1, length, -1)
        for block in self.blocks:
            x = block(x, mask)
        return self.output_norm(x)
