"""What an epoch of batches holds: every target once, whatever the number of workers."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from cluster.errors import DataError
from tests.train.histories import histories_of
from train.data.batches import Batch, Batches, cut_windows, target_rows
from train.data.schema import EVERY, NO_ITEM, Interactions, Targets, Wanted
from train.data.told import HOUR_MS, NO_MOMENT, moments_of

LENGTHS = (0, 1, 2, 3, 9, 25, 4, 2, 7)


def interactions(lengths: tuple[int, ...] = LENGTHS, order_size: int = 1) -> Interactions:
    """Histories in which every row is an item of its own, so that a batch shows where its rows came from."""
    n = sum(lengths)
    within = np.concatenate([np.arange(length) for length in lengths])
    user = np.repeat(np.arange(len(lengths)), lengths)
    return Interactions(
        user_ids=np.array([str(user) for user in range(len(lengths))], dtype=object),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64), item_idx=np.arange(n),
        timestamp_ms=np.arange(n), order_idx=user * 1000 + within // order_size,
        weight=np.linspace(1, 2, n, dtype=np.float32),
    )  # fmt: skip


def pairs(batches: list[Batch]) -> Counter[tuple[int, int]]:
    """Count (input, target) over all trained positions."""
    found: Counter[tuple[int, int]] = Counter()
    for batch in batches:
        trained = batch.target != NO_ITEM
        found.update(zip(batch.item_idx[trained].tolist(), batch.target[trained].tolist(), strict=True))
    return found


def followers() -> Counter[tuple[int, int]]:
    """Count (row, next row) of each history, slowly."""
    spans = pairwise(interactions().offsets.tolist())
    return Counter((row, row + 1) for start, stop in spans for row in range(start, stop - 1))


@pytest.mark.parametrize("max_length", [2, 4, 5, 50])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_target_is_trained_once_an_epoch(max_length: int, world_size: int) -> None:
    batches = Batches(interactions(), max_length, batch_tokens=12, seed=0)
    parts = [list(batches.epoch(0, rank, world_size)) for rank in range(world_size)]
    assert pairs([batch for part in parts for batch in part]) == followers()


@pytest.mark.parametrize("world_size", [2, 3])
def test_workers_share_each_step_of_a_single_worker(world_size: int) -> None:
    batches = Batches(interactions(), 6, batch_tokens=12, seed=0)
    alone = list(batches.epoch(0))
    parts = [list(batches.epoch(0, rank, world_size)) for rank in range(world_size)]
    assert all(len(part) == len(alone) for part in parts)
    for step, whole in enumerate(alone):
        assert pairs([part[step] for part in parts]) == pairs([whole])
        assert len({part[step].total_weight for part in parts}) == 1
        assert sum(part[step].weight.sum() for part in parts) == pytest.approx(whole.total_weight)
        assert min(len(part[step].item_idx) for part in parts) > 0


def test_a_step_keeps_to_its_tokens_and_pads_on_the_left() -> None:
    for batch in Batches(interactions(), 10, batch_tokens=20, seed=0).epoch(0):
        assert batch.item_idx.size <= 20
        padding = batch.item_idx == NO_ITEM
        assert (np.diff(padding.astype(int), axis=1) <= 0).all()
        assert (batch.target[padding] == NO_ITEM).all()


def test_every_target_of_a_long_history_but_the_first_window_has_half_a_window_of_context() -> None:
    windows = cut_windows(np.array([0, 40]), max_length=8)
    assert windows.lengths.max() == 8
    later = windows.start > 0
    assert (windows.trained[later] - windows.start[later] >= 4).all()


def test_the_same_seed_and_epoch_give_the_same_steps_and_others_do_not() -> None:
    def inputs(seed: int, epoch: int) -> list[list[list[int]]]:
        return [batch.item_idx.tolist() for batch in Batches(interactions(), 6, 12, seed).epoch(epoch)]

    assert inputs(0, 1) == inputs(0, 1)
    assert inputs(0, 1) != inputs(0, 2)
    assert inputs(0, 1) != inputs(1, 1)


def test_an_epoch_can_be_bounded_and_later_ones_bring_other_rows() -> None:
    batches = Batches(interactions((9,) * 50), 8, 64, seed=0, max_rows_per_epoch=100)
    epochs = [pairs(list(batches.epoch(epoch))) for epoch in range(2)]
    assert all(90 <= sum(epoch.values()) <= 100 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_any_item_of_the_next_order_may_be_the_target() -> None:
    data = interactions((6, 5), order_size=2)
    _, first, count = target_rows(data)
    assert first[count > 0].tolist() == [2, 2, 4, 4, 8, 8, 10, 10]
    assert count.tolist() == [2, 2, 2, 2, 0, 0, 2, 2, 1, 1, 0]
    drawn = pairs([b for epoch in range(20) for b in Batches(data, 8, 64, seed=0).epoch(epoch)])
    assert {target for source, target in drawn if source == 0} == {2, 3}
    assert {target for source, target in drawn if source == 8} == {10}


def slow_targets(data: Interactions, wanted: Wanted) -> dict[int, set[int]]:
    """Return each row's targets: what is worth enough in the first later order that has it, if that is late enough."""
    found, worthy = {}, data.weight >= wanted.min_weight
    for row, (user, order) in enumerate(zip(data.user_idx, data.order_idx, strict=True)):
        later = [
            other for other in range(row + 1, len(data))
            if data.user_idx[other] == user and data.order_idx[other] > order and worthy[other]
        ]  # fmt: skip
        same = {other for other in later if data.order_idx[other] == data.order_idx[later[0]]}
        if same and (wanted.after_ms is None or data.timestamp_ms[later[0]] > wanted.after_ms):
            found[row] = same
    return found


