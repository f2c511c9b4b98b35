"""Probabilities that mean what they say, on scores whose true probabilities are known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from train.data.schema import Goal
from train.evaluation.calibrate import fit_calibration
from train.evaluation.reliability import reliability
from train.models.calibration import Calibration, Curve, log_share
from train.models.features import FEATURES
from train.models.ranker import Ranker, RankingExamples


def ranker_of_first_feature() -> Ranker:
    n = len(FEATURES)
    outer = np.zeros(n, np.float32)
    outer[0] = 1
    return Ranker(
        mean=np.zeros(n), deviation=np.ones(n), low=np.full(n, -1e9), high=np.full(n, 1e9), inner=np.eye(n),
        inner_bias=np.zeros(n), outer=outer,
    )  # fmt: skip


def planted(n_queries: int = 400, n: int = 40, seed: int = 0, sharpness: float = 3.0) -> RankingExamples:
    """Queries whose softmax shares are far too sure: the true probability is 0.4 · share^(1 / sharpness)."""
    rng = np.random.default_rng(seed)
    scores = rng.gamma(2.0, sharpness, (n_queries, n))
    share = np.exp([log_share(of_query) for of_query in scores])
    features = np.zeros((n_queries * n, len(FEATURES)), np.float32)
    features[:, 0] = scores.ravel()
    relevant = rng.random((n_queries, n)) < 0.4 * share ** (1 / sharpness)
    return RankingExamples(
        features=features, relevant=relevant.ravel(), offsets=np.arange(n_queries + 1, dtype=np.int64) * n
    )


def curve_of(examples: RankingExamples) -> Curve:
    return fit_calibration(ranker_of_first_feature(), examples).calibration.curves["click"]


def shares(examples: RankingExamples) -> np.ndarray:
    scores = ranker_of_first_feature().score(examples.features).reshape(len(examples.offsets) - 1, -1)
    return np.concatenate([log_share(of_query) for of_query in scores])


def test_calibration_lowers_the_error_of_scores_that_are_too_sure() -> None:
    fresh = planted(seed=1)
    before = reliability(np.exp(shares(fresh)), fresh.relevant).ece
    after = reliability(curve_of(planted()).at(shares(fresh)), fresh.relevant).ece
    assert after < before / 3


def test_the_error_told_is_that_on_queries_that_fitted_nothing() -> None:
    ranker, examples, fresh = ranker_of_first_feature(), planted(), planted(seed=1)
    found = fit_calibration(ranker, examples)
    assert found.reliability["click"].count.sum() == len(examples.relevant) / 2
    elsewhere = reliability(found.calibration.curves["click"].at(shares(fresh)), fresh.relevant)
    assert found.reliability["click"].ece == pytest.approx(elsewhere.ece, abs=0.01)


def test_calibration_never_changes_the_order() -> None:
    calibration = fit_calibration(ranker_of_first_feature(), planted()).calibration
    score = np.random.default_rng(2).normal(size=300)
    by_score = calibration.p_click(score)[np.argsort(score)]
    assert (np.diff(by_score) >= 0).all()
    assert ((by_score > 0) & (by_score <= 1)).all()


def test_where_nothing_was_chosen_the_probability_is_small_and_the_same_for_all() -> None:
    examples = planted()
    nothing = RankingExamples(
        features=examples.features, relevant=np.zeros_like(examples.relevant), offsets=examples.offsets
    )
    found = curve_of(nothing)
    assert found.method == "constant"
    probability = found.at(np.array([-0.1, -3.0]))
    assert probability[0] == probability[1] < 1e-3


def test_one_query_is_enough_to_fit() -> None:
    found = fit_calibration(ranker_of_first_feature(), planted(n_queries=1))
    assert 0 < found.calibration.p_click(np.array([0.0, 1.0]))[0] < 1


def with_purchases(seed: int = 0) -> RankingExamples:
    """A quarter of what is chosen is bought."""
    examples = planted(n_queries=1_600, seed=seed)
    bought = examples.relevant & (np.random.default_rng(seed).random(len(examples.relevant)) < 0.25)
    return replace(examples, reached={"click": examples.relevant, "purchase": bought})


def test_each_goal_gets_probabilities_of_its_own_that_hold_elsewhere() -> None:
    found, fresh = fit_calibration(ranker_of_first_feature(), with_purchases()), with_purchases(seed=1)
    score = np.array([9.0, 5.0, 1.0])
    bought = found.calibration.p_purchase(score)
    assert bought is not None
    assert (bought < found.calibration.p_click(score)).all()
    for goal, chosen in fresh.reached.items():
        elsewhere = reliability(found.calibration.curves[goal].at(shares(fresh)), chosen)
        assert elsewhere.ece < elsewhere.base_rate / 3
        assert found.reliability[goal].base_rate == pytest.approx(elsewhere.base_rate, rel=0.2)


@pytest.mark.parametrize(("goal", "knows_purchases"), [("click", False), ("purchase", True)])
def test_a_source_of_one_kind_has_one_curve(goal: Goal, knows_purchases: bool) -> None:
    examples = planted()
    calibration = fit_calibration(
        ranker_of_first_feature(), replace(examples, reached={goal: examples.relevant})
    ).calibration
    score = np.array([1.0, 0.0])
    bought = calibration.p_purchase(score)
    assert (bought is not None) == knows_purchases
    if bought is not None:
        np.testing.assert_array_equal(calibration.p_click(score), bought)


def test_a_calibration_comes_back_from_json_as_it_was() -> None:
    calibration = fit_calibration(ranker_of_first_feature(), with_purchases()).calibration
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    score = np.linspace(-20, 20, 99)
    for goal, curve in calibration.curves.items():
        assert (again.probability(score, goal) == calibration.probability(score, goal)).all()
        assert again.curves[goal].method == curve.method


def test_the_single_curve_of_an_earlier_bundle_is_read() -> None:
    earlier = {"method": "platt", "log_share": [-9.0, 0.0], "chosen": [0.01, 0.5]}
    calibration = Calibration.from_json(earlier)
    assert calibration.p_click(np.zeros(1)).tolist() == [0.5]
    assert calibration.p_purchase(np.zeros(1)) is None


def test_log_shares_are_those_of_softmax_and_bear_any_score() -> None:
    assert np.exp(log_share(np.array([0.0, np.log(3)]))) == pytest.approx([0.25, 0.75])
    assert np.exp(log_share(np.array([1e4, 1e4 - 2000]))) == pytest.approx([1, 0])
    assert len(log_share(np.empty(0))) == 0


def test_reliability_compares_what_was_said_with_what_happened() -> None:
    probability = np.repeat([0.1, 0.5], [500, 100])
    happened = np.concatenate((np.arange(500) < 100, np.arange(100) < 50))
    found = reliability(probability, happened, bins=2)
    assert found.predicted == pytest.approx([0.1, 0.5])
    assert found.observed == pytest.approx([0.2, 0.5])
    assert found.ece == pytest.approx(0.1 * 500 / 600)
    assert found.base_rate == pytest.approx(150 / 600)


def test_true_probabilities_are_reliable() -> None:
    rng = np.random.default_rng(0)
    probability = rng.beta(0.2, 5, 100_000)
    assert reliability(probability, rng.random(100_000) < probability).ece < 0.003
