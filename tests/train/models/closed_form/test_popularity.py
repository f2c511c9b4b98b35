"""Counts: everyone's, and one's own before everyone's."""

import numpy as np
import pytest

from tests.train.histories import histories_of
from train.models.closed_form.popularity import PersonalTop, PersonalTopConfig, Popularity, PopularityConfig
from train.training_set import TrainingSet

DATA = TrainingSet(train=histories_of([[0, 1, 1], [1, 2]], days=[[0, 10, 20], [20, 30]]), n_items=4)


def test_popularity_counts_events_whoever_asks() -> None:
    model = Popularity.fit(PopularityConfig(), DATA, 0)
    assert model.scores([np.array([3]), np.empty(0, np.int64)]).tolist() == [[1, 3, 1, 0]] * 2


def test_an_event_counts_half_after_each_half_life() -> None:
    model = Popularity.fit(PopularityConfig(half_life_days=10), DATA, 0)
    assert model.scores([np.array([3])])[0].tolist() == pytest.approx([1 / 8, 1 / 4 + 1 / 2 + 1 / 2, 1, 0])


def test_ones_own_items_come_first_by_decayed_count_then_all_others_by_popularity() -> None:
    model = PersonalTop.fit(PersonalTopConfig(history_decay=0.5), DATA, 0)
    scores = model.scores([np.array([3, 0, 3]), np.array([0, 2])])
    assert np.argsort(-scores[0], kind="stable").tolist() == [3, 0, 1, 2]
    assert np.argsort(-scores[1], kind="stable").tolist() == [2, 0, 1, 3]
