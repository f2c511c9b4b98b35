"""Gated recurrent units over item histories."""

from typing import Literal

from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cluster.config import Config
from train.models.neural.dropout import Dropout
from train.models.neural.embedded import EmbeddedSequenceModel, left_aligned


class GruConfig(Config):
    """The shape of the recurrent network."""

    kind: Literal["gru"] = Field(default="gru", description="recurrent")
    embedding_dim: int = Field(default=64, ge=4, le=1024, description="width of h_u and h_i")
    layers: int = Field(default=1, ge=1, le=8, description="recurrent layers")
    hidden_dim: int = Field(default=128, ge=4, le=4096, description="width of the recurrent state")
    max_length: int = Field(default=50, ge=2, le=4096, description="newest items of a history that are read")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="dropout of the state before it becomes h_u")
    embedding_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout of the input vectors")


class Gru(EmbeddedSequenceModel):
    """GRU4Rec (Hidasi et al., 2016), its items shared between input and output (Hidasi and Karatzoglou, 2018)."""

    def __init__(self, config: GruConfig, n_items: int, attributes: csr_matrix | None = None) -> None:
        super().__init__(config, n_items, attributes)
        self.input_dropout = Dropout(config.embedding_dropout)
        self.recurrent = nn.GRU(config.embedding_dim, config.hidden_dim, config.layers, batch_first=True)
        self.state_dropout = Dropout(config.dropout)
        self.output = nn.Linear(config.hidden_dim, config.embedding_dim)

    def hidden(self, item_idx: Tensor) -> Tensor:
        aligned = left_aligned(item_idx, self.known(item_idx))
        states, _ = self.recurrent(self.input_dropout(self.inputs(aligned.item_idx)))
        return self.output(self.state_dropout(aligned.back(states)))
