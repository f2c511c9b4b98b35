"""Facts: what items say of themselves, by the names that filters use, item by item or as columns of all."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from serve.stages.filters.expression import COMPARE, Facts, Operator, Scalar, Values
from serve.stages.reading import Contents
from serve.state.membership import homes
from train.data.schema import PRODUCTS

LEVELS = ">"  # between the levels of a category path
NAMES = {
    "title": "title", "brand": "brand", "price": "price", "rating": "rating", "tags": "tags",
    "attributes": "attributes", "category_path": "categoryPath",
}  # fmt: skip  # as the log keeps them → as filters and the API have them


def facts_of(item_id: str, told: Mapping[str, Any]) -> Facts:
    """Return what filters may ask of an item; told: as serve.state.catalogue.LiveCatalogue.told.

    `category` is any level of `categoryPath`; properties of the shop's own go by their names, but for one that is
    called `catalogue`: that of an item is where it was written.
    """
    facts = {name: values_of(value) for name, value in told.get("properties", {}).items()}
    facts |= {wire: values_of(told[name]) for name, wire in NAMES.items() if name in told}
    if path := told.get("category_path"):
        facts["category"] = _levels(path)
    facts |= {"id": (item_id,), "catalogue": (told.get("catalogue", PRODUCTS),)}
    return {name: values for name, values in facts.items() if values}


@dataclass(frozen=True)
class Column:
    """The values of one attribute: entry e says that item owner[e] has the code[e]-th of its distinct values."""

    owner: np.ndarray  # (m,) int64
    code: np.ndarray  # (m,) int64
    values: list[Scalar]  # (v,) distinct, by code

    @cached_property
    def index(self) -> dict[tuple[type, Scalar], int]:
        """Kind and value → code, since 1.0 equals True."""
        return {(type(value), value): code for code, value in enumerate(self.values)}

    @cached_property
    def numbers(self) -> np.ndarray:
        """(v,) float64 by code, NaN for what is no number."""
        return np.array([value if isinstance(value, float) else np.nan for value in self.values], dtype=np.float64)

    @cached_property
    def texts(self) -> tuple[list[str], np.ndarray]:
        """The distinct texts in their order, and their codes (t,)."""
        found = sorted((value, code) for code, value in enumerate(self.values) if isinstance(value, str))
        return [text for text, _ in found], np.array([code for _, code in found], np.int64)

    def where(self, relation: Operator, values: Values, n_items: int) -> np.ndarray:
        """Return which items have a value that stands so to one of `values`, (n_items,) bool."""
        matching = np.zeros(len(self.values), dtype=bool)
        for value in values:
            matching |= self._matching(relation, value)
        mask = np.zeros(n_items, dtype=bool)
        mask[self.owner[matching[self.code]]] = True
        return mask

    def least_and_most(self, n_items: int) -> tuple[np.ndarray, np.ndarray]:
        """Return each item's smallest and largest number, NaN where it has none, (n_items,) float64."""
        found = self.numbers[self.code]
        least, most = np.full((2, n_items), np.nan)
        np.fmin.at(least, self.owner, found)
        np.fmax.at(most, self.owner, found)
        return least, most

    def without(self, item_idx: np.ndarray) -> "Column":
        """Return the column without what some items (m,) say."""
        kept = ~np.isin(self.owner, item_idx)
        return Column(self.owner[kept], self.code[kept], self.values)

    def with_more(self, other: "Column") -> "Column":
        """Return the column with the entries of another, of other items."""
        values, index = list(self.values), dict(self.index)
        for name in other.index:
            if index.setdefault(name, len(values)) == len(values):
                values.append(name[1])
        code = np.array([index[name] for name in other.index], np.int64)[other.code]
        return Column(np.concatenate((self.owner, other.owner)), np.concatenate((self.code, code)), values)

    def _matching(self, relation: Operator, value: Scalar) -> np.ndarray:
        """Return which of the distinct values stand so to one, (v,) bool."""
        if isinstance(value, float):
            return np.asarray(COMPARE[relation](self.numbers, value))  # false for NaN
        matching = np.zeros(len(self.values), dtype=bool)
        if relation == "=":
            if (code := self.index.get((type(value), value))) is not None:
                matching[code] = True
        elif isinstance(value, str):
            texts, codes = self.texts
            place = bisect_left(texts, value) if relation in ("<", ">=") else bisect_right(texts, value)
            matching[codes[:place] if relation in ("<", "<=") else codes[place:]] = True
        return matching


def columns_of(contents: Contents) -> dict[str, Column]:
    """Return the columns of a catalogue, by attribute."""
    written = {one: facts_of(contents.item_ids[one], contents.told(one)) for one in contents.written}
    columns, again = published_columns(contents.frame), np.array(list(written), np.int64)
    columns = {name: column.without(again) for name, column in columns.items()}
    for name, more in as_columns(written).items():
        columns[name] = columns[name].with_more(more) if name in columns else more
    return columns


def as_columns(items: Mapping[int, Facts]) -> dict[str, Column]:
    """Return the columns of items by item_idx."""
    entries: dict[str, list[tuple[int, Scalar]]] = {}
    for item_idx, facts in items.items():
        for name, values in facts.items():
            entries.setdefault(name, []).extend((item_idx, value) for value in values)
    columns = {}
    for name, found in entries.items():
        index: dict[tuple[type, Scalar], int] = {}
        code = [index.setdefault((type(value), value), len(index)) for _, value in found]
        owner = [item_idx for item_idx, _ in found]
        columns[name] = Column(np.array(owner, np.int64), np.array(code, np.int64), [value for _, value in index])
    return columns


def published_columns(frame: pd.DataFrame) -> dict[str, Column]:
    """Return the columns of a bundle's items, a whole attribute at a time."""
    rows = frame.reset_index(drop=True)
    columns = {wire: _published(rows[name]) for name, wire in NAMES.items() if name in rows}
    if (paths := columns.get("categoryPath")) is not None:
        levels = pd.Series([list(_levels(str(path))) for path in paths.values]).explode()
        of_path = _published(levels)
        by_path = pd.DataFrame({"path": of_path.owner, "code": of_path.code})
        joined = pd.DataFrame({"owner": paths.owner, "path": paths.code}).merge(by_path, on="path")
        columns["category"] = Column(joined["owner"].to_numpy(), joined["code"].to_numpy(), of_path.values)
    return columns | {"id": _published(rows["item_id"]), "catalogue": _published(homes(rows))}


def _published(said: pd.Series) -> Column:
    """Return a column of values, or of lists of values, by their place in the index."""
    said = said.explode().dropna()
    code, values = pd.factorize(said)
    plain = [float(value) if isinstance(value, int | float | np.number) else str(value) for value in values]
    return Column(said.index.to_numpy(np.int64), code.astype(np.int64), plain)


def _levels(path: str) -> tuple[str, ...]:
    return tuple(level.strip() for level in path.split(LEVELS))


def values_of(told: Any) -> Values:
    """Return the plain values of what JSON holds; what has parts of its own has none."""
    if isinstance(told, list):
        return tuple(value for part in told for value in values_of(part))
    if isinstance(told, bool | str):
        return (told,)
    return (float(told),) if isinstance(told, int | float) else ()
