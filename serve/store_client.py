"""The store as the gateways reach it: its actor, with a deadline on every call and our own errors instead of Ray's."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from cluster.runtime import NAMESPACE, STORE, of_tenant  # before Ray, which reads its environment on import

# isort: split
import numpy as np
import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayTaskError

from cluster.errors import LiveshelfError, OverloadedError, UnavailableError
from cluster.requests import carried
from serve.state.decision_log import Record
from serve.state.events import AppendResult, Event, MicroBatch, Position, Problem
from serve.state.image import Image
from serve.state.machine import Held, Receipt
from serve.state.operations import Kind, Operation
from serve.state.shoppers import Shopper
from serve.state.snapshot import SnapshotFile
from serve.state.writing import WriteRequest

T = TypeVar("T")

CALL_S = 1.0  # deadline of a call to the store: Ray itself never notices a frozen actor
APPEND_S = 4.0  # for all calls together with which events are sent
RETRY_S = 0.05
PERSON_S = 4.0  # of one that reads or rewrites all that a person did
START_S = 120.0  # the store may have a long log to replay


class DecisionClient:
    """The store's keeper of decisions."""

    def __init__(self, actor: ActorHandle) -> None:
        self._actor = actor

    async def put(self, records: Sequence[Record]) -> list[bool]:
        """As DecisionKeeper.put."""
        return await _answer(self._actor.put_decisions.remote(records), CALL_S)

    async def get(self, recommendation_id: str) -> Record | None:
        """As DecisionKeeper.get."""
        return await _answer(self._actor.decision.remote(recommendation_id), CALL_S)

    async def chain(self, first_id: str) -> list[Record]:
        """As DecisionKeeper.chain."""
        return await _answer(self._actor.decisions.remote(first_id), CALL_S)

    async def newest(self, limit: int) -> list[Record]:
        """As DecisionKeeper.newest."""
        return await _answer(self._actor.newest_decisions.remote(limit), CALL_S)


class ReportClient:
    """The store's reports."""

    def __init__(self, actor: ActorHandle) -> None:
        self._actor = actor

    async def put(self, process: str, text: str) -> None:
        """As Reports.put."""
        await _answer(self._actor.report.remote(process, text), CALL_S)

    async def others(self, process: str) -> list[str]:
        """As Reports.others."""
        return await _answer(self._actor.reports.remote(process), CALL_S)


class OperationClient:
    """The store's operations, and what they work on."""

    def __init__(self, actor: ActorHandle) -> None:
        self._actor = actor

    async def begin(self, kind: Kind, target: str = "") -> Operation:
        """As Operations.begin."""
        return await _answer(self._actor.begin_operation.remote(kind, target), CALL_S)

    async def end(self, operation_id: str, result: dict[str, Any], problem: Problem | None = None) -> None:
        """As Operations.end."""
        await _answer(self._actor.end_operation.remote(operation_id, result, problem), CALL_S)

    async def get(self, operation_id: str) -> Operation:
        """As Operations.get."""
        return await _answer(self._actor.operation.remote(operation_id), CALL_S)

    async def running(self) -> list[Operation]:
        """As Operations.running."""
        return await _answer(self._actor.running_operations.remote(), CALL_S)

    async def snapshots(self) -> list[SnapshotFile]:
        """As serve.state.snapshot.snapshot_files."""
        return await _answer(self._actor.snapshots.remote(), CALL_S)

    async def serving(self) -> str | None:
        """As StoreActor.serving."""
        return await _answer(self._actor.serving.remote(), CALL_S)


