"""The moment of a question as a vector: the hour of the day and the day of the week."""

import torch
from torch import Tensor, nn

from train.data.told import DAYS, HOURS, NO_MOMENT


class Moments(nn.Module):
    """A vector for each hour and one for each day, which say nothing until they learn to.

    Training keeps some to itself, so that a question without a moment is no surprise.
    """

    def __init__(self, embedding_dim: int, kept_back: float) -> None:
        super().__init__()
        self.hour = nn.Parameter(torch.zeros(HOURS, embedding_dim))
        self.day = nn.Parameter(torch.zeros(DAYS, embedding_dim))
        self.kept_back = kept_back

    def forward(self, moments: Tensor) -> Tensor:
        """(...) int64, hours of the week or NO_MOMENT → (..., d)."""
        told = moments != NO_MOMENT
        if self.training:
            told = told & (torch.rand(moments.shape, device=moments.device) >= self.kept_back)
        hours = moments.clamp(min=0)
        return (self.hour[hours % HOURS] + self.day[hours // HOURS]) * told.unsqueeze(-1)
