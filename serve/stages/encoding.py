"""Encoding: h_u of histories, remembered for as long as somebody holds the history."""

from collections.abc import Sequence
from typing import NamedTuple
from weakref import ref

import numpy as np

from serve.stages.together import Together
from train.models.base import VectorModel
from train.models.shopper import History, moment_of

AT_ONCE = 64  # encoded together, about a millisecond; a history costs half of what it does among 16


class Remembered(NamedTuple):
    """The vector of a history that still lives."""

    rows: "ref[np.ndarray]"  # item_idx; forgets this when nobody holds it any more
    traits: np.ndarray | None
    moment: int
    vector: np.ndarray


class Encoding:
    """A model's encoder; who asks for several slates between two events, or clicks on one, is encoded once.

    A history is known again by its array of items, which is made anew for every event and written by nobody.
    """

    def __init__(self, model: VectorModel) -> None:
        self._together = Together(model.encode_shoppers, AT_ONCE)
        self._known: dict[int, Remembered] = {}  # by id of the array

    def __len__(self) -> int:
        return len(self._known)

    async def __call__(self, histories: Sequence[History]) -> list[np.ndarray]:
        """Return h_u (d,) float32 of each; those of one turn of the event loop are encoded together."""
        vectors = {place: known for place, one in enumerate(histories) if (known := self._recalled(one)) is not None}
        unknown = [place for place in range(len(histories)) if place not in vectors]
        for place, vector in zip(unknown, await self._together.each(histories[at] for at in unknown), strict=True):
            self._remember(histories[place], vector)
            vectors[place] = vector
        return [vectors[place] for place in range(len(histories))]

    def _recalled(self, history: History) -> np.ndarray | None:
        known = self._known.get(id(history.item_idx))
        if known is None or known.traits is not history.traits or known.moment != moment_of(history):
            return None
        return known.vector

    def _remember(self, history: History, vector: np.ndarray) -> None:
        rows, known = history.item_idx, self._known
        key = id(rows)
        forgetting = ref(rows, lambda _: known.pop(key, None))
        known[key] = Remembered(forgetting, history.traits, moment_of(history), vector)
