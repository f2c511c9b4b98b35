"""A variational autoencoder of the set of items that a shopper had."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cluster.config import Config
from train.models.base import Examples
from train.models.neural.embedded import EmbeddedVectorModel


class AutoencoderConfig(Config):
    """The shape of encoder and decoder."""

    kind: Literal["autoencoder"] = Field(default="autoencoder", description="variational autoencoder of sets")
    embedding_dim: int = Field(default=64, ge=4, le=1024, description="width of h_u and h_i, the decoder's last layer")
    hidden_dim: int = Field(default=256, ge=4, le=4096, description="width of the encoder's inner layer")
    latent_dim: int = Field(default=64, ge=2, le=1024, description="width of the code")
    max_length: int = Field(default=200, ge=2, le=4096, description="newest items of a history that are read")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="items left out of the input")
    kl_weight: float = Field(default=0.2, ge=0, le=10, description="β of the paper, what the code's divergence costs")


class Autoencoder(EmbeddedVectorModel):
    """Mult-VAE (Liang et al., 2018): the order of a history means nothing, h_i are the rows of the decoder."""

    def __init__(self, config: AutoencoderConfig, n_items: int, attributes: csr_matrix | None = None) -> None:
        super().__init__(config, n_items, attributes)
        self.read = nn.Embedding(n_items, config.hidden_dim)
        nn.init.normal_(self.read.weight, std=config.hidden_dim**-0.5)
        self.read_bias = nn.Parameter(torch.zeros(config.hidden_dim))
        self.code = nn.Linear(config.hidden_dim, 2 * config.latent_dim)
        self.decode = nn.Linear(config.latent_dim, config.embedding_dim)

    def encode(self, item_idx: Tensor) -> Tensor:
        mean, _ = self._code(item_idx)
        return torch.tanh(self.decode(mean))

    def examples(self, item_idx: Tensor, target: Tensor, weight: Tensor) -> Examples:
        wanted = torch.cat([item_idx, target[:, -1:]], dim=1)
        known = self.known(wanted)
        mean, log_variance = self._code(item_idx)
        code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        rows = known.nonzero()[:, 0]
        share = weight.sum() / max(len(rows), 1)  # so that a step weighs what its batch says
        hidden = torch.tanh(self.decode(code))[rows]
        return Examples(hidden, wanted[known], share.expand(len(rows)), share * self.config.kl_weight * divergence)

    def _code(self, item_idx: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of each history's code, (B, latent_dim)."""
        known = self.known(item_idx)
        worth = known / known.sum(1, keepdim=True).clamp(min=1).sqrt()
        worth = F.dropout(worth, self.config.dropout, self.training)
        x = (worth.unsqueeze(1) @ self.read(torch.where(known, item_idx, 0)))[:, 0]
        mean, log_variance = self.code(torch.tanh(x + self.read_bias)).chunk(2, dim=-1)
        return mean, log_variance
