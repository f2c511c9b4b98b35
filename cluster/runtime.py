"""The one door to Ray: join the cluster that the environment names, or start one on this machine."""

import logging
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from cluster.config import Config
from cluster.environment import ROOT, in_submitted_job, joins_a_cluster, prepare, prepare_files, scratch
from cluster.errors import RuntimeStartError
from cluster.head import head_address

prepare()  # Ray reads its environment once, on import

import ray  # noqa: E402
import ray._private.state  # noqa: E402
from ray.exceptions import RayError  # noqa: E402

NAMESPACE = "liveshelf"  # where named actors are found
STORE, WATCHDOG = "liveshelf-store-0", "liveshelf-watchdog-0"
HEAD = "node:__internal_head__"  # the resource that Ray gives the head alone, also when it comes back as another node
NOT_SHIPPED = ["/data", "/docs", "/tests", "/bench", "/var", "/dist"]


def of_tenant(actor: str, tenant: str) -> str:
    """Return what a tenant's own store or watchdog is called."""
    return f"{actor}-{tenant}" if tenant else actor


class RuntimeConfig(Config):
    """Which cluster this process joins, or how it starts its own."""

    address: Literal["auto", "local", "head"] = Field(
        default="auto",
        description="auto: the cluster named by RAY_ADDRESS, else local; local: one of our own, gone when this "
        "process ends; head: the one to serve on, which RAY_ADDRESS names or `serve/run.py start` left running",
    )
    num_cpus: int | None = Field(default=None, ge=1, description="cores of a local cluster; empty: all")
    num_gpus: int | None = Field(default=None, ge=0, description="GPUs of a local cluster; empty: all")
    dashboard: bool = Field(default=False, description="whether a local cluster shows Ray's dashboard, on 127.0.0.1")
    worker_output: bool = Field(default=False, description="whether what workers print appears here")


def connect(config: RuntimeConfig | None = None) -> str:
    """Return the address of the cluster that this process is now part of; a second call changes nothing."""
    config = config or RuntimeConfig()
    if not ray.is_initialized():
        prepare_files()
        try:
            ray.init(**_arguments(config))
        except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise RuntimeStartError(f"cannot reach or start a cluster (address={config.address}): {error}") from error
    return ray.get_runtime_context().gcs_address


def disconnect() -> None:
    """Leave the cluster; a local one ends."""
    if ray.is_initialized():
        ray.shutdown()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSeen:
    """A node as the connected cluster knows it."""

    address: str  # empty where it died
    alive: bool
    is_head: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorSeen:
    """An actor that is not dead, as the connected cluster knows it."""

    name: str
    state: str  # ALIVE, RESTARTING, PENDING_CREATION, …
    address: str  # of its node; empty while it has none
    restarts: int


def nodes() -> list[NodeSeen]:
    """Return every node of the connected cluster, dead ones too, the head first."""
    seen = [
        NodeSeen(address=node["NodeManagerAddress"], alive=node["Alive"], is_head=HEAD in node["Resources"])
        for node in ray.nodes()
    ]
    return sorted(seen, key=lambda node: (not node.is_head, node.address))


def n_nodes() -> int:
    """Return how many living nodes the connected cluster has."""
    return sum(node.alive for node in nodes())


def actors() -> list[ActorSeen]:
    """Return the connected cluster's actors, which Ray itself tells only where its dashboard runs."""
    return [
        ActorSeen(
            name=actor["Name"], state=actor["State"], address=actor["Address"]["IPAddress"],
            restarts=actor["NumRestarts"],
        )
        for actor in ray._private.state.actors().values()
        if actor["State"] != "DEAD"
    ]  # fmt: skip


def require_head(what: str) -> None:
    """Raise where this process is not on the head, where something must lie."""
    if not on_head():
        raise RuntimeStartError(f"{what} must be on the head of the cluster; run the same command there")


def on_head() -> bool:
    """Tell whether this process is on the head."""
    here = ray.get_runtime_context().get_node_id()
    return any(node["NodeID"] == here and HEAD in node["Resources"] for node in ray.nodes())


def drain_here() -> None:
    """Let nothing new come to this node: Serve moves its replicas away, and a node that is idle ends."""
    if on_head():
        raise RuntimeStartError("this is the head, with store and log; end the server instead, by `serve/run.py stop`")
    here = ray.get_runtime_context()
    options = {
        "address": here.gcs_address, "node-id": here.get_node_id(), "reason": "DRAIN_NODE_REASON_PREEMPTION",
        "reason-message": "cluster.drain",
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", "drain-node", *words], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeStartError(f"the node is not drained: {done.stderr.strip()}")


def _arguments(config: RuntimeConfig) -> dict[str, Any]:
    common = {
        "namespace": NAMESPACE,
        "log_to_driver": config.worker_output,
        "logging_level": logging.WARNING,
    }
    if config.address == "head":
        return common | {"address": head_address()}
    if config.address == "auto" and joins_a_cluster():
        return common | _code()
    return common | {
        "address": "local",
        "num_cpus": config.num_cpus,
        "num_gpus": config.num_gpus,
        "include_dashboard": config.dashboard,
        "dashboard_host": "127.0.0.1",
        "_temp_dir": str(scratch() / "ray"),
    }


def _code() -> dict[str, Any]:
    """Return what ships our packages to other nodes; a submitted job already has, and Ray refuses a second time."""
    if in_submitted_job():
        return {}
    return {"runtime_env": {"working_dir": str(ROOT), "excludes": NOT_SHIPPED}}
