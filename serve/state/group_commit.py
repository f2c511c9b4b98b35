"""Group commit: appends that arrive while the disk is busy share the next flush; beyond a bound they are refused."""

import asyncio
import logging
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic import Field

from cluster.config import Config
from cluster.errors import OverloadedError, RequestError
from cluster.requests import Carried, arriving, carried
from cluster.tracing import span
from serve.state.events import Ack
from serve.state.request import Request

log = logging.getLogger(__name__)

SLOW_S = 0.5  # a commit that takes longer is told
TELL_S = 1.0  # between lines about refusals, of which there are many when there is one


class QueueConfig(Config):
    """How much may wait for its commit, and how much of it goes at once."""

    commit_events: int = Field(
        default=512, ge=1, le=10_000, description="a group commit takes no more requests after so many"
    )
    queue_events: int = Field(
        default=10_000, ge=1, description="events that may wait for their acks, what the store takes in about a second"
    )
    queue_bytes: int = Field(
        default=64 << 20, ge=1, description="of their payloads and vectors, so that memory is bounded, too"
    )


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: Request
    n_bytes: int
    carried: Carried
    acks: asyncio.Future[list[Ack]]


class GroupCommit:
    """Hands requests to `commit` in groups, one group at a time, in the order they came.

    While one group is on its way to the disk the next one gathers by itself, so no timer is needed: a lone event does
    not wait, and under load the groups grow.
    """

    def __init__(self, commit: Callable[[list[Request]], Awaitable[list[list[Ack]]]], config: QueueConfig) -> None:
        self._commit = commit
        self._config = config
        self._queue: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._n_refused, self._told_at = 0, -TELL_S
        self.n_events = self.n_bytes = 0  # of all that wait for their acks, those on their way to the disk among them

    async def submit(self, request: Request) -> list[Ack]:
        """Return the acks of a request when its group is durable and applied.

        Raises OverloadedError at once when too much waits already; nothing of the request is queued then.
        """
        waiting = _Waiting(request, size_of(request), carried(), asyncio.get_running_loop().create_future())
        self._require_room(waiting)
        self._count(waiting, 1)
        self._queue.append(waiting)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        # A caller that gives up does not take back what is on its way to the disk.
        return await waiting.acks

    async def drain(self) -> None:
        """Return when nothing is queued."""
        if self._worker is not None:
            await self._worker

    def _require_room(self, waiting: _Waiting) -> None:
        for name, used, more, most in (
            ("events", self.n_events, len(waiting.request.events), self._config.queue_events),
            ("bytes", self.n_bytes, waiting.n_bytes, self._config.queue_bytes),
        ):
            if more > most:
                raise RequestError(f"{more} {name} at once are more than the {most} that may ever wait; send fewer")
            if used + more > most:
                self._tell_refused(name, used)
                raise OverloadedError(
                    f"the store is busy: {used} of {most} {name} wait already; send the same events again in a second"
                )

    def _tell_refused(self, name: str, used: int) -> None:
        self._n_refused += 1
        if (now := time.monotonic()) - self._told_at >= TELL_S:
            log.warning("refused requests=%d, this one among them: waiting=%d %s", self._n_refused, used, name)
            self._n_refused, self._told_at = 0, now

    def _count(self, waiting: _Waiting, sign: int) -> None:
        self.n_events += sign * len(waiting.request.events)
        self.n_bytes += sign * waiting.n_bytes

    async def _work(self) -> None:
        while self._queue:
            group = self._take()
            came_with = [waiting.carried for waiting in group]
            with arriving(came_with), span("commit", beside=[one.traceparent for one in came_with[1:]]):
                await self._commit_and_settle(group)

    async def _commit_and_settle(self, group: list[_Waiting]) -> None:
        began = time.monotonic()
        try:
            acks = await self._commit([waiting.request for waiting in group])
        except Exception as error:
            self._settle(group, [error] * len(group))
        else:
            self._settle(group, acks)
        if (took := time.monotonic() - began) > SLOW_S:
            log.warning("slow commit seconds=%.3f requests=%d", took, len(group))

    def _take(self) -> list[_Waiting]:
        group, n_events = [], 0
        while self._queue and n_events < self._config.commit_events:
            group.append(self._queue.popleft())
            n_events += len(group[-1].request.events)
        return group

    def _settle(self, group: list[_Waiting], outcomes: Sequence[list[Ack] | Exception]) -> None:
        for waiting, outcome in zip(group, outcomes, strict=True):
            self._count(waiting, -1)
            if waiting.acks.cancelled():
                continue
            if isinstance(outcome, Exception):
                waiting.acks.set_exception(outcome)
            else:
                waiting.acks.set_result(outcome)


def size_of(request: Request) -> int:
    """Return about how many bytes of memory a request holds; cheap, since a text knows its own size."""
    return request.vectors.nbytes + sum(sys.getsizeof(event.payload) for event in request.events)
