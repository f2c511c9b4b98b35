"""Ranking: the fused score of each candidate."""

from serve.stages.query import Found, Query, Ranked
from serve.stages.retrieval import WAIT_S
from serve.state.view import View
from train.models.ranker import Ranker
from train.recommender import ranked


class Ranking:
    """The bundle's ranker over one view of the state."""

    def __init__(self, view: View, ranker: Ranker) -> None:
        self._view, self._ranker = view, ranker

    async def rank(self, query: Query, found: Found) -> Ranked:
        """Return the candidates with their fused score, in the order in which they were found."""
        await self._view.wait_for(query.min_version, WAIT_S)
        items = self._view.published if query.still else self._view.items
        [candidates] = ranked([found.prospect(query)], items, self._ranker)
        return Ranked(candidates=candidates, version=min(found.version, self._view.version))
