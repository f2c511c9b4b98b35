"""Continuing: the next items of a list, none of which it showed before, whoever asks for them and where."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cluster.errors import ConflictError, ExpiredError, UnprocessableError
from serve.engine import Engine
from serve.slates import Ask, Slate
from serve.state.clock import now_ms
from serve.state.decision_log import began_ms, first_of, page_of
from serve.trust.decisions import Decision

GOOD_MS = 30 * 60_000  # for so long a list can be continued
MOST_PAGES = 100
TRIES = 5  # where others continue the same list at the same time

Again = Callable[[Decision], Ask]  # what was asked when a list began


async def continued(engine: Engine, recommendation_id: str, count: int, again: Again) -> tuple[Ask, Slate]:
    """Return the next `count` items of a list and what they answer; they are in the store before anybody sees them.

    Raises NotFoundError, ExpiredError, and UnprocessableError where a list has no next items.
    """
    first_id = first_of(recommendation_id)
    began = began_ms(recommendation_id)
    if began is not None and now_ms() - began > GOOD_MS:
        raise ExpiredError(f"{recommendation_id} is older than half an hour; ask for recommendations anew")
    for _ in range(TRIES):
        chain = await engine.recorder.chain(first_id)
        ask = _next(chain, count, again(chain[0]), engine.index)
        slate = await engine.recommend(ask)
        if await engine.recorder.settle(ask.recommendation_id):
            return ask, slate
    raise ConflictError(f"{first_id} is continued by many at once; send the same request again")


def _next(chain: list[Decision], count: int, ask: Ask, index: dict[str, int]) -> Ask:
    page = page_of(chain[-1].recommendation_id) + 1
    if page >= MOST_PAGES:
        raise UnprocessableError(f"{chain[0].recommendation_id} was continued {MOST_PAGES} times, which is the most")
    if ask.only is not None:
        raise UnprocessableError("a ranked list was shown whole; nothing comes next")
    shown = [index[item_id] for one in chain for item_id in one.shown_ids if item_id in index]
    excluded = np.union1d(ask.excluded, np.array(shown, dtype=np.int64))
    return replace(ask, count=count, excluded=excluded, recommendation_id=f"{chain[0].recommendation_id}-{page}")
