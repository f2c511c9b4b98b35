"""The keeper of decisions: what gateways decided, written and found in a thread of its own beside the store's."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cluster.errors import LiveshelfError
from serve.state.decision_log import DecisionLog, Record
from serve.state.retention import Retention

log = logging.getLogger(__name__)

T = TypeVar("T")


class DecisionKeeper:
    """Decisions as the store keeps them; no event waits for one of them."""

    def __init__(self, decisions: DecisionLog, keep_days: float) -> None:
        self._log = decisions
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decisions")
        self.retention = Retention(self._drop, keep_days)

    async def put(self, records: Sequence[Record]) -> list[bool]:
        """As DecisionLog.put."""
        return await self._in_thread(self._log.put, records)

    async def get(self, recommendation_id: str) -> Record | None:
        """As DecisionLog.get."""
        return await self._in_thread(self._log.get, recommendation_id)

    async def chain(self, first_id: str) -> list[Record]:
        """As DecisionLog.chain."""
        return await self._in_thread(self._log.chain, first_id)

    async def newest(self, limit: int) -> list[Record]:
        """As DecisionLog.newest."""
        return await self._in_thread(self._log.newest, limit)

    async def of(self, user_ids: Iterable[str]) -> list[Record]:
        """As DecisionLog.of."""
        return await self._in_thread(self._log.of, user_ids)

    def erase(self, user_ids: Sequence[str], at_ms: int) -> int:
        """As DecisionLog.erase; the thread that asks waits."""
        return self._thread.submit(self._log.erase, user_ids, at_ms).result()

    async def close(self) -> None:
        """Write what is queued and let go of the log."""
        self.retention.close()
        await self._in_thread(self._log.close)
        self._thread.shutdown()

    async def _drop(self, _: int, until_ms: int) -> int | None:
        try:
            return 0 if await self._in_thread(self._log.drop, until_ms) else None
        except LiveshelfError as error:
            log.warning("old decisions not removed error=%s", error)
            return None

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
