"""The edge to Ray Serve: the same rooms as one deployment or as three, and the store's actor beside them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cluster.runtime import n_nodes  # before Ray, which reads its environment on import

# isort: split
import faiss
import ray
import ray.serve
import torch
from fastapi import FastAPI
from ray.exceptions import RayError
from ray.serve.api import RunTarget
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from cluster.environment import cluster_mark
from cluster.errors import ConfigError, RuntimeStartError, UnavailableError
from cluster.keys import Keyring
from cluster.requests import Carried, arriving, carried
from cluster.telemetry import are_json, configure_logging
from cluster.tracing import configure_tracing, traced
from serve.api.routes import make_api
from serve.config import AppArgs, StartArgs
from serve.engine import Engine
from serve.fetching import FollowedKeys, bundle_here
from serve.limits import Limits, RatesConfig
from serve.releases import Releases
from serve.rollout import Rollout
from serve.stages.browsing import Browse, Browsed
from serve.stages.describing import Describe, Described
from serve.stages.fused import Stages, fused
from serve.stages.index.config import IndexConfig
from serve.stages.index.policy import open_index
from serve.stages.query import Found, Query, Ranked
from serve.stages.ranking import Ranking
from serve.stages.searching import Hits, Search
from serve.state.follower import Follower
from serve.state.operations import Operation
from serve.state.view import View
from serve.store_client import StoreClient, find_actor, find_store, let_go
from serve.store_host import close_store, ensure_store, keep_settings, start_actor
from train.bundle import read_bundle
from train.registry import Registry

log = logging.getLogger(__name__)

T = TypeVar("T")

NAME = "liveshelf"  # of the application, and what the names of its stages begin with
REQUEST_S = 5.0
DRAIN_S, POLL_S = 30.0, 0.2


class Replica:
    """What every replica holds: the bundle, and a view of the state that follows the store."""

    async def start(self, folder: str, max_shoppers: int) -> None:
        """Load the bundle and begin to follow the store."""
        replica = ray.serve.get_replica_context().replica_id
        self.process = replica.unique_id
        name = f"{replica.deployment_id.name} {self.process}"
        configure_logging("WARNING", name)
        configure_tracing(name)
        torch.set_num_threads(1)
        faiss.omp_set_num_threads(1)
        self.store = StoreClient()
        async with bundle_here(Path(folder), self.store.file) as here:
            self.bundle = read_bundle(here)
        self.view = View(self.bundle, await self.store.image(), max_shoppers)
        self.follower = Follower(self.view, self.store)
        self._following = asyncio.create_task(self.follower.run())

    async def answer(
        self, room: Callable[..., Awaitable[T]], carried: Carried, query: Query | Browse | Search | Describe, *more: Any
    ) -> T:
        """Return what a room says of a query; carried: of the request that it belongs to."""
        with arriving([carried]):
            self.require(query)
            return await room(query, *more)

    def require(self, query: Query | Browse | Search | Describe) -> None:
        """Raise where a query speaks of another bundle: while one is replaced by another, stages of both live."""
        if query.bundle != self.bundle.manifest.version:
            raise UnavailableError("the server is going over to another bundle; send the same request in a second")

    def stages(self, index: IndexConfig) -> Stages:
        """Return all stages as rooms over this replica's view."""
        return fused(self.bundle, self.view, open_index(self.view, self.bundle, index))

    def check_health(self) -> None:
        """Fail when the view can no longer move. That the store is away is no reason to start a replica again."""
        if self._following.done():
            raise RuntimeError("the view stopped following the store") from self._following.exception()


class RetrieverReplica(Replica):
    """The retrieval stage as a deployment of its own."""

    async def __init__(self, folder: str, index: IndexConfig) -> None:
        await self.start(folder, max_shoppers=1)
        self._rooms = self.stages(index).traced()

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


