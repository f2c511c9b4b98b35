"""A small shop on sale: a bundle fitted in seconds, and a server over it without Ray."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from fastapi.testclient import TestClient

from cluster.errors import UnavailableError
from serve.api.routes import make_api
from serve.config import StartArgs
from serve.engine import Engine
from serve.releases import Releases
from serve.slates import Ask
from serve.stages.fused import fused
from serve.stages.index.exact import FlatIndex
from serve.state.event_log import LoggedBatch
from serve.state.follower import Follower
from serve.state.image import Image
from serve.state.live import LearnerConfig
from serve.state.operations import Operation, Operations
from serve.state.shoppers import Shopper
from serve.state.snapshot import SnapshotFile, snapshot_files
from serve.state.store import Store, StoreConfig
from serve.state.view import View
from tests.serve.conformance import Conformance
from tests.world import tiny_world
from train.bundle import Bundle, read_bundle
from train.bundle_state import MANIFEST, read_manifest
from train.config import FitRun
from train.data.prepare import PrepareConfig, prepare
from train.pipeline import fit_bundle
from train.registry import Registry

SMALL = ["workers=0", "epochs=2", "embedding_dim=8", "feedforward_dim=16", "max_length=8", "negatives=8"]
NOTHING = np.empty(0, np.int64)
KNOWN, STRANGER = "u0000", "nobody"  # shoppers with and without a history


def fit_small_bundle(folder: Path, keep_seen: bool) -> Path:
    """Publish a bundle of the tiny world below `folder` and return its registry."""
    registry = folder / "registry"
    where = [f"registry={registry}", f"checkpoints={folder / 'checkpoints'}", f"keep_seen={str(keep_seen).lower()}"]
    prepared = prepare(tiny_world(), PrepareConfig.parse([]), datetime.now(UTC), folder / "rejects")
    fit_bundle(FitRun.parse(["data=tiny_world", *SMALL, *where]), prepared)
    return registry


def copied(bundle: Path, folder: Path) -> Path:
    """Return a bundle of another version that is else the same."""
    shutil.copytree(bundle, folder)
    manifest = read_manifest(folder).model_copy(update={"version": folder.name})
    (folder / MANIFEST).write_text(manifest.sealed().model_dump_json())
    return folder


class Away:
    """A store that can be switched off, as if its process were gone; else the real one."""

    def __init__(self, store: Store) -> None:
        self._store, self.log, self.away = store, store._machine.log, False

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise UnavailableError("the store does not answer; send the same request again in a second")
        return getattr(self._store, name)


class Work(Operations):
    """Long work without Ray: rollouts are noted, and carried out by whoever tests them."""

    def __init__(self, registry: Path, data: Path, store: Store) -> None:
        super().__init__(data, store.snapshot)
        self._data, self._settings = data, StartArgs.checked({"registry": str(registry), "data": str(data)})
        self.launched: list[Operation] = []
        self.is_alive = True  # whether the processes of rollouts are

    async def snapshots(self) -> list[SnapshotFile]:
        return snapshot_files(self._data)

    async def serving(self) -> str:
        return self._settings.model_dump_json()

    def releases(self) -> Releases:
        """Return what a gateway has over this."""
        return Releases(self, lambda operation, _: self.launched.append(operation), lambda _: self.is_alive)


@dataclass(kw_only=True)
class Shop:
    """A running server and its parts."""

    bundle: Bundle
    store: Away
    engine: Engine
    client: TestClient
    portal: BlockingPortal  # into the server's event loop
    first_image: Image
    work: Work
    broken: list[Exception] = field(default_factory=list)  # what the engine shall fail with

    def post(self, path: str, **body: Any) -> Any:
        """Return the answer's JSON; any other status than 200 fails the test."""
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def slate(self, **body: Any) -> dict[str, Any]:
        """Return an answer of recommendations."""
        return self.post("/v1/recommendations", **body)

    def click(self, user: str, item: str, **more: Any) -> int:
        """Return the version of a click that was applied."""
        return self.post("/v1/events", type="click", user=user, item=item, **more)["results"][0]["version"]

    def client_of(self, app: FastAPI) -> TestClient:
        """Return a client of another surface over the same engine, which runs in the same event loop."""
        client = TestClient(app, raise_server_exceptions=False)
        client.portal = self.portal
        client.event_hooks = {"response": [Conformance(client)]}
        return client

    def lagging_engine(self, **settings: Any) -> Engine:
        """Return the engine of a second replica, as it was before the first event; settings: of Engine."""
        return build_engine(self.bundle, self.store, self.first_image, **settings)

    def ask(self, user: str, min_version: int) -> Ask:
        """Return a request as the engine takes it."""
        return Ask(user_id=user, count=10, context=NOTHING, excluded=NOTHING, min_version=min_version)

    async def in_step(self) -> None:
        """Return when the replica stands where the store does, and in the same history."""
        view = self.engine.view
        async with asyncio.timeout(30):
            while view.position != self.store.position:
                await view._news.wait()

    def logged(self) -> list[LoggedBatch]:
        """Return every micro-batch of the log."""
        return list(self.store.log.read(after=0))

    def history(self, user: str) -> list[str]:
        """Return the items that a shopper had, oldest first."""

        async def asked() -> Shopper:
            return await self.store.user(user, self.store.position)  # which may change between two calls from a thread

        shopper = self.portal.call(asked)
        return [self.engine.item_ids[item_idx] for item_idx in shopper.history.item_idx]


def item_ids(slate: dict[str, Any]) -> list[str]:
    """Return the ids of a slate, best first."""
    return [item["id"] for item in slate["items"]]


def build_engine(bundle: Bundle, store: "Away", image: Image, **settings: Any) -> Engine:
    """Return a replica's engine with its stages in this process, as a fused gateway has them; its view does not follow.

    image: where the view starts; settings: of Engine.
    """
    view = View(bundle, image)
    index = FlatIndex(view.items)

    stages, follower = fused(bundle, view, index), Follower(view, cast(Store, store))
    return Engine(bundle, follower, cast(Store, store), stages, **settings)


@contextmanager
def open_shop(
    registry: Path, data: Path, follow: bool = True, learner: LearnerConfig | None = None,
    beside: Shop | None = None, **settings: Any,
) -> Iterator[Shop]:  # fmt: skip
    """Serve the current bundle over a log in `data`; beside: whose event loop it runs in; settings: of Engine."""
    config = StoreConfig(learner=learner or LearnerConfig())
    folder = Registry(registry).find("current")
    bundle, store = read_bundle(folder), Away(Store.open(folder, data, bootstrap=True, config=config))
    image = asyncio.run(store.image())
    engine = build_engine(bundle, store, image, **settings)
    broken: list[Exception] = []
    work = Work(registry, data, store._store)

    def engine_of() -> Engine:
        if broken:
            raise broken[0]
        return engine

    releases = work.releases()
    client = TestClient(make_api(engine_of, releases_of=lambda: releases), raise_server_exceptions=False)
    with client if beside is None else nullcontext():
        portal = client.portal = client.portal if beside is None else beside.portal
        assert portal is not None
        following = portal.start_task_soon(engine.follower.run) if follow else None
        client.event_hooks = {"response": [Conformance(client)]}
        try:
            yield Shop(
                bundle=bundle, store=store, engine=engine, client=client, portal=portal, first_image=image,
                work=work, broken=broken,
            )  # fmt: skip
        finally:  # a test that failed would wait for the follower forever
            if following is not None:
                following.cancel()
            store.away = False
            portal.call(store.close)
