"""Batches of about equal token counts, whose rows are about equally long, so that little is padded."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from cluster.errors import DataError
from train.data.schema import EVERY, NO_ITEM, Interactions, Wanted
from train.data.told import NO_MOMENT, NOTHING, Told, moments_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One worker's part of one step: B rows, one per window of a history."""

    item_idx: np.ndarray  # (B, L) int64 inputs, padded with NO_ITEM on the left
    target: np.ndarray  # (B, L) int64, NO_ITEM where nothing is to be predicted
    weight: np.ndarray  # (B, L) float32, what the target is worth
    total_weight: float  # of the targets of all workers in this step
    told: Told[np.ndarray] = NOTHING  # of each row's shopper, and of each target's time


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
        max_rows_per_epoch: int | None = None, wanted: Wanted = EVERY,
    ) -> None:  # fmt: skip
        self.interactions, self.seed, self.batch_tokens = interactions, seed, batch_tokens
        self.max_rows = max_rows_per_epoch
        self.rows, self.first, self.count = target_rows(interactions, wanted)
        self.windows = cut_windows(interactions.offsets, max_length)
        if wanted.is_part:
            self.windows = _with_targets(self.windows, self.count)

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
        drawn = np.minimum(self.first + (draws * self.count).astype(np.int64), len(self.rows) - 1)
        target = np.where(self.count > 0, self.rows[drawn], -1)
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
            told=Told(self._traits(windows.start[mine], missing), _fill(self._moments(target_row[mine]), missing)),
        )  # fmt: skip

    def _moments(self, target_row: np.ndarray) -> np.ndarray:
        moments = moments_of(self.batches.interactions.timestamp_ms[target_row])
        return np.where(target_row >= 0, moments, NO_MOMENT)

    def _traits(self, rows: np.ndarray, missing: int) -> np.ndarray | None:
        interactions = self.batches.interactions
        if interactions.traits is None:
            return None
        return _fill(csr_matrix(interactions.traits[interactions.user_idx[rows]]).toarray(), missing, 0)


def target_rows(interactions: Interactions, wanted: Wanted = EVERY) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows that may be targets, (s,), and for each row which of them is its first and how many are, (n,).

    `next_item` is the first such row after it. `next_order` is any of those in the next order that has one: lines of
    one order have no order among themselves. Without orders both say the same.
    """
    n, user = len(interactions), interactions.user_idx
    rows = np.flatnonzero(interactions.weight >= wanted.min_weight)
    stop = np.arange(n) + 1 if wanted.targets == "next_item" else _order_ends(interactions)
    first = np.searchsorted(rows, stop)
    found = np.append(rows, n)[first]  # n: none
    known = np.flatnonzero(found < n)
    known = known[user[found[known]] == user[known]]
    if wanted.after_ms is not None:
        known = known[interactions.timestamp_ms[found[known]] > wanted.after_ms]
    count = np.zeros(n, dtype=np.int64)
    count[known] = np.searchsorted(rows, stop[found[known]]) - first[known]
    return rows, first, count


def _order_ends(interactions: Interactions) -> np.ndarray:
    """Return one past the last row of each row's order, (n,)."""
    n, user = len(interactions), interactions.user_idx
    is_last = np.append((np.diff(interactions.order_idx) != 0) | (user[1:] != user[:-1]), True)[:n]
    ends = np.flatnonzero(is_last) + 1
    return ends[np.searchsorted(ends, np.arange(n), side="right")]


def _with_targets(windows: Windows, count: np.ndarray) -> Windows:
    """Return the windows in which anything is trained; count: (n,) targets of each row."""
    trained = np.concatenate(([0], np.cumsum(count > 0)))
    kept = np.flatnonzero(trained[windows.end] > trained[windows.trained])
    if not len(kept):
        raise DataError(
            "no event may be a target: none is worth enough, or none is new and not held out; lower target_weight, "
            "valid_fraction and test_fraction, or give newer data"
        )
    return windows.take(kept)


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
