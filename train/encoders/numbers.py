"""Numbers of items on a common scale."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

LARGEST = 3.0  # deviations; what lies farther out is an error or teaches nothing more
WEIGHT = 0.3  # so that a number weighs less than a text, whose vector has length 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One number's median, mean and deviation over a catalogue, after log(1 + x) where none is negative."""

    logarithmic: bool
    median: float
    mean: float
    deviation: float

    @classmethod
    def fit(cls, numbers: pd.Series) -> Self:
        """Return the scale of a catalogue's numbers; NaN is a missing one, which counts as the median."""
        known = numbers.dropna().to_numpy(dtype=float)
        logarithmic = bool(len(known) and known.min() >= 0)
        values = np.log1p(known) if logarithmic else known
        median = float(np.median(values)) if len(values) else 0.0
        filled = np.concatenate([values, np.full(len(numbers) - len(values), median)])
        mean, deviation = (float(filled.mean()), float(filled.std())) if len(filled) else (0.0, 0.0)
        return cls(logarithmic=logarithmic, median=median, mean=mean, deviation=deviation or 1.0)

    @property
    def dim(self) -> int:
        """Columns that `of` returns."""
        return 2

    def of(self, numbers: pd.Series) -> np.ndarray:
        """Return (n, 2) float32: the scaled number, and whether it is known."""
        values = numbers.to_numpy(dtype=float)
        known = np.isfinite(values)
        values = np.where(known, values, 0)
        values = np.log1p(np.maximum(values, 0)) if self.logarithmic else values
        scaled = (np.where(known, values, self.median) - self.mean) / self.deviation
        return (WEIGHT * np.stack([scaled.clip(-LARGEST, LARGEST), known], axis=1)).astype(np.float32)
