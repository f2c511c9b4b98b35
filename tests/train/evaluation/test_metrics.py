"""Metrics against slow versions, on whole lists."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.evaluation.metrics import RankedTruths, accuracy, hit, ndcg, ranks_of, recall, reciprocal_rank
from train.models.candidates import Candidates

TRUTHS = st.lists(st.integers(0, 11), min_size=1, max_size=8, unique=True)


def scored(scores: dict[int, float]) -> Candidates:
    items = np.array(list(scores), dtype=np.int64)
    return Candidates(item_idx=items, source=np.ones(len(items), np.uint8), score=np.array(list(scores.values())))


def truths(*ranks: list[float], repeated: list[bool] | None = None) -> RankedTruths:
    """Return the ranks of one query after the other."""
    flat = np.array([rank for of_query in ranks for rank in of_query])
    return RankedTruths(
        rank=flat, repeated=np.array(repeated or [False] * len(flat)),
        offsets=np.cumsum([0, *(len(of_query) for of_query in ranks)]),
    )  # fmt: skip


@given(order=st.permutations(range(9)), asked=st.lists(TRUTHS, min_size=1, max_size=4), k=st.integers(1, 12))
def test_metrics_are_those_of_the_list_walked_from_the_top(order: list[int], asked: list[list[int]], k: int) -> None:
    listed = scored({item: -float(place) for place, item in enumerate(order)})
    found = truths(*(ranks_of(np.array(truth), listed).tolist() for truth in asked))
    for query, truth in enumerate(asked):
        hits = [place for place, item in enumerate(order[:k]) if item in truth]
        gain = sum(1 / math.log2(place + 2) for place in hits)
        best = sum(1 / math.log2(place + 2) for place in range(min(k, len(truth))))
        assert ndcg(found, k)[query] == pytest.approx(gain / best)
        assert recall(found, k)[query] == pytest.approx(len(hits) / min(k, len(truth)))
        assert hit(found, k)[query] == bool(hits)
        assert reciprocal_rank(found, k)[query] == pytest.approx(1 / (hits[0] + 1) if hits else 0)


@given(scores=st.dictionaries(st.integers(0, 11), st.integers(0, 3).map(float), min_size=1), truth=TRUTHS)
def test_a_rank_is_the_mean_over_all_orders_of_equals(scores: dict[int, float], truth: list[int]) -> None:
    for item, rank in zip(truth, ranks_of(np.array(truth), scored(scores)), strict=True):
        better = sum(score > scores.get(item, 0) for score in scores.values())
        equal = sum(score == scores.get(item, 0) for score in scores.values())
        assert rank == (np.mean(range(better, better + equal)) if item in scores else np.inf)


def test_a_list_with_all_of_many_truths_on_top_is_perfect() -> None:
    assert ndcg(truths([2, 0, 1]), 10) == pytest.approx(1)
    assert ndcg(truths(list(range(15))), 10) == pytest.approx(1)
    assert recall(truths(list(range(15))), 10) == 1


def test_every_order_of_equal_scores_is_worth_the_same() -> None:
    forward, backward = scored({0: 1.0, 1: 1.0, 2: 1.0}), scored({2: 1.0, 1: 1.0, 0: 1.0})
    for item in range(3):
        assert ranks_of(np.array([item]), forward).tolist() == ranks_of(np.array([item]), backward).tolist() == [1]


def test_of_a_query_without_true_items_nothing_is_said() -> None:
    some = truths([0.0, 3.0], [5.0]).where(np.array([False, True, False]))
    assert some.counts.tolist() == [1, 0]
    for metric in (ndcg, recall, reciprocal_rank, hit):
        assert np.isnan(metric(some, 10)).tolist() == [False, True]


def test_old_and_new_items_are_recalled_apart() -> None:
    values = accuracy(truths([0, 20], [3], repeated=[True, False, False]), 10)
    assert values["recall@10"] == pytest.approx([0.5, 1])
    assert values["repeat_recall@10"] == pytest.approx([1, np.nan], nan_ok=True)
    assert values["explore_recall@10"] == pytest.approx([0, 1])


def test_where_nobody_buys_again_nothing_is_said_of_repeats() -> None:
    assert set(accuracy(truths([0], [4]), 5)) == {"ndcg@5", "recall@5", "mrr@5", "hit_rate@5"}
