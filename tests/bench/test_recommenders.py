"""The benches' own rules are the formula that the engine counts by, too."""

import numpy as np

from bench.peers.recommenders import popularity_scores, rule_matrix, rule_scores
from tests.train.histories import histories_of
from train.models.transitions import TransitionsConfig, fit_transitions

SEQUENCES = [[0, 1, 2, 3], [1, 2, 1], [3, 0, 2], [4, 4]]
N = 6


def test_rules_counted_twice_over_agree() -> None:
    transitions = fit_transitions(histories_of(SEQUENCES), N, TransitionsConfig())
    for sequence, scores in zip(SEQUENCES, rule_scores(SEQUENCES, rule_matrix(SEQUENCES, N)), strict=True):
        found = transitions.followers(np.array(sequence))
        expected = np.zeros(N)
        expected[found.item_idx] = found.score
        np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_popularity_counts_events() -> None:
    assert popularity_scores(SEQUENCES, N).tolist() == [2, 3, 3, 2, 2, 0]
