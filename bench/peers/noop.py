"""The floor: what Ray Serve costs when the application does nothing, behind the same ingress as ours.

    python -m bench.peers.noop <port> <replicas> <hops>

hops=0: a FastAPI ingress that reads the body and answers at once; hops=2: it asks one deployment, which answers with a
small list, then another. The cluster is started as ours is, and stays until `serve/run.py stop`.
"""

import sys
from typing import Any

from cluster.head import start_head
from cluster.runtime import RuntimeConfig, connect, disconnect  # before Ray, which reads its environment on import

# isort: split
import ray
import ray.serve
from fastapi import FastAPI, Request
from ray.serve.handle import DeploymentHandle

CANDIDATES = 500  # numbers that travel between the hops, as candidates would

api = FastAPI()


class Hop:
    """A stage that does nothing."""

    async def ask(self, numbers: list[float]) -> list[float]:
        """Return what it was given."""
        return numbers


class Ingress:
    """The HTTP surface."""

    def __init__(self, *hops: DeploymentHandle) -> None:
        self.hops = hops


@api.get("/readyz")
async def readyz() -> dict[str, str]:
    """Say that this replica answers."""
    return {"status": "ready"}


@api.post("/v1/recommendations")
async def recommend(request: Request) -> dict[str, Any]:
    """Return as many numbers as the hops leave."""
    await request.json()
    numbers, replica = [0.0] * CANDIDATES, ray.serve.get_replica_context().servable_object
    for hop in replica.hops:
        numbers = await hop.ask.remote(numbers)
    return {"items": len(numbers)}


def main(port: int, replicas: int, hops: int) -> None:
    """Serve it in the background."""
    start_head()
    connect(RuntimeConfig(address="head"))
    options: dict[str, Any] = {"max_ongoing_requests": 64, "ray_actor_options": {"num_cpus": 0}}
    stages = [ray.serve.deployment(**options)(Hop).options(name=f"hop{number}").bind() for number in range(hops)]
    ingress = ray.serve.deployment(num_replicas=replicas, **options)(ray.serve.ingress(api)(Ingress))
    ray.serve.start(http_options={"host": "127.0.0.1", "port": port})
    ray.serve.run(ingress.bind(*stages), name="noop", logging_config={"enable_access_log": False})
    disconnect()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
