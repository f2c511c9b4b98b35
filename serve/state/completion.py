"""Completion: what an event alone does not say, looked up in the shopper's history before it is logged."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from serve.state.events import UNJUDGED, Event, ItemWrite, MicroBatch, Row
from serve.state.live import LearnerConfig
from serve.state.shoppers import AllShoppers, Shopper
from train.data.schema import NO_ITEM
from train.models.shopper import History


def draft(
    events: Sequence[Event], vectors: np.ndarray, first_seq: int, writes: tuple[ItemWrite, ...] = ()
) -> MicroBatch:
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
        writes=writes,
    )  # fmt: skip


def complete(batch: MicroBatch, shoppers: AllShoppers, window: int, config: LearnerConfig) -> MicroBatch:
    """Return the batch with `previous`, `same_order` and `standing`, earlier events of the same batch counted.

    window: rows of a history that count here. Standing is what keeps a crowd of fake shoppers small: it grows with what
    a shopper did before, and is nothing for the same item again within `repeat_minutes`.
    """
    same_order = np.zeros(len(batch), dtype=bool)
    standing = np.zeros(len(batch), dtype=np.float32)
    previous = np.full((len(batch), window), NO_ITEM, dtype=np.int64)
    tails: dict[str, Shopper] = {}
    for position, (user_id, row) in enumerate(zip(batch.user_ids, batch.rows(), strict=True)):
        if row.item_idx == NO_ITEM or batch.weight[position] == 0:
            continue
        tail = tails.get(user_id) or _tail(shoppers.get(user_id), window)
        standing[position] = min(1, (1 + len(tail.history)) / (1 + config.trusted_rows))
        if batch.weight[position] < 0:
            continue
        if _repeats(tail.history, row, config.repeat_minutes * 60_000):
            standing[position] = 0
        newest = tail.history.newest_first(window)
        previous[position, window - len(newest) :] = newest
        same_order[position] = tail.in_last_order(row.timestamp_ms, row.order_key)
        tails[user_id] = _tail(tail.appended(row), window)  # so that it matters not how events were batched
    return replace(batch, same_order=same_order, standing=standing, previous=previous)


def _repeats(tail: History, row: Row, repeat_ms: float) -> bool:
    seen = tail.timestamp_ms[tail.item_idx == row.item_idx]
    return len(seen) > 0 and row.timestamp_ms - int(seen[-1]) < repeat_ms


def _tail(shopper: Shopper, window: int) -> Shopper:
    last = shopper.history
    last = History(
        item_idx=last.item_idx[-window:], timestamp_ms=last.timestamp_ms[-window:], order_idx=last.order_idx[-window:]
    )
    return replace(shopper, history=last)
