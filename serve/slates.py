"""What is asked of the engine, and what it answers."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from serve.stages.arranging.arrange import Arranged, Order
from serve.stages.arranging.policy import HOME, Policy
from serve.stages.filters.expression import Expression, Said
from serve.stages.reasons import Reason
from serve.stages.rules.rulebook import NO_RULES, InForce
from serve.state.shoppers import Shopper
from train.models.candidates import Candidates

Route = Literal["recommendations", "rank", "basket"]

NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request for recommendations, its item ids already numbers."""

    user_id: str | None  # None: nobody we could know
    count: int
    context: np.ndarray  # item_idx looked at in this visit, oldest first, perhaps not yet in the history
    excluded: np.ndarray  # item_idx
    min_version: int
    filter: Expression | None = None  # what items must say of themselves, the scenario's filter in it, bound
    said: Said = field(default_factory=dict)  # what conditions of rules may ask for
    now: datetime | None = None  # that dates of rules are held against; None: the present
    in_force: InForce = NO_RULES  # as the engine finds it; filter rules are in `filter`
    basket: np.ndarray = field(default_factory=lambda: NOTHING)  # item_idx of an order being filled, after `context`
    only: np.ndarray | None = None  # distinct item_idx that alone are ranked, seen or not; None: whatever is found
    order_key: str = ""  # of the order that the shopper is filling; empty where there is none
    traits: dict[str, Any] = field(default_factory=dict)  # what is known of the shopper just now, before what was known
    policy: Policy = HOME  # with what the request says instead
    min_score: float | None = None  # least score of an item that is shown
    seed: int | None = None  # what is drawn follows from it and who asks; None: from `recommendation_id`
    recommendation_id: str = ""
    reasons: bool = False  # whether each item shall say why it is shown
    route: Route = "recommendations"
    sent: BaseModel | None = None  # the request's body

    def sparing(self, shopper: Shopper) -> "Ask":
        """Return a request that also leaves out what its shopper bought within the time that the scenario says."""
        within_ms, asked_ms = self.policy.config.not_purchased_within_ms, shopper.history.asked_ms
        if within_ms is None or asked_ms is None:
            return self
        bought = shopper.bought.after(asked_ms - within_ms)
        return replace(self, excluded=np.union1d(self.excluded, bought.item_idx))

    def order(self, is_stranger: bool) -> Order:
        """Return how candidates shall become a slate."""
        rules = tuple(rule for rule, _ in self.in_force.rules)
        lot = self.recommendation_id if self.seed is None else f"{self.seed} {self.user_id or ''}"
        return Order(
            count=self.count, config=self.policy.config, lot=lot, min_score=self.min_score, is_stranger=is_stranger,
            rules=rules,
        )  # fmt: skip


ANYTHING = Ask(user_id=None, count=0, context=NOTHING, excluded=NOTHING, min_version=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slate:
    """What is shown, best first, and how it came about."""

    arranged: Arranged
    reasons: list[list[Reason]]  # of each item; empty where nobody asked
    policy: Policy
    state_version: int
    lag_ms: float
    degraded: tuple[str, ...]
    fallback: Literal["none", "popular"]

    @property
    def candidates(self) -> Candidates:
        """What is shown."""
        return self.arranged.shown
