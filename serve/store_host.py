"""The store's actor on a cluster: started on the head, found, asked for what it holds, and closed."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.runtime import (  # before Ray, which reads its environment on import
    HEAD,
    NAMESPACE,
    STORE,
    WATCHDOG,
    of_tenant,
    require_head,
)

# isort: split
import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from cluster.errors import ConfigError, RuntimeStartError, UnavailableError
from serve.config import AppArgs, StartArgs
from serve.state.actor import ADOPTED, StoreActor
from serve.state.dead_letters import DeadLetter
from serve.state.event_log import LoggedEvent
from serve.state.folder import VARIABLE, begin, database
from serve.state.history_file import PAGE
from serve.state.image import Image
from serve.store_client import START_S, find_actor, find_store
from serve.watchdog import WatchdogActor
from train.bundle_state import read_manifest

log = logging.getLogger(__name__)

STORE_CALLS = 10_000  # that it holds at once: more than gateways have open, so that it hears its watchdog
CLOSE_S = 10.0
CHANGING = "changing"  # the file that is locked while the server changes what it serves


def ensure_store(folder: str, args: AppArgs, tenant: str = "") -> None:
    """Return when the actor of a tenant's store serves the bundle in `folder` and its log; args: of its shop.

    Raises RuntimeStartError where it has another log, without which one would go on without what happened, or other
    settings, which a store keeps for life.
    """
    if tenant and database():
        raise ConfigError(f"{VARIABLE} names one database, and each tenant has a log of its own; unset one of both")
    require_head(f"the bundle in {folder} and the log in {args.data}")
    origin = folder, str(Path(args.data).absolute())
    actor, watched = find_store(tenant), find_actor(of_tenant(WATCHDOG, tenant)) is not None
    if actor is not None and watched:
        bundle, data = ray.get(actor.origin.remote(), timeout=START_S)
        if data != origin[1]:
            raise RuntimeStartError(
                f"the running server's log is in {data}, not {origin[1]}; give data={data}, or stop it"
            )
        if ray.get(actor.settings.remote(), timeout=START_S) != args.store:
            raise RuntimeStartError("the running store has other settings; name them all again, or stop it first")
        if bundle != folder:
            ray.get(actor.adopt.remote(folder))  # takes as long as the log is: it goes on serving meanwhile
        return
    close_store(tenant)
    (Path(args.data) / ADOPTED).unlink(missing_ok=True)
    if args.bootstrap:  # here and not in the actor: one that Ray starts again must miss a log that is gone
        begin(Path(args.data), read_manifest(Path(folder)).version)
    # Never retried, because Ray would repeat calls that were applied.
    actor = start_actor(
        of_tenant(STORE, tenant), StoreActor, *origin, args.store, max_task_retries=0, max_concurrency=STORE_CALLS
    )
    ray.get(actor.origin.remote(), timeout=START_S)
    start_actor(of_tenant(WATCHDOG, tenant), WatchdogActor, actor, origin[1])


def served_pages(after: int, tenant: str = "") -> Iterator[list[LoggedEvent]]:
    """Yield the events of a tenant's running store after version `after`."""
    actor = running_store(tenant)
    while page := ray.get(actor.events.remote(after, PAGE)):
        yield page
        after = page[-1].seq


def served_image(tenant: str = "") -> Image:
    """Return a copy of the items of a tenant's running store."""
    image: Any = ray.get(running_store(tenant).image.remote(), timeout=START_S)
    return image


def served_letters(tenant: str = "") -> list[DeadLetter]:
    """Return the events that a tenant's running store refused."""
    return ray.get(running_store(tenant).dead_letters.remote())


def served_bundle(tenant: str = "") -> Path:
    """Return the folder of the bundle that a tenant's running store serves."""
    return Path(ray.get(running_store(tenant).origin.remote(), timeout=START_S)[0])


def running_store(tenant: str) -> ActorHandle:
    """Return the actor of a tenant's store; raises UnavailableError where there is none."""
    if (actor := find_store(tenant)) is None:
        whose = f" of {tenant}" if tenant else ""
        raise UnavailableError(f"no store{whose} runs on this cluster; start the server first")
    return actor


def keep_settings(args: StartArgs) -> None:
    """Let each running store know how the server was started."""
    for tenant in args.shops():
        if (actor := find_store(tenant)) is not None:
            ray.get(actor.keep_serving.remote(args.located().model_dump_json()), timeout=START_S)


def close_store(tenant: str = "") -> None:
    """End the actor of a tenant's store, if there is one, after what it has queued is on the disk, and its watchdog."""
    if (actor := find_store(tenant)) is not None:
        try:
            ray.get(actor.close.remote(), timeout=CLOSE_S)
        except (RayActorError, RayTaskError, GetTimeoutError) as error:
            # Whatever it acknowledged is on the disk already; the next start replays it.
            log.warning("store not closed cleanly error=%s", error)
        ray.kill(actor)
    if (watchdog := find_actor(of_tenant(WATCHDOG, tenant))) is not None:  # last: a store that froze closes no better
        ray.kill(watchdog)


@contextmanager
def whole_change(data: Path) -> Iterator[None]:
    """Let nobody else change what the server of a data folder serves before the block ends; wait for who does already.

    Two tenants may go over to other bundles at a time, and each names to the gateways those of both.
    """
    data.mkdir(parents=True, exist_ok=True)
    with (data / CHANGING).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start_actor(name: str, room: Any, *args: Any, **options: Any) -> ActorHandle:
    """Start an actor that outlives this process, pinned to the head, where the log's folder is."""
    return ray.remote(room).options(
        name=name, namespace=NAMESPACE, lifetime="detached", max_restarts=-1, num_cpus=0, resources={HEAD: 0.001},
        **options,
    ).remote(*args)  # fmt: skip
