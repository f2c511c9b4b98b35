"""Dilated causal convolutions over item histories."""

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cluster.config import Config
from train.models.neural.dropout import Dropout
from train.models.neural.embedded import EmbeddedSequenceModel, left_aligned


class CnnConfig(Config):
    """The shape of the convolutional network."""

    kind: Literal["cnn"] = Field(default="cnn", description="causal convolutions")
    embedding_dim: int = Field(default=64, ge=4, le=1024, description="width of h_u and h_i")
    layers: int = Field(default=2, ge=1, le=8, description="blocks; each reads twice as far back as the one before")
    width: int = Field(default=3, ge=2, le=9, description="positions that one convolution reads")
    max_length: int = Field(default=50, ge=2, le=4096, description="newest items of a history that are read")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="dropout of each block")
    embedding_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout of the input vectors")


class Cnn(EmbeddedSequenceModel):
    """NextItNet (Yuan et al., 2019): residual blocks of two dilated causal convolutions."""

    def __init__(self, config: CnnConfig, n_items: int, attributes: csr_matrix | None = None) -> None:
        super().__init__(config, n_items, attributes)
        self.input_dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(Block(config, 2 * 4**layer) for layer in range(config.layers))
        self.output_norm = nn.LayerNorm(config.embedding_dim)

    def hidden(self, item_idx: Tensor) -> Tensor:
        aligned = left_aligned(item_idx, self.known(item_idx))
        x = self.input_dropout(self.inputs(aligned.item_idx))
        for block in self.blocks:
            x = block(x)
        return self.output_norm(aligned.back(x))


class Block(nn.Module):
    """x + two convolutions, the second reading twice as far apart; figure 3b of the paper."""

    def __init__(self, config: CnnConfig, dilation: int) -> None:
        super().__init__()
        d, width = config.embedding_dim, config.width
        self.near, self.far = nn.Conv1d(d, d, width, dilation=dilation // 2), nn.Conv1d(d, d, width, dilation=dilation)
        self.near_norm, self.far_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, L, d); position t reads none after t."""
        inner = F.relu(self.near_norm(causal(self.near, x)))
        return x + self.dropout(F.relu(self.far_norm(causal(self.far, inner))))


def causal(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """Return a convolution of (B, L, d) over L whose newest input is the position itself."""
    reach = (convolution.kernel_size[0] - 1) * convolution.dilation[0]
    return convolution(F.pad(x.transpose(1, 2), (reach, 0))).transpose(1, 2)
