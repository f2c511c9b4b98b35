"""Group commit: appends that arrive while the disk is busy share the next flush."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from serve.state.events import Ack
from serve.state.machine import Request


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: Request
    acks: asyncio.Future[list[Ack]]


class GroupCommit:
    """Hands requests to `commit` in groups, one group at a time, in the order they came.

    While one group is on its way to the disk the next one gathers by itself, so no timer is needed: a lone event does
    not wait, and under load the groups grow.
    """

    def __init__(self, commit: Callable[[list[Request]], Awaitable[list[list[Ack]]]], max_events: int) -> None:
        self._commit = commit
        self._max_events = max_events
        self._queue: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, request: Request) -> list[Ack]:
        """Return the acks of a request when its group is durable and applied."""
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        # A caller that gives up does not take back what is on its way to the disk.
        return await waiting.acks

    async def drain(self) -> None:
        """Return when nothing is queued."""
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        while self._queue:
            group = self._take()
            try:
                acks = await self._commit([waiting.request for waiting in group])
            except Exception as error:
                _settle(group, [error] * len(group))
            else:
                _settle(group, acks)

    def _take(self) -> list[_Waiting]:
        group, n_events = [], 0
        while self._queue and n_events < self._max_events:
            group.append(self._queue.popleft())
            n_events += len(group[-1].request.events)
        return group


def _settle(group: list[_Waiting], outcomes: Sequence[list[Ack] | Exception]) -> None:
    for waiting, outcome in zip(group, outcomes, strict=True):
        if waiting.acks.cancelled():
            continue
        if isinstance(outcome, Exception):
            waiting.acks.set_exception(outcome)
        else:
            waiting.acks.set_result(outcome)
