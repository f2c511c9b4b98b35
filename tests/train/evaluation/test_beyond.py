"""What lists are beyond right, against loops over pairs and items."""

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from train.evaluation.beyond import (
    category_divergence,
    coverage,
    diversity,
    gini,
    mean_of_items,
    popularity_percentile,
    self_information,
    shown_items,
)
from train.evaluation.lists import ENDED

N_ITEMS = 30


@pytest.fixture
def lists() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.choice(N_ITEMS, size, replace=False) for size in (5, 3, 8, 2, 4)]


@pytest.fixture
def attributes() -> csr_matrix:
    """Items of one to five attributes, but one that has none."""
    dense = np.random.default_rng(1).random((N_ITEMS, 7)) < 0.4
    dense[:, 0] |= ~dense.any(axis=1)
    dense[4] = False
    return csr_matrix(dense.astype(np.float32))


def shown(lists: list[np.ndarray], n_items: int) -> csr_matrix:
    """Return lists of any lengths as a sparse matrix."""
    rectangle = np.full((len(lists), max(map(len, lists), default=0)), ENDED)
    for row, items in zip(rectangle, lists, strict=True):
        row[: len(items)] = items
    return shown_items(rectangle, n_items)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    norms = math.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum()) / norms if norms else 0.0


def test_diversity_is_one_minus_the_mean_cosine_of_all_pairs(lists: list[np.ndarray], attributes: csr_matrix) -> None:
    dense = attributes.toarray()
    found = diversity(shown(lists, N_ITEMS), attributes)
    for items, value in zip(lists, found, strict=True):
        pairs = [cosine(dense[a], dense[b]) for a, b in combinations(items, 2)]
        assert value == pytest.approx(1 - sum(pairs) / len(pairs))


def test_a_list_of_one_item_has_no_diversity(attributes: csr_matrix) -> None:
    found = diversity(shown([np.array([3]), np.array([], np.int64), np.array([4, 3])], N_ITEMS), attributes)
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(1)  # item 4 has no attributes and so resembles nothing


def test_novelty_is_the_mean_surprise_of_the_items(lists: list[np.ndarray]) -> None:
    popularity = np.arange(N_ITEMS, dtype=float) ** 2
    found = mean_of_items(shown(lists, N_ITEMS), self_information(popularity))
    total = sum(count + 1 for count in popularity)
    for items, value in zip(lists, found, strict=True):
        assert value == pytest.approx(sum(-math.log2((popularity[i] + 1) / total) for i in items) / len(items))


def test_a_percentile_is_the_share_of_less_popular_items_with_ties_half_way() -> None:
    popularity = np.array([3.0, 0, 3, 9])
    below = [sum(b < a for b in popularity) + sum(b == a for b in popularity) / 2 for a in popularity]
    assert popularity_percentile(popularity) == pytest.approx(np.array(below) / 4)


def test_random_lists_are_popular_by_half_and_popular_ones_by_nearly_all() -> None:
    popularity = np.arange(200.0)
    everything = shown([np.arange(200)], 200)
    assert mean_of_items(everything, popularity_percentile(popularity)) == pytest.approx([0.5])
    assert mean_of_items(shown([np.arange(190, 200)], 200), popularity_percentile(popularity))[0] > 0.97


def test_coverage_counts_items_that_any_list_shows(lists: list[np.ndarray]) -> None:
    assert coverage(shown(lists, N_ITEMS)) == len({int(item) for items in lists for item in items}) / N_ITEMS
    assert coverage(shown([], N_ITEMS)) == 0


def test_gini_is_the_mean_difference_of_all_pairs_of_exposures(lists: list[np.ndarray]) -> None:
    counts = Counter(int(item) for items in lists for item in items)
    exposure = [counts[item] for item in range(N_ITEMS)]
    apart = sum(abs(a - b) for a in exposure for b in exposure)
    assert gini(shown(lists, N_ITEMS)) == pytest.approx(apart / (2 * N_ITEMS * sum(exposure)))


def test_gini_is_0_where_all_items_are_shown_alike_and_near_1_where_one_is() -> None:
    assert gini(shown([np.arange(N_ITEMS)] * 4, N_ITEMS)) == pytest.approx(0)
    assert gini(shown([np.array([7])] * 50, N_ITEMS)) == pytest.approx(1 - 1 / N_ITEMS)


def mix(items: np.ndarray, categories: np.ndarray) -> dict[int, float]:
    """The share of each category among items, each item's weight parted evenly among its own."""
    shares: dict[int, float] = {}
    for item in items:
        own = np.flatnonzero(categories[item]).tolist()
        for category in own:
            shares[category] = shares.get(category, 0) + 1 / len(own)
    return {category: share / sum(shares.values()) for category, share in shares.items()}


def test_category_divergence_is_the_relative_entropy_of_the_two_mixes(
    lists: list[np.ndarray], attributes: csr_matrix
) -> None:
    pasts = [np.array([1, 1, 2]), np.array([9, 10, 11, 3]), np.array([5]), np.array([7, 7]), np.array([4])]
    counts = np.array([np.bincount(past, minlength=N_ITEMS) for past in pasts])
    found = category_divergence(csr_matrix(counts), shown(lists, N_ITEMS), attributes)
    for past, items, value in zip(pasts[:4], lists, found, strict=False):
        wanted, given = mix(past, attributes.toarray()), mix(items, attributes.toarray())
        nats = sum(p * math.log(p / (0.99 * given.get(c, 0) + 0.01 * p)) for c, p in wanted.items())
        assert value == pytest.approx(nats)
    assert np.isnan(found[4])  # the only item of that history has no category


def test_a_list_with_the_mix_of_the_history_is_calibrated() -> None:
    categories = csr_matrix(np.eye(2)[[0, 0, 1, 1]])
    past = csr_matrix([[3, 0, 1, 0], [3, 0, 1, 0]])
    found = category_divergence(past, csr_matrix([[1, 1, 1, 0], [0, 0, 1, 1]]), categories)
    assert found[0] < 0.02 < 1 < found[1]
