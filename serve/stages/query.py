"""What travels down the stages of a request."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from serve.stages.filters.expression import Expression
from train.models.candidates import Candidates
from train.models.prospect import Prospect
from train.models.shopper import History
from train.models.transitions import Followers


class Mark(NamedTuple):
    """Items that the stages after retrieval must know from the others."""

    filter: Expression  # which holds for them, bound
    wanted: int = 0  # how many of them must be among the candidates, as far as there are so many


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One shopper's question: who asks, what must not be shown, and what the answer must reflect."""

    bundle: str  # version that item_idx and h_u speak of
    history: History
    vector: np.ndarray  # (d,) float32, h_u
    blocked: np.ndarray  # item_idx that must not be shown
    min_version: int  # what the caller knows of; every stage's view must have come as far
    filter: Expression | None = None  # what items must say of themselves, bound; None: anything
    marks: tuple[Mark, ...] = ()  # those that candidates carry
    only: np.ndarray | None = None  # distinct item_idx that alone are ranked; None: what the sources propose
    still: bool = False  # whether the bundle's own items answer, and not what events made of them
    quotas: dict[str, int] = field(default_factory=dict)  # of sources, where not the bundle's


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Candidates on their way to the ranker, and the version of the state that they were found in."""

    followers: Followers
    candidates: Candidates
    version: int
    degraded: tuple[str, ...] = ()  # stages that others stood in for

    def prospect(self, query: Query) -> Prospect:
        """Return the shopper with these candidates."""
        return Prospect(
            history=query.history, vector=query.vector, followers=self.followers, candidates=self.candidates
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Candidates with their fused score, and the oldest version of the state that took part."""

    candidates: Candidates
    features: np.ndarray  # (n, F) float32, what the ranker read of them; no rows where it was not asked
    version: int
    degraded: tuple[str, ...] = ()  # stages that others stood in for
