"""Temporal item frequencies and neighbours against the formulas, written slowly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.schema import Interactions
from train.models.closed_form.tifu_knn import TifuKnn, TifuKnnConfig, frequencies
from train.training_set import TrainingSet

N_ITEMS = 7
CONFIG = TifuKnnConfig(groups=3, within_decay=0.8, between_decay=0.5, max_neighbours=2, own_share=0.6)
SHOPS = [
    [[0, 1], [1], [2, 3], [0], [1, 4], [5], [0, 1]],
    [[2]],
    [],
    [[0], [1, 2]],
    [[4, 5], [5], [4], [3, 5]],
]  # shopper → orders → items
Orders = list[list[int]]


def slow_frequencies(orders: Orders, config: TifuKnnConfig) -> np.ndarray:
    """Return v by walking over the groups of a history."""
    vector, m = np.zeros(N_ITEMS), min(config.groups, len(orders))
    groups = [part.tolist() for part in np.array_split(np.arange(len(orders))[::-1], m)] if m else []
    for g, newest_first in enumerate(groups):
        for i, order in enumerate(newest_first):
            for item in orders[order]:
                vector[item] += config.within_decay**i / len(newest_first) * config.between_decay**g / m
    return vector


def slow_scores(orders: Orders, config: TifuKnnConfig) -> np.ndarray:
    """Return P by measuring the distance to everyone."""
    own = slow_frequencies(orders, config)
    others = [slow_frequencies(shopper, config) for shopper in SHOPS if shopper]
    nearest = sorted(others, key=lambda other: float(np.linalg.norm(other - own)))[: config.max_neighbours]
    return config.own_share * own + (1 - config.own_share) * np.mean(nearest, axis=0)


def rows_of(shops: list[Orders]) -> Interactions:
    """Return the shoppers as training reads them; order_idx has gaps."""
    sizes = [[len(order) for order in orders] for orders in shops]
    lengths = [sum(of_shopper) for of_shopper in sizes]
    n, n_orders = sum(lengths), sum(len(orders) for orders in shops)
    return Interactions(
        user_ids=np.array([f"u{user}" for user in range(len(shops))], dtype=object),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        item_idx=np.array([item for orders in shops for order in orders for item in order], dtype=np.int64),
        timestamp_ms=np.arange(n), weight=np.ones(n, np.float32),
        order_idx=np.repeat(3 * np.arange(n_orders), [size for of_shopper in sizes for size in of_shopper]),
    )  # fmt: skip


def asked(orders: Orders) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of one history: item_idx, order_idx."""
    rows = rows_of([orders])
    return rows.item_idx, rows.order_idx


MODEL = TifuKnn.fit(CONFIG, TrainingSet(train=rows_of(SHOPS), n_items=N_ITEMS), 0)


@given(
    orders=st.lists(st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=3, unique=True), max_size=12),
    groups=st.integers(1, 5),
)
def test_frequencies_follow_the_formula(orders: Orders, groups: int) -> None:
    config = CONFIG.model_copy(update={"groups": groups})
    rows = rows_of([[], orders])
    found = frequencies(rows.user_idx, rows.order_idx, rows.item_idx, (2, N_ITEMS), config).toarray()
    np.testing.assert_allclose(found, [np.zeros(N_ITEMS), slow_frequencies(orders, config)], rtol=1e-5)


@pytest.mark.parametrize("orders", [*SHOPS, [[6], [0, 5]]])
def test_scores_mix_own_frequencies_with_those_of_the_nearest(orders: Orders) -> None:
    item_idx, order_idx = asked(orders)
    np.testing.assert_allclose(MODEL.scores([item_idx], [order_idx])[0], slow_scores(orders, CONFIG), rtol=1e-5)


def test_without_orders_each_row_is_one() -> None:
    expected = slow_scores([[0], [1], [1], [4]], CONFIG)
    np.testing.assert_allclose(MODEL.scores([np.array([0, 1, 1, 4])])[0], expected, rtol=1e-5)


def test_many_histories_are_scored_in_parts_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [asked(orders) for orders in SHOPS]
    together = MODEL.scores([items for items, _ in pairs], [orders for _, orders in pairs])
    monkeypatch.setattr("train.models.closed_form.tifu_knn.CHUNK", 1)
    parts = MODEL.scores([items for items, _ in pairs], [orders for _, orders in pairs])
    np.testing.assert_array_equal(together, parts)
    np.testing.assert_array_equal(together, np.concatenate([MODEL.scores([one], [two]) for one, two in pairs]))


def test_shoppers_without_training_rows_are_nobodys_neighbours() -> None:
    assert MODEL.vectors.get_shape()[0] == 4
