"""Members of an ensemble are worth what they add to the likelihood of validation."""

import numpy as np
import pytest

from tests.train.models.table import Table
from train.validation import ValidationSet
from train.weighing import likeliest_weights

N, N_ITEMS = 600, 30
RNG = np.random.default_rng(0)
TASTE = RNG.standard_normal((N, 4))
ITEMS = RNG.standard_normal((N_ITEMS, 4))
NOISE = Table(RNG.standard_normal((N, 3)), RNG.standard_normal((N_ITEMS, 3)))


def drawn(logits: np.ndarray) -> list[np.ndarray]:
    """Return an item of each shopper, drawn from the softmax of logits (Gumbel's trick)."""
    return [np.array([item]) for item in (logits + RNG.gumbel(size=logits.shape)).argmax(axis=1)]


CHOSEN = drawn(TASTE @ ITEMS.T)
ASKED = ValidationSet(histories=[np.array([user]) for user in range(N)], truths=CHOSEN, filter_seen=False)
HALVES = [Table(TASTE[:, :2] * 5, ITEMS[:, :2]), Table(TASTE[:, 2:], ITEMS[:, 2:] / 3)]


def surprise(members: list[Table], weights: tuple[float, ...]) -> float:
    """Return the mean of −log softmax, the slow way."""
    total = 0.0
    for history, truth in zip(ASKED.histories, ASKED.truths, strict=True):
        scores = sum(w * one.scores([history])[0].astype(float) for w, one in zip(weights, members, strict=True))
        total += float(np.mean(np.log(np.exp(scores).sum()) - np.asarray(scores)[truth]))
    return total / len(ASKED.truths)


def test_weights_bring_members_on_different_scales_back_to_one() -> None:
    assert likeliest_weights(HALVES, ASKED) == pytest.approx((1 / 5, 3), rel=0.25)


@pytest.mark.parametrize("shift", [(0.02, 0), (-0.02, 0), (0, 0.3), (0, -0.3)])
def test_no_weights_nearby_are_likelier(shift: tuple[float, float]) -> None:
    weights = likeliest_weights(HALVES, ASKED)
    moved = (weights[0] + shift[0], weights[1] + shift[1])
    assert surprise(HALVES, weights) < surprise(HALVES, moved)


def test_a_member_that_knows_nothing_weighs_next_to_nothing() -> None:
    good, bad = likeliest_weights([Table(TASTE, ITEMS), NOISE], ASKED)
    assert good == pytest.approx(1, rel=0.15)
    assert 0 <= bad < 0.15


def test_members_that_all_know_nothing_weigh_alike_in_what_they_say() -> None:
    opposite = Table(-TASTE, ITEMS)
    weights = likeliest_weights([opposite, opposite], ASKED)
    assert weights[0] == weights[1] > 0


def test_items_that_the_answer_leaves_out_do_not_count() -> None:
    biased = ITEMS.copy()
    biased[0] = 50 * ITEMS[1]  # item 0 drowns the others, unless it is left out
    seen = [np.array([user, 0]) for user in range(N)]  # Table reads the first, so give every shopper's own row there
    users = [user for user in range(N) if user < N_ITEMS]
    asked = {
        hide: ValidationSet(
            histories=[seen[user] for user in users if 0 not in CHOSEN[user]],
            truths=[CHOSEN[user] for user in users if 0 not in CHOSEN[user]], filter_seen=hide,
        )
        for hide in (True, False)
    }  # fmt: skip
    hidden, shown = (likeliest_weights([Table(TASTE, biased), NOISE], asked[hide])[0] for hide in (True, False))
    assert hidden > 5 * shown
