"""Masks: which items a filter lets through, all at once and kept for the next request."""

from collections import OrderedDict
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from serve.stages.filters.expression import Attribute, Compare, Every, Expression, Not, Some, holds
from serve.stages.filters.facts import Column, columns_of, facts_of
from serve.stages.reading import Reading
from serve.state.catalogue import LiveCatalogue

KEPT_BYTES, FEWEST, MOST = 1 << 28, 64, 1_024  # of masks that are kept, and how many at least and at most


@dataclass(slots=True)
class _Mask:
    shown: np.ndarray  # (n,) bool
    place: int  # of the catalogue's changes that it reflects


class Masks:
    """Filters over a live catalogue, true to the last write; it belongs to the thread that writes.

    Columns answer for the items that were not written since they were made. The others, and those that are new, are
    held against a filter one by one.
    """

    def __init__(self, catalogue: LiveCatalogue, builder: Executor | None = None) -> None:
        """Begin to read the catalogue."""
        self._catalogue = catalogue
        self.reading = Reading(catalogue, columns_of, builder)
        self._kept: OrderedDict[str, _Mask] = OrderedDict()  # by how they are written: (1.0,) equals (True,)
        self._names: OrderedDict[int, tuple[Expression, str]] = OrderedDict()  # of objects that are still there

    def mask(self, expression: Expression) -> np.ndarray:
        """Return which items a bound expression holds for, (n_items,) bool; not to be written to.

        To be asked once `reading` is ready, without waiting for anything between.
        """
        columns, base, n_items = self.reading.now(), self.reading.base, self.reading.n_items
        name = self._name_of(expression)
        kept = self._kept.get(name)
        if kept is None or kept.place < base or len(kept.shown) > len(self._catalogue):
            kept = _Mask(np.zeros(len(self._catalogue), dtype=bool), base)
            kept.shown[:n_items] = evaluated(expression, columns, n_items)
            self._kept[name] = kept
            if len(self._kept) > min(MOST, max(FEWEST, KEPT_BYTES // len(self._catalogue))):
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        self._mend(expression, kept)
        return kept.shown

    def _name_of(self, expression: Expression) -> str:
        """Return how an expression is written; of one object, such as a rule's, that is worked out once."""
        if (known := self._names.get(id(expression))) is None:
            known = self._names[id(expression)] = expression, repr(expression)
            if len(self._names) > MOST:
                self._names.popitem(last=False)
        return known[1]

    def _mend(self, expression: Expression, kept: _Mask) -> None:
        known, changes = len(self._catalogue), self._catalogue.changes
        if (more := known - len(kept.shown)) > 0:
            kept.shown = np.concatenate((kept.shown, np.zeros(more, dtype=bool)))
        for item_idx in set(changes[kept.place :]):
            if item_idx < known:
                facts = facts_of(self._catalogue.item_ids[item_idx], self._catalogue.told(item_idx))
                kept.shown[item_idx] = holds(expression, facts)
        kept.place = len(changes)


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
        case ">=":
            return ours[1] >= theirs[0]
        case "=":  # no filter says this of two attributes
            return np.zeros(n_items, dtype=bool)