@given(seed=st.integers(0, 99), min_weight=st.integers(0, 3), after_ms=st.none() | st.integers(0, 60))
def test_only_wanted_rows_are_targets_and_windows_without_any_are_skipped(
    seed: int, min_weight: int, after_ms: int | None
) -> None:
    data = interactions(order_size=2)
    weight = np.random.default_rng(seed).integers(1, 4, size=len(data)).astype(np.float32)
    data, wanted = replace(data, weight=weight), Wanted(min_weight=min_weight, after_ms=after_ms)
    expected = slow_targets(data, wanted)
    rows, first, count = target_rows(data, wanted)
    assert {row: set(rows[first[row] : first[row] + count[row]]) for row in np.flatnonzero(count)} == expected
    if not expected:
        with pytest.raises(DataError, match="no event may be a target"):
            Batches(data, 6, 12, seed=0, wanted=wanted)
        return
    batches = list(Batches(data, 6, 12, seed=0, wanted=wanted).epoch(0))
    drawn = pairs(batches)
    assert {source for source, _ in drawn} == expected.keys()
    assert all(target in expected[source] for source, target in drawn)
    if wanted != EVERY:
        assert all((batch.target != NO_ITEM).any(axis=1).all() for batch in batches)


def test_without_orders_the_next_order_is_the_next_item() -> None:
    (_, first, count), (_, next_row, one) = (
        target_rows(interactions(), Wanted(targets=targets)) for targets in get_args(Targets)
    )
    np.testing.assert_array_equal(count, one)
    np.testing.assert_array_equal(first[count > 0], next_row[one > 0])


def test_targets_carry_the_weight_of_their_event() -> None:
    data = interactions()
    for batch in Batches(data, 6, 12, seed=0).epoch(0):
        trained = batch.target != NO_ITEM
        np.testing.assert_array_equal(batch.weight[trained], data.weight[batch.target[trained]])
        assert (batch.weight[~trained] == 0).all()


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_batch_carries_the_moment_of_each_target(world_size: int) -> None:
    data = replace(interactions(), timestamp_ms=HOUR_MS * np.arange(len(interactions())))  # row r is of r o'clock
    batches = Batches(data, max_length=6, batch_tokens=12, seed=0)
    for batch in (batch for rank in range(world_size) for batch in batches.epoch(0, rank, world_size)):
        assert batch.told.moments is not None
        np.testing.assert_array_equal(
            batch.told.moments, np.where(batch.target == NO_ITEM, NO_MOMENT, moments_of(HOUR_MS * batch.target))
        )


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_batch_carries_the_traits_of_the_shopper_of_each_row(world_size: int) -> None:
    history = histories_of([[], [1, 2, 3, 4, 5, 6], [], [11, 12], [21, 22, 23]])
    tens = np.array([9, 0, 9, 1, 2], dtype=np.float32)  # of the items of each shopper
    history = replace(history, traits=csr_matrix(np.stack([tens, np.ones(5, np.float32)], axis=1)))
    batches = Batches(history, max_length=3, batch_tokens=6, seed=0)
    rows = 0
    for batch in (batch for rank in range(world_size) for batch in batches.epoch(0, rank, world_size)):
        filled = batch.item_idx[:, -1] >= 0
        traits = batch.told.traits
        assert traits is not None
        assert (traits[filled, 0] == batch.item_idx[filled, -1] // 10).all()
        assert not traits[~filled].any()
        rows += int(filled.sum())
    assert rows == len(batches.windows.start)