class StoreClient:
    """The store's actor, with a deadline on every call, and our own errors instead of Ray's."""

    def __init__(self, actor: ActorHandle | None = None, tenant: str = "") -> None:
        self._actor = actor or ray.get_actor(of_tenant(STORE, tenant), NAMESPACE)
        self.decisions, self.reports = DecisionClient(self._actor), ReportClient(self._actor)
        self.operations = OperationClient(self._actor)
        self._wanted: dict[Position, list[tuple[str, asyncio.Future[Shopper]]]] = {}  # shoppers, until the next turn
        self._asking: set[asyncio.Task[None]] = set()
        self._reader = uuid.uuid4().hex

    async def append(self, events: Sequence[Event], vectors: np.ndarray, since: Position) -> AppendResult:
        """As Store.append. An error means: nobody knows whether the events are durable, send the same ids again.

        A store that is started again, or slow, gets the same ids for a while, which cannot count twice; one that says
        that too much waits already does not.
        """
        return await _insisting(lambda: self._actor.append.remote(events, vectors, self._ours(since), carried()))

    async def write(self, requests: Sequence[WriteRequest], vectors: np.ndarray, since: Position) -> AppendResult:
        """As Store.write; sent again like events."""
        return await _insisting(lambda: self._actor.write.remote(requests, vectors, self._ours(since), carried()))

    async def changes(self, since: Position, timeout_s: float) -> list[MicroBatch]:
        """As Store.changes."""
        return await _answer(self._actor.changes.remote(self._ours(since), timeout_s), timeout_s + CALL_S)

    async def user(self, user_id: str, since: Position) -> Shopper:
        """As Store.user; those asked for in one turn of the event loop are one call, and cost about what one does."""
        answer: asyncio.Future[Shopper] = asyncio.get_running_loop().create_future()
        wanted = self._wanted.setdefault(since, [])
        wanted.append((user_id, answer))
        if len(wanted) == 1:
            self._asking.add(asking := asyncio.create_task(self._users(since)))
            asking.add_done_callback(self._asking.discard)
        return await answer

    async def merge(self, user_id: str, source: str) -> int:
        """As Store.merge."""
        return await _answer(self._actor.merge.remote(user_id, source), PERSON_S)

    async def take_back_merge(self, user_id: str, source: str) -> int:
        """As Store.take_back_merge."""
        return await _answer(self._actor.take_back_merge.remote(user_id, source), PERSON_S)

    async def export(self, user_id: str) -> Held:
        """As Store.export."""
        return await _answer(self._actor.export.remote(user_id), PERSON_S)

    async def erase(self, user_id: str) -> Receipt:
        """As Store.erase."""
        return await _answer(self._actor.erase.remote(user_id), PERSON_S)

    async def image(self) -> Image:
        """As Store.image."""
        return await _answer(self._actor.image.remote(), START_S)

    async def file(self, path: str) -> bytes | None:
        """As StoreActor.file."""
        return await _answer(self._actor.file.remote(path), START_S)

    def _ours(self, since: Position) -> Position:
        return since._replace(reader=self._reader)

    async def _users(self, since: Position) -> None:
        wanted = [(user_id, answer) for user_id, answer in self._wanted.pop(since) if not answer.done()]
        try:
            found = await _answer(self._actor.users.remote([user_id for user_id, _ in wanted], since), CALL_S)
        except Exception as error:
            for _, answer in wanted:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), shopper in zip(wanted, found, strict=True):
            if not answer.done():  # whoever asked may have gone away
                answer.set_result(shopper)


async def _insisting(call: Callable[[], Awaitable[T]]) -> T:
    latest = time.monotonic() + APPEND_S - CALL_S
    while True:
        try:
            return await _answer(call(), CALL_S)
        except OverloadedError:
            raise
        except UnavailableError:
            if time.monotonic() > latest:
                raise
            await asyncio.sleep(RETRY_S)


async def _answer(reference: Awaitable[T], timeout_s: float) -> T:
    try:
        # Shielded: a caller that goes away does not take back what is on its way to the disk.
        return await asyncio.wait_for(asyncio.shield(reference), timeout_s)
    except (RayActorError, TimeoutError) as error:
        raise UnavailableError("the store does not answer; send the same request again in a second") from error
    except RayTaskError as error:
        raise (error.cause if isinstance(error.cause, LiveshelfError) else error) from None


def find_store(tenant: str = "") -> ActorHandle | None:
    """Return the actor of a tenant's store, or None when there is none."""
    return find_actor(of_tenant(STORE, tenant))


def served_tenants() -> set[str]:
    """Return whose stores there are, `""` for the one that is no tenant's."""
    named: Any = ray.util.list_named_actors(all_namespaces=True)
    names = [one["name"] for one in named if one["namespace"] == NAMESPACE]
    return {name.removeprefix(STORE).removeprefix("-") for name in names if name.startswith(STORE)}


def find_actor(name: str) -> ActorHandle | None:
    """Return a detached actor of the server, or None when there is none."""
    try:
        return ray.get_actor(name, NAMESPACE)
    except ValueError:
        return None


def let_go(name: str) -> None:
    """End a detached actor of the server for good, where there is one; it may be the one that asks."""
    if (actor := find_actor(name)) is not None:
        ray.kill(actor)
