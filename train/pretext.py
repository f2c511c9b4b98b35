"""What histories teach without a target: a second task beside the loss, or before it."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cluster.config import Config
from cluster.errors import ConfigError
from train.augment import hide, view
from train.data.schema import NO_ITEM
from train.data.told import Told
from train.losses import MASKED, Objective
from train.models.base import NeuralModel, SequenceModel

HIDDEN = 0.2  # of a history's items, for the masked task (BERT4Rec; Sun et al., 2019, section 4.3)


class PretrainingConfig(Config):
    """A task that needs no target, beside the loss that training minimises."""

    task: Literal["none", "contrastive", "masked"] = Field(
        default="none", description="contrastive: two changed copies of a history stay alike; masked: gaps are filled"
    )
    weight: float = Field(default=0.1, gt=0, le=100, description="of the task where the loss counts 1")
    epochs: int = Field(default=0, ge=0, description="of the epochs, how many come first with the task alone")
    temperature: float = Field(default=0.2, gt=0, le=100, description="divides cosines of the contrastive task")


class Pretext(nn.Module):
    """The objective plus a task on the same batch, as one module so that PyTorch can average gradients over workers."""

    def __init__(self, objective: Objective, config: PretrainingConfig) -> None:
        super().__init__()
        self.objective, self.config = objective, config
        self.alone = False  # whether the task is all that counts
        if config.task == "masked" and not isinstance(self.model, SequenceModel):
            raise ConfigError(
                "pretraining.task=masked needs a family that reads from left to right, "
                f"which {type(self.model).__name__} does not; take contrastive"
            )

    @property
    def model(self) -> NeuralModel:
        """What is trained."""
        return self.objective.model

    def forward(
        self, item_idx: Tensor, target: Tensor, weight: Tensor, negatives: Tensor, told: Told[Tensor] | None = None
    ) -> Tensor:
        """As `Objective`; the task's mean weighs what the batch's targets do."""
        task = self._contrast(item_idx) if self.config.task == "contrastive" else self._fill(item_idx, negatives)
        # Also computed where it counts nothing: workers wait for the gradient of every parameter.
        loss = self.objective(item_idx, target, weight, negatives, told) * (0 if self.alone else 1)
        return loss + self.config.weight * weight.sum() * task

    def _contrast(self, item_idx: Tensor) -> Tensor:
        known = item_idx != NO_ITEM
        one, other = (self.model.encode(view(item_idx, known)) for _ in range(2))
        return nt_xent(one, other, self.config.temperature)

    def _fill(self, item_idx: Tensor, negatives: Tensor) -> Tensor:
        """Return the loss of items that are told from what stands before their gap."""
        left = hide(item_idx, item_idx != NO_ITEM, HIDDEN)
        gaps = left != item_idx
        share = gaps / gaps.sum().clamp(min=1)
        return self.objective(left, torch.where(gaps, item_idx, NO_ITEM), share, negatives)


def nt_xent(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """Mean −log of a copy's share among all copies but itself (SimCLR; Chen et al., 2020, equation 1).

    one, other: (B, d), two copies of each history. Similarity is the cosine over `temperature`. Returns a scalar in
    nats; each of the 2B copies is compared with its other half and 2B − 2 strangers.
    """
    copies = F.normalize(torch.cat([one, other]).float(), dim=1)
    alike = (copies @ copies.T / temperature).fill_diagonal_(MASKED)
    other_half = torch.arange(len(copies), device=copies.device).roll(len(one))
    return F.cross_entropy(alike, other_half)
