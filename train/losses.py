"""What training minimises; each loss compares a target's score with those of negatives that the whole step shares."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.data.told import Told
from train.models.base import Examples, NeuralModel

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # positive, negative, others → losses
LossName = Literal["sampled_softmax", "softmax", "info_nce", "binary_cross_entropy", "gbce", "bpr"]

SOFTMAXES = ("sampled_softmax", "softmax", "info_nce")  # sums over items that samples can estimate without bias
MASKED = -1e9  # the score of a negative that is the target itself: exp and sigmoid of it are 0, and so are gradients


def sampled_softmax(positive: Tensor, negative: Tensor, others: Tensor) -> Tensor:
    """−log of the target's share in a softmax over it and sampled negatives (Jean et al., 2015, section 3).

    positive: (n,) scores of targets; negative: (n, m) float32 scores of the step's negatives, MASKED where one is the
    target; others: (n,) how many are not. Returns (n,) nats.
    """
    return F.softplus(LogSumExp.apply(negative) - positive.float())


def softmax(positive: Tensor, negative: Tensor, others: Tensor) -> Tensor:
    """−log of the target's share in a softmax over all items (Hidasi and Karatzoglou, 2018, equation 3).

    As `sampled_softmax`, with every item among the negatives: what collides is the target itself, once.
    """
    return sampled_softmax(positive, negative, others)


def info_nce(positive: Tensor, negative: Tensor, others: Tensor) -> Tensor:
    """−log of the target's share among the targets of the whole step (van den Oord et al., 2018, equation 4).

    As `sampled_softmax`, with the other examples' targets for negatives; popular items are negatives more often.
    """
    return sampled_softmax(positive, negative, others)


def binary_cross_entropy(positive: Tensor, negative: Tensor, others: Tensor) -> Tensor:
    """−log σ(⟨h_u, h_i⟩) − mean over negatives j of log(1 − σ(⟨h_u, h_j⟩)) (Kang and McAuley, 2018, equation 6).

    Arguments and result as for `sampled_softmax`; the mean over many negatives is the paper's one negative
    with less noise.
    """
    return F.softplus(-positive.float()) + F.softplus(negative).sum(1) / others.clamp(min=1)


def gbce(positive: Tensor, negative: Tensor, others: Tensor, beta: float = 1.0) -> Tensor:
    """−(β log σ(s⁺) + Σ over negatives of log(1 − σ(s⁻))) / (m + 1) (Petrov and Macdonald, 2023, section 5).

    Arguments and result as for `sampled_softmax`. β < 1 takes back the overconfidence that sampling causes.
    """
    return (beta * F.softplus(-positive.float()) + F.softplus(negative).sum(1)) / (others + 1)


def gbce_beta(negatives: int, n_items: int, calibration: float) -> float:
    """Return β = α(t(1 − 1/α) + 1/α) for the share α of the other items that is sampled (equation 10 there).

    calibration: t; 0 leaves the binary cross entropy as it is, 1 makes scores probabilities.
    """
    share = min(1.0, negatives / max(n_items - 1, 1))
    return 1 - calibration * (1 - share)


def bpr(positive: Tensor, negative: Tensor, others: Tensor) -> Tensor:
    """−mean over negatives j of log σ(s⁺ − s_j), Bayesian personalised ranking (Rendle et al., 2009, section 4.1).

    Arguments and result as for `sampled_softmax`.
    """
    return F.softplus(negative - positive.float().unsqueeze(1)).sum(1) / others.clamp(min=1)


LOSSES: dict[str, Loss] = {
    "sampled_softmax": sampled_softmax,
    "softmax": softmax,
    "info_nce": info_nce,
    "binary_cross_entropy": binary_cross_entropy,
    "gbce": gbce,
    "bpr": bpr,
}


def named_loss(name: LossName, negatives: int, n_items: int, calibration: float) -> Loss:
    """Return a loss by its name, ready for steps with so many sampled negatives."""
    return partial(gbce, beta=gbce_beta(negatives, n_items, calibration)) if name == "gbce" else LOSSES[name]


def mask_targets(negative: Tensor, target: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores (n, m) as float32, MASKED where a negative is the row's target, and how many are not, (n,).

    target: (n,), negatives: (m,) item_idx. Scores that are float32 already change in place: they are many, and
    collisions few.
    """
    order = negatives.argsort()
    ascending = negatives[order]
    first = torch.searchsorted(ascending, target)
    count = torch.searchsorted(ascending, target, right=True) - first
    row = torch.arange(len(target), device=target.device).repeat_interleave(count)
    place = torch.arange(len(row), device=row.device) + (first - count.cumsum(0) + count)[row]
    negative = negative.float()
    negative.detach()[row, order[place]] = MASKED  # behind autograd's back, since no gradient passes MASKED
    return negative, len(negatives) - count


class LogSumExp(torch.autograd.Function):
    """log Σ exp of each row (n, m) → (n,); keeps the exponentials that torch.logsumexp would take anew."""

    @staticmethod
    def forward(ctx: Any, score: Tensor) -> Tensor:
        top = score.amax(dim=1, keepdim=True)
        exponential = (score - top).exp_()
        total = exponential.sum(dim=1, keepdim=True)
        ctx.save_for_backward(exponential, total)
        return (top + total.log()).squeeze(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        exponential, total = ctx.saved_tensors
        return exponential * (gradient.unsqueeze(1) / total)


class Objective(nn.Module):
    """One worker's summed loss in a step, as a module so that PyTorch can average gradients over workers.

    log_share: (n_items,) log of each item's chance to be the next negative drawn, q. Where given, negatives count
    exp(s) / (m q) instead of exp(s), the logQ correction, which makes the sampled sum an unbiased estimate of that
    over all items (Bengio and Senécal, 2008, section 3). The target is there for sure and stays as it is.
    """

    log_share: Tensor | None

    def __init__(self, model: NeuralModel, loss: Loss, temperature: float, log_share: Tensor | None = None) -> None:
        super().__init__()
        self.model, self.loss, self.temperature = model, loss, temperature
        self.register_buffer("log_share", log_share, persistent=False)

    def forward(
        self, item_idx: Tensor, target: Tensor, weight: Tensor, negatives: Tensor, told: Told[Tensor] | None = None
    ) -> Tensor:
        """item_idx, target (NO_ITEM: none), weight: (B, L); negatives: (m,) item_idx; told: if heard.

        Returns a scalar.
        """
        examples: Callable[..., Examples] = self.model.examples
        heard = () if told is None else (told,)
        hidden, target, weight, penalty = examples(item_idx, target, weight, *heard)
        positive, negative = self.model.logits(hidden, target, negatives)
        if self.temperature != 1:  # spares a pass over all the scores
            positive, negative = positive / self.temperature, negative / self.temperature
        if self.log_share is not None:
            negative = negative - (self.log_share[negatives] + math.log(max(len(negatives), 1)))
        negative, others = mask_targets(negative, target, negatives)
        losses = self.loss(positive, negative, others)
        return (losses * weight).sum() + penalty
