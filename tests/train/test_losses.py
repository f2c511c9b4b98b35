"""Each loss against the formula of its paper, written slowly."""

import math

import pytest
import torch

from train.losses import LOSSES, binary_cross_entropy, sampled_softmax

POSITIVE = torch.tensor([0.3, -1.2])
NEGATIVE = torch.tensor([[0.5, -0.4, 2.0], [1.1, 0.0, -3.0]])
COLLISION = torch.tensor([[False, True, False], [False, False, False]])


def kept(row: int) -> list[float]:
    return [float(s) for s, hit in zip(NEGATIVE[row], COLLISION[row], strict=True) if not hit]


def test_sampled_softmax_is_minus_the_log_share_of_the_target() -> None:
    losses = sampled_softmax(POSITIVE, NEGATIVE, COLLISION)
    for row, loss in enumerate(losses):
        target, others = math.exp(float(POSITIVE[row])), sum(math.exp(score) for score in kept(row))
        assert float(loss) == pytest.approx(-math.log(target / (target + others)), rel=1e-5)


def test_binary_cross_entropy_takes_the_target_as_true_and_negatives_as_false() -> None:
    losses = binary_cross_entropy(POSITIVE, NEGATIVE, COLLISION)
    for row, loss in enumerate(losses):
        wrong = [-math.log(1 - 1 / (1 + math.exp(-score))) for score in kept(row)]
        right = -math.log(1 / (1 + math.exp(-float(POSITIVE[row]))))
        assert float(loss) == pytest.approx(right + sum(wrong) / len(wrong), rel=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_higher_target_score_costs_less(name: str) -> None:
    loss = LOSSES[name]
    assert (loss(POSITIVE + 1, NEGATIVE, COLLISION) < loss(POSITIVE, NEGATIVE, COLLISION)).all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_position_whose_negatives_are_all_its_target_has_a_finite_loss(name: str) -> None:
    losses = LOSSES[name](POSITIVE, NEGATIVE, torch.ones_like(COLLISION))
    assert torch.isfinite(losses).all()
