"""Completion: what an event alone does not say, looked up in the shopper's history before it is logged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from serve.state.events import UNJUDGED, Event, MicroBatch, Row, Write
from serve.state.live import LearnerConfig
from serve.state.shoppers import AllShoppers, Shopper
from train.data.schema import NO_ITEM
from train.models.shopper import MAX_HISTORY


def draft(events: Sequence[Event], vectors: np.ndarray, first_seq: int, writes: tuple[Write, ...] = ()) -> MicroBatch:
    """Return events as a micro-batch that is not complete yet; vectors: (n, d) float32."""
    n = len(events)
    return MicroBatch(
        first_seq=first_seq,
        event_types=tuple(event.event_type for event in events),
        user_ids=tuple(event.user_id for event in events),
        order_keys=tuple(event.order_key for event in events),
        item_idx=np.fromiter((event.item_idx for event in events), np.int64, n),
        weight=np.fromiter((event.weight for event in events), np.float64, n),
        timestamp_ms=np.fromiter((event.timestamp_ms for event in events), np.int64, n),
        same_order=np.zeros(n, dtype=bool), standing=np.zeros(n, np.float32),
        previous=np.empty((n, 0), np.int64), vectors=vectors,
        judged=np.array([event.judged for event in events], np.int32).reshape(n, len(UNJUDGED)),
        opinion=np.array([event.opinion for event in events], np.float32),  # None is NaN
        writes=writes,
    )  # fmt: skip


def complete(batch: MicroBatch, shoppers: AllShoppers, window: int, config: LearnerConfig) -> MicroBatch:
    """Return the batch with `previous`, `same_order` and `standing`, earlier events of the same batch counted.

    window: rows of a history that count here. Standing is what keeps a crowd of fake shoppers small: it grows with what
    a shopper did before and with how long ago that began, and is nothing for the same item again within
    `repeat_minutes`.
    """
    same_order = np.zeros(len(batch), dtype=bool)
    standing = np.zeros(len(batch), dtype=np.float32)
    previous = np.full((len(batch), window), NO_ITEM, dtype=np.int64)
    tails: dict[str, _Tail] = {}
    for position, (user_id, row) in enumerate(zip(batch.user_ids, batch.rows(), strict=True)):
        if row.item_idx == NO_ITEM or row.weight == 0:
            continue
        tail = tails.get(user_id) or _Tail.of(shoppers.get(user_id), window)
        n = len(tail.item_idx)
        standing[position] = min(1, (1 + n) / (1 + config.trusted_rows)) * tail.age(row, config.trusted_hours * 3.6e6)
        if row.weight < 0:
            continue
        if tail.repeats(row, config.repeat_minutes * 60_000):
            standing[position] = 0
        if n:
            previous[position, window - n :] = tail.item_idx[::-1]
            same_order[position] = tail.in_last_order(row)
        tail.append(row, window)
        tails[user_id] = tail  # so that it matters not how events were batched
    return replace(batch, same_order=same_order, standing=standing, previous=previous)


@dataclass(slots=True)
class _Tail:
    """The newest rows of a shopper's history, oldest first, as lists: they are too short for arrays."""

    item_idx: list[int]
    timestamp_ms: list[int]  # of all rows that are kept, the newest ones with an item_idx
    order_key: str  # of the newest row

    @classmethod
    def of(cls, shopper: Shopper, window: int) -> "_Tail":
        last = shopper.history
        return cls(last.item_idx[-window:].tolist(), last.timestamp_ms.tolist(), shopper.order_key)

    def age(self, row: Row, trusted_ms: float) -> float:
        """Return how old the history is when a row comes, as a share of the age at which it is trusted, at most 1."""
        if not trusted_ms:
            return 1.0
        began_ms = self.timestamp_ms[0] if self.timestamp_ms else row.timestamp_ms
        return min(1.0, max(0, row.timestamp_ms - began_ms) / trusted_ms)

    def append(self, row: Row, window: int) -> None:
        self.item_idx = [*self.item_idx, row.item_idx][-window:]
        self.timestamp_ms.append(row.timestamp_ms)
        del self.timestamp_ms[:-MAX_HISTORY]
        self.order_key = row.order_key

    def repeats(self, row: Row, repeat_ms: float) -> bool:
        """Tell whether the newest row of the same item is less than `repeat_ms` older."""
        newest = zip(reversed(self.item_idx), reversed(self.timestamp_ms), strict=False)
        at = next((at for item, at in newest if item == row.item_idx), None)
        return at is not None and row.timestamp_ms - at < repeat_ms

    def in_last_order(self, row: Row) -> bool:
        """Tell whether an event belongs to the newest row's order: one key, or no keys and one time."""
        if row.order_key != self.order_key:
            return False
        return bool(row.order_key) or row.timestamp_ms == self.timestamp_ms[-1]
