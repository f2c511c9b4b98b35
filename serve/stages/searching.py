"""Search: items that say the words of a query, and items near to what it means, in one list."""

from dataclasses import dataclass

import numpy as np

from serve.stages.browsing import Browsed
from serve.stages.filters.expression import Expression
from serve.stages.filters.masks import Masks
from serve.stages.index.exact import Index, best_of
from serve.stages.lexicon import Lexicon
from serve.stages.retrieval import WAIT_S
from serve.state.view import View

LEXICAL, VECTOR = 1, 2  # flags of who found an item
FOUND = 200  # items that each finds
WORDS, MEANING = 0.7, 0.3  # what either counts in the score of an item
PERSONAL = 0.3  # what the shopper's liking counts beside them


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for, and by whom."""

    text: str
    vector: np.ndarray  # (d,) float32, where an item of this text would lie; zeros where texts say nothing of that
    shopper: np.ndarray  # (d,) float32, h_u; zeros for nobody
    count: int
    filter: Expression | None = None  # what items must say of themselves, bound
    min_version: int = 0
    bundle: str = ""  # version that vectors speak of; the engine says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits(Browsed):
    """Items that answer a query, and who found them."""

    found_by: np.ndarray  # (n,) uint8, flags


class Searching:
    """Search over one view of the state."""

    def __init__(self, view: View, index: Index, masks: Masks) -> None:
        self._view, self._index, self._masks = view, index, masks
        self._lexicon = Lexicon(view.catalogue)

    async def search(self, ask: Search) -> Hits:
        """Return what answers a query, by a weighted sum of scaled scores (Bruch et al., 2023, section 3).

        Waits a moment for `ask.min_version`, and longer for the first reading of the catalogue.
        """
        await self._view.wait_for(ask.min_version, WAIT_S)
        await self._lexicon.reading.ready()
        if ask.filter is not None:
            await self._masks.reading.ready()
        items, words = self._view.items, self._lexicon.scores(ask.text)
        shown = ~items.gone if ask.filter is None else self._masks.mask(ask.filter) & ~items.gone
        said = np.flatnonzero(shown & (words > 0))
        score, found_by = np.zeros(items.n_items), np.zeros(items.n_items, np.uint8)
        by_words = best_of(said, words[said], FOUND)
        by_words = by_words[by_words >= 0]
        score[by_words] += WORDS * words[by_words] / words[by_words].max(initial=1e-12)
        found_by[by_words] |= LEXICAL
        if ask.vector.any():
            near = self._index.search(ask.vector, min(FOUND, items.n_items), shown)
            near = near[near >= 0]
            score[near] += MEANING * _scaled(items.vectors[near] @ ask.vector)
            found_by[near] |= VECTOR
        hits = np.flatnonzero(found_by)
        if ask.shopper.any():
            score[hits] += PERSONAL * _scaled(items.vectors[hits] @ ask.shopper)
        best = best_of(hits, score[hits], ask.count)
        best = best[best >= 0]
        return Hits(item_idx=best, score=score[best], found_by=found_by[best], version=self._view.version)


def _scaled(score: np.ndarray) -> np.ndarray:
    """Return scores (n,) with the lowest at 0 and the highest at 1."""
    least, most = score.min(initial=np.inf), score.max(initial=-np.inf)
    return (score - least) / max(most - least, 1e-12)
