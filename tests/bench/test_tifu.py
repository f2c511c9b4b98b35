"""The settings of TIFU-KNN are those with which validation lists are best."""

import numpy as np
import pytest

from bench import tifu
from bench.tifu import best_tifu, ndcg
from tests.train.histories import histories_of
from train.data.orders import order_queries
from train.data.schema import Interactions, Queries
from train.models.closed_form.tifu_knn import TifuKnn, TifuKnnConfig
from train.training_set import TrainingSet

N_ITEMS = 30


def changing_shoppers() -> tuple[TrainingSet, Interactions, Queries]:
    """Return shoppers who take one item four times and then, the rest of the time, another one."""
    rng = np.random.default_rng(0)
    firsts, seconds = rng.integers(N_ITEMS, size=(2, 30))
    history = histories_of([[first] * 4 + [second] * 2 for first, second in zip(firsts, seconds, strict=True)])
    last = history.offsets[1:] - 1
    train = history.where(~np.isin(np.arange(len(history)), last))
    return TrainingSet(train=train, n_items=N_ITEMS), history, order_queries(history, last)


def test_fast_decay_is_found_where_shoppers_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tifu, "VALUES", {"between_decay": (0.3, 1.0), "own_share": (0.0, 1.0)})
    data, history, valid = changing_shoppers()
    chosen, default = best_tifu(data, history, valid), TifuKnn.fit(TifuKnnConfig(), data, 0)
    assert chosen.config.between_decay == 0.3
    assert chosen.config.own_share > 0
    assert ndcg(chosen, history, valid) == pytest.approx(1)
    assert ndcg(default, history, valid) < 0.8


def test_lists_are_scored_alike_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    data, history, valid = changing_shoppers()
    model = TifuKnn.fit(TifuKnnConfig(), data, 0)
    whole = ndcg(model, history, valid)
    monkeypatch.setattr(tifu, "CHUNK", 7)
    assert ndcg(model, history, valid) == pytest.approx(whole)
