"""How good the model is between two epochs: NDCG@10 over all items, on a sample of validation queries."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed
from scipy.sparse import csr_matrix

from train.data.schema import NO_ITEM, Queries, Split
from train.data.told import NOTHING, Told, moments_of
from train.models.base import Model, VectorModel

K = 10
CHUNK = 2**24  # scores held in memory at once


@dataclass(frozen=True, kw_only=True)
class ValidationSet:
    """Queries with the histories that they may read, ready to travel to workers."""

    histories: list[np.ndarray]  # one per query: item_idx, oldest first
    truths: list[np.ndarray]  # one per query: distinct item_idx
    filter_seen: bool  # whether items of the history are left out of the answer
    told: Told[np.ndarray] = NOTHING  # of each query

    @classmethod
    def sample(cls, split: Split, size: int, filter_seen: bool, seed: int) -> "ValidationSet | None":
        """Return at most `size` of the split's validation queries, or nothing when it has none."""
        queries: Queries = split.valid
        if len(queries) == 0 or size == 0:
            return None
        traits = split.history.traits
        chosen = np.random.default_rng(seed).permutation(len(queries))[:size]
        users = queries.user_idx[chosen]
        return cls(
            histories=[split.history.items_of(int(queries.user_idx[q]))[: queries.cut[q]] for q in chosen],
            truths=[queries.truth_of(int(q)) for q in chosen], filter_seen=filter_seen,
            told=Told(
                None if traits is None else csr_matrix(traits[users]).toarray(),
                moments_of(split.history.timestamp_ms[split.history.offsets[users] + queries.cut[chosen]]),
            ),
        )  # fmt: skip

    def ndcg(self, model: Model, rank: int = 0, world_size: int = 1) -> float:
        """Return the mean NDCG@10 (Järvelin and Kekäläinen, 2002); each worker scores its part, all get the mean."""
        mine = np.arange(rank, len(self.truths), world_size)
        lengths = np.array([len(self.histories[query]) for query in mine])
        mine = mine[np.argsort(lengths, kind="stable")]  # so that little is padded
        size = max(1, CHUNK // model.n_items)
        chunks = [mine[at : at + size] for at in range(0, len(mine), size)]
        found = sum(self._sum(queries, self._scores(model, queries)) for queries in chunks)
        total = torch.tensor([found, len(mine)], dtype=torch.float64)
        if world_size > 1:
            total = total.to("cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
            torch.distributed.all_reduce(total)
        return float(total[0] / total[1])

    def _scores(self, model: Model, queries: np.ndarray) -> np.ndarray:
        histories = [self.histories[query] for query in queries]
        if isinstance(model, VectorModel):
            return model.scores(histories, self.told.each(lambda part: part[queries]))
        return model.scores(histories)

    def _sum(self, queries: np.ndarray, scores: np.ndarray) -> float:
        if self.filter_seen:
            for row, query in enumerate(queries):
                scores[row, self.histories[query]] = -np.inf
        best = torch.from_numpy(scores).topk(min(K, scores.shape[1]))
        ranked = best.indices.masked_fill(best.values == -torch.inf, NO_ITEM).numpy()
        return sum(ndcg_of(ranked[row], self.truths[query]) for row, query in enumerate(queries))


def ndcg_of(ranked: np.ndarray, truth: np.ndarray) -> float:
    """Return NDCG of one list, best first, against the items that were chosen; 0..1."""
    discounts = 1 / np.log2(np.arange(len(ranked)) + 2)
    return float(discounts[np.isin(ranked, truth)].sum() / discounts[: len(truth)].sum())
