"""Metrics against slow versions, on whole lists."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.evaluation.metrics import RankedTruth, accuracy, hit, ndcg, ranked_truth, recall, reciprocal_rank
from train.models.candidates import Candidates

TRUTHS = st.lists(st.integers(0, 11), min_size=1, max_size=8, unique=True)


def scored(scores: dict[int, float]) -> Candidates:
    items = np.array(list(scores), dtype=np.int64)
    return Candidates(item_idx=items, source=np.ones(len(items), np.uint8), score=np.array(list(scores.values())))


def ranks(*values: float, repeated: list[bool] | None = None) -> RankedTruth:
    return RankedTruth(rank=np.array(values), repeated=np.array(repeated or [False] * len(values)))


@given(order=st.permutations(range(9)), truth=TRUTHS, k=st.integers(1, 12))
def test_metrics_are_those_of_the_list_walked_from_the_top(order: list[int], truth: list[int], k: int) -> None:
    found = ranked_truth(
        scored({item: -float(place) for place, item in enumerate(order)}), np.array(truth), np.array([])
    )
    hits = [place for place, item in enumerate(order[:k]) if item in truth]
    gain = sum(1 / math.log2(place + 2) for place in hits)
    best = sum(1 / math.log2(place + 2) for place in range(min(k, len(truth))))
    assert ndcg(found, k) == pytest.approx(gain / best)
    assert recall(found.rank, k) == pytest.approx(len(hits) / min(k, len(truth)))
    assert hit(found.rank, k) == bool(hits)
    assert reciprocal_rank(found.rank, k) == pytest.approx(1 / (hits[0] + 1) if hits else 0)


@given(
    scores=st.dictionaries(st.integers(0, 11), st.integers(0, 3).map(float), min_size=1), truth=TRUTHS,
    seen=st.sets(st.integers(0, 11)),
)  # fmt: skip
def test_a_rank_is_the_mean_over_all_orders_of_equals(
    scores: dict[int, float], truth: list[int], seen: set[int]
) -> None:
    found = ranked_truth(scored(scores), np.array(truth), np.array(sorted(seen)))
    for item, rank, repeated in zip(truth, found.rank, found.repeated, strict=True):
        better = sum(score > scores.get(item, 0) for score in scores.values())
        equal = sum(score == scores.get(item, 0) for score in scores.values())
        assert rank == (np.mean(range(better, better + equal)) if item in scores else np.inf)
        assert repeated == (item in seen)


def test_a_list_with_all_of_many_truths_on_top_is_perfect() -> None:
    assert ndcg(ranks(2, 0, 1), 10) == pytest.approx(1)
    assert ndcg(ranks(*range(15)), 10) == pytest.approx(1)
    assert recall(np.arange(15.0), 10) == 1


def test_every_order_of_equal_scores_is_worth_the_same() -> None:
    forward, backward = scored({0: 1.0, 1: 1.0, 2: 1.0}), scored({2: 1.0, 1: 1.0, 0: 1.0})
    for item in range(3):
        assert ranked_truth(forward, np.array([item]), np.array([])).rank.tolist() == [1]
        assert ranked_truth(backward, np.array([item]), np.array([])).rank.tolist() == [1]


def test_old_and_new_items_are_recalled_apart() -> None:
    values = accuracy([ranks(0, 20, repeated=[True, False]), ranks(3, repeated=[False])], 10)
    assert values["recall@10"] == pytest.approx([0.5, 1])
    assert values["repeat_recall@10"] == pytest.approx([1, np.nan], nan_ok=True)
    assert values["explore_recall@10"] == pytest.approx([0, 1])


def test_where_nobody_buys_again_nothing_is_said_of_repeats() -> None:
    assert set(accuracy([ranks(0), ranks(4)], 5)) == {"ndcg@5", "recall@5", "mrr@5", "hit_rate@5"}
