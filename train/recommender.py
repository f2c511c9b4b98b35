"""Batch recommendation: the same candidates, features and ranker that answer live requests, for many shoppers."""

from collections.abc import Iterator
from dataclasses import dataclass

import faiss
import numpy as np

from train.models.base import VectorModel
from train.models.candidates import Candidates, SourcesConfig, gather
from train.models.features import features
from train.models.item_state import ItemState
from train.models.ranker import Ranker
from train.models.shopper import MAX_HISTORY, History
from train.models.transitions import Followers

CHUNK = 512  # shoppers encoded and searched together

NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """One shopper with the candidates found for them, not yet ranked."""

    history: History
    vector: np.ndarray  # (d,) float32, h_u
    followers: Followers
    candidates: Candidates

    def features(self, state: ItemState) -> np.ndarray:
        """Return (n, F) features of the candidates."""
        return features(self.candidates.item_idx, self.vector, self.followers, self.history, state)

    def ranked(self, state: ItemState, ranker: Ranker) -> Candidates:
        """Return the candidates with their fused score; for a stranger, with their recent popularity."""
        if not len(self.history):
            return self.candidates.scored(state.recent[self.candidates.item_idx])
        return self.candidates.scored(ranker.score(self.features(state)))


def prospects(
    model: VectorModel, state: ItemState, sources: SourcesConfig, histories: list[History], keep_seen: bool
) -> Iterator[Prospect]:
    """Yield each shopper's candidates, in the order of `histories`; seen items are left out unless `keep_seen`."""
    popular = np.argsort(-state.recent, kind="stable")[: sources.popular + MAX_HISTORY]
    for start in range(0, len(histories), CHUNK):
        chunk = histories[start : start + CHUNK]
        vectors = model.encode_histories([history.item_idx for history in chunk])
        blocked = [NOTHING if keep_seen else np.unique(history.item_idx) for history in chunk]
        width = min(state.n_items, sources.sequence + max(len(items) for items in blocked))
        _, nearest = faiss.knn(vectors, state.vectors, width, metric=faiss.METRIC_INNER_PRODUCT)
        for row, history in enumerate(chunk):
            followers = state.transitions.followers(history.item_idx)
            candidates = gather(nearest[row], followers, history, popular, blocked[row], sources)
            yield Prospect(history=history, vector=vectors[row], followers=followers, candidates=candidates)