class RankerReplica(Replica):
    """The ranking stage as a deployment of its own."""

    async def __init__(self, folder: str) -> None:
        await self.start(folder, max_shoppers=1)
        self._rank = traced("rank", Ranking(self.view, self.bundle.ranker).rank)

    async def rank(self, carried: Carried, query: Query, found: Found) -> Ranked:
        """As Ranking.rank."""
        return await self.answer(self._rank, carried, query, found)


class Gateway(Replica):
    """The HTTP surface over an engine; the stages are rooms of this replica, or deployments when handles are given."""

    async def __init__(
        self, folder: str, max_shoppers: int, keyring: Keyring, index: IndexConfig, judged_share: float,
        judged_a_second: float, guard: bool, decision_share: float, rates: RatesConfig,
        retriever: DeploymentHandle | None = None, ranker: DeploymentHandle | None = None,
    ) -> None:  # fmt: skip
        await self.start(folder, max_shoppers)
        keys = FollowedKeys(keyring, self.store.file)
        await keys.look()
        self.keyring, self._keeping_keys = keys.keyring, asyncio.create_task(keys.follow())
        if retriever is None or ranker is None:
            stages = self.stages(index)
        else:
            stages = Stages(
                _carrying(retriever.retrieve), _carrying(ranker.rank), _carrying(retriever.browse),
                _carrying(retriever.search), _carrying(retriever.describe),
            )  # fmt: skip
        settings = judged_share, judged_a_second, guard, decision_share, self.process
        self.engine = Engine(self.bundle, self.follower, self.store, stages, *settings)
        self.limits = Limits(rates, self.engine.metrics.capped)
        self.releases = Releases(self.store.operations, roll_out, lambda name: find_actor(name) is not None)
        self._placing = asyncio.create_task(self.engine.assortment.keep_placed())
        self._telling = asyncio.create_task(self.engine.keep_telling())


def replica_api(origins: Sequence[str]) -> Callable[[], FastAPI]:
    """Return what makes the HTTP surface inside a gateway replica; origins: whose pages' scripts may call."""

    def here() -> Any:  # the Gateway
        return ray.serve.get_replica_context().servable_object

    def api() -> FastAPI:
        return make_api(
            lambda: here().engine, lambda: here().keyring, lambda: here().releases, lambda: here().limits,
            cluster_mark(), origins, is_told=True,  # Serve puts request ids into answers
        )  # fmt: skip

    return api


def gateway_settings(folder: str, args: AppArgs) -> tuple[Any, ...]:
    """Return what a gateway needs before its stages; not all of `args`: a change of these starts it anew."""
    keyring = Keyring(Path(args.keys).absolute())
    log.info("keys file=%s open=%s", keyring.path, keyring.is_open)  # which the replicas are told with it
    judged = args.judged_share, args.judged_a_second
    rates = args.rates.among(args.replicas)
    return folder, args.max_shoppers, keyring, args.index, *judged, args.guard, args.decision_share, rates


def build_app(args: AppArgs) -> ray.serve.Application:
    """Bind the deployments of the wanted topology and start the store's actor."""
    folder = stored_bundle(args)
    return bound_gateway(folder, args, bound_stages(folder, args).values())


def stored_bundle(args: AppArgs) -> str:
    """Return the wanted bundle's folder when the store serves it."""
    folder = str(Registry(args.registry).find(args.bundle).absolute())
    ensure_store(folder, args)
    return folder


def bound_stages(folder: str, args: AppArgs) -> dict[str, ray.serve.Application]:
    """Return the stages that are deployments of their own, by what they are called; none in the fused topology."""
    if not _staged(args):
        return {}
    retriever = _deployed(RetrieverReplica, args, {"num_replicas": args.retriever_replicas})
    ranker = _deployed(RankerReplica, args, {"num_replicas": args.ranker_replicas})
    return {"retriever": retriever.bind(folder, args.index), "ranker": ranker.bind(folder)}


