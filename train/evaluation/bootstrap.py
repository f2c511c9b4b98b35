"""How sure a mean over queries is: intervals for one row, a paired test between two."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from cluster.config import Config

Name = TypeVar("Name", bound=Hashable)

CHUNK = 64  # draws held in memory at once


class BootstrapConfig(Config):
    """How intervals and p values are drawn."""

    draws: int = Field(1_000, ge=100, le=100_000, description="resamples; the smallest p is 1 / (draws + 1)")
    level: float = Field(0.95, gt=0, lt=1, description="share of repetitions whose interval covers the truth")
    seed: int = Field(0, ge=0, description="of the draws, so that the same lists give the same interval")


DEFAULT = BootstrapConfig.parse([])


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and where it may lie."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """What to write behind ±."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much better one row is than another, on the same queries."""

    difference: Interval
    p: float  # how often chance alone would differ as much


def intervals(
    values: dict[Name, np.ndarray], user_idx: np.ndarray, config: BootstrapConfig = DEFAULT
) -> dict[Name, Interval]:
    """Return each metric's mean over its queries with a percentile interval (Efron and Tibshirani, 1993, chapter 13).

    values: metric → (q,), NaN where a query says nothing, as not all may; user_idx: (q,). Users are drawn, not
    queries: those of one user resemble each other, and taking them as independent makes every interval too narrow.
    """
    matrix = np.column_stack(list(values.values()))
    known = ~np.isnan(matrix)
    asked = known.any(axis=1)  # users of whom nothing is said are not drawn
    matrix, known, user_idx = matrix[asked], known[asked], user_idx[asked]
    sums, counts = _by_user(np.where(known, matrix, 0), user_idx), _by_user(known, user_idx)
    tail = (1 - config.level) / 2
    with np.errstate(invalid="ignore"):  # a draw may hold no query of a rare metric; the others tell its interval
        means = sums.sum(axis=0) / counts.sum(axis=0)
        drawn = np.concatenate([(times @ sums) / (times @ counts) for times in _resamples(len(sums), config)])
    found = (
        Interval(float(mean), *map(float, np.quantile(of_metric[~np.isnan(of_metric)], [tail, 1 - tail])))
        for mean, of_metric in zip(means, drawn.T, strict=True)
    )
    return dict(zip(values, found, strict=True))


def compare(
    ours: np.ndarray, theirs: np.ndarray, user_idx: np.ndarray, config: BootstrapConfig = DEFAULT
) -> Comparison:
    """Return the mean difference of two rows, (q,) each, with its interval and p of a paired randomisation test.

    If the rows were equally good, each user's difference could as well have the other sign (Smucker et al., 2007,
    section 3.3); p is the share of random signs whose mean is as far from zero.
    """
    difference = ours - theirs
    sums = _by_user(np.nan_to_num(difference)[:, None], user_idx)[:, 0]
    observed = abs(sums.sum()) * (1 - 1e-9)  # sums in another order differ in their last bits
    rng = np.random.default_rng(config.seed)
    extreme = sum(
        int((np.abs((rng.integers(2, size=(n, len(sums)), dtype=np.int8) * 2.0 - 1) @ sums) >= observed).sum())
        for n in _chunks(config.draws)
    )
    found = intervals({"difference": difference}, user_idx, config)["difference"]
    return Comparison(difference=found, p=(extreme + 1) / (config.draws + 1))


def _by_user(matrix: np.ndarray, user_idx: np.ndarray) -> np.ndarray:
    """Return the sums over each user's queries, (users, m)."""
    _, row = np.unique(user_idx, return_inverse=True)
    member = csr_matrix((np.ones(len(row)), (row, np.arange(len(row)))))
    return np.asarray(member @ matrix.astype(np.float64))


def _resamples(n_users: int, config: BootstrapConfig) -> Iterator[np.ndarray]:
    """Yield how many times each user is drawn, (draws, users), a chunk at a time."""
    rng = np.random.default_rng(config.seed)
    for n in _chunks(config.draws):
        drawn = rng.integers(n_users, size=(n, n_users)) + np.arange(n)[:, None] * n_users
        yield np.bincount(drawn.ravel(), minlength=n * n_users).reshape(n, n_users).astype(np.float64)


def _chunks(draws: int) -> list[int]:
    return [min(CHUNK, draws - start) for start in range(0, draws, CHUNK)]
