"""Releases: the bundles of the registry as a gateway sees them, and the wish that another one be served."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cluster.errors import BundleError, ConflictError, NotFoundError, UnavailableError
from serve.config import StartArgs
from serve.state.clock import now_ms
from serve.state.events import Problem
from serve.state.operations import Kind, Operation
from serve.state.snapshot import SnapshotFile
from train.bundle_state import Manifest
from train.registry import Registry

LAUNCH_MS = 10_000  # within which a rollout's process surely has been asked for


class LongWork(Protocol):
    """Who keeps operations, as serve.state.operations.Operations, and knows what they work on."""

    async def begin(self, kind: Kind, target: str = "") -> Operation:
        """As Operations.begin."""
        ...

    async def end(self, operation_id: str, result: dict[str, Any], problem: Problem | None = None) -> None:
        """As Operations.end."""
        ...

    async def get(self, operation_id: str) -> Operation:
        """As Operations.get."""
        ...

    async def running(self) -> list[Operation]:
        """As Operations.running."""
        ...

    async def snapshots(self) -> list[SnapshotFile]:
        """As serve.state.snapshot.snapshot_files."""
        ...

    async def serving(self) -> str | None:
        """As StoreActor.serving."""
        ...


class Models(NamedTuple):
    """What a registry holds."""

    manifests: dict[str, Manifest | BundleError]  # by version; an error where it cannot be read
    current: str | None
    previous: str | None


class Releases:
    """What a gateway knows of bundles, and how it has them served."""

    def __init__(
        self, work: LongWork, launch: Callable[[Operation, StartArgs], None], is_alive: Callable[[str], bool],
        tenant: str = "",
    ) -> None:  # fmt: skip
        """Begin.

        launch: starts the process that carries an operation out; is_alive: whether there is such a process; tenant:
        whose registry it is.
        """
        self.work, self._launch, self._is_alive, self._tenant = work, launch, is_alive, tenant

    async def models(self) -> Models:
        """Return the published bundles."""
        return await asyncio.to_thread(models_of, self._registry(await self._serving()))

    async def promote(self, version: str) -> Operation:
        """Begin to serve a published bundle."""
        serving = await self._serving()
        if version not in (known := await asyncio.to_thread(self._registry(serving).versions)):
            raise NotFoundError(f"no bundle {version[:128]!r} is published; there are {', '.join(known) or 'none'}")
        return await self._begin("promotion", version, serving)

    async def rollback(self, version: str) -> Operation:
        """Begin to serve what was served before the current bundle, which `version` must name."""
        serving = await self._serving()
        found = await asyncio.to_thread(models_of, self._registry(serving))
        if version not in found.manifests:
            raise NotFoundError(f"no bundle {version[:128]!r} is published")
        if version != found.current:
            raise ConflictError(f"bundle {version} is not the current one, {found.current} is; nothing is taken back")
        if found.previous not in found.manifests:
            raise ConflictError(f"nothing that is still published was current before {version}; promote another bundle")
        return await self._begin("rollback", found.previous, serving)

    async def operation(self, operation_id: str) -> Operation:
        """Return an operation as it stands; one whose process is gone has failed."""
        await self._end_lost()
        return await self.work.get(operation_id)

    async def _begin(self, kind: Kind, version: str, serving: StartArgs) -> Operation:
        await self._end_lost()
        begun = await self.work.begin(kind, version)
        await asyncio.to_thread(self._launch, begun, serving)
        return begun

    async def _end_lost(self) -> None:
        for one in await self.work.running():
            is_old = one.started_ms + LAUNCH_MS < now_ms()
            if one.kind != "snapshot" and is_old and not await asyncio.to_thread(self._is_alive, one.id):
                lost = Problem(503, "its process is gone; read which bundle is current, and begin again")
                await self.work.end(one.id, {}, lost)

    def _registry(self, serving: StartArgs) -> Registry:
        return registry_of(serving.of(self._tenant))

    async def _serving(self) -> StartArgs:
        if (settings := await self.work.serving()) is None:
            raise ConflictError(
                "this server was not started by `python serve/run.py start`; change its bundle where it was deployed"
            )
        return StartArgs.model_validate_json(settings)


def models_of(registry: Registry) -> Models:
    """Return what a registry holds."""
    found: dict[str, Manifest | BundleError] = {}
    for version in registry.versions():
        try:
            found[version] = registry.manifest(version)
        except BundleError as error:
            found[version] = error
    try:
        current = registry.current()
    except NotFoundError:
        current = None
    return Models(found, current, registry.previous())


def registry_of(serving: StartArgs) -> Registry:
    """Return the registry that the server was started from, which must be in reach of this node, too."""
    if "://" not in serving.registry and not Path(serving.registry).is_dir():
        raise UnavailableError(
            f"{serving.registry} is not on this node; ask again for another one, or start with registry=s3://…"
        )
    return Registry(serving.registry)
