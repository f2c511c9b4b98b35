"""The scored lists of several queries as one rectangle, so that a few calls rank and cut all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.models.candidates import Candidates
from train.models.ragged import places

ENDED = -1  # item_idx behind the end of a list


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredLists:
    """A list a row, in no order; one that is shorter than the longest is filled with ENDED, scored −inf."""

    item_idx: np.ndarray  # (q, w) int64
    score: np.ndarray  # (q, w) floats, finite within the lists

    @classmethod
    def of(cls, lists: Sequence[Candidates]) -> "ScoredLists":
        """Return lists of any lengths."""
        counts = np.array([len(one) for one in lists], dtype=np.int64)
        within = np.arange(counts.max(initial=0)) < counts[:, None]
        scores = np.concatenate([np.empty(0, np.float32), *(one.score for one in lists)])
        item_idx, score = np.full(within.shape, ENDED), np.full(within.shape, -np.inf, scores.dtype)
        item_idx[within] = np.concatenate([np.empty(0, np.int64), *(one.item_idx for one in lists)])
        score[within] = scores
        return cls(item_idx=item_idx, score=score)

    def ranks(self, query: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return where each item of `truth` (t,) came in the list of its `query` (t,), (t,) float64.

        An item's rank is the number of better items plus half the number of equal ones, so that no order of ids among
        equals can help or harm; inf where the list lacks it.
        """
        rank = np.full(len(truth), np.inf)
        found, place = np.nonzero(self.item_idx[query] == truth[:, None])
        listed = self.score[query[found]]
        own = listed[np.arange(len(found)), place][:, None]
        better, equal = np.count_nonzero(listed > own, axis=1), np.count_nonzero(listed == own, axis=1)
        rank[found] = better + (equal - 1) / 2
        return rank

    def best(self, k: int) -> np.ndarray:
        """Return the k best item_idx of each list, (q, k), best first; the smaller one first among equals."""
        last = max(0, self.score.shape[1] - k)
        least = np.partition(self.score, last, axis=1)[:, last, None] if last else -np.inf
        row, column = np.nonzero((self.score >= least) & (self.item_idx != ENDED))
        item_idx = self.item_idx[row, column]
        order = np.lexsort((item_idx, -self.score[row, column], row))
        row, place = places(np.bincount(row, minlength=len(self.score)))
        best = np.full((len(self.score), k), ENDED)
        best[row[place < k], place[place < k]] = item_idx[order][place < k]
        return best
