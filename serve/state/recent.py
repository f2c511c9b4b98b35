"""The newest micro-batches in memory, for replicas that follow closely."""

import asyncio
from collections import deque
from itertools import takewhile

from serve.state.events import MicroBatch


class Recent:
    """Batches in order, the oldest dropped beyond `max_events` events; whoever waits is woken by the next one."""

    def __init__(self, version: int, max_events: int) -> None:
        self.version = version
        self._max_events = max_events
        self._batches: deque[MicroBatch] = deque()
        self._n_events = 0
        self._news = asyncio.Event()

    def append(self, batch: MicroBatch) -> None:
        """Take the batch that follows `version`."""
        self._batches.append(batch)
        self._n_events += len(batch)
        while self._n_events > self._max_events and len(self._batches) > 1:
            self._n_events -= len(self._batches.popleft())
        self.version = batch.version
        self._wake()

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

    async def wait(self, timeout_s: float) -> bool:
        """Tell whether there was news within `timeout_s`."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
