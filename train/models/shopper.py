"""A shopper as the engine sees one: a bounded history, and the vector h_u that it encodes to."""

from dataclasses import dataclass

import numpy as np

from train.data.schema import Interactions
from train.data.told import NO_MOMENT, Told, moments_of

MAX_HISTORY = 1_000  # rows kept per shopper; the encoder reads the newest of them, repeat statistics read all


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What one shopper did, oldest first, at most MAX_HISTORY rows."""

    item_idx: np.ndarray  # (n,) int64
    timestamp_ms: np.ndarray  # (n,) int64
    order_idx: np.ndarray  # (n,) int64, never falls; lines of one order share it
    traits: np.ndarray | None = None  # (n_traits,) float32, what else is known of the shopper; where the model asks
    is_open: bool = False  # whether the newest order goes on: the question is what else it will hold
    asked_ms: int | None = None  # when the question is asked, since the epoch, UTC; nothing where at no time of its own

    def __len__(self) -> int:
        return len(self.item_idx)

    @property
    def is_stranger(self) -> bool:
        """Whether nothing is known of the shopper, neither a row nor a trait."""
        return not len(self.item_idx) and self.traits is None

    def appended(self, item_idx: int, timestamp_ms: int, same_order: bool) -> "History":
        """Return the history with one more row, the oldest dropped when it is full; what is asked is told anew."""
        order_idx = (int(self.order_idx[-1]) + (not same_order)) if len(self) else 0
        return History(
            item_idx=pushed(self.item_idx, item_idx),
            timestamp_ms=pushed(self.timestamp_ms, timestamp_ms),
            order_idx=pushed(self.order_idx, order_idx),
            traits=self.traits,
        )

    def where(self, mask: np.ndarray) -> "History":
        """Return the rows where `mask` (n,) is true, and what else is known of the shopper; no order is open."""
        return History(
            item_idx=self.item_idx[mask], timestamp_ms=self.timestamp_ms[mask], order_idx=self.order_idx[mask],
            traits=self.traits, asked_ms=self.asked_ms,
        )  # fmt: skip

    def newest_first(self, k: int) -> np.ndarray:
        """Return the last k item_idx, newest first."""
        return self.item_idx[: -k - 1 : -1]


def pushed(column: np.ndarray, value: int) -> np.ndarray:
    """Return a column with one more row at its end, the oldest dropped when it has MAX_HISTORY."""
    # np.append would take five times as long, three times per event.
    kept = column if len(column) < MAX_HISTORY else column[1 - MAX_HISTORY :]
    n = len(kept)
    pushed = np.empty(n + 1, np.int64)
    pushed[:n] = kept
    pushed[n] = value
    return pushed


NO_HISTORY = History(
    item_idx=np.empty(0, np.int64), timestamp_ms=np.empty(0, np.int64), order_idx=np.empty(0, np.int64)
)


def history_of(interactions: Interactions, user_idx: int, cut: int | None = None) -> History:
    """Return a user's history after their first `cut` rows (all rows when None), asked when the next row happens.

    It is open where the cut parts an order.
    """
    start, last = interactions.offsets[user_idx], interactions.offsets[user_idx + 1]
    end = last if cut is None else min(last, start + cut)
    order_idx = interactions.order_idx
    rows = slice(max(start, end - MAX_HISTORY), end)
    return History(
        item_idx=interactions.item_idx[rows],
        timestamp_ms=interactions.timestamp_ms[rows],
        order_idx=order_idx[rows],
        traits=interactions.traits_of(user_idx),
        is_open=bool(start < end < last and order_idx[end] == order_idx[end - 1]),
        asked_ms=int(interactions.timestamp_ms[end]) if end < last else None,
    )


def told_of(shoppers: list[History]) -> Told[np.ndarray]:
    """Return what questions say beside the histories of shoppers."""
    known = [shopper.traits for shopper in shoppers if shopper.traits is not None]
    traits = None
    if known:
        nothing = np.zeros_like(known[0])
        traits = np.stack([nothing if shopper.traits is None else shopper.traits for shopper in shoppers])
    moments = np.array([moment_of(shopper) for shopper in shoppers], dtype=np.int64)
    return Told(traits, moments if (moments != NO_MOMENT).any() else None)


def moment_of(shopper: History) -> int:
    """Return the hour of the week in which the question is asked, or NO_MOMENT."""
    return NO_MOMENT if shopper.asked_ms is None else int(moments_of(np.array(shopper.asked_ms)))
