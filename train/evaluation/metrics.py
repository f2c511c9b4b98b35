"""How good ranked lists are, from the ranks of the items that were really chosen.

Each metric says something of every query, (q,), and NaN of one without any true item.
"""

from dataclasses import dataclass

import numpy as np

from train.evaluation.lists import ScoredLists
from train.models.candidates import Candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedTruths:
    """Where the true items of queries came in their lists; query q owns offsets[q]:offsets[q + 1]."""

    rank: np.ndarray  # (t,) float64, 0 is best, ties half-way, inf where the list lacks the item
    repeated: np.ndarray  # (t,) bool, the shopper had the item before
    offsets: np.ndarray  # (q + 1,) int64

    @property
    def counts(self) -> np.ndarray:
        """(q,) true items of each query."""
        return np.diff(self.offsets)

    @property
    def query(self) -> np.ndarray:
        """(t,) whose true item each is."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)

    def where(self, mask: np.ndarray) -> "RankedTruths":
        """Return them as if only the true items where `mask` (t,) is true were looked for."""
        kept = np.concatenate(([0], np.cumsum(mask)))[self.offsets]
        return RankedTruths(rank=self.rank[mask], repeated=self.repeated[mask], offsets=kept)

    def sums(self, value: np.ndarray) -> np.ndarray:
        """Return the sum of what each true item is worth (t,), by query, (q,)."""
        return np.bincount(self.query, value, minlength=len(self.offsets) - 1)

    def best(self) -> np.ndarray:
        """Return the rank of each query's best true item, (q,)."""
        best = np.full(len(self.offsets) - 1, np.inf)
        np.minimum.at(best, self.query, self.rank)
        return np.where(self.counts > 0, best, np.nan)


def ranks_of(truth: np.ndarray, ranked: Candidates) -> np.ndarray:
    """Return the ranks of `truth` (t,) item_idx in one scored list, (t,) float64; see `ScoredLists.ranks`."""
    return ScoredLists.of([ranked]).ranks(np.zeros(len(truth), np.int64), truth)


def ndcg(truths: RankedTruths, k: int) -> np.ndarray:
    """Normalised discounted cumulative gain with binary gains (Järvelin and Kekäläinen, 2002), in 0..1."""
    gains = np.where(truths.rank < k, 1 / np.log2(truths.rank + 2), 0)
    ideal = np.concatenate(([np.nan], np.cumsum(1 / np.log2(np.arange(k) + 2))))
    return truths.sums(gains) / ideal[np.minimum(truths.counts, k)]


def recall(truths: RankedTruths, k: int) -> np.ndarray:
    """Hits over the hits that k places allow, in 0..1."""
    places = np.minimum(truths.counts, k)
    return truths.sums(truths.rank < k) / np.where(places > 0, places, np.nan)


def reciprocal_rank(truths: RankedTruths, k: int) -> np.ndarray:
    """One over the place of the first hit within k, 0 without one."""
    best = truths.best()
    return np.where(best >= k, 0, 1 / (best + 1))


def hit(truths: RankedTruths, k: int) -> np.ndarray:
    """One where any true item came within k, else 0."""
    best = truths.best()
    return np.where(np.isnan(best), np.nan, best < k)


def accuracy(truths: RankedTruths, k: int) -> dict[str, np.ndarray]:
    """Return what each query says of each metric, (q,).

    Where any true item was bought before, `repeat_recall` is about old items and `explore_recall` about new ones;
    where none was, both would say nothing and are left out.
    """
    values = {
        f"ndcg@{k}": ndcg(truths, k),
        f"recall@{k}": recall(truths, k),
        f"mrr@{k}": reciprocal_rank(truths, k),
        f"hit_rate@{k}": hit(truths, k),
    }
    if truths.repeated.any():
        values[f"repeat_recall@{k}"] = recall(truths.where(truths.repeated), k)
        values[f"explore_recall@{k}"] = recall(truths.where(~truths.repeated), k)
    return values
