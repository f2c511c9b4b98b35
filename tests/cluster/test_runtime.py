"""The one door to Ray."""

import os

import pytest
import ray

from cluster.environment import token_path
from cluster.errors import ConfigError
from cluster.runtime import RuntimeConfig, connect


@pytest.mark.ray
def test_connecting_again_changes_nothing(ray_cluster: str) -> None:
    assert connect() == ray_cluster
    assert connect(RuntimeConfig(address="local")) == ray_cluster


@pytest.mark.ray
def test_workers_run_one_thread_each_behind_our_token(ray_cluster: str) -> None:
    @ray.remote
    def variables() -> dict[str, str]:
        return {name: os.environ.get(name, "") for name in ("OMP_NUM_THREADS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")}

    found = ray.get(variables.remote())
    assert found == {"OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_path())}


@pytest.mark.ray
def test_the_cluster_lives_on_loopback(ray_cluster: str) -> None:
    assert ray_cluster.startswith("127.0.0.1:")


def test_an_unknown_way_to_join_is_refused() -> None:
    with pytest.raises(ConfigError, match="address"):
        RuntimeConfig.parse(["address=somewhere"])
