"""Stages that are processes of their own: asked as long as they answer in time, and stood in for here where not."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, Generic, ParamSpec, TypeVar

from cluster.errors import UnavailableError
from serve.stages.fused import Stages

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

LIMIT_S = 0.5  # longest that an answer may take
AGAIN_S = 1.0  # until one that was late or away is asked again, by one request; the others do not wait for it


class Relay(Generic[P, T]):
    """One stage: there, or here."""

    def __init__(
        self, name: str, there: Callable[P, Awaitable[T]], here: Callable[P, Awaitable[T]],
        limit_s: float, away: tuple[type[Exception], ...], marked: Callable[[T], T] = lambda answer: answer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Begin.

        limit_s, away: as `relayed`; marked: what becomes of an answer that was made here.
        """
        self._name, self._there, self._here = name, there, here
        self._limit_s, self._away, self._marked = limit_s, (TimeoutError, UnavailableError, *away), marked
        self._clock = clock
        self._again_at: float | None = None  # in its seconds; None while the stage answers

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the stage's answer."""
        now = self._clock()
        if self._again_at is None or now >= self._again_at:
            if self._again_at is not None:
                self._again_at = now + AGAIN_S
            try:
                async with asyncio.timeout(self._limit_s):
                    answer = await self._there(*args, **kwargs)
                self._again_at = None
                return answer
            except self._away as error:
                self._again_at = self._clock() + AGAIN_S
                log.warning("stage=%s stood in for error=%s", self._name, type(error).__name__)
        return self._marked(await self._here(*args, **kwargs))


def relayed(
    there: Iterable[Callable[..., Awaitable[Any]]], here: Stages, away: tuple[type[Exception], ...],
    limit_s: float = LIMIT_S,
) -> Stages:  # fmt: skip
    """Return stages elsewhere with those of this process behind them; candidates say which stage was stood in for.

    there: retrieve, rank, browse, search, describe; away: errors that say, as UnavailableError does, that nobody is
    there; limit_s: longest that an answer may take.
    """

    def marking(name: str) -> Callable[[Any], Any]:
        return lambda answer: replace(answer, degraded=(name,))

    retrieve, rank, browse, search, describe = there
    return Stages(
        Relay("retrieval", retrieve, here.retrieve, limit_s, away, marking("retrieval")),
        Relay("ranking", rank, here.rank, limit_s, away, marking("ranking")),
        Relay("lists", browse, here.browse, limit_s, away),
        Relay("search", search, here.search, limit_s, away),
        Relay("describing", describe, here.describe, limit_s, away),
    )
