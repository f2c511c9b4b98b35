"""The linear autoencoder is the minimum that its paper states, and says where it ends."""

import numpy as np
import pytest

from cluster.errors import DataError
from tests.train.histories import histories_of
from train.models.closed_form.base import bought
from train.models.closed_form.ease import Ease, EaseConfig
from train.training_set import TrainingSet

DATA = TrainingSet(train=histories_of([[0, 1, 2, 3], [1, 2, 0], [4, 1], [3, 3, 2], [0, 4, 2, 1]]), n_items=6)


def test_no_item_stands_for_itself_and_every_column_is_the_best_ridge_regression() -> None:
    config = EaseConfig(ridge=0.7)
    weights = Ease.fit(config, DATA, 0).weights
    had = bought(DATA.train, 6).toarray()
    for item in range(6):
        others = [j for j in range(6) if j != item]
        x, y = had[:, others], had[:, item]
        best = np.linalg.solve(x.T @ x + 0.7 * np.eye(5), x.T @ y)
        np.testing.assert_allclose(weights[others, item], best, atol=1e-5)
        assert weights[item, item] == 0


def test_a_catalogue_that_is_too_large_is_refused_with_a_way_out() -> None:
    with pytest.raises(DataError, match="6 items are more than max_items=5.*neighbours"):
        Ease.fit(EaseConfig(max_items=5), DATA, 0)
