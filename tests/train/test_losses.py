"""Each loss against the formula of its paper, written slowly."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.loop import FitConfig, corrected, sampling
from train.losses import (
    LOSSES,
    MASKED,
    SOFTMAXES,
    LogSumExp,
    Objective,
    binary_cross_entropy,
    bpr,
    gbce,
    gbce_beta,
    info_nce,
    mask_targets,
    named_loss,
    sampled_softmax,
    softmax,
)  # fmt: skip
from train.models.neural.gru import Gru, GruConfig

POSITIVE = torch.tensor([0.3, -1.2])
NEGATIVE = torch.tensor([[0.5, -0.4, 2.0], [1.1, 0.0, -3.0]])
COLLISION = torch.tensor([[False, True, False], [False, False, False]])
MASKED_NEGATIVE, OTHERS = NEGATIVE.masked_fill(COLLISION, MASKED), (~COLLISION).sum(1)


def kept(row: int) -> list[float]:
    return [float(s) for s, hit in zip(NEGATIVE[row], COLLISION[row], strict=True) if not hit]


def test_sampled_softmax_is_minus_the_log_share_of_the_target() -> None:
    losses = sampled_softmax(POSITIVE, MASKED_NEGATIVE, OTHERS)
    for row, loss in enumerate(losses):
        target, others = math.exp(float(POSITIVE[row])), sum(math.exp(score) for score in kept(row))
        assert float(loss) == pytest.approx(-math.log(target / (target + others)), rel=1e-5)


def test_binary_cross_entropy_takes_the_target_as_true_and_negatives_as_false() -> None:
    losses = binary_cross_entropy(POSITIVE, MASKED_NEGATIVE, OTHERS)
    for row, loss in enumerate(losses):
        wrong = [-math.log(1 - 1 / (1 + math.exp(-score))) for score in kept(row)]
        right = -math.log(1 / (1 + math.exp(-float(POSITIVE[row]))))
        assert float(loss) == pytest.approx(right + sum(wrong) / len(wrong), rel=1e-5)


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def test_softmax_over_all_items_counts_the_target_once() -> None:
    scores = torch.tensor([[0.3, -1.0, 2.0, 0.1]])
    masked, others = mask_targets(scores.clone(), torch.tensor([2]), torch.arange(4))
    loss = softmax(scores[:, 2], masked, others)
    assert float(loss) == pytest.approx(-math.log(math.exp(2.0) / sum(math.exp(float(s)) for s in scores[0])), rel=1e-5)


def test_info_nce_is_the_share_of_the_own_target_among_those_of_the_step() -> None:
    """Row i of the step scored row j's target with scores[i][j]; rows 0 and 2 have the same target."""
    scores, target = torch.tensor([[1.0, 0.2, 1.0], [0.0, 2.0, 0.0], [0.5, -1.0, 0.5]]), torch.tensor([4, 7, 4])
    losses = info_nce(scores.diagonal(), *mask_targets(scores.clone(), target, target))
    for row, loss in enumerate(losses):
        others = [float(scores[row, j]) for j in range(3) if target[j] != target[row]]
        own = math.exp(float(scores[row, row]))
        assert float(loss) == pytest.approx(-math.log(own / (own + sum(map(math.exp, others)))), rel=1e-5)


def test_bpr_asks_how_often_the_target_beats_a_negative() -> None:
    for row, loss in enumerate(bpr(POSITIVE, MASKED_NEGATIVE, OTHERS)):
        beaten = [-math.log(sigmoid(float(POSITIVE[row]) - score)) for score in kept(row)]
        assert float(loss) == pytest.approx(sum(beaten) / len(beaten), rel=1e-5)


def test_gbce_weighs_the_target_by_beta() -> None:
    for row, loss in enumerate(gbce(POSITIVE, MASKED_NEGATIVE, OTHERS, beta=0.4)):
        right = 0.4 * math.log(sigmoid(float(POSITIVE[row])))
        wrong = sum(math.log(1 - sigmoid(score)) for score in kept(row))
        assert float(loss) == pytest.approx(-(right + wrong) / (len(kept(row)) + 1), rel=1e-5)


