"""Retrieval: from every item to a few hundred candidates."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from serve.stages.filters.masks import Masks
from serve.stages.index.exact import Index, best_of
from serve.stages.index.still import still_index
from serve.stages.query import Found, Query
from serve.stages.together import Together
from serve.state.view import View
from train.models.candidates import Candidates, SourcesConfig, gather, unscored
from train.models.item_state import ItemState
from train.models.shopper import MAX_HISTORY
from train.models.transitions import Followers

WAIT_S = 0.25  # longest wait for a version that the caller knows of
AT_ONCE = 64  # shoppers looked up together
POPULAR_EVERY = 256  # events after which the popular list is sorted anew


class Retriever:
    """Every source over one view of the state, or over the bundle's own items for a query that wants them still."""

    def __init__(self, view: View, index: Index, sources: SourcesConfig) -> None:
        self._view, self._index, self._sources = view, index, sources
        self.masks = Masks(view.catalogue)
        self._still_index = still_index(index, view.published)
        self._popular = np.empty(0, dtype=np.int64)
        self._sorted_at = -POPULAR_EVERY
        self._together = Together(self.found, AT_ONCE)

    async def retrieve(self, query: Query) -> Found:
        """Return the shopper's candidates; waits a moment for `query.min_version`."""
        await self._view.wait_for(query.min_version, WAIT_S)
        if query.filter is not None or query.marks:
            await self.masks.reading.ready()
        return await self._together(query)

    def found(self, queries: Sequence[Query]) -> list[Found]:
        """Return the candidates of each; those who want the same kind of list are answered side by side."""
        alike: dict[Hashable, list[int]] = {}
        for place, query in enumerate(queries):
            alike.setdefault(_kind(query, place), []).append(place)
        found = {
            place: one
            for places in alike.values()
            for place, one in zip(places, self._found([queries[place] for place in places]), strict=True)
        }
        return [found[place] for place in range(len(queries))]

    def _found(self, queries: Sequence[Query]) -> Iterator[Found]:
        like = queries[0]
        sources = self._sources.model_copy(update=like.quotas) if like.quotas else self._sources
        items, index, popular = (self._still if like.still else self._live)(sources.popular)
        shown = None if like.filter is None else self.masks.mask(like.filter)
        followers = items.transitions.followers_of([query.history.item_idx for query in queries])
        if like.only is None:
            proposed = self._proposed(queries, sources, items, index, popular, followers, shown)
        else:
            able = (like.only < items.n_items) & ~np.isin(like.only, like.blocked)
            proposed = [unscored(like.only[able])]
        for query, query_followers, candidates in zip(queries, followers, proposed, strict=True):
            is_offered = ~items.gone[candidates.item_idx]
            if shown is not None:
                is_offered &= shown[candidates.item_idx]
            offered = candidates if is_offered.all() else candidates.keep(is_offered)
            if query.marks:
                offered = self._marked(query, offered, items, index, popular, shown)
            yield Found(followers=query_followers, candidates=offered, version=self._view.version)

    def _proposed(
        self, queries: Sequence[Query], sources: SourcesConfig, items: ItemState, index: Index, popular: np.ndarray,
        followers: list[Followers], shown: np.ndarray | None,
    ) -> list[Candidates]:  # fmt: skip
        n_blocked = max(len(query.blocked) for query in queries)
        width = min(items.n_items, sources.sequence + n_blocked)
        nearest = np.full((len(queries), width), -1, dtype=np.int64)
        known = [place for place, query in enumerate(queries) if not query.history.is_stranger]
        if known and shown is None:
            nearest[known] = index.search_each(np.stack([queries[place].vector for place in known]), width)
        elif known:
            nearest[known] = [index.search(queries[place].vector, width, shown) for place in known]
        if shown is not None:
            followers = [one.among(shown) for one in followers]
            popular = self._popular_among(shown, items, popular, sources.popular + n_blocked)
        histories, blocked = [query.history for query in queries], [query.blocked for query in queries]
        return gather(nearest, followers, histories, popular, blocked, sources)

    def _marked(
        self, query: Query, offered: Candidates, items: ItemState, index: Index, popular: np.ndarray,
        shown: np.ndarray | None,
    ) -> Candidates:  # fmt: skip
        """Return candidates that carry the query's marks, with as many of each as it wants, if there are so many."""
        for filter, wanted in query.marks if query.only is None else ():
            if not wanted:
                continue
            mask = self.masks.mask(filter)
            if np.count_nonzero(mask[offered.item_idx]) >= wanted:
                continue
            able = mask & ~items.gone if shown is None else mask & shown & ~items.gone
            able[query.blocked[query.blocked < len(able)]] = able[offered.item_idx] = False
            if query.history.is_stranger:
                found = self._popular_among(able, items, popular, wanted)[:wanted]
            else:
                found = index.search(query.vector, wanted, able)
            offered = offered.with_more(found[found >= 0])
        held = [self.masks.mask(mark.filter)[offered.item_idx] for mark in query.marks]
        return replace(offered, marks=np.column_stack(held))

    def popular(self, quota: int) -> np.ndarray:
        """Return items by recent popularity, best first, enough of them whatever one shopper has seen."""
        items, wanted = self._view.items, quota + MAX_HISTORY
        is_short = len(self._popular) < min(items.n_items, wanted)  # items came, or more are wanted
        if is_short or not 0 <= self._view.version - self._sorted_at < POPULAR_EVERY:
            self._popular = most_popular(items.recent, items.gone, wanted)
            self._sorted_at = self._view.version
        return self._popular[~items.gone[self._popular]]

    def _live(self, quota: int) -> tuple[ItemState, Index, np.ndarray]:
        return self._view.items, self._index, self.popular(quota)

    def _still(self, quota: int) -> tuple[ItemState, Index, np.ndarray]:
        items, popular = self._view.published, self._still_popular[: quota + MAX_HISTORY]
        return items, self._still_index, popular[~items.gone[popular]]

    @cached_property
    def _still_popular(self) -> np.ndarray:
        published = self._view.published
        return most_popular(published.recent, published.gone, published.n_items)

    def _popular_among(self, shown: np.ndarray, items: ItemState, popular: np.ndarray, wanted: int) -> np.ndarray:
        """Return the most popular of the items that a filter shows; `popular` holds them where it shows many."""
        found = popular[shown[popular]]
        if len(found) >= wanted:
            return found
        item_idx = np.flatnonzero(shown & ~items.gone)
        best = best_of(item_idx, items.recent[item_idx], wanted)
        return best[best >= 0]


def most_popular(recent: np.ndarray, gone: np.ndarray, wanted: int) -> np.ndarray:
    """Return the item_idx of so many by recent popularity, best first, those that are no longer offered last.

    recent, gone: (n_items,), of ItemState. Of equals the first come first, as if all were sorted.
    """
    recent = np.where(gone, -1.0, recent)
    wanted = min(wanted, len(recent))
    least = np.partition(recent, -wanted)[-wanted]
    more, as_much = np.flatnonzero(recent > least), np.flatnonzero(recent == least)
    chosen = np.concatenate([more, as_much[: wanted - len(more)]])
    return chosen[np.argsort(-recent[chosen], kind="stable")]


def _kind(query: Query, place: int) -> Hashable:
    """Return what queries have in common that are answered side by side, their filter too; a given list is alone."""
    alone = None if query.only is None else place
    return query.still, tuple(sorted((query.quotas or {}).items())), id(query.filter), alone
