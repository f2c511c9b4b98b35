"""A history as one vector: an average that weighs what its items are and how long ago they came."""

import math

import torch
from torch import Tensor, nn

from train.models.neural.transformer import MASKED

START_DECAY = 0.8  # weight lost per step back before anything is learned


class CausalPooling(nn.Module):
    """At each position the average of the items up to it, by softmax of a learned worth and a learned recency."""

    def __init__(self, embedding_dim: int, max_length: int) -> None:
        super().__init__()
        self.worth = nn.Linear(embedding_dim, 1, bias=False)
        self.recency = nn.Parameter(math.log(START_DECAY) * torch.arange(max_length))

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """X (B, L, d), zero where not known (B, L) bool. Returns (B, L, d), zero before the first known item."""
        place = torch.arange(x.shape[1], device=x.device)
        age = place[:, None] - place
        scores = self.recency[age.clamp(min=0)] + self.worth(x).transpose(1, 2)
        hidden = (age < 0) | ~known[:, None, :]
        # Where all is hidden, the softmax alone would look at everything alike.
        return (scores.masked_fill(hidden, MASKED).softmax(dim=-1) * ~hidden) @ x
