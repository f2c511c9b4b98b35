"""Small histories for tests, from plain lists."""

import numpy as np

from train.data.schema import Interactions
from train.models.shopper import History

DAY_MS = 86_400_000


def histories_of(sequences: list[list[int]], days: list[list[float]] | None = None) -> Interactions:
    """Return one user per sequence of item_idx; each row is an order of its own, a day after the one before."""
    days = days or [list(range(len(sequence))) for sequence in sequences]
    lengths = [len(sequence) for sequence in sequences]
    n = sum(lengths)
    return Interactions(
        user_ids=np.array([f"u{user}" for user in range(len(sequences))], dtype=object),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        item_idx=np.array([item for sequence in sequences for item in sequence], dtype=np.int64),
        timestamp_ms=np.array([round(day * DAY_MS) for of_user in days for day in of_user], dtype=np.int64),
        order_idx=np.arange(n, dtype=np.int64), weight=np.ones(n, dtype=np.float32),
    )  # fmt: skip


def one_history(items: list[int], days: list[float] | None = None, orders: list[int] | None = None) -> History:
    """Return one shopper's rows."""
    n = len(items)
    return History(
        item_idx=np.array(items, dtype=np.int64),
        timestamp_ms=np.array([round(day * DAY_MS) for day in days or range(n)], dtype=np.int64),
        order_idx=np.array(orders or range(n), dtype=np.int64),
    )
