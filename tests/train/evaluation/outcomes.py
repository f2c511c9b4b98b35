"""A made-up evaluation: a good engine, a fair baseline and a bad one on queries of many users."""

import numpy as np
from scipy.sparse import csr_matrix

from train.data.schema import Queries
from train.evaluation.metrics import RankedTruths
from train.evaluation.outcome import Evaluation, Shelf, outcome_of
from train.evaluation.reliability import reliability

N_ITEMS, N_QUERIES, K = 50, 240, 10


def made_up(seed: int = 0) -> Evaluation:
    """Return 240 queries of 80 users with two true items each; history lengths run from 0 to 119."""
    rng = np.random.default_rng(seed)
    queries = Queries(
        user_idx=np.arange(N_QUERIES) // 3, cut=np.arange(N_QUERIES) // 2,
        truth_offsets=np.arange(N_QUERIES + 1) * 2,
        truth=np.concatenate([rng.choice(N_ITEMS, 2, replace=False) for _ in range(N_QUERIES)]),
    )  # fmt: skip
    popularity = np.floor(200 / np.arange(1, N_ITEMS + 1))
    shelf = Shelf(popularity=popularity, past=csr_matrix((N_QUERIES, N_ITEMS)))
    spread = {"liveshelf": 12, "sequence model": 11, "sequential rules": 20, "popularity": 40}
    rows = {name: outcome_of(_truths(rng, width), _lists(rng), shelf, K) for name, width in spread.items()}
    probability = rng.beta(0.3, 5, 2_000)
    found = reliability(probability, rng.random(2_000) < probability)
    return Evaluation(
        k=K, queries=queries, popularity=popularity, rows=rows,
        reliability={"click": found, "purchase": found},
    )  # fmt: skip


def _truths(rng: np.random.Generator, width: int) -> RankedTruths:
    """Ranks below `width`, the second item of every query bought before."""
    rank = rng.random(2 * N_QUERIES) * width
    return RankedTruths(rank=rank, repeated=np.arange(2 * N_QUERIES) % 2 == 1, offsets=np.arange(N_QUERIES + 1) * 2)


def _lists(rng: np.random.Generator) -> np.ndarray:
    return np.stack([rng.choice(N_ITEMS, K, replace=False) for _ in range(N_QUERIES)])
