"""Embeddings before training put items bought close together close together."""

import numpy as np
import pytest

from train.data.schema import Interactions
from train.models.neural import initialise
from train.models.neural.initialise import cooccurrence, normalised, svd_embeddings, truncated_svd

N_ITEMS = 40


@pytest.fixture(scope="module")
def two_tastes() -> Interactions:
    """Shoppers of even items and shoppers of odd items; items 38 and 39 are never bought."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([2 * rng.integers(0, 19, size=8) + user % 2 for user in range(60)])
    n = len(rows)
    return Interactions(
        user_ids=np.array([str(user) for user in range(60)], dtype=object), offsets=np.arange(0, n + 1, 8),
        item_idx=rows, timestamp_ms=np.arange(n), order_idx=np.arange(n), weight=np.ones(n, dtype=np.float32),
    )  # fmt: skip


def test_counts_fade_with_distance_and_stay_within_a_history(two_tastes: Interactions) -> None:
    expected = np.zeros((N_ITEMS, N_ITEMS))
    for user in range(two_tastes.n_users):
        items = two_tastes.items_of(user)
        for i, earlier in enumerate(items):
            for distance, later in enumerate(items[i + 1 : i + 11]):
                expected[earlier, later] += 0.8**distance
                expected[later, earlier] += 0.8**distance
    np.testing.assert_allclose(cooccurrence(two_tastes, N_ITEMS).toarray(), expected)


def test_normalising_divides_by_both_row_sums(two_tastes: Interactions) -> None:
    counts = cooccurrence(two_tastes, N_ITEMS)
    sums = counts.toarray().sum(axis=1)
    assert normalised(counts)[0, 2] == pytest.approx(counts[0, 2] / np.sqrt(sums[0] * sums[2]))


def test_items_of_one_taste_are_closer_than_items_of_two(two_tastes: Interactions) -> None:
    vectors = svd_embeddings(two_tastes, N_ITEMS, embedding_dim=8, seed=0)[:38]
    scores = vectors @ vectors.T
    same = np.equal.outer(np.arange(38) % 2, np.arange(38) % 2)
    assert scores[same].mean() > 4 * abs(scores[~same].mean())


def test_every_row_has_length_about_one_half_even_of_items_never_bought(two_tastes: Interactions) -> None:
    lengths = np.linalg.norm(svd_embeddings(two_tastes, N_ITEMS, embedding_dim=8, seed=0), axis=1)
    np.testing.assert_allclose(lengths, 0.5, atol=0.1)


def test_more_dimensions_than_items_are_filled_with_noise(two_tastes: Interactions) -> None:
    assert svd_embeddings(two_tastes, N_ITEMS, embedding_dim=64, seed=0).shape == (N_ITEMS, 64)


def test_the_same_seed_gives_the_same_vectors(two_tastes: Interactions) -> None:
    one, same, other = (svd_embeddings(two_tastes, N_ITEMS, 8, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("dense_items", [0, 1_000])
def test_the_decomposition_is_numpys(
    two_tastes: Interactions, dense_items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initialise, "DENSE_ITEMS", dense_items)
    matrix = normalised(cooccurrence(two_tastes, N_ITEMS))
    vectors, values = truncated_svd(matrix, 2, seed=0)
    left, expected, _ = np.linalg.svd(matrix.toarray())
    np.testing.assert_allclose(values, expected[:2], rtol=0.02)
    np.testing.assert_allclose(np.abs(vectors.T @ left[:, :2]).max(axis=1), 1, atol=0.1)
