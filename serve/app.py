"""The edge to Ray Serve: the same rooms as one deployment or as three, and the store's actor beside them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.runtime import n_nodes  # before Ray, which reads its environment on import

# isort: split
import ray
import ray.serve
from fastapi import FastAPI
from ray.exceptions import RayActorError, RayError
from ray.serve.api import RunTarget
from ray.serve.exceptions import DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from cluster.environment import cluster_mark
from cluster.errors import ConfigError, RuntimeStartError
from cluster.front_door import ROOM
from cluster.keys import Keyring
from cluster.requests import carried, current_tenant
from cluster.telemetry import are_json
from serve.api.routes import make_api
from serve.config import ALONE, AppArgs, StartArgs
from serve.engine import Engine
from serve.fetching import FollowedKeys
from serve.limits import Limits, RatesConfig
from serve.releases import Releases
from serve.replicas import Followed, RankerReplica, RetrieverReplica, prepare_replica
from serve.rollout import Rollout
from serve.stages.fused import Stages, fused
from serve.stages.index.config import IndexConfig
from serve.stages.index.exact import FlatIndex
from serve.stages.relay import relayed
from serve.state.operations import Operation
from serve.store_client import find_actor, find_store, let_go, served_tenants
from serve.store_host import close_store, ensure_store, keep_settings, served_bundle, start_actor, whole_change
from train.registry import Registry

log = logging.getLogger(__name__)

NAME = "liveshelf"  # of the application, and what the names of its stages begin with
REQUEST_S = 5.0
QUEUED = 200  # requests that wait at a replica, where several balancers each find room, or there is none
DRAIN_S, POLL_S = 30.0, 0.2
CARD_SHARE = 0.1  # of a card, that a stage asks for where there are any: it is placed with one, and others beside it


class Shop:
    """What a gateway has of one tenant's shop, and what it does there without being asked."""

    def __init__(self, tenant: str, followed: Followed, engine: Engine, rates: RatesConfig) -> None:
        self.followed, self.engine = followed, engine
        self.limits = Limits(rates, engine.metrics.capped)
        self.releases = Releases(
            followed.store.operations, lambda operation, args: roll_out(operation, args, tenant),
            lambda name: find_actor(name) is not None, tenant,
        )  # fmt: skip
        self._placing = asyncio.create_task(engine.assortment.keep_placed())
        self._telling = asyncio.create_task(engine.keep_telling())


class Gateway:
    """The HTTP surface over an engine for each shop; stages are rooms of this replica, or deployments given as handles.

    A request is answered from the shop of the tenant whose key it was sent with.
    """

    async def __init__(
        self, folders: Mapping[str, str], max_shoppers: int, keyring: Keyring, index: IndexConfig, judged_share: float,
        judged_a_second: float, guard: bool, decision_share: float, rates: RatesConfig,
        retriever: DeploymentHandle | None = None, ranker: DeploymentHandle | None = None,
    ) -> None:  # fmt: skip
        process = prepare_replica()
        settings = judged_share, judged_a_second, guard, decision_share, process
        self.shops = dict[str, Shop]()
        for tenant, folder in folders.items():
            here = await Followed.begin(folder, max_shoppers, tenant)
            stages = (
                here.stages(index) if retriever is None or ranker is None else stages_apart(retriever, ranker, here)
            )
            self.shops[tenant] = Shop(
                tenant, here, Engine(here.bundle, here.follower, here.store, stages, *settings), rates
            )
        keys = FollowedKeys(keyring, self.shops[""].followed.store.file)
        await keys.look()
        self.keyring, self._keeping_keys = keys.keyring, asyncio.create_task(keys.follow())

    @property
    def shop(self) -> Shop:
        """The shop that the request at hand is for."""
        return self.shops[current_tenant()]

    def check_health(self) -> None:
        """As Followed.check_health, of every shop."""
        for shop in self.shops.values():
            shop.followed.check_health()


def replica_api(origins: Sequence[str], tenants: Sequence[str] = ALONE) -> Callable[[], FastAPI]:
    """Return what makes the HTTP surface inside a gateway replica; origins: whose pages' scripts may call."""

    def here() -> Any:  # the Gateway
        return ray.serve.get_replica_context().servable_object

    def api() -> FastAPI:
        return make_api(
            lambda: here().shop.engine, lambda: here().keyring, lambda: here().shop.releases,
            lambda: here().shop.limits, cluster_mark(), origins,
            is_told=True, tenants=tenants,  # Serve puts request ids into answers
        )  # fmt: skip

    return api


def gateway_settings(folders: Mapping[str, str], args: AppArgs) -> tuple[Any, ...]:
    """Return what a gateway needs before its stages; not all of `args`: a change of these starts it anew.

    folders: of the bundles, by tenant.
    """
    keyring = Keyring(Path(args.keys).absolute())
    log.info("keys file=%s open=%s", keyring.path, keyring.is_open)  # which the replicas are told with it
    judged = args.judged_share, args.judged_a_second
    rates = args.rates.among(args.replicas)
    return folders, args.max_shoppers, keyring, args.index, *judged, args.guard, args.decision_share, rates


def build_app(args: AppArgs) -> ray.serve.Application:
    """Bind the deployments of the wanted topology and start the stores' actors."""
    folders = stored_bundles(args)
    return bound_gateway(folders, args, bound_stages(folders[""], args).values())