@pytest.mark.parametrize("calibration", [0.0, 0.3, 1.0])
def test_beta_of_gbce_follows_the_share_that_is_sampled(calibration: float) -> None:
    share = 8 / 100
    paper = share * (calibration * (1 - 1 / share) + 1 / share)
    assert gbce_beta(8, 101, calibration) == pytest.approx(paper)
    assert named_loss("gbce", 8, 101, calibration)(POSITIVE, MASKED_NEGATIVE, OTHERS).tolist() == pytest.approx(
        gbce(POSITIVE, MASKED_NEGATIVE, OTHERS, paper).tolist()
    )


def test_gbce_of_all_items_needs_no_calibration() -> None:
    assert gbce_beta(500, 101, 1.0) == gbce_beta(500, 101, 0.0) == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_a_softmax_draws_popular_items_and_corrects_for_it_unless_told_otherwise(loss: str) -> None:
    config = FitConfig.parse([f"loss={loss}"])
    assert corrected(config) == (loss in SOFTMAXES)
    assert sampling(config) == {"sampled_softmax": "popular", "softmax": "all", "info_nce": "batch"}.get(
        loss, "uniform"
    )
    assert not corrected(FitConfig.parse([f"loss={loss}", "log_q=false"]))


def test_log_q_counts_a_negative_by_how_rarely_it_is_drawn() -> None:
    torch.manual_seed(0)
    model, share = Gru(GruConfig(embedding_dim=4, hidden_dim=4), 5).eval(), torch.tensor([0.1, 0.2, 0.3, 0.1, 0.3])
    item_idx, target, negatives = torch.tensor([[0, 1]]), torch.tensor([[-1, 2]]), torch.tensor([4, 0, 2, 4])
    loss = Objective(model, sampled_softmax, 1.0, share.log())(item_idx, target, torch.ones(1, 2), negatives)
    scores = (model.encode(item_idx) @ model.item_vectors().T)[0].detach()
    weights = [math.exp(float(scores[j])) / (4 * float(share[j])) for j in (4, 0, 4)]
    own = math.exp(float(scores[2]))
    assert loss.item() == pytest.approx(-math.log(own / (own + sum(weights))), rel=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_higher_target_score_costs_less(name: str) -> None:
    loss = LOSSES[name]
    assert (loss(POSITIVE + 1, MASKED_NEGATIVE, OTHERS) < loss(POSITIVE, MASKED_NEGATIVE, OTHERS)).all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_position_whose_negatives_are_all_its_target_has_a_finite_loss(name: str) -> None:
    losses = LOSSES[name](POSITIVE, torch.full_like(NEGATIVE, MASKED), torch.zeros_like(OTHERS))
    assert torch.isfinite(losses).all()


@given(
    target=st.lists(st.integers(0, 5), min_size=1, max_size=6), negatives=st.lists(st.integers(0, 5), max_size=8)
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_negatives_that_are_the_target_are_masked_and_not_counted(
    target: list[int], negatives: list[int], dtype: torch.dtype
) -> None:
    scores, wanted, drawn = torch.rand(len(target), len(negatives)).to(dtype), torch.tensor(target), negatives
    collision = wanted[:, None] == torch.tensor(drawn, dtype=torch.int64)
    expected = scores.float().masked_fill(collision, MASKED)
    masked, others = mask_targets(scores, wanted, torch.tensor(drawn, dtype=torch.int64))
    assert torch.equal(masked, expected)
    assert others.tolist() == (~collision).sum(1).tolist()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_no_gradient_reaches_a_masked_score(name: str) -> None:
    scores = NEGATIVE.clone().requires_grad_()
    masked, others = mask_targets(scores * 1, torch.tensor([1, 9]), torch.tensor([5, 1, 6]))
    LOSSES[name](POSITIVE, masked, others).sum().backward()
    assert scores.grad is not None
    assert scores.grad[0, 1] == 0
    assert (scores.grad[~COLLISION] > 0).all()


def test_log_sum_exp_and_its_gradient_are_those_of_torch() -> None:
    scores = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(LogSumExp.apply(scores), scores.logsumexp(dim=1))
    assert torch.autograd.gradcheck(LogSumExp.apply, scores)
