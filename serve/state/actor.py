"""The store as an actor: it imports neither torch nor the server, so that it is back soon after it was killed."""

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cluster.errors import LogError, UnavailableError
from cluster.processes import started_at
from cluster.requests import NOBODYS, Carried, arriving
from cluster.storage import write_whole
from cluster.telemetry import configure_logging
from cluster.tracing import configure_tracing, span
from serve.state.config import StoreConfig
from serve.state.dead_letters import DeadLetter
from serve.state.decision_log import Record
from serve.state.event_log import LoggedEvent
from serve.state.events import AppendResult, Event, MicroBatch, Position, Problem
from serve.state.image import Image
from serve.state.machine import Held, Receipt
from serve.state.operations import Kind, Operation, Operations
from serve.state.shoppers import Shopper
from serve.state.snapshot import SnapshotFile, snapshot_files
from serve.state.store import Store
from serve.state.writing import WriteRequest

logger = logging.getLogger(__name__)

T = TypeVar("T")

FAREWELL_S = 0.2  # for the answer to leave
ADOPTED = "bundle"  # the file that names the bundle which a running store went over to
OPENED = "process.json"  # the file that says which process opened the log last
SERVING = "serving.json"  # the file that says with which settings the server was started


def opened_by(data: Path) -> dict[int, int]:
    """Return the process that opened the log of a data folder last, as pid → start tick; it may be gone."""
    try:
        pid, tick = json.loads((data / OPENED).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {pid: tick}


def adopted(data: Path) -> str:
    """Return the folder of the bundle that the store of a data folder went over to, empty if it never did."""
    try:
        return (data / ADOPTED).read_text()
    except FileNotFoundError:
        return ""


class StoreActor:
    """The store in a process of its own; Ray starts it again when it dies, and it comes back by replay.

    It dies by itself when nobody knows any more what is in its log: only reading the log again tells.
    """

    def __init__(self, bundle: str, data: str, config: StoreConfig | None = None) -> None:
        configure_logging("WARNING", "store")
        configure_tracing("store")
        self._bundle, self._data, self._config = adopted(Path(data)) or bundle, data, config or StoreConfig()
        self._store = Store.open(Path(self._bundle), Path(data), config=self._config)
        write_whole(Path(data) / OPENED, json.dumps([os.getpid(), started_at(os.getpid()) or 0]))
        self._operations = Operations(Path(data), self._store.snapshot)

    async def append(
        self, events: Sequence[Event], vectors: np.ndarray, since: Position, carried: Carried = NOBODYS
    ) -> AppendResult:
        """As Store.append; carried: of the request."""
        with arriving([carried]), span("store.append", "SERVER"):
            return await self._or_end(self._store.append(events, vectors, since))

    async def write(
        self, requests: Sequence[WriteRequest], vectors: np.ndarray, since: Position, carried: Carried = NOBODYS
    ) -> AppendResult:
        """As Store.write; carried: of the request."""
        with arriving([carried]), span("store.write", "SERVER"):
            return await self._or_end(self._store.write(requests, vectors, since))

    async def changes(self, since: Position, timeout_s: float) -> list[MicroBatch]:
        """As Store.changes."""
        return await self._or_end(self._store.changes(since, timeout_s))

    async def users(self, user_ids: Sequence[str], since: Position) -> list[Shopper]:
        """As Store.user, of several."""
        return [await self._store.user(user_id, since) for user_id in user_ids]

    async def merge(self, user_id: str, source: str) -> int:
        """As Store.merge."""
        return await self._or_end(self._store.merge(user_id, source))

    async def take_back_merge(self, user_id: str, source: str) -> int:
        """As Store.take_back_merge."""
        return await self._or_end(self._store.take_back_merge(user_id, source))

    async def export(self, user_id: str) -> Held:
        """As Store.export."""
        return await self._or_end(self._store.export(user_id))

    async def events(self, after: int, limit: int) -> list[LoggedEvent]:
        """As Store.events."""
        return await self._or_end(self._store.events(after, limit))

    async def dead_letters(self) -> list[DeadLetter]:
        """As Store.dead_letters."""
        return await self._or_end(self._store.dead_letters())

    async def erase(self, user_id: str) -> Receipt:
        """As Store.erase."""
        return await self._or_end(self._store.erase(user_id))

    async def put_decisions(self, records: Sequence[Record]) -> list[bool]:
        """As DecisionKeeper.put."""
        return await self._store.decisions.put(records)

    async def decision(self, recommendation_id: str) -> Record | None:
        """As DecisionKeeper.get."""
        return await self._store.decisions.get(recommendation_id)

    async def decisions(self, first_id: str) -> list[Record]:
        """As DecisionKeeper.chain."""
        return await self._store.decisions.chain(first_id)

    async def newest_decisions(self, limit: int) -> list[Record]:
        """As DecisionKeeper.newest."""
        return await self._store.decisions.newest(limit)

    async def report(self, process: str, text: str) -> None:
        """As Reports.put."""
        await self._store.reports.put(process, text)

    async def reports(self, process: str) -> list[str]:
        """As Reports.others."""
        return await self._store.reports.others(process)

    async def begin_operation(self, kind: Kind, target: str) -> Operation:
        """As Operations.begin."""
        return await self._operations.begin(kind, target)

    async def end_operation(self, operation_id: str, result: dict[str, Any], problem: Problem | None) -> None:
        """As Operations.end."""
        await self._operations.end(operation_id, result, problem)

    async def running_operations(self) -> list[Operation]:
        """As Operations.running."""
        return await self._operations.running()

    async def operation(self, operation_id: str) -> Operation:
        """As Operations.get."""
        return await self._operations.get(operation_id)

    async def snapshots(self) -> list[SnapshotFile]:
        """As snapshot_files."""
        return await asyncio.to_thread(snapshot_files, Path(self._data))

    async def keep_serving(self, settings: str) -> None:
        """Keep how the server was started, for whoever shall change it; settings: serve.config.StartArgs as JSON."""
        await asyncio.to_thread(write_whole, Path(self._data) / SERVING, settings)

    async def serving(self) -> str | None:
        """Return how the server was started, None where nobody said it."""
        try:
            return (Path(self._data) / SERVING).read_text()
        except FileNotFoundError:
            return None

    async def image(self) -> Image:
        """As Store.image."""
        return await self._store.image()

    async def state_hash(self) -> tuple[int, str]:
        """As Store.state_hash."""
        return await self._store.state_hash()

    async def close(self) -> None:
        """As Store.close."""
        await self._store.close()

    async def adopt(self, bundle: str) -> None:
        """As Store.adopt; the process comes back with this bundle, too."""
        await self._or_end(self._store.adopt(Path(bundle)))
        write_whole(Path(self._data) / ADOPTED, bundle)
        self._bundle = bundle

    async def file(self, path: str) -> bytes | None:
        """Return what a file of this node holds, None where there is none; no other node needs bundle and keys."""
        try:
            return await asyncio.to_thread(Path(path).read_bytes)
        except FileNotFoundError:
            return None

    async def origin(self) -> tuple[str, str]:
        """Return the folders of the bundle and of the log that the state is made of."""
        return self._bundle, self._data

    async def settings(self) -> StoreConfig:
        """Return what the store was started with."""
        return self._config

    async def is_alive(self) -> bool:
        """Return true: a sign that the event loop goes round."""
        return True

    async def _or_end(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except LogError as error:
            logger.error("store ends, to be started again error=%s", error)
            asyncio.get_running_loop().call_later(FAREWELL_S, os._exit, 1)
            raise UnavailableError("the store is being started again; send the same request in a second") from error
