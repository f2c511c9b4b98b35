"""Knowledge: what objectives and caps may ask of candidates by name."""

from collections.abc import Awaitable, Callable, Mapping

import numpy as np

from serve.stages.describing import NOTHING, Describe, Described
from serve.state.view import View
from train.bundle import Bundle
from train.models.calibration import Calibration
from train.models.candidates import Candidates
from train.models.item_state import ItemState

SCORE, NOVELTY = "score", "novelty"
PROBABILITIES: dict[str, Callable[[Calibration, np.ndarray], np.ndarray | None]] = {
    "p(click)": Calibration.p_click, "p(purchase)": Calibration.p_purchase,
}  # fmt: skip
OURS = {SCORE, NOVELTY, *PROBABILITIES}  # all other names are attributes of items


class Knowledge:
    """What is known of items over one view of the state; attributes are asked of the stage that has read them."""

    def __init__(self, bundle: Bundle, view: View, describe: Callable[[Describe], Awaitable[Described]]) -> None:
        self._calibration, self._version = bundle.calibration, bundle.manifest.version
        self._view, self._describe = view, describe

    async def numbers(
        self, names: frozenset[str], candidates: Candidates, logit: np.ndarray
    ) -> dict[str, np.ndarray] | None:
        """Return each named thing of the candidates, (n,) float64, NaN where an item does not say.

        Nothing where the bundle does not know a probability: that of buying, where nobody bought anything.
        logit: (n,) their scores as logits; probabilities are those of all these candidates in one list.
        """
        known: dict[str, np.ndarray | None] = {SCORE: candidates.score.astype(np.float64)}
        for name in names & PROBABILITIES.keys():
            known[name] = None if self._calibration is None else PROBABILITIES[name](self._calibration, logit)
        if NOVELTY in names:
            known[NOVELTY] = novelty(self._view.items, candidates.item_idx)
        if told := tuple(sorted(names - OURS)):
            ask = Describe(item_idx=candidates.item_idx, numbers=told, bundle=self._version)
            known |= (await self._describe(ask)).numbers
        found = {name: values for name, values in known.items() if values is not None}
        return found if len(found) == len(known) else None

    async def caps(self, most: Mapping[str, int], item_idx: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which items have which values, and how many of each value a slate may hold.

        most: by attribute. The position of an item (m,) int64, the value that it has (m,) int64, counted through all
        attributes, and the most of each value (v,) int64.
        """
        ask = Describe(item_idx=item_idx, values=tuple(most), bundle=self._version)
        holders, values, limits, n = [NOTHING], [NOTHING], [NOTHING], 0
        for name, (holder, code) in (await self._describe(ask)).values.items():
            distinct, value = np.unique(code, return_inverse=True)
            holders.append(holder)
            values.append(value + n)
            limits.append(np.full(len(distinct), most[name]))
            n += len(distinct)
        return np.concatenate(holders), np.concatenate(values), np.concatenate(limits)


def novelty(items: ItemState, item_idx: np.ndarray) -> np.ndarray:
    """Return how surprising items (n,) are: their self-information (Zhou et al., 2010), 1 for one that nobody took yet.

    That is −log₂ of an item's share of all events ever, one event more for each item, over the largest there can be.
    """
    total = items.n_events + items.n_items
    return 1 - np.log(items.popularity[item_idx] + 1) / np.log(max(total, 2.0))
