"""What training minimises; each loss compares a position's target with negatives that the whole batch shares."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.data.schema import NO_ITEM
from train.models.base import SequenceModel

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

MASKED = -1e9  # a negative that is the target itself


def sampled_softmax(positive: Tensor, negative: Tensor, collision: Tensor) -> Tensor:
    """Softmax over the target and sampled negatives (Jean et al., 2015, section 3), without the logQ correction.

    positive: (n,) scores of targets; negative: (n, m) scores of the batch's negatives; collision: (n, m) true where the
    negative is the target. Returns (n,) nats. Uniform sampling needs no logQ: the correction would be a constant.
    """
    others = torch.logsumexp(negative.float().masked_fill(collision, MASKED), dim=1)
    return F.softplus(others - positive.float())


def binary_cross_entropy(positive: Tensor, negative: Tensor, collision: Tensor) -> Tensor:
    """−log σ(⟨h_u, h_i⟩) − mean over negatives j of log(1 − σ(⟨h_u, h_j⟩)) (Kang and McAuley, 2018, equation 6).

    Arguments and result as for `sampled_softmax`; the mean over many negatives is the paper's one negative
    with less noise.
    """
    wrong = F.softplus(negative.float()).masked_fill(collision, 0.0)
    return F.softplus(-positive.float()) + wrong.sum(1) / (~collision).sum(1).clamp(min=1)


LOSSES: dict[str, Loss] = {"sampled_softmax": sampled_softmax, "binary_cross_entropy": binary_cross_entropy}


class Objective(nn.Module):
    """One worker's summed loss in a step, as a module so that PyTorch can average gradients over workers."""

    def __init__(self, model: SequenceModel, loss: str, temperature: float) -> None:
        super().__init__()
        self.model, self.loss, self.temperature = model, LOSSES[loss], temperature

    def forward(self, item_idx: Tensor, target: Tensor, weight: Tensor, negatives: Tensor) -> Tensor:
        """item_idx, target (NO_ITEM: none), weight: (B, L); negatives: (m,) item_idx. Returns a scalar."""
        trained = target != NO_ITEM
        hidden, target = self.model.hidden(item_idx)[trained] / self.temperature, target[trained]
        positive, negative = self.model.vectors(torch.cat([target, negatives])).split([len(target), len(negatives)])
        losses = self.loss((hidden * positive).sum(1), hidden @ negative.T, target[:, None] == negatives)
        return (losses * weight[trained]).sum()
