"""Whether probabilities mean what they say: of all that were given 3 %, did 3 % happen?"""

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """What was predicted and what happened, in bins of growing probability."""

    predicted: np.ndarray  # (b,) mean probability
    observed: np.ndarray  # (b,) share that happened
    count: np.ndarray  # (b,) predictions, none of them 0

    @property
    def ece(self) -> float:
        """Expected calibration error (Naeini et al., 2015): the mean distance of the two, by predictions."""
        return float(np.average(np.abs(self.predicted - self.observed), weights=self.count))

    @property
    def base_rate(self) -> float:
        """The share of everything that happened; an error means little without it."""
        return float(np.average(self.observed, weights=self.count))


def reliability(probability: np.ndarray, happened: np.ndarray, bins: int = BINS) -> Reliability:
    """Return the reliability of predictions (n,), n ≥ 1.

    Each bin expects as many events as the others: nearly all candidates are nearly impossible, and bins of equal
    width or of equal count would put everything that matters into one.
    """
    level = _level(probability)
    count, outcome = np.bincount(level), np.bincount(level, happened)
    predicted = np.bincount(level, probability)
    before = np.cumsum(predicted) - predicted
    label = np.minimum(before / max(predicted.sum(), 1e-300) * bins, bins - 1).astype(np.int64)
    count, outcome, predicted = (np.bincount(label, of_level) for of_level in (count, outcome, predicted))
    used = count > 0
    return Reliability(
        predicted=predicted[used] / count[used], observed=outcome[used] / count[used],
        count=count[used].astype(np.int64),
    )  # fmt: skip


def _level(probability: np.ndarray) -> np.ndarray:
    """Return a small integer for each probability, equal where they differ by less than about 0.1 %, never falling.

    Positive floats grow with their bits, of which 10 after the exponent are kept: sorting millions takes ten times as
    long.
    """
    level = probability.astype(np.float32).view(np.int32) >> 13
    return level - level.min()
