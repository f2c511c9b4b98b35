"""From fused scores to probabilities: how likely is a candidate to be chosen in the shopper's next order?"""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """An increasing curve from a candidate's share of all scores to its probability; straight between its knots."""

    method: str  # that fitted it
    log_share: np.ndarray  # (b,) float64, growing
    chosen: np.ndarray  # (b,) float64, probabilities, never falling

    def probability(self, score: np.ndarray) -> np.ndarray:
        """Return p (n,) of one shopper's candidates, given the fused scores (n,) of all of them."""
        return self.at(log_share(score))

    def at(self, share: np.ndarray) -> np.ndarray:
        """Return p (n,) for log shares (n,)."""
        return np.interp(share, self.log_share, self.chosen)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"method": self.method, "log_share": self.log_share.tolist(), "chosen": self.chosen.tolist()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Calibration":
        """Return the calibration that `to_json` wrote."""
        knots = {name: np.asarray(values[name], dtype=np.float64) for name in ("log_share", "chosen")}
        return cls(method=str(values["method"]), **knots)


def log_share(score: np.ndarray) -> np.ndarray:
    """Return log softmax of one shopper's scores (n,): what the ranker's loss reads, and all that they mean."""
    score = np.asarray(score, dtype=np.float64)
    return score - np.logaddexp.reduce(score)
