"""What probabilities promised of each candidate, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.data.schema import Goal, Queries
from train.evaluation.reliability import Reliability, reliability
from train.models.calibration import Calibration, log_share
from train.models.candidates import Candidates
from train.models.ragged import positions, side_by_side


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """Probabilities of candidates, and which of them came true, one query's after the other's."""

    promised: np.ndarray  # (n,) float64
    came: np.ndarray  # (n,) bool

    @property
    def reliability(self) -> Reliability:
        """How far they can be relied on."""
        return reliability(self.promised, self.came)


def promises(calibration: Calibration, ranked: Sequence[Candidates], queries: Queries) -> dict[Goal, Promises]:
    """Return what is promised of each query's candidates, for every goal that the calibration knows."""
    shares = np.concatenate([np.empty(0), *(log_share(one.score) for one in ranked)])
    listed = side_by_side([one.item_idx for one in ranked])
    found = {}
    for goal, curve in calibration.curves.items():
        reached = side_by_side([queries.reached(query, goal) for query in range(len(queries))])
        came, _ = positions(np.sort(reached), listed)
        found[goal] = Promises(promised=curve.at(shares), came=came)
    return found


def joined(parts: Sequence[dict[Goal, Promises]]) -> dict[Goal, Promises]:
    """Return the promises of several lots of queries, at least one, as those of one."""
    return {
        goal: Promises(
            promised=np.concatenate([part[goal].promised for part in parts]),
            came=np.concatenate([part[goal].came for part in parts]),
        )
        for goal in parts[0]
    }  # fmt: skip
