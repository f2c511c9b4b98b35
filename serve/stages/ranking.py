"""Ranking: the fused score of each candidate."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from serve.stages.query import Found, Query, Ranked
from serve.stages.retrieval import AT_ONCE, WAIT_S
from serve.stages.together import Together
from serve.state.view import View
from train.models.features import features
from train.models.item_state import ItemState
from train.models.prospect import Prospect
from train.models.ranker import Ranker
from train.recommender import scored

Asked = tuple[Query, Found]


class Ranking:
    """The bundle's ranker over one view of the state."""

    def __init__(self, view: View, ranker: Ranker) -> None:
        self._view, self._ranker = view, ranker
        self._together = Together(self.ranked, AT_ONCE)

    async def rank(self, query: Query, found: Found) -> Ranked:
        """Return the candidates with their fused score, in the order in which they were found."""
        await self._view.wait_for(max(query.min_version, found.version), WAIT_S)
        return await self._together((query, found))

    def ranked(self, asked: Sequence[Asked]) -> Iterator[Ranked]:
        """Yield what `rank` says of each."""
        for still, some in groupby(asked, lambda one: one[0].still):
            items, few = self._view.published if still else self._view.items, list(some)
            prospects = [_known(one, items) for one in few]
            read, end = features(prospects, items), 0
            for (query, found), candidates in zip(few, scored(prospects, read, items, self._ranker), strict=True):
                start, end = end, end + len(candidates)
                told = read[start : end if len(query.history) else start]
                version = min(found.version, self._view.version)
                yield Ranked(candidates=candidates, features=told, version=version)


def _known(asked: Asked, items: ItemState) -> Prospect:
    """Return a shopper with the candidates that are items here; a stage that is ahead may have found newer ones."""
    prospect = asked[1].prospect(asked[0])
    is_known = prospect.candidates.item_idx < items.n_items
    return prospect if is_known.all() else replace(prospect, candidates=prospect.candidates.keep(is_known))
