"""The prequential figure: how well events were foreseen before they were learned from, live and without learning.

Its sums forget: with each judged event, all before it count a `window`-th less. Like all of the learner it keeps to
sums, products, quotients and square roots, so that replays and replicas come to the same bits.
"""

from typing import Literal, NamedTuple

import numpy as np

from serve.state.events import Ranks

# 1 / log2(rank + 1) of ranks 1 to 10, written out because libm's last bit differs between processors.
DISCOUNTS = (
    1.0, 0.6309297535714575, 0.5, 0.43067655807339306, 0.38685280723454163, 0.3562071871080222, 0.3333333333333333,
    0.31546487678572877, 0.3010299956639812, 0.2890648263178879,
)  # fmt: skip
K = len(DISCOUNTS)
GAIN = np.array([0.0, *DISCOUNTS, 0.0])  # by rank; K + 1 stands for any beyond
IN_DOUBT, AT_EASE = 3.0, 1.0  # standard errors below zero at which the guard begins, and up to which it goes on

SlateName = Literal["live", "still", "frozen"]  # the fields of Ranks

JUDGED, GUARDED, WEIGHT, WEIGHT_SQUARED = range(4)  # places in the sums; from here on all are Σ weight · …
GAINS, HITS = 4, 7  # of each slate
LEADS, LEADS_SQUARED = 10, 12  # of the live slate over each shadow
SIZE = 14


class Score(NamedTuple):
    """How well one slate foresaw the judged events, on average."""

    ndcg: float  # at K, in 0..1: with one right item it is 1 / log2(rank + 1)
    hit_rate: float  # share of events whose item is among the first K


class Lead(NamedTuple):
    """By how much more NDCG@K the live slate foresaw the same events than a shadow."""

    mean: float
    error: float | None  # standard error; None while there are too few events to tell


class Figures:
    """What the judged events came to; `sums` is all there is of it, and written in place.

    An event counts by its standing, so that a crowd of newcomers has as little say here as in what is learned.
    """

    def __init__(self, window: int, least: int) -> None:
        """Start with nothing judged.

        window: judged events that count, about; least: judged events before which the guard never begins.
        """
        self.window, self._keep, self._least = window, 1 - 1 / window, least
        self.sums = np.zeros(SIZE)

    @property
    def judged(self) -> int:
        """Events ever judged."""
        return int(self.sums[JUDGED])

    @property
    def guarded(self) -> bool:
        """Whether learning was found to do harm, so that the bundle's items shall answer until it does no more."""
        return bool(self.sums[GUARDED])

    @property
    def effective(self) -> float:
        """How many events of equal weight tell as much as the sums do (Kish, 1965)."""
        weight, squared = self.sums[[WEIGHT, WEIGHT_SQUARED]].tolist()
        return weight * weight / squared if squared else 0.0

    def score(self, slate: SlateName) -> Score | None:
        """Return how a slate did, None before the first judged event."""
        place = Ranks._fields.index(slate)
        return Score(self._mean(GAINS + place), self._mean(HITS + place)) if self.judged else None

    def lead(self, shadow: SlateName) -> Lead | None:
        """Return how far the live slate is ahead of a shadow, None before the first judged event."""
        if not self.judged:
            return None
        place, n = Ranks._fields.index(shadow) - Ranks._fields.index("still"), self.effective
        mean = self._mean(LEADS + place)
        variance = max(0.0, self._mean(LEADS_SQUARED + place) - mean * mean)
        return Lead(mean, float(np.sqrt(variance / (n - 1))) if n > 1 else None)

    def add(self, judged: np.ndarray, standing: np.ndarray) -> None:
        """Take events in their order; judged: (n, 3) as in MicroBatch; standing: (n,), with 0 one counts nothing."""
        for position in np.flatnonzero((judged[:, 0] != 0) & (standing > 0)).tolist():
            self._add(judged[position], float(standing[position]))

    def _add(self, ranks: np.ndarray, weight: float) -> None:
        places = np.where((ranks > 0) & (ranks <= K), ranks, K + 1)
        gain = GAIN[places]
        lead = gain[0] - gain[1:]
        self.sums[WEIGHT:] *= self._keep
        self.sums[WEIGHT_SQUARED] *= self._keep
        self.sums[JUDGED] += 1
        self.sums[WEIGHT:GAINS] += (weight, weight * weight)
        self.sums[GAINS:] += weight * np.concatenate((gain, places <= K, lead, lead * lead))
        self.sums[GUARDED] = self._in_doubt()

    def _in_doubt(self) -> bool:
        """Tell whether the bundle's items shall answer.

        This is asked after each judged event, so that the usual two standard errors would soon be passed by chance: a
        learner that is worth nothing passes three about once in sixty windows of 2,000.
        """
        lead = self.lead("still")
        if lead is None or lead.error is None or self.judged < self._least:
            return False
        return lead.mean + (AT_EASE if self.guarded else IN_DOUBT) * lead.error < 0

    def _mean(self, place: int) -> float:
        return float(self.sums[place] / self.sums[WEIGHT])