def stored_bundles(args: AppArgs, moved: str | None = None, bundle: str = "") -> dict[str, str]:
    """Return the folder of each tenant's bundle when its store serves it.

    moved: the tenant that alone goes over to another bundle, which is `bundle`; none: all go over to their current one.
    """
    folders = {}
    for tenant in args.shops():
        own = args.of(tenant)
        if moved in (None, tenant) or find_store(tenant) is None:
            folder = Registry(own.registry).find(bundle if moved == tenant else own.bundle)
        else:
            folder = served_bundle(tenant)
        folders[tenant] = str(folder.absolute())
        ensure_store(folders[tenant], own, tenant)
    return folders


def bound_stages(folder: str, args: AppArgs) -> dict[str, ray.serve.Application]:
    """Return the stages that are deployments of their own, by what they are called; none in the fused topology."""
    if not _staged(args):
        return {}
    cards = CARD_SHARE if _has_cards() else 0
    retriever = _deployed(RetrieverReplica, {"num_replicas": args.retriever_replicas}, cards)
    ranker = _deployed(RankerReplica, {"num_replicas": args.ranker_replicas}, cards)
    return {"retriever": retriever.bind(folder, args.index), "ranker": ranker.bind(folder)}


def bound_gateway(folders: Mapping[str, str], args: AppArgs, stages: Iterable[Any]) -> ray.serve.Application:
    """Return the deployment that answers; stages: in the order of `bound_stages`, bound or as handles."""
    how_many = args.scaling.options(args.replicas, args.max_replicas)
    how_many["max_replicas_per_node"] = args.max_replicas_per_node
    api = replica_api(args.allowed_origins(), list(folders))
    gateway = _deployed(ray.serve.ingress(api)(Gateway), how_many)
    return gateway.bind(*gateway_settings(folders, args), *stages)


def deploy(args: StartArgs, moved: str | None = None, bundle: str = "") -> None:
    """Serve `args` on the connected cluster, changing what runs there already; moved, bundle: as stored_bundles.

    The stages of each bundle are applications of their own, so that gateways of the old one find theirs until the last
    of them is gone.
    """
    if args.is_local and (nodes := n_nodes()) > 1:
        raise ConfigError(
            f"host={args.host} is each node's own, and the cluster has {nodes}; make keys and give host=0.0.0.0"
        )
    try:
        with whole_change(Path(args.data)):
            ray.serve.start(http_options={"host": args.host, "port": args.port, "request_timeout_s": REQUEST_S})
            folders = stored_bundles(args, moved, bundle)
            stages = bound_stages(folders[""], args)
            named = {f"{NAME}-{kind}-{Path(folders['']).name}": app for kind, app in stages.items()}
            apart = [RunTarget(app, name, None, serves_logging()) for name, app in named.items()]
            handles = ray.serve.run_many(apart) if apart else []
            ray.serve.run(bound_gateway(folders, args, handles), name=NAME, logging_config=serves_logging())
            keep_settings(args if moved != "" else args.model_copy(update={"bundle": bundle}))
            end_stages(kept=named.keys())
            for tenant in served_tenants() - {*folders}:
                close_store(tenant)
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


def roll_out(operation: Operation, args: StartArgs, tenant: str) -> None:
    """Let a process of its own change a tenant's bundle: the replica that was asked to is replaced by it."""
    start_actor(operation.id, Rollout, deploy, let_go, operation, args, find_store(tenant), tenant)


def withdraw() -> bool:
    """End what `deploy` started on the connected cluster, stores last and in order; tell whether there was any."""
    served = find_store() is not None
    ray.serve.delete(NAME)
    end_stages()
    if not ray.serve.status().applications:  # nobody else's either: another start may choose another port
        ray.serve.shutdown()
    for tenant in served_tenants():
        close_store(tenant)
    return served


def _leaving_gateways() -> int:
    if (found := ray.serve.status().applications.get(NAME)) is None:
        return 0
    states: dict[Any, int] = found.deployments[Gateway.__name__].replica_states  # of an enum's texts, or plain ones
    return states.get("STOPPING", 0)


def _deployed(room: Any, how_many: dict[str, Any], cards: float = 0) -> Any:
    return ray.serve.deployment(
        max_ongoing_requests=ROOM, max_queued_requests=QUEUED,
        backpressure_config={"status_code": 503, "retry_after_s": 1},
        health_check_period_s=1, health_check_timeout_s=5, graceful_shutdown_timeout_s=5,
        ray_actor_options={"num_cpus": 0, "num_gpus": cards}, **how_many,
    )(room)  # fmt: skip


def stages_apart(retriever: DeploymentHandle, ranker: DeploymentHandle, here: Followed) -> Stages:
    """Return stages that other deployments are, with which the request at hand goes along, and ours behind them."""

    def carrying(method: DeploymentHandle) -> Callable[..., Awaitable[Any]]:
        return lambda *asked: method.remote(carried(), *asked)

    there = retriever.retrieve, ranker.rank, retriever.browse, retriever.search, retriever.describe
    own = fused(here.bundle, here.view, FlatIndex(here.view.items))
    return relayed(map(carrying, there), own, (RayActorError, DeploymentUnavailableError))


def _staged(args: AppArgs) -> bool:
    if args.topology == "auto" and len(args.shops()) == 1:
        return _has_cards()
    return args.topology == "staged"


def _has_cards() -> bool:
    return ray.cluster_resources().get("GPU", 0) > 0
