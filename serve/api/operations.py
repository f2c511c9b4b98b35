"""Long work over HTTP: it is accepted with an operation, which tells how far it is. Snapshots are such work."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from serve.api.bodies import as_json
from serve.api.documents import refuses
from serve.api.problems import problem
from serve.api.schemas import ProblemBody, moment
from serve.releases import Releases
from serve.state.operations import Kind, Operation


class OperationAnswer(BaseModel):
    """Long work as it stands."""

    id: str
    kind: Kind
    status: Literal["running", "succeeded", "failed"]
    target: str | None = Field(None, description="what it is about, such as the version of a bundle")
    startedAt: datetime
    endedAt: datetime | None = None
    result: dict[str, Any] | None = Field(None, description="of success: `version` of bundle or state")
    problem: ProblemBody | None = Field(None, description="of one that failed")


class SnapshotAnswer(BaseModel):
    """A copy of the state on the disk, from which a start replays less of the log."""

    version: int = Field(description="of the last event in it")
    modelVersion: str = Field(description="the bundle that it is of")
    stateHash: str
    bytes: int
    writtenAt: datetime


class SnapshotsAnswer(BaseModel):
    """The snapshots that are kept, newest first."""

    snapshots: list[SnapshotAnswer]


def operation_routes(releases_of: Callable[[], Releases]) -> APIRouter:
    """Return the routes of operations and snapshots."""
    routes = APIRouter(prefix="/v1", tags=["operations"])

    @routes.get("/operations/{operation_id}", response_model=OperationAnswer, responses=refuses(404))
    async def get_operation(operation_id: str) -> Response:
        """Return how far long work is, or how it ended."""
        return as_json(told(await releases_of().operation(operation_id)))

    @routes.post("/snapshots", status_code=202, response_model=OperationAnswer, responses=refuses(409))
    async def begin_snapshot() -> Response:
        """Write the whole state to a file, while events go on; nothing needs it but a quick start."""
        return accepted(await releases_of().work.begin("snapshot"))

    @routes.get("/snapshots", response_model=SnapshotsAnswer)
    async def list_snapshots() -> Response:
        """Return the snapshots on the disk."""
        return as_json({"snapshots": [
            {
                "version": header.version, "modelVersion": header.lineage.split("/")[1], "bytes": n_bytes,
                "stateHash": header.state_hash, "writtenAt": moment(written_ms),
            }
            for header, n_bytes, written_ms in await releases_of().work.snapshots()
        ]})  # fmt: skip

    return routes


def accepted(operation: Operation) -> Response:
    """Return the answer to a wish for long work."""
    answer = as_json(told(operation))
    answer.status_code = 202
    answer.headers["location"] = f"/v1/operations/{operation.id}"
    return answer


def told(operation: Operation) -> dict[str, Any]:
    """Return an operation as OperationAnswer says."""
    return {
        "id": operation.id, "kind": operation.kind, "status": operation.status, "target": operation.target or None,
        "startedAt": moment(operation.started_ms),
        "endedAt": None if operation.ended_ms is None else moment(operation.ended_ms),
        "result": operation.result or None,
        "problem": None if operation.problem is None else problem(*operation.problem),
    }  # fmt: skip
