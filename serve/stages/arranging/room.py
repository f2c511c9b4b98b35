"""Room: which items a place may hold, so that caps hold, pins stand where they shall and quotas stay in reach."""

from dataclasses import dataclass, field, replace

import numpy as np

NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is asked of a slate as a whole; its n items are numbered from the worthiest.

    Caps are never broken; pins come next, then quotas. Among pins, and among quotas, the first comes first.
    """

    holder: np.ndarray = field(default_factory=lambda: NONE)  # (m,) int64, the item that has a capped value
    value: np.ndarray = field(default_factory=lambda: NONE)  # (m,) int64, which of the v capped values it is
    limit: np.ndarray = field(default_factory=lambda: NONE)  # (v,) int64, most items of a slate that may have it
    pins: tuple[tuple[int, int, np.ndarray], ...] = ()  # place from 0, how many items, and which (m,), ascending
    quotas: tuple[tuple[int, np.ndarray], ...] = ()  # how many items at least, and of which (m,), ascending

    def within(self, n: int) -> "Limits":
        """Return what the limits say of the first n items."""
        near = self.holder < n
        return replace(
            self, holder=self.holder[near], value=self.value[near],
            pins=tuple((place, many, items[items < n]) for place, many, items in self.pins),
            quotas=tuple((minimum, items[items < n]) for minimum, items in self.quotas),
        )  # fmt: skip

    def with_caps(self, holder: np.ndarray, value: np.ndarray, limit: np.ndarray) -> "Limits":
        """Return the limits with more caps, as `holder`, `value` and `limit`."""
        return replace(
            self, holder=np.concatenate((self.holder, holder)),
            value=np.concatenate((self.value, value + len(self.limit))), limit=np.concatenate((self.limit, limit)),
        )  # fmt: skip


class Room:
    """What is left of a slate's limits while its places are filled one after the other.

    Items are kept back from which every quota can be met as far as at all. There is always a place for each of them,
    and room under the caps; so whatever else is chosen, the quotas stay within reach.
    """

    def __init__(self, limits: Limits, n: int, count: int) -> None:
        self._limits, self._count, self._room = limits, count, limits.limit.copy()
        self._full = np.zeros(n, np.int64)  # how many of an item's values have no room left
        self._free = np.ones(n, dtype=bool)  # neither chosen nor kept back
        self.pinned: dict[int, int] = {}  # place → item
        self._kept: list[int] = []  # for quotas
        self._sure = [0] * len(limits.quotas)  # items of each quota that are chosen, pinned or kept back
        self._wanted = [frozenset(items.tolist()) for _, items in limits.quotas]
        np.add.at(self._full, limits.holder[self._room[limits.value] <= 0], 1)
        for pin in limits.pins:
            self._pin(*pin)
        for number in range(len(limits.quotas)):
            self._keep(number)

    @property
    def depth(self) -> int:
        """How many of the worthiest items hold all that are pinned or kept back."""
        return 1 + max([-1, *self._kept, *self.pinned.values()])

    def open(self, place: int) -> np.ndarray:
        """Return which items the next place may hold, (n,) bool; pinned ones move up where nothing else is left."""
        if not self.pinned and not self._kept and not len(self._room):
            return self._free
        mask = np.zeros(len(self._free), dtype=bool)
        if place not in self.pinned:
            if len(self._kept) < self._count - place - len(self.pinned):
                mask = self._free & (self._full == 0)
            mask[self._kept] = True
        if self.pinned and not mask.any():
            mask[self.pinned[min(self.pinned)]] = True
        return mask

    def take(self, one: int) -> None:
        """Choose an item that is open."""
        if self.pinned and one == self.pinned[first := min(self.pinned)]:
            del self.pinned[first]
        elif one in self._kept:
            self._kept.remove(one)
        else:
            self._claim(one)
            self._let_go()

    def _pin(self, place: int, many: int, items: np.ndarray) -> None:
        for one in items.tolist():
            while place in self.pinned:
                place += 1
            if not many or place >= self._count:
                return
            if self._is_open(one):
                self._claim(one)
                self.pinned[place] = one
                many -= 1

    def _keep(self, number: int) -> None:
        minimum, items = self._limits.quotas[number]
        for one in items.tolist():
            if self._sure[number] >= minimum or len(self._kept) + len(self.pinned) >= self._count:
                return
            if self._is_open(one):
                self._claim(one)
                self._kept.append(one)

    def _let_go(self) -> None:
        """Keep back no more than quotas need; who came last goes first."""
        for one in reversed(self._kept):
            own = [number for number, items in enumerate(self._wanted) if one in items]
            if all(self._sure[number] > self._limits.quotas[number][0] for number in own):
                self._kept.remove(one)
                self._claim(one, back=True)

    def _is_open(self, one: int) -> bool:
        return bool(self._free[one]) and self._full[one] == 0

    def _claim(self, one: int, back: bool = False) -> None:
        """Count an item in, or out again where it goes back."""
        sign = -1 if back else 1
        self._free[one] = back
        for number, items in enumerate(self._wanted):
            self._sure[number] += sign * (one in items)
        if not len(self._room):
            return
        values = self._limits.value[self._limits.holder == one]
        before = self._room[values] <= 0
        self._room[values] -= sign
        for value in values[(self._room[values] <= 0) != before].tolist():
            self._full[self._limits.holder[self._limits.value == value]] += sign
