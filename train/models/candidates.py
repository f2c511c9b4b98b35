"""Candidate generation: each source proposes items, together they are the candidates of one shopper."""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from pydantic import Field

from cluster.config import Config
from train.models.shopper import History
from train.models.transitions import Followers


class Source(IntFlag):
    """Who proposed an item; several may."""

    SEQUENCE = 1
    TRANSITIONS = 2
    REPEAT = 4
    POPULAR = 8

    def names(self) -> list[str]:
        """Return the sources' names as the API spells them."""
        return [str(source.name).lower() for source in Source if source in self]


class SourcesConfig(Config):
    """How many items each source may propose."""

    sequence: int = Field(default=200, ge=1, le=5_000, description="nearest items by ⟨h_u, h_i⟩")
    transitions: int = Field(default=200, ge=0, le=5_000, description="items that followed the shopper's last ones")
    repeat: int = Field(default=300, ge=0, le=5_000, description="the shopper's own items, newest first")
    popular: int = Field(default=100, ge=1, le=5_000, description="items popular of late")

    def at_least(self, k: int) -> "SourcesConfig":
        """Return quotas under which a list of k is full while other items exist, for strangers too."""
        return self.model_copy(update={"sequence": max(self.sequence, k), "popular": max(self.popular, k)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Items still in play for one shopper; every array has length n."""

    item_idx: np.ndarray  # (n,) int64, distinct
    source: np.ndarray  # (n,) uint8, Source flags
    score: np.ndarray  # (n,) float32, higher is better

    def __len__(self) -> int:
        return len(self.item_idx)

    def keep(self, mask: np.ndarray) -> "Candidates":
        """Return the items where `mask` (n,) is true, order preserved."""
        return self.take(np.flatnonzero(mask))

    def take(self, chosen: np.ndarray) -> "Candidates":
        """Return the items at positions `chosen`, in that order."""
        return Candidates(item_idx=self.item_idx[chosen], source=self.source[chosen], score=self.score[chosen])

    def scored(self, score: np.ndarray) -> "Candidates":
        """Return the same items with another score (n,)."""
        return Candidates(item_idx=self.item_idx, source=self.source, score=score)

    def best(self, k: int) -> "Candidates":
        """Return the k best, best first; equal scores keep the smaller item_idx first."""
        return self.take(np.lexsort((self.item_idx, -self.score))[:k])


def gather(
    nearest: np.ndarray,
    followers: Followers,
    history: History,
    popular: np.ndarray,
    blocked: np.ndarray,
    config: SourcesConfig,
) -> Candidates:
    """Return the distinct items that any source proposes, unscored; a stranger gets the popular ones alone.

    nearest: item_idx by ⟨h_u, h_i⟩, best first, -1 where the index had fewer; popular: item_idx, best first;
    blocked: item_idx that must not be shown. Blocked items leave before a source's quota is counted, so that the
    quota is filled while other items exist.
    """
    if not len(history):
        nearest = nearest[:0]  # h_u of no history points nowhere
    strongest = followers.item_idx[np.argsort(-followers.score, kind="stable")]
    proposals = (
        (Source.SEQUENCE, _first_allowed(nearest[nearest >= 0], blocked, config.sequence)),
        (Source.TRANSITIONS, _first_allowed(strongest, blocked, config.transitions)),
        (Source.REPEAT, _first_allowed(_newest_distinct(history.item_idx), blocked, config.repeat)),
        (Source.POPULAR, _first_allowed(popular, blocked, config.popular)),
    )
    item_idx, position = np.unique(np.concatenate([items for _, items in proposals]), return_inverse=True)
    source = np.zeros(len(item_idx), dtype=np.uint8)
    start = 0
    for flag, items in proposals:
        source[position[start : start + len(items)]] |= np.uint8(flag)
        start += len(items)
    return Candidates(item_idx=item_idx.astype(np.int64), source=source, score=np.zeros(len(item_idx), np.float32))


def _first_allowed(items: np.ndarray, blocked: np.ndarray, k: int) -> np.ndarray:
    if not len(blocked):
        return items[:k]
    head = items[: k + len(blocked)]  # at most len(blocked) of them can fall out
    return head[~np.isin(head, blocked)][:k]


def _newest_distinct(item_idx: np.ndarray) -> np.ndarray:
    items, last = np.unique(item_idx[::-1], return_index=True)
    return items[np.argsort(last)]
