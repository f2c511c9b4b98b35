"""From fused scores to probabilities: how likely is a candidate to be clicked or bought in the shopper's next order?"""

from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np

from train.data.schema import Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """An increasing curve from a candidate's share of all scores to its probability; straight between its knots."""

    method: str  # that fitted it
    log_share: np.ndarray  # (b,) float64, growing
    chosen: np.ndarray  # (b,) float64, probabilities, never falling

    def at(self, share: np.ndarray) -> np.ndarray:
        """Return p (n,) for log shares (n,)."""
        return np.interp(share, self.log_share, self.chosen)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"method": self.method, "log_share": self.log_share.tolist(), "chosen": self.chosen.tolist()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Curve":
        """Return the curve that `to_json` wrote."""
        knots = {name: np.asarray(values[name], dtype=np.float64) for name in ("log_share", "chosen")}
        return cls(method=str(values["method"]), **knots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A curve for every goal that the source tells apart, at least one; scores are of all candidates of one shopper."""

    curves: dict[Goal, Curve]

    def p_click(self, score: np.ndarray) -> np.ndarray:
        """Return each candidate's probability (n,) to be chosen in any way; `score` (n,) is fused."""
        curve = self.curves.get("click") or self.curves["purchase"]  # where all that is done is to buy
        return curve.at(log_share(score))

    def p_purchase(self, score: np.ndarray) -> np.ndarray | None:
        """Return each candidate's probability (n,) to be bought, or nothing where the source knows no purchases."""
        return self.curves["purchase"].at(log_share(score)) if "purchase" in self.curves else None

    def probability(self, score: np.ndarray, goal: Goal) -> np.ndarray:
        """Return p (n,) of a goal that has a curve."""
        return self.curves[goal].at(log_share(score))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {goal: curve.to_json() for goal, curve in self.curves.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Calibration":
        """Return the calibration that `to_json` wrote; earlier versions wrote one curve, of any choice."""
        if "log_share" in values:
            values = {"click": values}
        known = get_args(Goal)
        return cls(curves={cast(Goal, goal): Curve.from_json(values[goal]) for goal in known if goal in values})


def log_share(score: np.ndarray) -> np.ndarray:
    """Return log softmax of one shopper's scores (n,): what the ranker's loss reads, and all that they mean."""
    score = np.asarray(score, dtype=np.float64)
    gap = score - score.max(initial=-np.inf)
    return gap - np.log(max(np.exp(gap).sum(), 1.0))  # the best alone counts 1
