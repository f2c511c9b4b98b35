"""A shopper is folded in as the paper solves it, and a shopper of the training set comes out as trained."""

import numpy as np
import pytest

from tests.train.histories import histories_of
from train.models.closed_form.factorization import Factorization, FactorizationConfig
from train.training_set import TrainingSet

N_ITEMS = 30
RNG = np.random.default_rng(0)
ITEMS = RNG.standard_normal((N_ITEMS, 4)).astype(np.float32)


def solved(history: list[int], ridge: float, alpha: float, decay: float) -> np.ndarray:
    weight = np.zeros(N_ITEMS)
    for steps_back, item in enumerate(reversed(history)):
        weight[item] += decay**steps_back
    confidence = 1 + alpha * weight
    left = (ITEMS * confidence[:, None]).T @ ITEMS + ridge * np.eye(4)
    return np.linalg.solve(left, ITEMS.T @ (confidence * (weight > 0)))


@pytest.mark.parametrize("decay", [1.0, 0.7])
def test_a_shopper_is_the_weighted_least_squares_fit_of_their_history(decay: float) -> None:
    config = FactorizationConfig(embedding_dim=4, ridge=0.3, confidence=5, history_decay=decay)
    histories = [[1, 2, 3], [7], [4, 4, 9, 4], list(range(20))]
    vectors = Factorization(config, ITEMS).encode_histories([np.array(history) for history in histories])
    for vector, history in zip(vectors, histories, strict=True):
        np.testing.assert_allclose(vector, solved(history, 0.3, 5, decay), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", ["als", "bpr"])
def test_groups_of_shoppers_are_told_apart(method: str) -> None:
    """Two halves of the catalogue, and nobody buys in both."""
    rng = np.random.default_rng(1)
    sequences = [(rng.permutation(15)[:6] + 15 * (user % 2)).tolist() for user in range(200)]
    data = TrainingSet(train=histories_of(sequences), n_items=N_ITEMS)
    config = FactorizationConfig.checked({"method": method, "embedding_dim": 2, "iterations": 50})
    scores = Factorization.fit(config, data, 0).scores([np.array([0, 1, 2]), np.array([20, 21])])
    assert scores[0, :15].min() > scores[0, 15:].max()
    assert scores[1, 15:].min() > scores[1, :15].max()


def test_nobody_has_no_opinion() -> None:
    model = Factorization(FactorizationConfig(embedding_dim=4), ITEMS)
    assert not model.encode_histories([np.empty(0, np.int64)]).any()
    assert model.encode_histories([]).shape == (0, 4)
