"""Batch recommendation: the same candidates, features and ranker that answer live requests, for many shoppers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from train.models.base import VectorModel
from train.models.candidates import Candidates, SourcesConfig, gather
from train.models.features import features, features_of_lists
from train.models.item_state import ItemState
from train.models.prospect import Prospect
from train.models.ranker import Ranker
from train.models.shopper import MAX_HISTORY, History
from train.models.transitions import Followers

ENCODED = 512  # shoppers encoded together, those with histories of about one length side by side
CHUNK = 64  # shoppers looked up and ranked together; their features stay in the processor's cache

NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What a few shoppers are near to and what follows their last items, before anything is blocked."""

    histories: list[History]
    vectors: np.ndarray  # (s, d) float32, h_u
    nearest: np.ndarray  # (s, w) item_idx, best first, wide enough for what a shopper has seen
    followers: list[Followers]
    popular: np.ndarray  # item_idx, best first
    sources: SourcesConfig

    def prospects(self, keep_seen: bool) -> list[Prospect]:
        """Return each shopper's candidates; seen items are left out unless `keep_seen`."""
        blocked = [NOTHING if keep_seen else np.unique(history.item_idx) for history in self.histories]
        found = gather(self.nearest, self.followers, self.histories, self.popular, blocked, self.sources)
        return [
            Prospect(history=history, vector=vector, followers=followers, candidates=candidates)
            for history, vector, followers, candidates in zip(
                self.histories, self.vectors, self.followers, found, strict=True
            )
        ]


def lookups(
    model: VectorModel, state: ItemState, sources: SourcesConfig, histories: list[History]
) -> Iterator[Lookup]:  # fmt: skip
    """Yield the shoppers in their order, CHUNK at a time."""
    popular = np.argsort(-state.recent, kind="stable")[: sources.popular + MAX_HISTORY]
    for chunk, vectors in _encoded(model, histories):
        items = [history.item_idx for history in chunk]
        width = min(state.n_items, sources.sequence + max(map(len, items)))
        _, nearest = faiss.knn(vectors, state.vectors, width, metric=faiss.METRIC_INNER_PRODUCT)
        yield Lookup(
            histories=chunk, vectors=vectors, nearest=nearest, followers=state.transitions.followers_of(items),
            popular=popular, sources=sources,
        )  # fmt: skip


def _encoded(model: VectorModel, histories: list[History]) -> Iterator[tuple[list[History], np.ndarray]]:
    """Yield CHUNK shoppers at a time with their vectors (s, d)."""
    for start in range(0, len(histories), ENCODED):
        group = histories[start : start + ENCODED]
        vectors = model.encode_shoppers(group)
        for at in range(0, len(group), CHUNK):
            yield group[at : at + CHUNK], vectors[at : at + CHUNK]


def prospects(
    model: VectorModel, state: ItemState, sources: SourcesConfig, histories: list[History], keep_seen: bool
) -> Iterator[list[Prospect]]:
    """Yield the shoppers' candidates, CHUNK at a time, in the order of `histories`."""
    return (lookup.prospects(keep_seen) for lookup in lookups(model, state, sources, histories))


def ranked(prospects: Sequence[Prospect], state: ItemState, ranker: Ranker) -> list[Candidates]:
    """Return each shopper's candidates with their fused score; who has no history gets none, see `_without_history`."""
    return scored(prospects, features(prospects, state), state, ranker)


def ranked_lists(lists: Sequence[Sequence[Prospect]], state: ItemState, ranker: Ranker) -> list[list[Candidates]]:
    """Return what `ranked` says of each list, to the bit; the lists hold other candidates of the same shoppers."""
    matrices = features_of_lists(lists, state)
    return [scored(prospects, matrix, state, ranker) for prospects, matrix in zip(lists, matrices, strict=True)]


def scored(
    prospects: Sequence[Prospect], matrix: np.ndarray, state: ItemState, ranker: Ranker
) -> list[Candidates]:  # fmt: skip
    """Return what `ranked` says; matrix: (n, F), as train.models.features.features says of the same prospects."""
    ends = np.cumsum([len(prospect.candidates) for prospect in prospects]).tolist()
    found = []
    for prospect, start, end in zip(prospects, [0, *ends], ends, strict=False):
        # Scored one by one: products of matrices of another height may differ in their last bits.
        known = len(prospect.history) > 0
        score = ranker.score(matrix[start:end]) if known else _without_history(prospect, state)
        found.append(prospect.candidates.scored(score))
    return found


def _without_history(prospect: Prospect, state: ItemState) -> np.ndarray:
    """Return ⟨h_u, h_i⟩ where traits are known, recent popularity for a stranger: the ranker learned from histories."""
    items = prospect.candidates.item_idx
    return state.recent[items] if prospect.history.is_stranger else state.vectors[items] @ prospect.vector
