"""Purchases: what a shopper bought and kept, beside the history, in which clicks would push it out."""

from dataclasses import dataclass

import numpy as np

from train.data.schema import Interactions
from train.models.shopper import MAX_HISTORY, pushed


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchases:
    """What one shopper bought and did not return, oldest first, at most MAX_HISTORY rows."""

    item_idx: np.ndarray  # (n,) int64, one item as often as it was bought
    timestamp_ms: np.ndarray  # (n,) int64

    def __len__(self) -> int:
        return len(self.item_idx)

    def appended(self, item_idx: int, timestamp_ms: int) -> "Purchases":
        """Return the purchases with one more, the oldest dropped when there are too many."""
        return Purchases(
            item_idx=pushed(self.item_idx, item_idx), timestamp_ms=pushed(self.timestamp_ms, timestamp_ms)
        )  # fmt: skip

    def returned(self, item_idx: int) -> "Purchases":
        """Return the purchases without the newest of an item; all of them where it was not bought."""
        of_item = np.flatnonzero(self.item_idx == item_idx)
        return self.where(np.arange(len(self)) != of_item[-1]) if len(of_item) else self

    def after(self, at_ms: int) -> "Purchases":
        """Return those of after a moment."""
        return self.where(self.timestamp_ms > at_ms)

    def where(self, mask: np.ndarray) -> "Purchases":
        """Return those where `mask` (n,) is true."""
        return Purchases(item_idx=self.item_idx[mask], timestamp_ms=self.timestamp_ms[mask])

    def joined(self, others: "Purchases") -> "Purchases":
        """Return those of two shoppers, by time, the newest ones; at the same time the others' come first."""
        time = np.concatenate((others.timestamp_ms, self.timestamp_ms))
        order = np.argsort(time, kind="stable")[-MAX_HISTORY:]
        return Purchases(
            item_idx=np.concatenate((others.item_idx, self.item_idx))[order], timestamp_ms=time[order]
        )  # fmt: skip


NO_PURCHASES = Purchases(item_idx=np.empty(0, np.int64), timestamp_ms=np.empty(0, np.int64))


def purchases_of(interactions: Interactions, user_idx: int) -> Purchases:
    """Return what a user bought; nothing where nobody knows."""
    if interactions.kept is None:
        return NO_PURCHASES
    start, end = interactions.offsets[user_idx], interactions.offsets[user_idx + 1]
    rows = start + np.flatnonzero(interactions.kept[start:end])[-MAX_HISTORY:]
    if not len(rows):
        return NO_PURCHASES
    return Purchases(item_idx=interactions.item_idx[rows], timestamp_ms=interactions.timestamp_ms[rows])
