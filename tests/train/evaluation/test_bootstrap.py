"""Intervals and paired tests on problems whose truth is known."""

import numpy as np
import pytest

from train.evaluation.bootstrap import BootstrapConfig, compare, intervals

QUICK = BootstrapConfig.parse(["draws=200"])


def clustered(rng: np.random.Generator, n_users: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Values of users who each have a level of their own, 1 to 5 queries a user, with a true mean of 0.5."""
    user_idx = np.repeat(np.arange(n_users), np.tile([1, 2, 3, 4, 5], n_users // 5))
    level = rng.normal(0.5, 0.2, n_users)
    return level[user_idx] + rng.normal(0, 0.1, len(user_idx)), user_idx


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        values, user_idx = clustered(rng)
        found = intervals({"m": values}, user_idx, QUICK)["m"]
        covered += found.low <= 0.5 <= found.high
    assert 0.91 <= covered / 400 <= 0.98


def test_queries_of_one_user_count_as_one_opinion() -> None:
    values = np.random.default_rng(0).normal(size=100)
    once = intervals({"m": values}, np.arange(100))["m"]
    copied = intervals({"m": np.repeat(values, 9)}, np.repeat(np.arange(100), 9))["m"]
    assert copied.mean == pytest.approx(once.mean)
    assert copied.half_width == pytest.approx(once.half_width)


def test_queries_without_a_value_are_left_out_of_the_mean() -> None:
    found = intervals({"a": np.array([1, np.nan, 3, 5])}, np.array([0, 0, 1, 2]))["a"]
    assert found.mean == 3
    assert 1 <= found.low <= 3 <= found.high <= 5


def test_a_metric_of_few_users_has_an_interval_of_their_draws_alone() -> None:
    rare = np.full(60, np.nan)
    rare[:6] = [0, 0, 0, 1, 1, 1]
    beside = intervals({"often": np.ones(60), "rare": rare}, np.arange(60))["rare"]
    alone = intervals({"rare": rare}, np.arange(60))["rare"]
    assert alone.mean == beside.mean == 0.5
    assert 0 <= beside.low < alone.mean < beside.high <= 1
    assert alone == intervals({"rare": rare[:6]}, np.arange(6))["rare"]


def test_the_same_values_give_the_same_interval() -> None:
    values, user_idx = clustered(np.random.default_rng(1))
    assert intervals({"m": values}, user_idx) == intervals({"m": values}, user_idx)
    other = BootstrapConfig.parse(["seed=1"])
    assert intervals({"m": values}, user_idx, other) != intervals({"m": values}, user_idx)


def test_identical_rows_do_not_differ() -> None:
    values, user_idx = clustered(np.random.default_rng(2))
    found = compare(values, values.copy(), user_idx)
    assert found.p == 1
    assert (found.difference.low, found.difference.mean, found.difference.high) == (0, 0, 0)


def test_a_planted_difference_is_found_though_the_rows_vary_far_more() -> None:
    rng = np.random.default_rng(3)
    values, user_idx = clustered(rng)
    found = compare(values + 0.03 + rng.normal(0, 0.02, len(values)), values, user_idx)
    assert found.p < 0.01
    assert 0 < found.difference.low < 0.03 < found.difference.high


def test_where_rows_are_equally_good_every_p_is_as_likely_as_any_other() -> None:
    rng = np.random.default_rng(4)
    found = []
    for _ in range(200):
        values, user_idx = clustered(rng, n_users=40)
        found.append(compare(values, values + rng.normal(0, 0.1, len(values)), user_idx, QUICK).p)
    assert 0.02 <= np.mean(np.array(found) < 0.05) <= 0.1
    assert 0.4 <= np.mean(np.array(found) < 0.5) <= 0.6


def test_turning_a_comparison_round_turns_its_sign_alone() -> None:
    rng = np.random.default_rng(5)
    values, user_idx = clustered(rng)
    other = values + rng.normal(0, 0.2, len(values))
    there, back = compare(values, other, user_idx), compare(other, values, user_idx)
    assert there.p == back.p
    assert there.difference.mean == pytest.approx(-back.difference.mean)
    assert there.difference.low == pytest.approx(-back.difference.high)
