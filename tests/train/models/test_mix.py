"""Lists that keep places for new items, against filling them by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.models.candidates import Candidates
from train.models.mix import best_mixed, new_places


def scored(scores: list[float]) -> Candidates:
    """Return items 0, 1, … with these scores."""
    n = len(scores)
    return Candidates(item_idx=np.arange(n), source=np.zeros(n, np.uint8), score=np.array(scores, dtype=np.float32))


def slow_mix(scores: list[float], k: int, had: set[int], n_new: int) -> list[int]:
    """Return the list from which, one after the other, the worst old item left for the best new one."""
    order = sorted(range(len(scores)), key=lambda item: (-scores[item], item))
    best, rest = order[:k], order[k:]
    while sum(item not in had for item in best) < n_new and any(item not in had for item in rest):
        best.remove([item for item in best if item in had][-1])
        new = next(item for item in rest if item not in had)
        rest.remove(new)
        best.append(new)
    return best


@given(
    scores=st.lists(st.integers(0, 5).map(float), max_size=12),
    had=st.sets(st.integers(0, 11)),
    k=st.integers(1, 8),
    share=st.floats(0, 1),
)
def test_new_items_take_the_places_of_the_worst_old_ones(
    scores: list[float], had: set[int], k: int, share: float
) -> None:
    n_new = new_places(share, k)
    mixed = best_mixed(scored(scores), k, np.array(sorted(had), dtype=np.int64), n_new)
    assert mixed.item_idx.tolist() == slow_mix(scores, k, had, n_new)


def test_a_list_with_enough_new_items_stays_as_it_is() -> None:
    ranked = scored([5, 4, 3, 2, 1])
    assert best_mixed(ranked, 3, np.array([0]), 2).item_idx.tolist() == ranked.best(3).item_idx.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("share", "k", "places"), [(0, 10, 0), (0.3, 10, 3), (0.1, 5, 1), (0.6, 5, 3), (1, 7, 7)])
def test_a_share_of_places_is_rounded_up(share: float, k: int, places: int) -> None:
    assert new_places(share, k) == places
