"""Reasons: what is true of a shown item and this shopper, told in codes, with the item that it is true of."""

from typing import Literal, NamedTuple

import numpy as np

from serve.stages.directions import directions
from train.models.candidates import Candidates, Source
from train.models.item_state import ItemState
from train.models.shopper import History

Code = Literal[
    "seenBefore", "followedAfter", "similarToViewed", "similarTo", "sameBrand", "popular", "new", "explored"
]  # fmt: skip

ROWS = 100  # newest of a history that are looked at
ALIKE = 0.5  # least cosine of two items that are said to be alike


class Reason(NamedTuple):
    """One thing that is true, and of which item of the history, and how much."""

    code: Code
    item_idx: int | None = None
    weight: float | None = None


def reasons_of(
    shown: Candidates, by_lot: np.ndarray, history: History, viewed: np.ndarray, items: ItemState, n_published: int
) -> list[list[Reason]]:
    """Return what is true of each shown item.

    by_lot: (n,) whether it was drawn where another one was best; viewed: item_idx that this visit looked at;
    n_published: items of the bundle, after which new ones are counted.
    """
    told: list[list[Reason]] = [[] for _ in range(len(shown))]
    newest = history.newest_first(ROWS)
    if len(newest):
        _seen_before(told, shown, history)
        _followed_after(told, shown, history, items)
        _similar_to(told, shown, newest, viewed, items)
        _same_brand(told, shown, newest, items)
    for place, (item_idx, source) in enumerate(zip(shown.item_idx.tolist(), shown.source.tolist(), strict=True)):
        if Source.POPULAR & source:
            told[place].append(Reason("popular", None, float(items.recent[item_idx] / max(items.recent_total, 1e-300))))
        if item_idx >= n_published:
            told[place].append(Reason("new"))
        if by_lot[place]:
            told[place].append(Reason("explored"))
    return told


def _seen_before(told: list[list[Reason]], shown: Candidates, history: History) -> None:
    own, times = np.unique(history.item_idx, return_counts=True)
    known = dict(zip(own.tolist(), times.tolist(), strict=True))
    for place, item_idx in enumerate(shown.item_idx.tolist()):
        if item_idx in known:
            told[place].append(Reason("seenBefore", item_idx, float(known[item_idx])))


def _followed_after(told: list[list[Reason]], shown: Candidates, history: History, items: ItemState) -> None:
    """Say which of the newest items adds most to how much a shown one follows from all of them, and which share."""
    by_row = items.transitions.origins(history.item_idx, shown.item_idx)
    origins, row = np.unique(history.newest_first(len(by_row)), return_inverse=True)
    added = np.zeros((len(origins), len(shown)))
    np.add.at(added, row, by_row)
    added[origins[:, None] == shown.item_idx] = 0.0
    total, strongest = added.sum(axis=0), added.argmax(axis=0)
    for place in np.flatnonzero(total > 0).tolist():
        at = int(strongest[place])
        told[place].append(Reason("followedAfter", int(origins[at]), float(added[at, place] / total[place])))


def _similar_to(
    told: list[list[Reason]], shown: Candidates, newest: np.ndarray, viewed: np.ndarray, items: ItemState
) -> None:
    cosine = directions(items.vectors[shown.item_idx]) @ directions(items.vectors[newest]).T
    cosine[shown.item_idx[:, None] == newest] = -1.0
    nearest = cosine.argmax(axis=1)
    for place, at in enumerate(nearest.tolist()):
        if (weight := float(cosine[place, at])) >= ALIKE:
            origin = int(newest[at])
            told[place].append(Reason("similarToViewed" if origin in viewed else "similarTo", origin, weight))


def _same_brand(told: list[list[Reason]], shown: Candidates, newest: np.ndarray, items: ItemState) -> None:
    """Say which is the newest item of the same brand, and which share of the newest ones has it."""
    brand, brands = items.facets.brand[shown.item_idx], items.facets.brand[newest]
    same = (brand[:, None] == brands) & (brand > 0)[:, None]
    for place in np.flatnonzero((same & (shown.item_idx[:, None] != newest)).any(axis=1)).tolist():
        at = int((same[place] & (newest != shown.item_idx[place])).argmax())
        told[place].append(Reason("sameBrand", int(newest[at]), float(same[place].mean())))
