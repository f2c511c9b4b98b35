"""What a replica of the server holds of a shop, and the stages as deployments of their own."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import faiss
import ray.serve
import torch

from cluster.errors import UnavailableError
from cluster.requests import Carried, arriving
from cluster.telemetry import configure_logging
from cluster.tracing import configure_tracing, traced
from serve.fetching import bundle_here
from serve.stages.browsing import Browse, Browsed
from serve.stages.describing import Describe, Described
from serve.stages.fused import Stages, fused
from serve.stages.index.config import IndexConfig
from serve.stages.index.policy import open_index
from serve.stages.query import Found, Query, Ranked
from serve.stages.ranking import Ranking
from serve.stages.searching import Hits, Search
from serve.state.follower import Follower
from serve.state.view import View
from serve.store_client import StoreClient
from train.bundle import Bundle, read_bundle

T = TypeVar("T")


class Followed:
    """A shop as a replica has it: the bundle, and a view of the state that follows the store."""

    def __init__(self, bundle: Bundle, view: View, store: StoreClient) -> None:
        """Begin to follow."""
        self.bundle, self.view, self.store = bundle, view, store
        self.follower = Follower(view, store)
        self._following = asyncio.create_task(self.follower.run())

    @classmethod
    async def begin(cls, folder: str, max_shoppers: int, tenant: str = "") -> Self:
        """Load the bundle and begin to follow the tenant's store."""
        store = StoreClient(tenant=tenant)
        async with bundle_here(Path(folder), store.file) as here:
            bundle = read_bundle(here)
        return cls(bundle, View(bundle, await store.image(), max_shoppers), store)

    def stages(self, index: IndexConfig) -> Stages:
        """Return all stages as rooms over this view."""
        return fused(self.bundle, self.view, open_index(self.view, self.bundle, index))

    def check_health(self) -> None:
        """Fail when the view can no longer move. That the store is away is no reason to start a replica again."""
        if self._following.done():
            raise RuntimeError("the view stopped following the store") from self._following.exception()


def prepare_replica() -> str:
    """Make this process a replica that computes on one thread, and return what tells it from others."""
    replica = ray.serve.get_replica_context().replica_id
    name = f"{replica.deployment_id.name} {replica.unique_id}"
    configure_logging("WARNING", name)
    configure_tracing(name)
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    return replica.unique_id


class StageReplica:
    """What every stage that is a deployment of its own does with what it is asked."""

    async def start(self, folder: str) -> None:
        """Load the bundle and begin to follow the store."""
        prepare_replica()
        self.followed = await Followed.begin(folder, max_shoppers=1)

    async def answer(
        self, room: Callable[..., Awaitable[T]], carried: Carried, query: Query | Browse | Search | Describe, *more: Any
    ) -> T:
        """Return what a room says of a query; carried: of the request that it belongs to."""
        with arriving([carried]):
            self.require(query)
            return await room(query, *more)

    def require(self, query: Query | Browse | Search | Describe) -> None:
        """Raise where a query speaks of another bundle: while one is replaced by another, stages of both live."""
        if query.bundle != self.followed.bundle.manifest.version:
            raise UnavailableError("the server is going over to another bundle; send the same request in a second")

    def check_health(self) -> None:
        """As Followed.check_health."""
        self.followed.check_health()


class RetrieverReplica(StageReplica):
    """The retrieval stage as a deployment of its own."""

    async def __init__(self, folder: str, index: IndexConfig) -> None:
        await self.start(folder)
        self._rooms = self.followed.stages(index).traced()

    async def browse(self, carried: Carried, ask: Browse) -> Browsed:
        """As Browsing.browse."""
        return await self.answer(self._rooms.browse, carried, ask)

    async def search(self, carried: Carried, ask: Search) -> Hits:
        """As Searching.search."""
        return await self.answer(self._rooms.search, carried, ask)

    async def describe(self, carried: Carried, ask: Describe) -> Described:
        """As Describing.describe."""
        return await self.answer(self._rooms.describe, carried, ask)

    async def retrieve(self, carried: Carried, query: Query) -> Found:
        """As Retriever.retrieve."""
        return await self.answer(self._rooms.retrieve, carried, query)


class RankerReplica(StageReplica):
    """The ranking stage as a deployment of its own."""

    async def __init__(self, folder: str) -> None:
        await self.start(folder)
        self._rank = traced("rank", Ranking(self.followed.view, self.followed.bundle.ranker).rank)

    async def rank(self, carried: Carried, query: Query, found: Found) -> Ranked:
        """As Ranking.rank."""
        return await self.answer(self._rank, carried, query, found)