def bound_gateway(folder: str, args: AppArgs, stages: Iterable[Any]) -> ray.serve.Application:
    """Return the deployment that answers; stages: in the order of `bound_stages`, bound or as handles."""
    how_many = args.scaling.options(args.replicas, args.max_replicas)
    how_many["max_replicas_per_node"] = args.max_replicas_per_node
    gateway = _deployed(ray.serve.ingress(replica_api(args.allowed_origins()))(Gateway), args, how_many)
    return gateway.bind(*gateway_settings(folder, args), *stages)


def deploy(args: StartArgs) -> None:
    """Serve `args` on the connected cluster, changing what runs there already.

    The stages of each bundle are applications of their own, so that gateways of the old one find theirs until the last
    of them is gone.
    """
    if args.is_local and (nodes := n_nodes()) > 1:
        raise ConfigError(
            f"host={args.host} is each node's own, and the cluster has {nodes}; make keys and give host=0.0.0.0"
        )
    try:
        ray.serve.start(http_options={"host": args.host, "port": args.port, "request_timeout_s": REQUEST_S})
        folder = stored_bundle(args)
        stages = {f"{NAME}-{kind}-{Path(folder).name}": app for kind, app in bound_stages(folder, args).items()}
        apart = [RunTarget(app, name, None, serves_logging()) for name, app in stages.items()]
        handles = ray.serve.run_many(apart) if apart else []
        ray.serve.run(bound_gateway(folder, args, handles), name=NAME, logging_config=serves_logging())
        keep_settings(args)
        end_stages(kept=stages.keys())
    except (RayError, RayServeException, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]  # of a traceback from another process
        raise RuntimeStartError(f"the server did not start: {reason}") from error


def serves_logging() -> dict[str, Any]:
    """Return how Serve writes the files of its own: like we do, and no line for each request."""
    return {"enable_access_log": False, "encoding": "JSON" if are_json() else "TEXT"}


def end_stages(kept: Collection[str] = ()) -> None:
    """End the stages that no gateway asks any more, which is when those that are on their way out have gone."""
    old = [name for name in ray.serve.status().applications if name.startswith(f"{NAME}-") and name not in kept]
    deadline = time.monotonic() + DRAIN_S
    while old and _leaving_gateways() and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for name in old:
        ray.serve.delete(name)


def roll_out(operation: Operation, args: StartArgs) -> None:
    """Let a process of its own change the served bundle: the replica that was asked to is replaced by it."""
    start_actor(operation.id, Rollout, deploy, let_go, operation, args, find_store())


def withdraw() -> bool:
    """End what `deploy` started on the connected cluster, the store last and in order; tell whether there was any."""
    served = find_store() is not None
    ray.serve.delete(NAME)
    end_stages()
    if not ray.serve.status().applications:  # nobody else's either: another start may choose another port
        ray.serve.shutdown()
    close_store()
    return served


def _leaving_gateways() -> int:
    if (found := ray.serve.status().applications.get(NAME)) is None:
        return 0
    states: dict[Any, int] = found.deployments[Gateway.__name__].replica_states  # of an enum's texts, or plain ones
    return states.get("STOPPING", 0)


def _deployed(room: Any, args: AppArgs, how_many: dict[str, Any]) -> Any:
    return ray.serve.deployment(
        max_ongoing_requests=64, max_queued_requests=args.max_queued_requests,
        backpressure_config={"status_code": 503, "retry_after_s": 1},
        health_check_period_s=2, health_check_timeout_s=5, graceful_shutdown_timeout_s=5,
        ray_actor_options={"num_cpus": 0}, **how_many,
    )(room)  # fmt: skip


def _carrying(method: DeploymentHandle) -> Callable[..., Awaitable[Any]]:
    """Return a call to another deployment with which the request at hand goes along."""
    return lambda *asked: method.remote(carried(), *asked)


def _staged(args: AppArgs) -> bool:
    if args.topology == "auto":
        return ray.cluster_resources().get("GPU", 0) > 0
    return args.topology == "staged"
