"""Changed copies of a history hold what they should of it."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from train.augment import crop, hide, reorder, view
from train.data.schema import NO_ITEM

LENGTH = 12
Change = Callable[[Tensor, Tensor, float], Tensor]


def padded(lengths: list[int]) -> Tensor:
    """Histories whose items count up from 0, padded on the left."""
    place = torch.arange(LENGTH) - (LENGTH - torch.tensor(lengths)[:, None])
    return torch.where(place >= 0, place, NO_ITEM)


def items(rows: Tensor) -> list[list[int]]:
    return [row[row != NO_ITEM].tolist() for row in rows]


@given(
    lengths=st.lists(st.integers(1, LENGTH), min_size=1, max_size=6), share=st.floats(0.05, 0.95), seed=st.integers(0)
)
def test_a_crop_is_a_run_of_a_share_of_the_items(lengths: list[int], share: float, seed: int) -> None:
    torch.manual_seed(seed % 2**32)
    rows = padded(lengths)
    for length, kept in zip(lengths, items(crop(rows, rows != NO_ITEM, share)), strict=True):
        assert kept == list(range(kept[0], kept[0] + len(kept)))
        assert len(kept) == max(1, int(torch.tensor(share) * length))
        assert 0 <= kept[0] <= kept[-1] < length


@given(lengths=st.lists(st.integers(1, LENGTH), min_size=1, max_size=6), share=st.floats(0.05, 1), seed=st.integers(0))
def test_a_reordered_history_is_the_same_but_for_a_run(lengths: list[int], share: float, seed: int) -> None:
    torch.manual_seed(seed % 2**32)
    rows = padded(lengths)
    changed = reorder(rows, rows != NO_ITEM, share)
    assert torch.equal(changed == NO_ITEM, rows == NO_ITEM)
    for length, row in zip(lengths, items(changed), strict=True):
        moved = [place for place, item in enumerate(row) if place != item]
        assert sorted(row) == list(range(length))
        assert not moved or moved[-1] - moved[0] < max(1, int(torch.tensor(share) * length))


def test_hiding_takes_its_share_and_never_everything() -> None:
    torch.manual_seed(0)
    rows = padded([1, 2, 5] + [LENGTH] * 500)
    hidden = hide(rows, rows != NO_ITEM, 0.3)
    assert all(items(hidden))
    assert (hidden[3:] == NO_ITEM).float().mean() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(hidden[hidden != NO_ITEM], rows[hidden != NO_ITEM])


def test_each_history_is_changed_in_one_of_three_ways_and_by_the_seed_alone() -> None:
    rows = padded([LENGTH] * 60)
    torch.manual_seed(1)
    first, other = view(rows, rows != NO_ITEM), view(rows, rows != NO_ITEM)
    torch.manual_seed(1)
    assert torch.equal(first, view(rows, rows != NO_ITEM))
    assert not torch.equal(first, other)
    counts = [len(row) for row in items(first)]
    assert LENGTH in counts  # reordered
    assert int(0.6 * LENGTH) in counts  # cropped
    assert len(set(counts)) > 2  # thinned
