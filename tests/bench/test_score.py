"""Two scorers that share no line of code agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.score import half_way_rank, score_queries
from train.evaluation.metrics import RankedTruths, ndcg, ranks_of, recall
from train.models.candidates import Candidates

K = 5


@given(
    scores=st.lists(st.integers(0, 4), min_size=1, max_size=9),
    truth=st.sets(st.integers(0, 11), min_size=1, max_size=8),
)
def test_the_scorer_of_the_benches_agrees_with_the_engines_own(scores: list[int], truth: set[int]) -> None:
    values, chosen = np.array(scores, dtype=float), sorted(truth)
    listed = Candidates(item_idx=np.arange(len(values)), source=np.ones(len(values), np.uint8), score=values)
    found = ranks_of(np.array(chosen), listed)
    ranks = [half_way_rank(values, values[item]) if item < len(values) else float("inf") for item in chosen]
    assert found.tolist() == ranks
    truths = RankedTruths(rank=found, repeated=np.zeros(len(found), bool), offsets=np.array([0, len(found)]))
    assert score_queries(K, [ranks]) == pytest.approx({
        f"recall@{K}": recall(truths, K)[0], f"ndcg@{K}": ndcg(truths, K)[0],
    })  # fmt: skip


def test_the_figures_are_means_over_queries() -> None:
    assert score_queries(10, [[0.0], [float("inf")]]) == {"recall@10": 0.5, "ndcg@10": 0.5}
