"""The committed cluster.yaml on machines of a test: only addresses, user and key are those of the machines."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.environment import ROOT
from cluster.head import redis_of
from tests.cluster.nodes import Network, Node

UP_S = 90
AT_HOME = "cd ~/liveshelf && RAY_ADDRESS=auto"
SETTINGS = "host=0.0.0.0 replicas=3 max_replicas_per_node=2"
PORT = 8000
N_NODES = "python -c 'from cluster.runtime import *; connect(RuntimeConfig(address=\"head\")); print(n_nodes())'"


@dataclass(frozen=True)
class Cluster:
    """A launched one."""

    machines: Network
    folder: Path  # the home of whoever launches

    @property
    def head(self) -> Node:
        return self.machines.nodes[0]

    @property
    def workers(self) -> list[Node]:
        return self.machines.nodes[1:]

    @property
    def yaml(self) -> Path:
        return self.folder / "cluster.yaml"

    def ray(self, *words: str, timeout_s: float = 180) -> str:
        """Return what a command of Ray's launcher prints, called from a machine that is no node."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "LIVESHELF_"))}
        own = {
            "HOME": str(self.folder), "RAY_TMPDIR": str(self.folder), "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / ".liveshelf/token"), "RAY_USAGE_STATS_ENABLED": "0",
        }  # fmt: skip
        line = [ROOT / ".venv/bin/python", "-m", "ray.scripts.scripts", *words]
        done = subprocess.run(
            line, cwd=ROOT, env=kept | own, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise RuntimeError(f"ray {' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def exec(self, command: str) -> str:
        """Return what a command prints on the head."""
        return self.ray("exec", str(self.yaml), command)

    def n_nodes(self) -> int:
        """Return how many nodes the head knows alive."""
        return int(self.head.run(f"{AT_HOME} .venv/bin/{N_NODES}").split()[-1])


@contextmanager
def launched(machines: Network, redis: str = "") -> Iterator[Cluster]:
    """Have a cluster on these machines, as `ray up` makes it, until the block ends; redis: the URL of its GCS's."""
    cluster = Cluster(machines, machines.folder / "launcher")
    cluster.folder.mkdir()
    cluster.yaml.write_text(adapted((ROOT / "cluster.yaml").read_text(), cluster))
    make_token(cluster)
    wait_until(lambda: all(_reachable(node) for node in machines.nodes), 30)
    if redis:
        words, variables = redis_of(redis, "liveshelf")
        variables |= {"RAY_REDIS_PASSWORD": words[0].partition("=")[2]}
        exports = " ".join(f"{name}={value}" for name, value in variables.items())
        cluster.head.run(f"mkdir -m 700 ~/.liveshelf && umask 077 && echo export {exports} > ~/.liveshelf/redis")
    cluster.ray("up", "-y", str(cluster.yaml))
    yield cluster


def adapted(text: str, cluster: Cluster) -> str:
    """Return cluster.yaml for these machines."""
    workers = ", ".join(node.address for node in cluster.workers)
    for pattern, value in (
        (r"(?m)^  head_ip: .*", f"  head_ip: {cluster.head.address}"),
        (r"(?m)^  worker_ips: .*", f"  worker_ips: [{workers}]"),
        (r"(?m)^  ssh_user: .*", "  ssh_user: root"),
        (r"(?m)^  ssh_private_key: .*", f"  ssh_private_key: {cluster.head.key}"),
    ):
        text, count = re.subn(pattern, value, text)
        assert count == 1, pattern
    return text


def make_token(cluster: Cluster) -> None:
    """Make the cluster's token as cluster.yaml says."""
    subprocess.run(
        [ROOT / ".venv/bin/python", "-m", "cluster.environment"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(cluster.folder)},
    )  # fmt: skip


def wait_until(holds: Callable[[], bool], timeout_s: float) -> float:
    """Return after how many seconds something held of machines, which announce nothing."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > timeout_s:
            raise TimeoutError(f"not within {timeout_s} s")
        time.sleep(0.1)
    return time.monotonic() - began


def _reachable(node: Node) -> bool:
    try:
        node.run("true", timeout_s=10)
    except (RuntimeError, subprocess.TimeoutExpired):
        return False
    return True
