"""Run by a test: two nodes of which one says that it has a card; prints which of them each replica is on, as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

from cluster.runtime import NAMESPACE  # before Ray, which reads its environment on import

# isort: split
import ray
from ray.cluster_utils import Cluster
from ray.util.state import list_actors

from bench.shop import publish_shop
from cluster.environment import prepare_files
from cluster.haproxy import free_port
from cluster.keys import Keyring
from serve.app import deploy, withdraw
from serve.config import StartArgs


def main(folder: Path) -> None:
    """Serve from `folder` on two nodes, say where, and end them."""
    prepare_files()
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 0})
    nodes.add_node(num_cpus=1, num_gpus=1)
    ray.init(address=nodes.address, namespace=NAMESPACE, log_to_driver=False)
    try:
        publish_shop(folder / "registry", 500, 50)
        Keyring(folder / "keys").create("shop", ["read"])
        deploy(StartArgs.checked({
            **{name: str(folder / name) for name in ("registry", "data", "keys")},
            "port": free_port(), "host": "0.0.0.0", "replicas": 1, "topology": "auto",
        }))  # fmt: skip
        cards = {node["NodeID"]: node["Resources"].get("GPU", 0) for node in ray.nodes()}
        alive: Any = list_actors(filters=[("state", "=", "ALIVE")], detail=True)
        rooms = [actor for actor in alive if (actor.name or "").startswith("SERVE_REPLICA::")]
        placed = {actor.name.split("#")[1]: cards[actor.node_id] for actor in rooms}
        withdraw()
    finally:
        ray.shutdown()
        nodes.shutdown()
    print(json.dumps(placed))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
