"""Masks: which items a filter lets through, all at once and kept for the next request."""

from collections import OrderedDict
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from serve.stages.filters.expression import Attribute, Compare, Every, Expression, Not, Some, holds
from serve.stages.filters.facts import Column, columns_of, facts_of
from serve.state.catalogue import LiveCatalogue
from serve.state.moves import Moves

KEPT = 64  # masks
FEW = 1_000  # items written since the columns were made, or
SHARE = 0.02  # of all, whichever is more, before they are made anew


@dataclass(slots=True)
class _Mask:
    shown: np.ndarray  # (n,) bool
    place: int  # of the changes that it reflects


class Masks:
    """Filters over a live catalogue, true to the last write; it belongs to the thread that writes.

    Columns answer for the items that were not written since they were made. The others, and those that are new, are
    held against a filter one by one. A thread makes the columns anew when those are many.
    """

    def __init__(self, catalogue: LiveCatalogue, moves: Moves, builder: Executor | None = None) -> None:
        """Read the catalogue; moves: which items came, or are others now."""
        self._catalogue, self._moves, self._place = catalogue, moves, moves.place
        self._builder = builder or ThreadPoolExecutor(1, thread_name_prefix="filters")
        self._building: Future[dict[str, Column]] | None = None
        self._changes: list[int] = []  # item_idx in the order written; several times where written again
        self._base, self._n_items = 0, len(catalogue)  # the columns are of before this change, and of so many items
        self._columns = columns_of(catalogue, self._n_items)
        self._kept: OrderedDict[str, _Mask] = OrderedDict()  # by how an expression is written: (1.0,) equals (True,)

    def mask(self, expression: Expression) -> np.ndarray:
        """Return which items a bound expression holds for, (n_items,) bool; not to be written to."""
        self._catch_up()
        name = repr(expression)
        if (kept := self._kept.get(name)) is None:
            kept = _Mask(np.zeros(len(self._catalogue), dtype=bool), self._base)
            kept.shown[: self._n_items] = evaluated(expression, self._columns, self._n_items)
            self._kept[name] = kept
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        self._mend(expression, kept)
        return kept.shown

    def _mend(self, expression: Expression, kept: _Mask) -> None:
        if (more := len(self._catalogue) - len(kept.shown)) > 0:
            kept.shown = np.concatenate((kept.shown, np.zeros(more, dtype=bool)))
        for item_idx in set(self._changes[kept.place :]):
            facts = facts_of(self._catalogue.item_ids[item_idx], self._catalogue.told(item_idx))
            kept.shown[item_idx] = holds(expression, facts)
        kept.place = len(self._changes)

    def _catch_up(self) -> None:
        """Take note of what was written, and make columns anew when that is much."""
        if self._place != self._moves.place:
            changed, self._place = self._moves.replaced_since(self._place), self._moves.place
            self._changes += changed.tolist()
        if self._building is not None and self._building.done():
            self._columns, self._building = self._building.result(), None
            self._base, self._n_items = self._base_next, self._n_items_next
        if self._building is None and len(self._changes) - self._base > max(FEW, SHARE * len(self._catalogue)):
            # What is written from here on is among the changes, whether the thread reads it before or after.
            self._base_next, self._n_items_next = len(self._changes), len(self._catalogue)
            self._building = self._builder.submit(columns_of, self._catalogue, self._n_items_next)


def evaluated(expression: Expression, columns: dict[str, Column], n_items: int) -> np.ndarray:
    """Return which of `n_items` items a bound expression holds for, (n_items,) bool."""
    match expression:
        case Not(part):
            return ~evaluated(part, columns, n_items)
        case Every(parts):
            return np.logical_and.reduce([evaluated(part, columns, n_items) for part in parts])
        case Some(parts):
            return np.logical_or.reduce([evaluated(part, columns, n_items) for part in parts])
        case Compare():
            return _compared(expression, columns, n_items)


def _compared(compare: Compare, columns: dict[str, Column], n_items: int) -> np.ndarray:
    left, relation, right = compare.left, compare.operator, compare.right
    if not isinstance(left, Attribute):
        return np.full(n_items, holds(compare, {}))
    column = columns.get(left.name)
    if column is None:
        return np.zeros(n_items, dtype=bool)
    if isinstance(right, tuple):
        return column.where(relation, right, n_items)
    other = columns.get(right.name) if isinstance(right, Attribute) else None
    if other is None:
        return np.zeros(n_items, dtype=bool)
    # Some pair of numbers stands so where the furthest two do.
    ours, theirs = column.least_and_most(n_items), other.least_and_most(n_items)
    match relation:
        case "<":
            return ours[0] < theirs[1]
        case "<=":
            return ours[0] <= theirs[1]
        case ">":
            return ours[1] > theirs[0]
        case _:
            return ours[1] >= theirs[0]
