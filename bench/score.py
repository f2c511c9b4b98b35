"""How good lists are, written plainly and apart from the engine's own metrics, which it is held against."""

import math
from collections.abc import Iterable

import numpy as np


def half_way_rank(scores: np.ndarray, own: float) -> float:
    """Return the rank, 0 is best, of an item that scores `own` among `scores`, which hold it too; ties half-way."""
    return float((scores > own).sum() + ((scores == own).sum() - 1) / 2)


def recall_at(k: int, ranks: list[float]) -> float:
    """Return hits over the hits that k places allow; ranks of all the items that were chosen, inf where not listed."""
    return sum(rank < k for rank in ranks) / min(k, len(ranks))


def ndcg_at(k: int, ranks: list[float]) -> float:
    """Return discounted gain over that of the best possible list."""
    gain = sum(1 / math.log2(rank + 2) for rank in ranks if rank < k)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(k, len(ranks))))


def score_queries(k: int, queries: Iterable[list[float]]) -> dict[str, float]:
    """Return the means over queries, each given as the ranks of its chosen items."""
    asked = list(queries)
    return {
        f"recall@{k}": sum(recall_at(k, ranks) for ranks in asked) / len(asked),
        f"ndcg@{k}": sum(ndcg_at(k, ranks) for ranks in asked) / len(asked),
    }
