"""Browsing: lists that are the same for everybody, like some items or by what all shoppers do."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from serve.stages.directions import LEAST_LENGTH, directions
from serve.stages.filters.expression import Expression
from serve.stages.filters.masks import Masks
from serve.stages.index.exact import Index, best_of
from serve.stages.retrieval import WAIT_S
from serve.state.view import View

Kind = Literal["similar", "popular", "trending", "new"]

NOTHING = np.empty(0, dtype=np.int64)
SHORTLIST = 4  # of the nearest by inner product, for each item wanted, among which the nearest by angle are looked for
SPARE = 100  # of them beyond that


@dataclass(frozen=True, slots=True, kw_only=True)
class Browse:
    """Which list is wanted."""

    kind: Kind
    count: int
    items: np.ndarray = field(default_factory=lambda: NOTHING)  # (m,) item_idx to be like, and to leave out
    filter: Expression | None = None  # what items must say of themselves, bound
    min_version: int = 0
    bundle: str = ""  # version that item_idx speak of; the engine says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsed:
    """Items, best first, and the version of the state that they were found in."""

    item_idx: np.ndarray  # (n,) int64
    score: np.ndarray  # (n,) float64, descending
    version: int


class Browsing:
    """Lists over one view of the state."""

    def __init__(self, view: View, index: Index, masks: Masks) -> None:
        self._view, self._index, self._masks = view, index, masks

    async def browse(self, ask: Browse) -> Browsed:
        """Return the list; waits a moment for `ask.min_version`."""
        await self._view.wait_for(ask.min_version, WAIT_S)
        if ask.filter is not None:
            await self._masks.reading.ready()
        shown = None if ask.filter is None else self._masks.mask(ask.filter)
        offered = ~self._view.items.gone if shown is None else shown & ~self._view.items.gone
        if ask.kind == "similar":
            item_idx, score = self._similar(ask, shown)
        else:
            every = np.flatnonzero(offered)
            item_idx, score = every, self._scores(ask.kind)[every]
            if ask.kind == "new":
                item_idx, score = every[score >= 0], score[score >= 0]
        best = best_of(np.arange(len(item_idx)), score, ask.count)
        best = best[best >= 0]
        return Browsed(item_idx=item_idx[best], score=score[best], version=self._view.version)

    def _similar(self, ask: Browse, shown: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return items and the cosine of their vectors and the mean direction of those asked for."""
        vectors = self._view.items.vectors
        wanted = directions(vectors[ask.items[ask.items < len(vectors)]]).sum(axis=0)
        if np.linalg.norm(wanted) < LEAST_LENGTH:
            return NOTHING, np.empty(0)
        width = min(len(vectors), SHORTLIST * ask.count + len(ask.items) + SPARE)
        found = self._index.search(wanted.astype(np.float32), width, shown)
        found = found[(found >= 0) & ~np.isin(found, ask.items)]
        return found, directions(vectors[found]) @ directions(wanted[None])[0]

    def _scores(self, kind: Kind) -> np.ndarray:
        """Return what each item's place goes by, (n_items,) float64."""
        items = self._view.items
        lately = items.recent / max(items.recent_total, 1e-300)
        if kind == "popular":
            return lately
        if kind == "trending":
            return lately - items.popularity / max(items.n_events, 1)
        return np.arange(items.n_items, dtype=np.float64) - self._view.catalogue.n_published
