"""What a question says beside a history: who asks, and when."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

HOURS, DAYS = 24, 7
HOUR_MS = 3_600_000
MONDAY = 3 * HOURS  # hours of the week that were over when 1970 began, a Thursday
NO_MOMENT = -1

A = TypeVar("A")  # arrays, or tensors
B = TypeVar("B")


class Told(NamedTuple, Generic[A]):
    """Of n questions; nothing where nobody told it of any."""

    traits: A | None = None  # (n, n_traits) float32, zero where nothing is known
    moments: A | None = None  # (n,) int64 as `moments_of`; in training (n, L), those of the targets

    def each(self, change: Callable[[A], B]) -> "Told[B]":
        """Return all that was told, changed."""
        return Told(*[None if part is None else change(part) for part in self])


NOTHING: Told[Any] = Told()


def moments_of(timestamp_ms: np.ndarray) -> np.ndarray:
    """Return hours of the week, int64 counted from Monday's first, UTC: what habits keep to.

    timestamp_ms: epoch milliseconds. How far a shop's own clock is from UTC is learned along.
    """
    return (timestamp_ms // HOUR_MS + MONDAY) % (HOURS * DAYS)
