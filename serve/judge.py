"""Test, then train: which place an event's item has in slates of the moment before the event is learned from."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import numpy as np

from serve.stages.query import Ranked
from serve.state.events import UNRANKED, Event, Ranks
from train.bundle_state import Manifest
from train.models.candidates import Candidates
from train.models.shopper import History

log = logging.getLogger(__name__)

MOST = 2  # of one call, so that its other events wait little
LONGEST_S = 0.25  # for one of them

Answer = Callable[[History, np.ndarray, bool], Awaitable[Ranked]]  # history, h_u (d,), whether its items stand still
Encode = Callable[[History], Awaitable[np.ndarray]]  # history → h_u (d,)


class Judge:
    """Asks what would have been answered, for a share of events that their ids alone decide on."""

    def __init__(self, answer: Answer, encode: Encode, manifest: Manifest, share: float) -> None:
        """Judge a share, in 0..1, of the events by the engine's own answers."""
        self._answer, self._encode, self._manifest = answer, encode, manifest
        self._below = int(share * 2**64)

    async def judged(self, events: Sequence[Event], histories: Sequence[History], vectors: np.ndarray) -> list[Event]:
        """Return the events, a few of them with Ranks; one that cannot be judged goes on as it is.

        histories: each event's shopper just before it; vectors: (n, d), their h_u.
        """
        result = list(events)
        chosen = [place for place, event in enumerate(events) if self._is_chosen(event, histories[place])]
        for place in chosen[:MOST]:
            try:
                async with asyncio.timeout(LONGEST_S):
                    ranks = await self._ranks(events[place].item_idx, histories[place], vectors[place])
            except Exception as error:  # whatever it was: the event counts, and the next one may be judged
                log.warning("event not judged error=%r", error)
                break
            result[place] = replace(events[place], judged=ranks)
        return result

    def _is_chosen(self, event: Event, history: History) -> bool:
        """Tell whether an event is judged: one that likes an item which a slate may hold, and whose turn it is."""
        if event.item_idx < 0 or event.weight <= 0:
            return False
        if not self._manifest.keep_seen and (history.item_idx == event.item_idx).any():
            return False
        return int.from_bytes(hashlib.blake2b(event.event_id.encode(), digest_size=8).digest()) < self._below

    async def _ranks(self, item_idx: int, history: History, vector: np.ndarray) -> Ranks:
        live = rank_in((await self._answer(history, vector, False)).candidates, item_idx)
        still = frozen = rank_in((await self._answer(history, vector, True)).candidates, item_idx)
        known = history.where(history.timestamp_ms <= self._manifest.data_cutoff_ms)
        if len(known) < len(history):
            frozen = rank_in((await self._answer(known, await self._encode(known), True)).candidates, item_idx)
        return Ranks(live, still, frozen)


def rank_in(slate: Candidates, item_idx: int) -> int:
    """Return which place an item has among scored candidates, 1 the first, in the order of Candidates.best."""
    found = np.flatnonzero(slate.item_idx == item_idx)
    if not len(found):
        return UNRANKED
    own = slate.score[found[0]]
    ahead = (slate.score > own) | ((slate.score == own) & (slate.item_idx < item_idx))
    return 1 + int(np.count_nonzero(ahead))
