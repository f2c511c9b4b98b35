"""Batches of about equal token counts, whose rows are about equally long, so that little is padded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from train.data.schema import NO_ITEM, Interactions

Targets = Literal["next_item", "next_order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One worker's part of one step: B rows, one per window of a history."""

    item_idx: np.ndarray  # (B, L) int64 inputs, padded with NO_ITEM on the left
    target: np.ndarray  # (B, L) int64, NO_ITEM where nothing is to be predicted
    weight: np.ndarray  # (B, L) float32, what the target is worth
    total_weight: float  # of the targets of all workers in this step


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Spans of histories; each row of each history is the input of exactly one window's trained part."""

    start: np.ndarray  # (w,) int64, first input row
    trained: np.ndarray  # (w,) int64, first row whose target is trained; before it is context only
    end: np.ndarray  # (w,) int64, one past the last input row

    @property
    def lengths(self) -> np.ndarray:
        """(w,) input rows."""
        return self.end - self.start

    def take(self, chosen: np.ndarray) -> "Windows":
        """Return the windows at positions `chosen`."""
        return Windows(start=self.start[chosen], trained=self.trained[chosen], end=self.end[chosen])


class Batches:
    """The epochs of one training set; what a step holds depends on (seed, epoch) and not on the number of workers."""

    def __init__(
        self, interactions: Interactions, max_length: int, batch_tokens: int, seed: int,
        targets: Targets = "next_order", max_rows_per_epoch: int | None = None,
    ) -> None:  # fmt: skip
        self.interactions, self.seed, self.batch_tokens = interactions, seed, batch_tokens
        self.max_rows = max_rows_per_epoch
        self.first, self.count = target_rows(interactions, targets)
        self.windows = cut_windows(interactions.offsets, max_length)

    def epoch(self, epoch: int, rank: int = 0, world_size: int = 1) -> "Epoch":
        """Return the steps of one epoch for one worker; every worker gets the same number."""
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self.windows.start))
        if self.max_rows is not None:
            rows = np.cumsum((self.windows.end - self.windows.trained)[order])
            order = order[: max(1, int(np.searchsorted(rows, self.max_rows, side="right")))]
        order = order[np.argsort(-self.windows.lengths[order], kind="stable")]
        groups = _pack(self.windows.lengths[order], self.batch_tokens)
        draws = rng.random(len(self.interactions), dtype=np.float32)
        target = np.where(self.count > 0, self.first + (draws * self.count).astype(np.int64), -1)
        steps = [order[start:stop] for start, stop in groups]
        return Epoch(self, [steps[step] for step in rng.permutation(len(steps))], target, rank, world_size)


class Epoch:
    """One worker's steps of one epoch."""

    def __init__(
        self, batches: Batches, steps: list[np.ndarray], target_row: np.ndarray, rank: int, world_size: int
    ) -> None:
        self.batches, self.steps, self.target_row = batches, steps, target_row
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Batch]:
        return (self._batch(self.batches.windows.take(step)) for step in self.steps)

    def _batch(self, windows: Windows) -> Batch:
        interactions = self.batches.interactions
        rows = windows.end[:, None] + np.arange(-int(windows.lengths.max()), 0)
        target_row = np.where(rows >= windows.trained[:, None], self.target_row[rows], -1)
        weight = np.where(target_row >= 0, interactions.weight[target_row], np.float32(0))
        mine = slice(self.rank, None, self.world_size)
        missing = -(-len(rows) // self.world_size) - len(rows[mine])  # so that no worker has an empty batch
        item_idx = np.where(rows >= windows.start[:, None], interactions.item_idx[rows], NO_ITEM)
        target = np.where(target_row >= 0, interactions.item_idx[target_row], NO_ITEM)
        return Batch(
            item_idx=_fill(item_idx[mine], missing), target=_fill(target[mine], missing),
            weight=_fill(weight[mine], missing, 0), total_weight=float(weight.sum()),
        )  # fmt: skip


def target_rows(interactions: Interactions, targets: Targets) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row the first row that may be its target and how many there are, both (n,).

    `next_item` is the row after it. `next_order` is any row of the next order: lines of one order have no order among
    themselves. Without orders both say the same.
    """
    n = len(interactions)
    rows = np.arange(n)
    new_user = interactions.user_idx[1:] != interactions.user_idx[:-1]
    if targets == "next_item":
        return rows + 1, np.append(~new_user, False)[:n].astype(np.int64)
    starts = np.flatnonzero(np.append(True, (np.diff(interactions.order_idx) != 0) | new_user)[:n])
    bounds = np.append(starts, [n, n])
    order = np.searchsorted(starts, rows, side="right")  # the next order's number
    first, stop = bounds[order], bounds[np.minimum(order + 1, len(bounds) - 1)]
    same_user = interactions.user_idx[np.minimum(first, n - 1)] == interactions.user_idx
    return first, np.where((first < n) & same_user, stop - first, 0)


def cut_windows(offsets: np.ndarray, max_length: int) -> Windows:
    """Cut histories into windows of at most `max_length` inputs.

    The last row of a history has no target and is no input. A longer history is cut from its end in steps of half a
    window, so that every trained position but the oldest sees at least half a window of context.
    """
    stride = max(1, max_length // 2)
    inputs = np.maximum(np.diff(offsets) - 1, 0)
    counts = np.where(inputs > 0, 1 + np.maximum(0, -(-(inputs - max_length) // stride)), 0)
    user = np.repeat(np.arange(len(inputs)), counts)
    number = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0 is the newest window
    end = inputs[user] - number * stride
    start = np.maximum(0, end - max_length)
    trained = np.where(number == counts[user] - 1, start, end - stride)
    base = offsets[:-1][user]
    return Windows(start=base + start, trained=base + trained, end=base + end)


def _pack(lengths: np.ndarray, batch_tokens: int) -> list[tuple[int, int]]:
    groups, start = [], 0
    while start < len(lengths):
        stop = min(len(lengths), start + max(1, batch_tokens // int(lengths[start])))
        groups.append((start, stop))
        start = stop
    return groups


def _fill(rows: np.ndarray, missing: int, value: int = NO_ITEM) -> np.ndarray:
    return np.pad(rows, ((0, missing), (0, 0)), constant_values=value) if missing else rows
