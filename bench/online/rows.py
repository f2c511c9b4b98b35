"""Ways of answering a question that differ in what they have learned since the bundle was fitted."""

from collections.abc import Sequence

import numpy as np

from bench.online.blend import best_weights, everything
from bench.online.engine import LiveEngine
from bench.online.rules import PARTS, LiveRules
from bench.online.stream import Question
from train.models.candidates import Candidates
from train.models.item_state import ItemState
from train.models.shopper import History, history_of

FULL, FROZEN, FRESH = "full", "frozen", "fresh h_u"
RULES, RECIPE = "best rules", "+ transitions"
RULE_PARTS = range(1, 1 + len(PARTS))
BLENDS = {RECIPE: (0, 1), RULES: tuple(RULE_PARTS), "all blended": (0, *RULE_PARTS)}


class Answers:
    """Every row's list for one question after the other; blends only after `choose`."""

    def __init__(self, engine: LiveEngine, rules: LiveRules) -> None:
        self._engine, self._rules = engine, rules
        self._frozen = engine.bundle.state
        self._weights: dict[str, np.ndarray] = {}

    def choose(self, shares: Sequence[np.ndarray], questions: Sequence[Question], k: int) -> dict[str, list[float]]:
        """Fix the blends' weights by questions that are not reported, and return them."""
        self._weights = {name: best_weights(shares, questions, parts, k) for name, parts in BLENDS.items()}
        return {name: weights.tolist() for name, weights in self._weights.items()}

    def shares(self, question: Question) -> np.ndarray:
        """Return the parts of the blends, (1 + len(PARTS), n_items): the live model's softmax, then the rules."""
        logits = self._model(self._engine.history(question), self._engine.items)
        shifted = np.exp(logits - logits.max())
        return np.vstack((shifted / shifted.sum(), self._rules.scores(question.user_idx)))

    def lists(self, question: Question) -> dict[str, Candidates]:
        """Return each row's scored items."""
        engine, live = self._engine, self._engine.items
        old, new = history_of(engine.bundle.histories, question.user_idx), engine.history(question)
        shares = self.shares(question)
        return {
            FROZEN: engine.slate(old, self._frozen),
            "frozen model alone": everything(self._model(old, self._frozen)),
            FRESH: everything(self._model(new, self._frozen)),
            "+ item steps": everything(self._model(new, live)),
            **{name: everything(weights @ shares) for name, weights in self._weights.items()},
            "engine, items frozen": engine.slate(new, self._frozen),
            FULL: engine.slate(new, live),
            **{name: everything(shares[part]) for part, name in zip(RULE_PARTS, PARTS, strict=True)},
        }

    def _model(self, history: History, items: ItemState) -> np.ndarray:
        """Return ⟨h_u, h_i⟩ of all items, (n_items,); a stranger is shown what was popular."""
        if history.is_stranger:
            return np.log(self._frozen.recent + 1)
        return items.vectors @ self._engine.vectors([history])[0]
