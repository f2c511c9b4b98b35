"""Ranks of whole blocks are those of a plain count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.comparison.ranks import Ranks, block_ranks, gain, metrics, rank_all
from bench.score import half_way_rank, ndcg_at, score_queries
from cluster.errors import DataError
from tests.train.histories import histories_of
from train.models.closed_form.factorization import Factorization, FactorizationConfig
from train.models.closed_form.links import Rules, RulesConfig
from train.training_set import TrainingSet

N = 6
HISTORIES = [[0, 1, 2, 1], [3], [], [5, 0, 4]]


def slow_ranks(scores: np.ndarray, history: list[int], truth: int) -> tuple[float, float]:
    """Return the filtered and the kept rank of one query."""
    kept = half_way_rank(scores, float(scores[truth]))
    if truth in history:
        return np.inf, kept
    others = np.delete(scores, sorted(set(history)))
    return half_way_rank(others, float(scores[truth])), kept


@given(
    scores=st.lists(st.lists(st.integers(0, 3), min_size=N, max_size=N), min_size=4, max_size=4),
    truth=st.lists(st.integers(0, N - 1), min_size=4, max_size=4),
)
def test_a_block_ranks_as_one_query_after_another(scores: list[list[int]], truth: list[int]) -> None:
    block = np.array(scores, dtype=np.float32)
    filtered, kept = block_ranks(block, [np.array(history, np.int64) for history in HISTORIES], np.array(truth))
    expected = [slow_ranks(*query) for query in zip(block, HISTORIES, truth, strict=True)]
    assert list(zip(filtered.tolist(), kept.tolist(), strict=True)) == expected


def test_scores_that_are_not_numbers_are_refused_and_rank_nowhere() -> None:
    with pytest.raises(DataError, match="diverged"):
        block_ranks(np.full((1, N), np.nan, np.float32), [np.array([0])], np.array([1]))


@pytest.mark.parametrize(
    ("family", "config"),
    [(Rules, RulesConfig()), (Factorization, FactorizationConfig(embedding_dim=4))],
    ids=["scores only", "vectors"],
)
def test_all_blocks_together_give_each_query_its_own_rank(
    family: type, config: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.comparison.ranks.BLOCK", 2 * N)  # so that four queries take two blocks
    model = family.fit(config, TrainingSet(train=histories_of([[0, 1, 2], [1, 2, 3], [2, 3, 4, 5]]), n_items=N), 0)
    histories = [np.array(history, np.int64) for history in HISTORIES]
    truth = np.array([3, 4, 0, 1])
    found = rank_all(model, histories, truth)
    scores = model.scores(histories)
    expected = [slow_ranks(*query) for query in zip(scores, HISTORIES, truth.tolist(), strict=True)]
    assert list(zip(found.filtered.tolist(), found.kept.tolist(), strict=True)) == expected


def test_figures_are_those_of_the_plain_scorer() -> None:
    ranks = np.array([0.0, 1.5, 9.0, 9.5, 10.0, np.inf])
    found = metrics(Ranks(filtered=ranks, kept=ranks[::-1]))
    plain = score_queries(10, [[rank] for rank in ranks.tolist()])
    assert {name: found[name] for name in plain} == pytest.approx(plain)
    assert found["ndcg@10_kept"] == pytest.approx(plain["ndcg@10"])
    assert gain(ranks).tolist() == pytest.approx([ndcg_at(10, [rank]) for rank in ranks.tolist()])


def test_the_error_shrinks_with_the_root_of_the_queries() -> None:
    few, many = np.array([0.0, np.inf] * 50), np.array([0.0, np.inf] * 200)
    assert metrics(Ranks(filtered=few, kept=few))["ndcg@10_half_width"] == pytest.approx(0.098)
    assert metrics(Ranks(filtered=many, kept=many))["ndcg@10_half_width"] == pytest.approx(0.049)
