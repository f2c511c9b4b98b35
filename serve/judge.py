"""Test, then train: which place an event's item has in slates of the moment before the event is learned from."""

import asyncio
import hashlib
import logging
import time
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
LONGEST_S = 0.25  # for them

Answer = Callable[[History, np.ndarray, bool], Awaitable[Ranked]]  # history, h_u (d,), whether its items stand still
Encode = Callable[[History], Awaitable[np.ndarray]]  # history → h_u (d,)


class Judge:
    """Asks what would have been answered, for a share of events that their ids alone decide on."""

    def __init__(
        self, answer: Answer, encode: Encode, manifest: Manifest, share: float, most_a_second: float = 1e6,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Judge a share, in 0..1, of the events by the engine's own answers, and no more than so many a second.

        clock: in seconds; what happened in the second before is not made up for.
        """
        self._answer, self._encode, self._manifest = answer, encode, manifest
        self._below = int(share * 2**64)
        self._a_second, self._clock = most_a_second, clock
        self._most = self._left = max(most_a_second, 1.0) if most_a_second else 0.0
        self._filled_at = clock()

    async def judged(self, events: Sequence[Event], histories: Sequence[History], vectors: np.ndarray) -> list[Event]:
        """Return the events, a few of them with Ranks; one that cannot be judged goes on as it is.

        histories: each event's shopper just before it; vectors: (n, d), their h_u.
        """
        result = list(events)
        chosen = [place for place, event in enumerate(events) if self._is_chosen(event, histories[place])]
        chosen = chosen[: self._taken(min(len(chosen), MOST))]
        try:
            async with asyncio.timeout(LONGEST_S):
                ranks = await asyncio.gather(
                    *(self._ranks(events[place].item_idx, histories[place], vectors[place]) for place in chosen)
                )
        except Exception as error:  # whatever it was: the events count, and the next ones may be judged
            log.warning("event not judged error=%r", error)
            return result
        for place, found in zip(chosen, ranks, strict=True):
            result[place] = replace(events[place], judged=found)
        return result

    def _taken(self, wanted: int) -> int:
        """Return how many of the wanted may be judged now (a token bucket that holds a second's)."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._filled_at) * self._a_second)
        self._filled_at = now
        taken = int(min(wanted, self._left))
        self._left -= taken
        return taken

    def _is_chosen(self, event: Event, history: History) -> bool:
        """Tell whether an event is judged: one that likes an item which a slate may hold, and whose turn it is."""
        if event.item_idx < 0 or event.weight <= 0:
            return False
        if not self._manifest.keep_seen and (history.item_idx == event.item_idx).any():
            return False
        return int.from_bytes(hashlib.blake2b(event.event_id.encode(), digest_size=8).digest()) < self._below

    async def _ranks(self, item_idx: int, history: History, vector: np.ndarray) -> Ranks:
        known = history.where(history.timestamp_ms <= self._manifest.data_cutoff_ms)
        asked = [(history, vector, False), (history, vector, True)]
        if len(known) < len(history):
            asked.append((known, await self._encode(known), True))
        answers = await asyncio.gather(*(self._answer(*one) for one in asked))  # side by side they cost a half
        live, still, *frozen = (rank_in(answer.candidates, item_idx) for answer in answers)
        return Ranks(live, still, *(frozen or [still]))


def rank_in(slate: Candidates, item_idx: int) -> int:
    """Return which place an item has among scored candidates, 1 the first, in the order of Candidates.best."""
    found = np.flatnonzero(slate.item_idx == item_idx)
    if not len(found):
        return UNRANKED
    own = slate.score[found[0]]
    ahead = (slate.score > own) | ((slate.score == own) & (slate.item_idx < item_idx))
    return 1 + int(np.count_nonzero(ahead))
