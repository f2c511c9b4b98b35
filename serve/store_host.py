"""The store's actor on a cluster: started on the head, found, asked for what it holds, and closed."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.runtime import (  # before Ray, which reads its environment on import
    HEAD,
    NAMESPACE,
    STORE,
    WATCHDOG,
    require_head,
)

# isort: split
import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from cluster.errors import RuntimeStartError, UnavailableError
from serve.config import AppArgs, StartArgs
from serve.state.actor import ADOPTED, StoreActor
from serve.state.dead_letters import DeadLetter
from serve.state.event_log import LoggedEvent
from serve.state.folder import begin
from serve.state.history_file import PAGE
from serve.state.image import Image
from serve.store_client import START_S, find_actor, find_store
from serve.watchdog import WatchdogActor
from train.bundle_state import read_manifest

log = logging.getLogger(__name__)

STORE_CALLS = 10_000  # that it holds at once: more than gateways have open, so that it hears its watchdog
CLOSE_S = 10.0


def ensure_store(folder: str, args: AppArgs) -> None:
    """Return when the store's actor serves the bundle in `folder` and its log.

    Raises RuntimeStartError where it has another log, without which one would go on without what happened, or other
    settings, which a store keeps for life.
    """
    require_head(f"the bundle in {folder} and the log in {args.data}")
    origin = folder, str(Path(args.data).absolute())
    actor, watched = find_store(), find_actor(WATCHDOG) is not None
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
    close_store()
    (Path(args.data) / ADOPTED).unlink(missing_ok=True)
    if args.bootstrap:  # here and not in the actor: one that Ray starts again must miss a log that is gone
        begin(Path(args.data), read_manifest(Path(folder)).version)
    # Never retried, because Ray would repeat calls that were applied.
    actor = start_actor(STORE, StoreActor, *origin, args.store, max_task_retries=0, max_concurrency=STORE_CALLS)
    ray.get(actor.origin.remote(), timeout=START_S)
    start_actor(WATCHDOG, WatchdogActor, actor, origin[1])


def served_pages(after: int) -> Iterator[list[LoggedEvent]]:
    """Yield the running store's events after version `after`."""
    if (actor := find_store()) is None:
        raise UnavailableError("no store runs on this cluster; start the server first")
    while page := ray.get(actor.events.remote(after, PAGE)):
        yield page
        after = page[-1].seq


def served_image() -> Image:
    """Return a copy of the running store's items."""
    if (actor := find_store()) is None:
        raise UnavailableError("no store runs on this cluster; start the server first")
    image: Any = ray.get(actor.image.remote(), timeout=START_S)
    return image


def served_letters() -> list[DeadLetter]:
    """Return the running store's refused events."""
    if (actor := find_store()) is None:
        raise UnavailableError("no store runs on this cluster; start the server first")
    return ray.get(actor.dead_letters.remote())


def served_bundle() -> Path:
    """Return the folder of the bundle that the running store serves."""
    if (actor := find_store()) is None:
        raise UnavailableError("no store runs on this cluster; start the server first")
    return Path(ray.get(actor.origin.remote(), timeout=START_S)[0])


def keep_settings(args: StartArgs) -> None:
    """Let the running store know how the server was started."""
    if (actor := find_store()) is not None:
        ray.get(actor.keep_serving.remote(args.located().model_dump_json()), timeout=START_S)


def close_store() -> None:
    """End the store's actor, if there is one, after what it has queued is on the disk, and its watchdog."""
    if (actor := find_store()) is not None:
        try:
            ray.get(actor.close.remote(), timeout=CLOSE_S)
        except (RayActorError, RayTaskError, GetTimeoutError) as error:
            # Whatever it acknowledged is on the disk already; the next start replays it.
            log.warning("store not closed cleanly error=%s", error)
        ray.kill(actor)
    if (watchdog := find_actor(WATCHDOG)) is not None:  # last, since a store that froze closes no better
        ray.kill(watchdog)


def start_actor(name: str, room: Any, *args: Any, **options: Any) -> ActorHandle:
    """Start an actor that outlives this process, pinned to the head, where the log's folder is."""
    return ray.remote(room).options(
        name=name, namespace=NAMESPACE, lifetime="detached", max_restarts=-1, num_cpus=0, resources={HEAD: 0.001},
        **options,
    ).remote(*args)  # fmt: skip
