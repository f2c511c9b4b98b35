from dataclasses import replace

import numpy as np
import pytest

from bench.vectors import Held, item_vectors, shopper_vectors
from cluster.errors import QualityError
from serve.stages.index.base import build_base, recall
from serve.stages.index.card import n_cards
from serve.stages.index.config import IndexConfig, Kind
from serve.stages.index.exact import FlatIndex, nearest
from serve.stages.index.mask import Mask


@pytest.mark.parametrize("kind", ["ivf", "ivfpq"])
@pytest.mark.parametrize("wanted", [0.8, 0.97])
def test_it_reads_the_fewest_lists_that_reach_the_wanted_recall(kind: Kind, wanted: float) -> None:
    rng = np.random.default_rng(0)
    vectors = item_vectors(5_000, 16, rng)
    queries = shopper_vectors(vectors, 100, rng)
    base = build_base(vectors, queries, kind, IndexConfig(recall=wanted))
    exact = nearest(queries, vectors, 100)
    assert base.recall == recall(base.best(queries, 100, vectors), exact) >= wanted
    assert 1 < base.nprobe <= base.n_lists // 2
    fewer = replace(base, nprobe=base.nprobe - 1)
    assert recall(fewer.best(queries, 100, vectors), exact) < wanted


@pytest.mark.parametrize("kind", ["ivf", "ivfpq"])
def test_the_recall_holds_for_shoppers_it_was_not_chosen_with(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    vectors = item_vectors(5_000, 16, rng)
    base = build_base(vectors, shopper_vectors(vectors, 256, rng), kind, IndexConfig())
    others = shopper_vectors(vectors, 256, rng)
    assert recall(base.best(others, 100, vectors), nearest(others, vectors, 100)) > 0.95


def test_an_index_that_misses_the_recall_is_refused() -> None:
    noise = np.random.default_rng(0).normal(size=(3_000, 64)).astype(np.float32)
    with pytest.raises(QualityError, match=r"recall@100 is 0\.\d+ with 54 of 107 lists read, not 1\.0"):
        build_base(noise[100:], noise[:100], "ivf", IndexConfig(recall=1.0))


def test_long_items_do_not_fill_a_few_lists() -> None:
    rng = np.random.default_rng(0)
    vectors = item_vectors(5_000, 16, rng)
    vectors[::10] *= 5
    base = build_base(vectors, vectors[:50], "ivf", IndexConfig(nprobe=1))
    largest = max(base.index.invlists.list_size(number) for number in range(base.n_lists))
    assert largest < 10 * len(vectors) / base.n_lists


def test_items_longer_than_any_in_a_sample_are_coded_at_their_length() -> None:
    rng = np.random.default_rng(0)
    vectors = item_vectors(20_000, 16, rng)
    vectors *= np.exp(rng.normal(size=(20_000, 1))).astype(np.float32)
    queries = shopper_vectors(vectors, 100, rng)
    base = build_base(vectors, queries, "ivf", IndexConfig(nprobe=10**6, recall_at=50))
    assert base.recall > 0.999


def test_recall_is_the_share_of_the_exact_list() -> None:
    assert recall(np.array([[1, 2, 3], [4, -1, -1]]), np.array([[3, 1, 9], [4, 5, 6]])) == pytest.approx(0.5)


def test_a_mask_hides_what_it_is_told_to() -> None:
    vectors = np.random.default_rng(0).normal(size=(101, 4)).astype(np.float32)
    base = build_base(vectors, vectors[:5], "ivf", IndexConfig(nprobe=10**6))
    hidden = np.zeros(101, dtype=bool)
    hidden[:3] = True
    mask = Mask(hidden)
    mask.hide(np.array([2, 50, 100]))
    assert sorted(base.propose(vectors[0], 101, mask)) == sorted(set(range(101)) - {0, 1, 2, 50, 100})
    assert mask.n_hidden == 5


def test_an_exact_index_finds_nothing_that_is_gone() -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    held = Held.all_of(vectors)
    index = FlatIndex(held)
    best = index.search(vectors[0], 9)
    held.gone[best[:3]] = True
    assert index.search(vectors[0], 4).tolist() == best[3:7].tolist()
    assert index.search(vectors[0], 8).tolist() == [*best[3:].tolist(), -1, -1]


@pytest.mark.parametrize("kind", ["card", "ivf"])
def test_where_faiss_knows_no_selectors_what_is_hidden_is_made_up_for(kind: Kind) -> None:
    vectors = np.random.default_rng(0).normal(size=(2_000, 4)).astype(np.float32)
    base = build_base(vectors, vectors[:5], kind, IndexConfig(nprobe=10**6))
    score = vectors @ vectors[0]
    best = np.argsort(-score)
    mask = Mask(np.zeros(len(vectors), dtype=bool))
    mask.hide(best[:300])
    found = replace(base, on_card=True).propose(vectors[0], 10, mask)
    assert set(best[300:310]) <= set(found)
    assert not set(best[:300]) & set(found)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["card", "ivf", "ivfpq"])
def test_a_card_finds_what_a_processor_finds(kind: Kind) -> None:
    if not n_cards():
        pytest.skip("FAISS sees no card")
    rng = np.random.default_rng(0)
    vectors = item_vectors(20_000, 64, rng)
    queries = shopper_vectors(vectors, 64, rng)
    base = build_base(vectors, queries, kind, IndexConfig())
    assert base.on_card
    assert base.recall >= 0.97
    mask = Mask(np.zeros(len(vectors), dtype=bool))
    best = base.best(queries[:1], 10, vectors)[0]
    mask.hide(best)
    assert not set(best) & set(base.propose(queries[0], 10, mask))


@pytest.mark.parametrize("n_gone", [0, 1, 40, 300])
@pytest.mark.parametrize("k", [1, 50, 700])
def test_several_searched_together_are_found_as_each_alone(n_gone: int, k: int) -> None:
    rng = np.random.default_rng(n_gone)
    vectors, queries = rng.normal(size=(600, 16)).astype(np.float32), rng.normal(size=(5, 16)).astype(np.float32)
    gone = np.zeros(600, bool)
    gone[np.argsort(-(vectors @ queries[0]))[:n_gone]] = True
    index = FlatIndex(Held(vectors, gone))
    found = index.search_each(queries, k)
    for row, query in zip(found, queries, strict=True):
        expected = [item for item in np.argsort(-(vectors @ query), kind="stable").tolist() if not gone[item]][:k]
        assert row.tolist() == expected + [-1] * (k - len(expected)) == index.search(query, k).tolist()
