"""Ranking: the fused score of each candidate."""

from dataclasses import replace

from serve.stages.query import Found, Query, Ranked
from serve.stages.retrieval import WAIT_S
from serve.state.view import View
from train.models.features import features
from train.models.ranker import Ranker
from train.recommender import scored


class Ranking:
    """The bundle's ranker over one view of the state."""

    def __init__(self, view: View, ranker: Ranker) -> None:
        self._view, self._ranker = view, ranker

    async def rank(self, query: Query, found: Found) -> Ranked:
        """Return the candidates with their fused score, in the order in which they were found."""
        await self._view.wait_for(max(query.min_version, found.version), WAIT_S)
        items = self._view.published if query.still else self._view.items
        prospect = found.prospect(query)
        known = prospect.candidates.item_idx < items.n_items  # a stage that is ahead may have found newer ones
        prospects = [replace(prospect, candidates=prospect.candidates.keep(known))]
        read = features(prospects, items)
        [candidates] = scored(prospects, read, items, self._ranker)
        told = read[: len(read) if len(query.history) else 0]
        return Ranked(candidates=candidates, features=told, version=min(found.version, self._view.version))
