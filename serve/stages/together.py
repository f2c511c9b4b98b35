"""Calls that come at the same time, answered together: what numpy and torch ask for a call, they ask once."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from cluster.tracing import span

A = TypeVar("A")
B = TypeVar("B")


class Turnstile:
    """Lets in all who wait, once those inside are out.

    Groups that pass several stages one behind the other never meet, each stage answering a few. Here those who come
    while a group is on its way form the next one, which is larger; on one processor nobody is slower for that.
    """

    def __init__(self) -> None:
        self._n_inside = 0
        self._waiting: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> None:
        if not self._n_inside:
            self._n_inside = 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            with span("wait"):
                await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was let in just before
                self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._n_inside -= 1
        if not self._n_inside:
            entering, self._waiting = [turn for turn in self._waiting if not turn.done()], []
            self._n_inside = len(entering)
            for turn in entering:
                turn.set_result(None)


class Together(Generic[A, B]):
    """A function of many, called by each who has one.

    Nobody waits for others: a batch is who else asked in the same turn of the event loop. So under load it grows by
    itself, and a lone caller pays a turn of the loop.
    """

    def __init__(self, work: Callable[[list[A]], Iterable[B]], most: int) -> None:
        """Begin; work: returns an answer for each; most: that it is given at once."""
        self._work, self._most = work, most
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []

    async def __call__(self, one: A) -> B:
        """Return what `work` says of it, or raise what it raises for it alone."""
        return await self._asked(one)

    async def each(self, several: Iterable[A]) -> list[B]:
        """Return what `work` says of each, or raise what it raises for one of them."""
        return await asyncio.gather(*map(self._asked, several))  # futures, for which no tasks are made

    def _asked(self, one: A) -> asyncio.Future[B]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[B] = loop.create_future()
        self._waiting.append((one, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._answer)
        return answer

    def _answer(self) -> None:
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._answer)
        self._settle([(one, answer) for one, answer in batch if not answer.done()])  # who is done has given up

    def _settle(self, batch: list[tuple[A, asyncio.Future[B]]]) -> None:
        try:
            found = list(self._work([one for one, _ in batch])) if batch else []
        except Exception as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for pair in batch:  # whoever it is, the others get their answer
                self._settle([pair])
            return
        for (_, answer), told in zip(batch, found, strict=True):
            answer.set_result(told)
