"""Exact search against putting everything in order."""

import numpy as np
import pytest

from serve.stages.index.exact import nearest

K = 5


@pytest.mark.parametrize("n_items", [0, 3, 1_000])
@pytest.mark.parametrize("n_queries", [1, 70])
def test_the_nearest_are_those_that_come_first_when_all_are_in_order(n_items: int, n_queries: int) -> None:
    rng = np.random.default_rng(n_items + n_queries)
    vectors, queries = (rng.normal(size=(n, 8)).astype(np.float32) for n in (n_items, n_queries))
    expected = np.full((n_queries, K), -1)
    expected[:, : min(K, n_items)] = np.argsort(-(queries @ vectors.T), axis=1)[:, :K]
    assert nearest(queries, vectors, K).tolist() == expected.tolist()
