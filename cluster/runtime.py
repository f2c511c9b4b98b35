"""The one door to Ray: join the cluster that the environment names, or start one on this machine."""

import logging
from typing import Any, Literal

from pydantic import Field

from cluster.config import Config
from cluster.environment import ROOT, in_submitted_job, joins_a_cluster, prepare, prepare_files, scratch
from cluster.errors import RuntimeStartError
from cluster.head import head_address

prepare()  # Ray reads its environment once, on import

import ray  # noqa: E402
from ray.exceptions import RayError  # noqa: E402

NAMESPACE = "liveshelf"  # where named actors are found
NOT_SHIPPED = ["/data", "/docs", "/tests", "/bench", "/var", "/dist"]


class RuntimeConfig(Config):
    """Which cluster this process joins, or how it starts its own."""

    address: Literal["auto", "local", "head"] = Field(
        default="auto",
        description="auto: the cluster named by RAY_ADDRESS, else local; local: one of our own, gone when this "
        "process ends; head: the one that `serve/run.py start` left running",
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
