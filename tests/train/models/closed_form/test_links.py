"""Rules and neighbours score as their formulas, written slowly, say."""

import numpy as np
import pytest

from tests.train.histories import histories_of
from train.models.closed_form.base import decayed
from train.models.closed_form.links import Neighbours, NeighboursConfig, Rules, RulesConfig
from train.models.transitions import fit_transitions
from train.training_set import TrainingSet

SEQUENCES = [[0, 1, 2, 3], [1, 2, 0], [4, 1], [3, 3, 2], [0, 4, 2, 1]]
DATA = TrainingSet(train=histories_of(SEQUENCES), n_items=6)


def test_an_item_counts_less_the_longer_ago_it_came() -> None:
    matrix = decayed([np.array([2, 0, 2]), np.empty(0, np.int64), np.array([9, 1, -1, 3])], 4, 0.5)
    assert matrix.toarray().tolist() == [[0.5, 0, 1.25, 0], [0, 0, 0, 0], [0, 0.5, 0, 1]]
    assert decayed([np.array([2, 0, 2])], 4, 0.5, newest=1).toarray().tolist() == [[0, 0, 1, 0]]


@pytest.mark.parametrize("history", [[0], [3, 1], [5], [1, 2, 1]])
def test_rules_score_as_the_transitions_that_live_events_extend(history: list[int]) -> None:
    config = RulesConfig(window=2, max_neighbours=50)
    transitions = fit_transitions(DATA.train, 6, config)
    expected = np.zeros(6)
    followers = transitions.followers(np.array(history))
    expected[followers.item_idx] = followers.score
    np.testing.assert_allclose(Rules.fit(config, DATA, 0).scores([np.array(history)])[0], expected, rtol=1e-5)


def similarity(i: int, j: int, shrinkage: float) -> float:
    with_i, with_j = ({user for user, items in enumerate(SEQUENCES) if item in items} for item in (i, j))
    return len(with_i & with_j) / ((len(with_i) * len(with_j)) ** 0.5 + shrinkage) if i != j else 0.0


def test_neighbours_are_shrunk_cosines_of_who_had_them() -> None:
    model = Neighbours.fit(NeighboursConfig(shrinkage=2, history_decay=0.5), DATA, 0)
    expected = [0.5 * similarity(3, j, 2) + similarity(1, j, 2) for j in range(6)]
    np.testing.assert_allclose(model.scores([np.array([3, 1])])[0], expected, rtol=1e-5)


def test_only_the_nearest_neighbours_are_kept() -> None:
    model = Neighbours.fit(NeighboursConfig(max_neighbours=2, shrinkage=1), DATA, 0)
    assert np.diff(model.links.indptr).max() == 2
    for item in range(5):
        best = sorted((similarity(item, j, 1) for j in range(6)), reverse=True)[:2]
        np.testing.assert_allclose(np.sort(model.scores([np.array([item])])[0])[::-1][:2], best, rtol=1e-5)
