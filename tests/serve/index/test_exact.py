"""Exact search against putting everything in order."""

import numpy as np
import pytest

from serve.stages.index import exact
from serve.stages.index.exact import BLOCKS, SIDE_BY_SIDE, SMALLEST, nearest

K = 5
ENOUGH = BLOCKS * K * SMALLEST  # items from which queries are answered side by side


@pytest.mark.parametrize("n_items", [3, ENOUGH - 1, ENOUGH, ENOUGH + 7, 10 * ENOUGH + 3])
@pytest.mark.parametrize("n_queries", [1, SIDE_BY_SIDE, 70])
def test_the_nearest_are_those_that_come_first_when_all_are_in_order(n_items: int, n_queries: int) -> None:
    rng = np.random.default_rng(n_items + n_queries)
    vectors, queries = (rng.normal(size=(n, 8)).astype(np.float32) for n in (n_items, n_queries))
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :K]
    assert nearest(queries, vectors, K)[:, : expected.shape[1]].tolist() == expected.tolist()


def test_of_equals_the_earlier_comes_first() -> None:
    rng = np.random.default_rng(0)
    vectors, queries = (rng.integers(-2, 3, size=(n, 3)).astype(np.float32) for n in (2 * ENOUGH, SIDE_BY_SIDE))
    expected = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :K]
    assert nearest(queries, vectors, K).tolist() == expected.tolist()


def test_more_queries_than_are_held_at_once_are_answered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    vectors, queries = (rng.normal(size=(n, 8)).astype(np.float32) for n in (2 * ENOUGH, 10))
    whole = nearest(queries, vectors, K)
    monkeypatch.setattr(exact, "HELD", len(vectors) * SIDE_BY_SIDE)
    assert nearest(queries, vectors, K).tolist() == whole.tolist()


def test_among_no_items_nothing_is_found() -> None:
    assert nearest(np.ones((4, 8), np.float32), np.empty((0, 8), np.float32), 2).tolist() == [[-1, -1]] * 4
