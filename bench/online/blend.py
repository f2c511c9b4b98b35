"""Weighted sums of shares, their weights chosen on questions that are not reported."""

from collections.abc import Sequence

import numpy as np

from bench.online.stream import Question
from train.evaluation.metrics import RankedTruths, ndcg, ranks_of
from train.models.candidates import Candidates

WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
ROUNDS = 2


def everything(score: np.ndarray) -> Candidates:
    """Return all items as one list, scored (n_items,)."""
    n_items = len(score)
    return Candidates(item_idx=np.arange(n_items), source=np.zeros(n_items, np.uint8), score=score)


def ranked_truths(ranks: Sequence[np.ndarray]) -> RankedTruths:
    """Return the ranks of each question's true items as one value."""
    offsets = np.cumsum([0, *map(len, ranks)])
    rank = np.concatenate([np.empty(0), *ranks])
    return RankedTruths(rank=rank, repeated=np.zeros(len(rank), bool), offsets=offsets)


def best_weights(
    shares: Sequence[np.ndarray], questions: Sequence[Question], parts: Sequence[int], k: int
) -> np.ndarray:
    """Return a weight for each part, zero for those not among `parts`, that make the best lists of k.

    shares: per question (n_parts, n_items). One weight after the other goes to its best value.
    """
    chosen = np.zeros(len(shares[0]))
    chosen[list(parts)] = 0.1
    chosen[parts[0]] = 1.0
    best = _quality(chosen, shares, questions, k)
    for part in [part for _ in range(ROUNDS) for part in parts[1:]]:
        for weight in WEIGHTS:
            tried = chosen.copy()
            tried[part] = weight
            if (quality := _quality(tried, shares, questions, k)) > best:
                chosen, best = tried, quality
    return chosen


def _quality(weights: np.ndarray, shares: Sequence[np.ndarray], questions: Sequence[Question], k: int) -> float:
    ranks = [ranks_of(one.truth, everything(weights @ share)) for one, share in zip(questions, shares, strict=True)]
    return float(ndcg(ranked_truths(ranks), k).mean())
