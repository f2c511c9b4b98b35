"""The newest micro-batches in memory, for replicas that follow closely."""

import asyncio
from collections import deque
from collections.abc import Set
from itertools import takewhile

from serve.state.events import MicroBatch

SURE_S = 0.2  # after which whoever is told of a batch in another answer hears of it here, too: that one may get lost


class Recent:
    """Batches in order, the oldest dropped beyond `max_events` events; whoever waits is woken by the next one.

    Whose events a batch holds is told of it with their acks, and not woken at once: that would be a call more.
    """

    def __init__(self, version: int, max_events: int) -> None:
        self.version = version
        self._max_events = max_events
        self._batches: deque[MicroBatch] = deque()
        self._n_events = 0
        self._waiting: dict[str, asyncio.Event] = {}  # by who waits
        self._sure: set[str] = set()  # who of them will be woken soon

    def append(self, batch: MicroBatch, told: Set[str] = frozenset()) -> None:
        """Take the batch that follows `version`; told: who hears of it anyway."""
        self._batches.append(batch)
        self._n_events += len(batch)
        while self._n_events > self._max_events and len(self._batches) > 1:
            self._n_events -= len(self._batches.popleft())
        self.version = batch.version
        self._wake(told)

    def restart(self) -> None:
        """Forget the batches, which are told otherwise from now on, and wake whoever waits."""
        self._batches.clear()
        self._n_events = 0
        self._wake()

    def after(self, version: int) -> list[MicroBatch] | None:
        """Return the batches after `version`, or None when memory does not reach back so far."""
        if version == self.version:
            return []
        if not self._batches or self._batches[0].first_seq > version + 1:
            return None
        return list(takewhile(lambda batch: batch.version > version, reversed(self._batches)))[::-1]

    async def wait(self, timeout_s: float, reader: str = "") -> bool:
        """Tell whether there was news within `timeout_s`; reader: who asks, anybody when empty."""
        news = self._waiting.setdefault(reader, asyncio.Event())
        try:
            await asyncio.wait_for(news.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def _wake(self, but: Set[str] = frozenset()) -> None:
        later = (self._waiting.keys() & but) - {""}
        for reader in self._waiting.keys() - later:
            self._wake_one(reader)
        for reader in later - self._sure:
            self._sure.add(reader)
            asyncio.get_running_loop().call_later(SURE_S, self._wake_one, reader)

    def _wake_one(self, reader: str) -> None:
        self._sure.discard(reader)
        if (news := self._waiting.pop(reader, None)) is not None:
            news.set()
