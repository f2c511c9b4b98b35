"""What is known of shoppers beside their histories, as numbers."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack

from train.encoders.numbers import Scale

MIN_USERS = 2  # a value that one user has teaches nothing beyond the user
MAX_VALUES = 2_000  # the most frequent ones are told apart; a batch holds a row of all of them

Told = Mapping[str, Any]  # trait → text, number, bool or a list of these; None and NaN say nothing


@dataclass(frozen=True, kw_only=True)
class TraitEncoder:
    """Turns traits into rows: one column for each value of a trait, two for each number (scaled, and known).

    What is missing, and values that no two users of training had, are zero.
    """

    values: tuple[tuple[str, str], ...]  # trait and value of each column
    scales: dict[str, Scale]  # of traits that are numbers, whose columns follow

    @classmethod
    def fit(cls, users: Sequence[Told]) -> Self:
        """Return how to describe users like these; a trait is a number where all its values are."""
        columns: dict[str, list[Any]] = {}
        for trait, value in (pair for told in users for pair in _flat(told)):
            columns.setdefault(trait, []).append(value)
        numbers = {trait: values for trait, values in columns.items() if all(map(_is_number, values))}
        counts = Counter(
            (trait, _spelled(value))
            for trait, values in columns.items() if trait not in numbers for value in values
        )  # fmt: skip
        return cls(
            values=tuple(sorted(pair for pair, n in counts.most_common(MAX_VALUES) if n >= MIN_USERS)),
            scales={trait: Scale.fit(pd.Series(values, dtype=float)) for trait, values in sorted(numbers.items())},
        )

    @property
    def dim(self) -> int:
        """Columns of a row."""
        return len(self.values) + sum(scale.dim for scale in self.scales.values())

    def of(self, users: Sequence[Told]) -> csr_matrix:
        """Return (n, dim) float32, mostly zeros."""
        column = {pair: number for number, pair in enumerate(self.values)}
        found = [
            (row, column[pair])
            for row, told in enumerate(users)
            for pair in {(trait, _spelled(value)) for trait, value in _flat(told)} if pair in column
        ]  # fmt: skip
        row, place = np.array(found, dtype=np.int64).reshape(-1, 2).T
        matrix = csr_matrix((np.ones(len(row), np.float32), (row, place)), shape=(len(users), len(column)))
        return csr_matrix(hstack([matrix, csr_matrix(self._numbers(users))]))

    def changed(self, known: np.ndarray | None, told: Told) -> np.ndarray | None:
        """Return a row (dim,) in which what is told now takes the place of what was known of the same traits.

        Nothing where it then says nothing.
        """
        row = np.zeros(self.dim, dtype=np.float32) if known is None else known.copy()
        renewed = [trait in told for trait, _ in self.values]
        renewed += [trait in told for trait, scale in self.scales.items() for _ in range(scale.dim)]
        row = np.where(renewed, self.of([told]).toarray()[0], row)
        return row if row.any() else None

    def to_json(self) -> str:
        """Return all that `from_json` needs."""
        scales = {trait: asdict(scale) for trait, scale in self.scales.items()}
        return json.dumps({"values": self.values, "scales": scales}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the encoder that `to_json` wrote."""
        about = json.loads(text)
        return cls(
            values=tuple((str(trait), str(value)) for trait, value in about["values"]),
            scales={trait: Scale(**scale) for trait, scale in about["scales"].items()},
        )

    def _numbers(self, users: Sequence[Told]) -> np.ndarray:
        parts = [np.empty((len(users), 0), dtype=np.float32)]
        for trait, scale in self.scales.items():
            told = pd.to_numeric(pd.Series([told.get(trait) for told in users], dtype=object), errors="coerce")
            scaled = scale.of(told.astype(float))
            parts.append(scaled * (scaled[:, 1:] > 0))  # a missing number is no median shopper's
        return np.hstack(parts)


def _flat(told: Told) -> Iterator[tuple[str, Any]]:
    """Yield each trait with each of its values that says something."""
    for trait, value in told.items():
        several: Iterable[Any] = value if isinstance(value, list | tuple | np.ndarray) else (value,)
        yield from ((trait, one) for one in several if pd.api.types.is_scalar(one) and pd.notna(one))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)


def _spelled(value: Any) -> str:
    """Return a value as text, the same however a file or a request writes it."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
