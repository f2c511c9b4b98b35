"""What probabilities promised of each candidate, and what came of it."""

import numpy as np

from train.data.schema import Goal, Queries
from train.evaluation.reliability import Reliability, reliability
from train.models.calibration import Calibration
from train.models.candidates import Candidates


class Promises:
    """Collects the probabilities of candidates, query by query, for every goal that a calibration knows."""

    def __init__(self, calibration: Calibration | None) -> None:
        self._calibration = calibration
        self._kept: dict[Goal, list[tuple[np.ndarray, np.ndarray]]] = {}

    def add(self, ranked: Candidates, queries: Queries, query: int) -> None:
        """Note what is promised of the candidates of one query; nothing without a calibration."""
        if self._calibration is None:
            return
        for goal in self._calibration.curves:
            promised = self._calibration.probability(ranked.score, goal)
            came = ranked.among(queries.reached(query, goal))
            self._kept.setdefault(goal, []).append((promised, came))

    def reliability(self) -> dict[Goal, Reliability]:
        """Return how far each goal's probabilities can be relied on; empty where none were promised."""
        return {goal: _reliability(kept) for goal, kept in self._kept.items()}


def _reliability(kept: list[tuple[np.ndarray, np.ndarray]]) -> Reliability:
    promised, came = zip(*kept, strict=True)
    return reliability(np.concatenate(promised), np.concatenate(came))
