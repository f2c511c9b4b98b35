"""Previewing: which of the newest decisions would come out otherwise if the shop had another rule."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from cluster.errors import UnprocessableError
from serve.engine import Engine
from serve.slates import Ask
from serve.stages.filters.expression import Expression, Facts, holds
from serve.stages.filters.facts import facts_of
from serve.stages.rules.rulebook import InForce, Rulebook
from serve.state.documents import Documents
from serve.state.events import Write
from serve.trust.decisions import Decision
from serve.trust.replaying import ranked_scores
from train.models.candidates import Candidates

NEWEST = 100  # decisions that are looked at

Again = Callable[[Decision], Ask]  # what was asked for a decision


@dataclass(slots=True)
class Preview:
    """What a rule would have done to the newest decisions."""

    n_decisions: int = 0
    n_in_force: int = 0  # of them it would have been in force
    changed: list[str] = field(default_factory=list)  # ids of those that would show something else, the newest first


async def previewed(engine: Engine, draft: Write, again: Again) -> Preview:
    """Return what a rule would have changed, as written in `draft`, in place of the one of that id if there is one.

    Each list is arranged twice from the candidates that are kept of it: by the rules of now, and with the draft. What
    was no candidate then is not seen. Decisions go by one after the other, so that requests are answered between them.
    """
    drafted = Documents()
    drafted.restore(engine.view.documents.to_array())
    drafted.write(draft)
    books, known = (Rulebook(engine.view.documents), Rulebook(drafted)), _Known(engine)
    found, now = Preview(), datetime.now(UTC)
    for decision in await engine.recorder.newest(NEWEST):
        try:
            ask, candidates = again(decision), _candidates(decision, engine.index)
        except UnprocessableError:  # it asked about an item that this bundle does not know
            continue
        ask = replace(ask, recommendation_id=decision.recommendation_id, count=decision.count)
        before, after = (book.in_force(decision.scenario, ask.said, now) for book in books)
        found.n_decisions += 1
        found.n_in_force += any(name == draft.id for name, _ in after.versions)
        was, would_be = [
            await _shown(engine, ask, known.ruled(candidates, one), one, decision) for one in (before, after)
        ]
        if not np.array_equal(was, would_be):
            found.changed.append(decision.recommendation_id)
        await asyncio.sleep(0)
    return found


async def _shown(
    engine: Engine, ask: Ask, candidates: Candidates, in_force: InForce, decision: Decision
) -> np.ndarray:  # fmt: skip
    order = replace(ask, in_force=in_force).order(is_stranger=decision.fallback == "popular")
    return (await engine.arranging.arrange(candidates, order)).shown.item_idx


def _candidates(decision: Decision, index: dict[str, int]) -> Candidates:
    """Return what is kept of a decision's candidates and still known, with the ranker's scores."""
    item_idx = np.array([index.get(item_id, -1) for item_id in decision.item_ids], dtype=np.int64)
    every = Candidates(item_idx=item_idx, source=decision.source, score=ranked_scores(decision))
    return every.keep(item_idx >= 0)


class _Known:
    """What items say of themselves, each asked once."""

    def __init__(self, engine: Engine) -> None:
        self._catalogue, self._facts = engine.view.catalogue, dict[int, Facts]()

    def ruled(self, candidates: Candidates, in_force: InForce) -> Candidates:
        """Return the candidates that filter rules leave, with the marks of the others."""
        if in_force.filter is not None:
            candidates = candidates.keep(self._holds(in_force.filter, candidates))
        if not in_force.rules:
            return candidates
        marks = [self._holds(expression, candidates) for _, expression in in_force.rules]
        return replace(candidates, marks=np.column_stack(marks))

    def _holds(self, expression: Expression, candidates: Candidates) -> np.ndarray:
        return np.array([holds(expression, self._of(one)) for one in candidates.item_idx.tolist()], dtype=bool)

    def _of(self, item_idx: int) -> Facts:
        if (known := self._facts.get(item_idx)) is None:
            item_id = self._catalogue.item_ids[item_idx]
            known = self._facts[item_idx] = facts_of(item_id, self._catalogue.told(item_idx))
        return known
