"""How good ranked lists are, from the ranks of the items that were really chosen."""

from dataclasses import dataclass

import numpy as np

from train.models.candidates import Candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedTruth:
    """Where the true items of one query came in its list."""

    rank: np.ndarray  # (t,) float64, 0 is best, ties half-way, inf where the list lacks the item
    repeated: np.ndarray  # (t,) bool, the shopper had the item before


def ranked_truth(ranked: Candidates, truth: np.ndarray, seen: np.ndarray) -> RankedTruth:
    """Return the ranks of `truth` (t,) item_idx in a scored list, whatever its order.

    An item's rank is the number of better items plus half the number of equal ones, so that no order of ids among
    equals can help or harm. `seen` (s,) holds the shopper's earlier item_idx.
    """
    same = ranked.item_idx == truth[:, None]  # (t, n)
    found = same.any(axis=1)
    own = ranked.score[np.nonzero(same)[1]][:, None]
    rank = np.full(len(truth), np.inf)
    rank[found] = (ranked.score > own).sum(axis=1) + ((ranked.score == own).sum(axis=1) - 1) / 2
    return RankedTruth(rank=rank, repeated=(truth[:, None] == seen).any(axis=1))


def ndcg(truth: RankedTruth, k: int) -> float:
    """Normalised discounted cumulative gain with binary gains (Järvelin and Kekäläinen, 2002), in 0..1."""
    gains = 1 / np.log2(truth.rank[truth.rank < k] + 2)
    ideal = (1 / np.log2(np.arange(min(k, len(truth.rank))) + 2)).sum()
    return float(gains.sum() / ideal)


def recall(rank: np.ndarray, k: int) -> float:
    """Hits over the hits that k places allow, in 0..1; rank (t,) with t ≥ 1."""
    return float((rank < k).sum() / min(k, len(rank)))


def reciprocal_rank(rank: np.ndarray, k: int) -> float:
    """One over the place of the first hit within k, 0 without one."""
    best = rank.min()
    return float(1 / (best + 1)) if best < k else 0.0


def hit(rank: np.ndarray, k: int) -> float:
    """One where any true item came within k, else 0."""
    return float((rank < k).any())


def accuracy(truths: list[RankedTruth], k: int) -> dict[str, np.ndarray]:
    """Return what each query says of each metric, (q,), NaN where it says nothing.

    Where any true item was bought before, `repeat_recall` is about old items and `explore_recall` about new ones;
    where none was, both would say nothing and are left out.
    """
    values = {
        f"ndcg@{k}": [ndcg(truth, k) for truth in truths],
        f"recall@{k}": [recall(truth.rank, k) for truth in truths],
        f"mrr@{k}": [reciprocal_rank(truth.rank, k) for truth in truths],
        f"hit_rate@{k}": [hit(truth.rank, k) for truth in truths],
    }
    if any(truth.repeated.any() for truth in truths):
        values[f"repeat_recall@{k}"] = [_recall_of_some(truth, truth.repeated, k) for truth in truths]
        values[f"explore_recall@{k}"] = [_recall_of_some(truth, ~truth.repeated, k) for truth in truths]
    return {name: np.array(of_query, dtype=np.float64) for name, of_query in values.items()}


def ndcg_of_some(truth: RankedTruth, asked: np.ndarray, k: int) -> float:
    """Return NDCG as if only the true items where `asked` (t,) were looked for; NaN where none is."""
    return ndcg(RankedTruth(rank=truth.rank[asked], repeated=truth.repeated[asked]), k) if asked.any() else np.nan


def _recall_of_some(truth: RankedTruth, asked: np.ndarray, k: int) -> float:
    return recall(truth.rank[asked], k) if asked.any() else np.nan
