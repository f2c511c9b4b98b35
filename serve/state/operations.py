"""Operations: work that takes longer than a request, begun over HTTP, told of until long after it is done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from cluster.config import Config
from cluster.errors import ConflictError, LiveshelfError, NotFoundError
from cluster.storage import write_whole
from serve.state.clock import now_ms
from serve.state.events import Problem

log = logging.getLogger(__name__)

FILE = "operations.json"
KEEP = 100
PREFIX = "op_"
RANDOM_BYTES = 16  # of an id: who has not been told it cannot ask for it

Write = Callable[[], Awaitable[Path]]
Kind = Literal["promotion", "rollback", "snapshot"]
ALONE: dict[Kind, frozenset[Kind]] = {  # which kinds cannot go on beside one
    "promotion": frozenset({"promotion", "rollback"}),
    "rollback": frozenset({"promotion", "rollback"}),
    "snapshot": frozenset({"snapshot"}),
}


class Operation(Config):
    """A piece of long work."""

    id: str
    kind: Kind
    target: str = Field("", description="what it is about, such as the version of a bundle")
    status: Literal["running", "succeeded", "failed"] = "running"
    started_ms: int
    ended_ms: int | None = None
    result: dict[str, Any] = Field(default={}, description="what came of it")
    problem: Problem | None = Field(default=None, description="why it failed")


OPERATIONS = TypeAdapter(list[Operation])


class Operations:
    """The newest KEEP operations, in a file; they belong to one event loop."""

    def __init__(self, folder: Path, snapshot: Write) -> None:
        """Go on where an earlier process ended, whose snapshots nobody writes any more.

        folder: of the log; snapshot: writes one.
        """
        self._path, self._snapshot = folder / FILE, snapshot
        self._known = {one.id: one for one in _read(self._path)}
        self._writing = asyncio.Lock()
        self._at_work: set[asyncio.Task[None]] = set()
        for one in self._known.values():
            if one.kind == "snapshot" and one.status == "running":
                self._end(one.id, {}, Problem(503, "the store was started again meanwhile; begin another one"))

    async def begin(self, kind: Kind, target: str = "") -> Operation:
        """Return a new operation once it is on the disk; raises ConflictError beside one that excludes it.

        A snapshot is written here; whoever begins another kind carries it out and says how it ended.
        """
        others = [one for one in self._known.values() if one.status == "running" and one.kind in ALONE[kind]]
        if others:
            raise ConflictError(f"the {others[0].kind} {others[0].id} is not done; begin another one when it is")
        begun = Operation(id=f"{PREFIX}{token_urlsafe(RANDOM_BYTES)}", kind=kind, target=target, started_ms=now_ms())
        self._known[begun.id] = begun
        for outdated in sorted(self._known.values(), key=lambda one: one.started_ms)[:-KEEP]:
            del self._known[outdated.id]
        try:
            await self._keep()
        except LiveshelfError:
            del self._known[begun.id]
            raise
        if kind == "snapshot":
            task = asyncio.create_task(self._write_snapshot(begun.id))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
        return begun

    async def end(self, operation_id: str, result: dict[str, Any], problem: Problem | None = None) -> None:
        """Note how an operation ended, on the disk; what is over stays as it ended."""
        self._end(operation_id, result, problem)
        await self._keep()

    async def get(self, operation_id: str) -> Operation:
        """Return an operation as it stands; raises NotFoundError for one that never was, or that is forgotten."""
        if (found := self._known.get(operation_id)) is None:
            raise NotFoundError(f"there is no operation {operation_id!r}; the newest {KEEP} are kept")
        return found

    async def running(self) -> list[Operation]:
        """Return what is not done."""
        return [one for one in self._known.values() if one.status == "running"]

    async def idle(self) -> None:
        """Return when no snapshot is being written."""
        while self._at_work:
            await asyncio.wait(self._at_work)

    async def _write_snapshot(self, operation_id: str) -> None:
        try:
            path = await self._snapshot()
            await self.end(operation_id, {"version": int(path.name.split("-")[1])})
        except Exception as error:  # whatever it is, who asks shall be told
            log.exception("snapshot failed operation=%s", operation_id)
            await self.end(operation_id, {}, problem_of(error))

    def _end(self, operation_id: str, result: dict[str, Any], problem: Problem | None = None) -> None:
        known = self._known.get(operation_id)
        if known is not None and known.status == "running":
            status = "succeeded" if problem is None else "failed"
            change = {"status": status, "ended_ms": now_ms(), "result": result, "problem": problem}
            self._known[operation_id] = known.model_copy(update=change)

    async def _keep(self) -> None:
        async with self._writing:
            await asyncio.to_thread(write_whole, self._path, OPERATIONS.dump_json(list(self._known.values())).decode())


def problem_of(error: Exception) -> Problem:
    """Return what is told of an error; of one that nobody raised on purpose the process's log says more."""
    if isinstance(error, LiveshelfError):
        return Problem(error.status, str(error))
    return Problem(500, "the work failed; the log of its process says why")


def _read(path: Path) -> list[Operation]:
    try:
        return OPERATIONS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except ValidationError as error:  # nothing follows from it but what is told
        log.warning("operations are forgotten path=%s error=%s", path, error)
        return []
