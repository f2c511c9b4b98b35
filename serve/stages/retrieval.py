"""Retrieval: from every item to a few hundred candidates."""

from functools import cached_property

import numpy as np

from serve.stages.filters.masks import Masks
from serve.stages.index.exact import Index, best_of
from serve.stages.index.still import still_index
from serve.stages.query import Found, Query
from serve.state.view import View
from train.models.candidates import Candidates, SourcesConfig, gather, unscored
from train.models.item_state import ItemState
from train.models.shopper import MAX_HISTORY
from train.models.transitions import Followers

WAIT_S = 0.25  # longest wait for a version that the caller knows of
POPULAR_EVERY = 256  # events after which the popular list is sorted anew


class Retriever:
    """Every source over one view of the state, or over the bundle's own items for a query that wants them still."""

    def __init__(self, view: View, index: Index, sources: SourcesConfig) -> None:
        self._view, self._index, self._sources = view, index, sources
        self.masks = Masks(view.catalogue)
        self._still_index = still_index(index, view.published)
        self._popular = np.empty(0, dtype=np.int64)
        self._sorted_at = -POPULAR_EVERY

    async def retrieve(self, query: Query) -> Found:
        """Return the shopper's candidates; waits a moment for `query.min_version`."""
        await self._view.wait_for(query.min_version, WAIT_S)
        if query.filter is not None:
            await self.masks.reading.ready()
        sources = self._sources.model_copy(update=query.quotas) if query.quotas else self._sources
        items, index, popular = (self._still if query.still else self._live)(sources.popular)
        shown = None if query.filter is None else self.masks.mask(query.filter)
        followers = items.transitions.followers(query.history.item_idx)
        if query.only is None:
            candidates = self._proposed(query, sources, items, index, popular, followers, shown)
        else:
            candidates = unscored(query.only[query.only < items.n_items])
        offered = candidates.keep(~items.gone[candidates.item_idx])
        if shown is not None:
            offered = offered.keep(shown[offered.item_idx])
        return Found(followers=followers, candidates=offered, version=self._view.version)

    def _proposed(
        self, query: Query, sources: SourcesConfig, items: ItemState, index: Index, popular: np.ndarray,
        followers: Followers, shown: np.ndarray | None,
    ) -> Candidates:  # fmt: skip
        width = min(items.n_items, sources.sequence + len(query.blocked))
        nearest = index.search(query.vector, width, shown)
        if shown is not None:
            wanted = sources.popular + len(query.blocked)
            followers, popular = followers.among(shown), self._popular_among(shown, items, popular, wanted)
        [candidates] = gather(
            nearest[None], [followers], [query.history], popular, [query.blocked], sources
        )  # fmt: skip
        return candidates

    def popular(self, quota: int) -> np.ndarray:
        """Return items by recent popularity, best first, enough of them whatever one shopper has seen."""
        items, wanted = self._view.items, quota + MAX_HISTORY
        is_short = len(self._popular) < min(items.n_items, wanted)  # items came, or more are wanted
        if is_short or not 0 <= self._view.version - self._sorted_at < POPULAR_EVERY:
            self._popular = _most_popular(items)[:wanted]
            self._sorted_at = self._view.version
        return self._popular[~items.gone[self._popular]]

    def _live(self, quota: int) -> tuple[ItemState, Index, np.ndarray]:
        return self._view.items, self._index, self.popular(quota)

    def _still(self, quota: int) -> tuple[ItemState, Index, np.ndarray]:
        items, popular = self._view.published, self._still_popular[: quota + MAX_HISTORY]
        return items, self._still_index, popular[~items.gone[popular]]

    @cached_property
    def _still_popular(self) -> np.ndarray:
        return _most_popular(self._view.published)

    def _popular_among(self, shown: np.ndarray, items: ItemState, popular: np.ndarray, wanted: int) -> np.ndarray:
        """Return the most popular of the items that a filter shows; `popular` holds them where it shows many."""
        found = popular[shown[popular]]
        if len(found) >= wanted:
            return found
        item_idx = np.flatnonzero(shown & ~items.gone)
        best = best_of(item_idx, items.recent[item_idx], wanted)
        return best[best >= 0]


def _most_popular(items: ItemState) -> np.ndarray:
    """Return every item_idx by recent popularity, best first, those that are no longer offered last."""
    return np.argsort(-np.where(items.gone, -1.0, items.recent), kind="stable")
