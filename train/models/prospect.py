"""One shopper with the candidates found for them, not yet ranked."""

from dataclasses import dataclass

import numpy as np

from train.models.candidates import Candidates
from train.models.shopper import History
from train.models.transitions import Followers


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What ranking reads of one shopper."""

    history: History
    vector: np.ndarray  # (d,) float32, h_u
    followers: Followers
    candidates: Candidates
