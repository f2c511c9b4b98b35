"""The figure of an explanation: what is lost on the way, in an order and at random."""

import numpy as np
import pytest

from bench.explain import both, loss, told


def test_the_loss_is_the_mean_over_the_steps() -> None:
    worth = np.array([4.0, 2.0, 1.0])
    assert loss(lambda masks: masks @ worth, np.array([0, 1, 2]), 2) == pytest.approx((4 + 6) / 2)
    assert loss(lambda masks: masks @ worth, np.array([2, 1, 0]), 3) == pytest.approx((1 + 3 + 7) / 3)


def test_a_true_explanation_loses_most_and_a_wrong_one_less_than_chance() -> None:
    worth, rng = np.array([8.0, 4.0, 2.0, 1.0]), np.random.default_rng(0)
    explained, chance = both(lambda masks: masks @ worth, worth, 2, rng)
    wrong, _ = both(lambda masks: masks @ worth, -worth, 2, rng)
    assert wrong < chance < explained == pytest.approx((8 + 12) / 2)


def test_more_steps_than_there_are_rows_are_as_many() -> None:
    explained, chance = both(lambda masks: masks @ np.array([3.0]), np.array([3.0]), 5, np.random.default_rng(0))
    assert explained == chance == 3


def test_the_difference_is_told_with_its_interval() -> None:
    row = told("rows", [[3.0, 1.0], [5.0, 1.0]])
    assert (row["difference"], row["shoppers"]) == (3.0, 2)
    assert row["low"] < 3.0 < row["high"]
