"""The items that stand still, beside an index of those that move."""

import numpy as np

from bench.vectors import Held
from serve.stages.index.exact import FlatIndex, nearest
from serve.stages.index.still import StillIndex, still_index


def vectors(seed: int, n: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32)


def test_beside_an_exact_index_search_is_exact() -> None:
    published, query = vectors(0), vectors(1, 1)[0]
    found = still_index(FlatIndex(Held.all_of(vectors(2))), Held.all_of(published)).search(query, 10)
    assert found.tolist() == nearest(query[None], published, 10)[0].tolist()


def test_beside_another_index_its_proposals_are_ordered_by_the_published_vectors() -> None:
    published, query = vectors(0), vectors(1, 1)[0]
    live = published + 0.05 * vectors(2)
    found = StillIndex(FlatIndex(Held.all_of(live)), Held.all_of(published)).search(query, 10)
    assert found.tolist() == nearest(query[None], published, 10)[0].tolist()
    assert found.tolist() != nearest(query[None], live, 10)[0].tolist()


def test_where_items_are_few_the_rest_is_empty_and_what_is_gone_is_not_found() -> None:
    published = vectors(0, 5)
    live = Held.all_of(published)
    live.gone[[2, 3]] = True
    found = StillIndex(FlatIndex(live), live).search(published[2], 6)
    assert set(found[:3].tolist()) == {0, 1, 4}
    assert found[3:].tolist() == [-1] * 3
