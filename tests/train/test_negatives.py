"""Negatives come as often as their sampling says, and from where it says."""

import numpy as np
import pytest

from train.data.batches import Batch
from train.negatives import Negatives, Sampling

POPULARITY = np.array([0, 1, 16, 81])
BATCH = Batch(
    item_idx=np.array([[0, 1]]), target=np.array([[-1, 3]]), weight=np.ones((1, 2), np.float32), total_weight=1
)


def drawn(sampling: Sampling, size: int = 20_000) -> np.ndarray:
    return Negatives(sampling, size, POPULARITY).of(BATCH, np.random.default_rng(0))


@pytest.mark.parametrize(("sampling", "shares"), [("uniform", [1, 1, 1, 1]), ("popular", [0, 1, 8, 27])])
def test_items_are_drawn_as_often_as_their_share(sampling: Sampling, shares: list[int]) -> None:
    expected = np.array(shares) / sum(shares)
    found = np.bincount(drawn(sampling), minlength=4) / 20_000
    np.testing.assert_allclose(found, expected, atol=0.01)
    np.testing.assert_allclose(Negatives(sampling, 1, POPULARITY).share, expected)


def test_all_takes_every_item_once() -> None:
    assert drawn("all").tolist() == [0, 1, 2, 3]


def test_batch_takes_the_targets_of_the_step() -> None:
    assert drawn("batch").tolist() == [3]
    np.testing.assert_allclose(Negatives("batch", 1, POPULARITY).share, POPULARITY / POPULARITY.sum())


@pytest.mark.parametrize("sampling", ["uniform", "popular", "batch", "all"])
def test_a_catalogue_without_a_history_has_finite_shares(sampling: Sampling) -> None:
    negatives = Negatives(sampling, 5, np.zeros(3, dtype=np.int64))
    assert np.isfinite(negatives.log_share).all()
    assert set(negatives.of(BATCH, np.random.default_rng(0)).tolist()) <= {0, 1, 2, 3}
