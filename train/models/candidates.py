"""Candidate generation: each source proposes items, together they are the candidates of one shopper."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from itertools import pairwise

import numpy as np
from pydantic import Field

from cluster.config import Config
from train.models.ragged import ITEM_BITS, ITEM_MASK, merged, offsets_of, pairs, places, positions, side_by_side
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


SOURCE_BITS = len(Source)
SOURCE_MASK = (1 << SOURCE_BITS) - 1


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
    marks: np.ndarray | None = None  # (n, r) bool, which of them are meant by each rule of the shop; None without any

    def __len__(self) -> int:
        return len(self.item_idx)

    def keep(self, mask: np.ndarray) -> "Candidates":
        """Return the items where `mask` (n,) is true, order preserved."""
        return self.take(np.flatnonzero(mask))

    def take(self, chosen: np.ndarray) -> "Candidates":
        """Return the items at positions `chosen`, in that order."""
        marks = None if self.marks is None else self.marks[chosen]
        return Candidates(
            item_idx=self.item_idx[chosen], source=self.source[chosen], score=self.score[chosen], marks=marks
        )  # fmt: skip

    def scored(self, score: np.ndarray) -> "Candidates":
        """Return the same items with another score (n,)."""
        return Candidates(item_idx=self.item_idx, source=self.source, score=score, marks=self.marks)

    def with_more(self, item_idx: np.ndarray) -> "Candidates":
        """Return unmarked items and others (m,) that no source proposed."""
        more = unscored(item_idx)
        return Candidates(
            item_idx=np.concatenate((self.item_idx, more.item_idx)),
            source=np.concatenate((self.source, more.source)), score=np.concatenate((self.score, more.score)),
        )  # fmt: skip

    def best(self, k: int) -> "Candidates":
        """Return the k best, best first; equal scores keep the smaller item_idx first."""
        last = max(0, len(self) - k)
        able = np.flatnonzero(self.score >= np.partition(self.score, last)[last]) if last else np.arange(len(self))
        return self.take(able[np.lexsort((self.item_idx[able], -self.score[able]))[:k]])

    def among(self, few: np.ndarray) -> np.ndarray:
        """Return which of the items are among a few item_idx, (n,) bool."""
        return (self.item_idx[:, None] == few).any(axis=1)


def unscored(item_idx: np.ndarray) -> Candidates:
    """Return distinct items (n,) that no source proposed."""
    n = len(item_idx)
    return Candidates(item_idx=item_idx, source=np.zeros(n, np.uint8), score=np.zeros(n, np.float32))


def gather(
    nearest: np.ndarray,
    followers: Sequence[Followers],
    histories: Sequence[History],
    popular: np.ndarray,
    blocked: Sequence[np.ndarray],
    config: SourcesConfig,
) -> list[Candidates]:
    """Return each shopper's distinct items that any source proposes, unscored; a stranger's are the popular ones alone.

    nearest: (s, w) item_idx by ⟨h_u, h_i⟩, best first, -1 where the index had fewer; popular: item_idx, best first;
    blocked: item_idx that each must not be shown. Blocked items leave before a source's quota is counted,
    so that the quota is filled while other items exist.
    """
    barred = np.sort(side_by_side(blocked))
    proposed = (
        (Source.SEQUENCE, _within(_known_nearest(nearest, histories), barred, config.sequence)),
        (Source.TRANSITIONS, _strongest(followers, barred, config.transitions)),
        (Source.REPEAT, _within(_newest_distinct(histories), barred, config.repeat)),
        (Source.POPULAR, _within(_enough(popular, blocked, config.popular), barred, config.popular)),
    )
    marked = merged([pair << SOURCE_BITS | int(source) for source, pair in proposed], ITEM_BITS + SOURCE_BITS)
    pair = marked >> SOURCE_BITS
    first = np.flatnonzero(np.diff(pair, prepend=-1))
    flags = (marked & SOURCE_MASK).astype(np.uint8)
    source = np.bitwise_or.reduceat(flags, first) if len(first) else flags
    item_idx, score = pair[first] & ITEM_MASK, np.zeros(len(first), np.float32)
    return [
        Candidates(item_idx=item_idx[start:end], source=source[start:end], score=score[start:end])
        for start, end in pairwise(offsets_of(pair[first], len(histories)))
    ]


def _within(proposed: np.ndarray, barred: np.ndarray, quota: int) -> np.ndarray:
    """Return the first `quota` pairs of each shopper that are not barred (ascending); proposed: best first."""
    allowed = proposed[~positions(barred, proposed)[0]] if len(barred) else proposed
    owner = allowed >> ITEM_BITS
    _, place = places(np.bincount(owner)) if len(owner) else (owner, owner)
    return allowed[place < quota]


def _known_nearest(nearest: np.ndarray, histories: Sequence[History]) -> np.ndarray:
    known = np.array([not history.is_stranger for history in histories])  # h_u of nothing points nowhere
    row, column = np.nonzero((nearest >= 0) & known[:, None])
    return pairs(row, nearest[row, column])


def _strongest(followers: Sequence[Followers], barred: np.ndarray, quota: int) -> np.ndarray:
    """Return the pairs of the `quota` best followers of each shopper; the smaller item_idx among equals."""
    pair = side_by_side([found.item_idx for found in followers])
    score = np.concatenate([found.score for found in followers])
    score[positions(pair, barred)[1]] = 0.0  # no follower scores 0
    ends = np.cumsum([len(found.item_idx) for found in followers]).tolist()
    chosen = [start + _best(score[start:end], quota) for start, end in zip([0, *ends], ends, strict=False)]
    return pair[np.concatenate(chosen)]


def _best(score: np.ndarray, k: int) -> np.ndarray:
    """Return the positions of the k highest scores above 0, the earlier among equals; in no order."""
    if np.count_nonzero(score) > k:
        least = np.partition(score, len(score) - k)[len(score) - k] if k else np.inf
        above = np.flatnonzero(score > least)
        return np.concatenate((above, np.flatnonzero(score == least)[: k - len(above)]))
    return np.flatnonzero(score)


def _newest_distinct(histories: Sequence[History]) -> np.ndarray:
    """Return the pairs of each shopper's own items, newest first."""
    newest = side_by_side([history.item_idx[::-1] for history in histories])
    _, first = np.unique(newest, return_index=True)
    first.sort()
    return newest[first]


def _enough(popular: np.ndarray, blocked: Sequence[np.ndarray], quota: int) -> np.ndarray:
    """Return the pairs of the most popular items, as many as are sure to fill the quota."""
    owner, place = places(np.array([min(len(popular), quota + len(items)) for items in blocked]))
    return pairs(owner, popular[place])
