"""Narrower vectors whose inner products are as near as they can be to what they were."""

import numpy as np
import pytest

from train.models.projection import Projection, closest_projection

RNG = np.random.default_rng(0)
SHOPPERS = RNG.standard_normal((50, 6)) * [3, 2, 1, 1, 0.5, 0.1] @ RNG.standard_normal((6, 6))
ITEMS = RNG.standard_normal((40, 6)) * [0.1, 1, 1, 2, 1, 4] + 5


def distance(projection: Projection) -> float:
    """Return the squared distance between the scores before and after, which items share left out."""
    centred = ITEMS - ITEMS.mean(axis=0)
    after = (SHOPPERS @ projection.shoppers) @ (centred @ projection.items).T
    return float(((SHOPPERS @ centred.T - after) ** 2).sum())


@pytest.mark.parametrize("dim", [1, 3, 5])
def test_the_projection_is_as_near_as_the_truncated_decomposition_of_all_scores(dim: int) -> None:
    scores = SHOPPERS @ (ITEMS - ITEMS.mean(axis=0)).T
    left_out = np.linalg.svd(scores, compute_uv=False)[dim:]
    projection = closest_projection(SHOPPERS, ITEMS, dim)
    assert projection.shoppers.shape == projection.items.shape == (6, dim)
    assert distance(projection) == pytest.approx(float((left_out**2).sum()), rel=1e-4)


def test_a_projection_to_the_same_width_keeps_what_ranks_items() -> None:
    projection = closest_projection(SHOPPERS, ITEMS, 6)
    before, after = SHOPPERS @ ITEMS.T, (SHOPPERS @ projection.shoppers) @ (ITEMS @ projection.items).T
    np.testing.assert_allclose(after - after[:, :1], before - before[:, :1], atol=1e-3)


def test_vectors_that_leave_a_dimension_empty_are_projected_without_it() -> None:
    flat = closest_projection(SHOPPERS * [1, 1, 1, 0, 0, 0], ITEMS, 5)
    assert np.isfinite(flat.shoppers).all()
    assert not flat.shoppers[3:].any()


def test_vectors_of_nothing_are_projected_to_nothing() -> None:
    nothing = closest_projection(np.zeros((3, 4)), np.zeros((1, 4)), 2)
    assert not (nothing.shoppers.any() or nothing.items.any())
