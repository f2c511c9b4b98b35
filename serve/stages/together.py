"""Calls that come at the same time, answered together: what numpy and torch ask for a call, they ask once."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


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
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[B] = loop.create_future()
        self._waiting.append((one, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._answer)
        return await answer

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
