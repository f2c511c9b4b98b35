"""Describing: what some items say of themselves, as numbers to reckon with or as values to be told apart by."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serve.stages.filters.expression import Facts
from serve.stages.filters.facts import Column, facts_of
from serve.stages.filters.masks import Masks
from serve.state.catalogue import LiveCatalogue
from train.models.ragged import places

KEPT = 32  # attributes whose rows are kept

NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe:
    """Which items are asked about, and what."""

    item_idx: np.ndarray  # (n,) int64
    numbers: tuple[str, ...] = ()  # attributes wanted as numbers
    values: tuple[str, ...] = ()  # attributes wanted as values
    bundle: str = ""  # version that item_idx speak of


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the items say."""

    numbers: dict[str, np.ndarray]  # (n,) float64: the least number of an item, 1 and 0 for true and false, else NaN
    values: dict[str, tuple[np.ndarray, np.ndarray]]  # (m,) int64 each: position of an item, and which value it has


class Describing:
    """What a live catalogue says, by the reading that filters use, true to the last write."""

    def __init__(self, catalogue: LiveCatalogue, masks: Masks) -> None:
        self._catalogue, self._masks = catalogue, masks
        self._rows: OrderedDict[str, _Rows] = OrderedDict()
        self._later: dict[int, Facts] = {}  # of items that were written since the reading
        self._base = self._place = 0

    async def describe(self, ask: Describe) -> Described:
        """Return what the items say; waits for the catalogue to be read where it was not yet."""
        await self._masks.reading.ready()
        self._catch_up()
        later = [(place, one) for place, one in enumerate(ask.item_idx.tolist()) if one in self._later]
        return Described(
            numbers={name: self._numbers(name, ask.item_idx, later) for name in ask.numbers},
            values={name: self._values(name, ask.item_idx, later) for name in ask.values},
        )

    def _numbers(self, name: str, item_idx: np.ndarray, later: Sequence[tuple[int, int]]) -> np.ndarray:
        rows, found = self._rows_of(name), np.full(len(item_idx), np.nan)
        holder, code = rows.of(item_idx)
        np.fmin.at(found, holder, rows.number[code])
        for place, one in later:
            found[place] = np.fmin.reduce([np.nan, *map(_number, self._later[one].get(name, ()))])
        return found

    def _values(
        self, name: str, item_idx: np.ndarray, later: Sequence[tuple[int, int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        rows = self._rows_of(name)
        holder, code = rows.of(item_idx)
        if not later:
            return holder, code
        kept, index = ~np.isin(holder, [place for place, _ in later]), dict(rows.column.index)
        more = [
            (place, index.setdefault((type(value), value), len(index)))
            for place, one in later for value in self._later[one].get(name, ())
        ]  # fmt: skip
        written = np.array(more, np.int64).reshape(-1, 2)
        return np.concatenate((holder[kept], written[:, 0])), np.concatenate((code[kept], written[:, 1]))

    def _rows_of(self, name: str) -> "_Rows":
        if (rows := self._rows.get(name)) is None:
            column = self._masks.reading.now().get(name, NO_COLUMN)
            rows = self._rows[name] = _Rows.of_column(column, self._masks.reading.n_items)
            if len(self._rows) > KEPT:
                self._rows.popitem(last=False)
        self._rows.move_to_end(name)
        return rows

    def _catch_up(self) -> None:
        reading, changes = self._masks.reading, self._catalogue.changes
        if self._base != reading.base or any(one >= len(self._catalogue) for one in self._later):
            self._rows.clear()
            self._later, self._base, self._place = {}, reading.base, reading.base
        for item_idx in set(changes[self._place :]):
            if item_idx < len(self._catalogue):
                self._later[item_idx] = facts_of(self._catalogue.item_ids[item_idx], self._catalogue.told(item_idx))
        self._place = len(changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """A column by item: those of item i are code[offsets[i]:offsets[i + 1]]."""

    column: Column
    offsets: np.ndarray  # (n_items + 1,) int64
    code: np.ndarray  # (m,) int64
    number: np.ndarray  # (v,) float64, what each distinct value is as a number

    @classmethod
    def of_column(cls, column: Column, n_items: int) -> "_Rows":
        order = np.argsort(column.owner, kind="stable")
        offsets = np.searchsorted(column.owner[order], np.arange(n_items + 1))
        number = np.array([_number(value) for value in column.values], np.float64)
        return cls(column=column, offsets=offsets, code=column.code[order], number=number)

    def of(self, item_idx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the position (m,) of each holder of a value among the items (n,), and the value's code (m,)."""
        known = np.minimum(item_idx, len(self.offsets) - 2)
        count = np.where(item_idx == known, self.offsets[known + 1] - self.offsets[known], 0)
        holder, place = places(count)
        return holder, self.code[self.offsets[known[holder]] + place]


NO_COLUMN = Column(NOTHING, NOTHING, [])


def _number(value: object) -> float:
    return float(value) if isinstance(value, bool | float) else np.nan
