"""Rows of the next-basket comparison, against slow ones."""

from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tests.train.conftest import Small
from tests.train.histories import histories_of, one_history
from train.data.schema import Queries
from train.data.split import SplitConfig, make_split
from train.evaluation.baskets import (
    DISCOVERING,
    TIFU,
    basket_rows,
    by_neighbours,
    decayed_top,
    decayed_top_with_rules,
    discovery,
    mixture,
)
from train.evaluation.measure import all_of, measure_rows
from train.evaluation.offline import asked
from train.evaluation.outcome import Evaluation
from train.evaluation.summary import ENGINE
from train.models.candidates import Candidates
from train.models.closed_form.tifu_knn import TifuKnn, TifuKnnConfig
from train.models.item_state import ItemState, ItemStateConfig, fit_item_state
from train.models.prospect import Prospect
from train.models.transitions import Followers
from train.training_set import TrainingSet

N = 7
K, N_NEW = 6, 2
ITEMS, ORDERS = [0, 1, 0, 2, 1, 0], [4, 4, 6, 6, 6, 9]


def a_state() -> ItemState:
    return fit_item_state(np.ones((N, 2), np.float32), histories_of([[3, 3, 4, 0, 5]]), True, ItemStateConfig())


def a_prospect() -> Prospect:
    return Prospect(
        history=one_history(ITEMS, orders=ORDERS), vector=np.ones(2, np.float32),
        followers=Followers(np.array([1, 4]), np.array([1.0, 3.0])),
        candidates=Candidates(item_idx=np.array([3, 4, 6]), source=np.zeros(3, np.uint8), score=np.zeros(3)),
    )  # fmt: skip


def scores(ranked: Candidates) -> dict[int, float]:
    return dict(zip(ranked.item_idx.tolist(), ranked.score.tolist(), strict=True))


def slow_decayed() -> Counter[int]:
    distinct = sorted(set(ORDERS), reverse=True)
    counts: Counter[int] = Counter()
    for item, order in zip(ITEMS, ORDERS, strict=True):
        counts[item] += 0.9 ** distinct.index(order)  # pyright: ignore[reportArgumentType]
    return counts


def test_own_items_count_less_with_each_later_order_and_others_follow_by_popularity() -> None:
    found, expected = scores(decayed_top(a_prospect(), a_state())), slow_decayed()
    assert {item: found[item] for item in expected} == pytest.approx(dict(expected))
    assert sorted(found, key=lambda item: -found[item]) == [0, 1, 2, 3, 4, 6]


def test_rules_are_added_as_shares() -> None:
    found, own = scores(decayed_top_with_rules(a_prospect(), a_state())), slow_decayed()
    share = {item: own[item] / own.total() + 0.3 * {1: 0.25, 4: 0.75}.get(item, 0) for item in found}
    assert found == pytest.approx(share)


def test_tifu_knn_ranks_by_the_orders_of_the_history() -> None:
    model = TifuKnn.fit(TifuKnnConfig(), TrainingSet(train=histories_of([[0, 1], [4, 4, 6]]), n_items=N), 0)
    found = scores(by_neighbours(model)(a_prospect(), a_state()))
    expected = model.scores([np.array(ITEMS)], [np.array(ORDERS)])[0]
    assert [found[item] for item in range(N)] == pytest.approx(expected.tolist())
    few = by_neighbours(model, most=3)(a_prospect(), a_state())
    assert set(few.item_idx.tolist()) == set(np.argsort(-expected)[:3].tolist())


@pytest.fixture(scope="module")
def measured(small: Small) -> tuple[Evaluation, Queries]:
    bundle = small.published.bundle
    queries = make_split(small.prepared.interactions, SplitConfig.parse(["split=leave_one_out"]), has_clock=True).valid
    tifu = TifuKnn.fit(TifuKnnConfig(), TrainingSet(train=bundle.histories, n_items=bundle.state.n_items), 0)
    rows = basket_rows(bundle.state, bundle.ranker, tifu, K, N_NEW)
    ask = partial(asked, bundle.model, bundle.state, bundle.sources, bundle.histories)
    return measure_rows(all_of(rows), bundle.state, ask, queries, True, K), queries


def test_a_list_of_new_items_holds_nothing_that_the_shopper_had(
    measured: tuple[Evaluation, Queries], small: Small
) -> None:
    evaluation, queries = measured
    for name in (ENGINE, *DISCOVERING):
        shown = evaluation.rows[discovery(name)].shown
        for query in range(len(queries)):
            had = small.published.bundle.histories.items_of(int(queries.user_idx[query]))[: queries.cut[query]]
            assert not shown[query, had].toarray().any()
        assert shown.sum(axis=1).min() == K


def test_a_mixed_list_has_its_new_items(measured: tuple[Evaluation, Queries], small: Small) -> None:
    evaluation, queries = measured
    shown = evaluation.rows[mixture(N_NEW, K)].shown
    for query in range(len(queries)):
        had = small.published.bundle.histories.items_of(int(queries.user_idx[query]))[: queries.cut[query]]
        assert K - shown[query, np.unique(had)].sum() >= N_NEW
    assert shown.sum(axis=1).min() == K


def test_every_row_answers_every_query(measured: tuple[Evaluation, Queries]) -> None:
    evaluation, queries = measured
    assert TIFU in evaluation.rows
    assert {len(row.values[f"ndcg@{K}"]) for row in evaluation.rows.values()} == {len(queries)}


def test_the_first_order_of_a_shopper_is_ranked_by_popularity() -> None:
    stranger = replace(a_prospect(), history=one_history([]))
    ranked = decayed_top_with_rules(
        replace(stranger, followers=Followers(np.empty(0, np.int64), np.empty(0))), a_state()
    )
    assert ranked.best(2).item_idx.tolist() == [3, 4]
