"""A server as it is deployed on this process's cluster, and what tests ask of it from outside."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from bench.client import Answer, Client
from serve.app import deploy
from serve.config import StartArgs
from serve.run import await_ready
from serve.state.store import Store
from serve.store_client import find_store
from tests.serve.shop import KNOWN
from train.registry import Registry


@dataclass(frozen=True)
class Server:
    """A deployed server."""

    port: int
    registry: Path
    data: Path
    key: str = ""  # that is asked with; none where nobody needs one

    @property
    def args(self) -> dict[str, Any]:
        return {"registry": str(self.registry), "data": str(self.data), "port": self.port, "replicas": 2}

    def deploy(self, topology: str, bundle: str = "current", **settings: Any) -> None:
        """Serve on two gateway replicas, and return when the first of them is known to the balancer."""
        args = StartArgs.checked(self.args | {"topology": topology, "bundle": bundle} | settings)
        deploy(args)
        await_ready(args)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Return the JSON of a good answer, over a connection of its own."""
        client = Client(self.port, key=self.key)
        answer = client.post(path, body)
        client.close()
        assert answer.status == 200, answer
        return answer.body

    def work(self, path: str) -> dict[str, Any]:
        """Return what came of long work."""
        begun, told = Client(self.port, key=self.key).post(path, {}), list[dict[str, Any]]()
        assert begun.status == 202, begun

        def is_over() -> bool:
            answer = Client(self.port, key=self.key).get(f"/v1/operations/{begun.body['id']}")
            told.append(answer.body if answer.status == 200 else begun.body)
            return told[-1]["status"] != "running"

        wait_until(is_over, timeout_s=300)
        assert told[-1]["status"] == "succeeded", told[-1]
        return told[-1]["result"]

    def click(self, user: str, item: str) -> int:
        """Return the version of a click."""
        return self.post("/v1/events", type="click", user=user, item=item)["results"][0]["version"]

    def answers(self) -> bool:
        """Tell whether a request over a new connection is answered."""
        client = Client(self.port)
        status = client.post("/v1/recommendations", {"user": KNOWN}).status
        client.close()
        return status == 200


class Answers:
    """A shopper who asks again and again, for as long as the block runs."""

    def __init__(self, server: Server) -> None:
        self._server, self._over = server, threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.failed, self.versions = list[Answer](), set[str]()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        client = Client(self._server.port)
        while not self._over.is_set():
            answer = client.post("/v1/recommendations", {"user": KNOWN})
            if answer.status == 200:
                self.versions.add(answer.body["modelVersion"])
            else:
                self.failed.append(answer)
        client.close()


def until(answers: Callable[[], bool], in_a_row: int, at_most: int = 2_000) -> int:
    """Return how many answers failed before so many in a row did not."""
    good = 0
    for count in range(at_most):
        good = good + 1 if answers() else 0
        if good == in_a_row:
            return count + 1 - in_a_row
    raise AssertionError(f"never {in_a_row} answers in a row")


def wait_until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    """Return when something holds of processes, whose coming and going nobody announces."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def live_state_hash() -> tuple[int, str]:
    """Return version and hash of the state in the store's process."""
    actor = find_store()
    assert actor is not None
    version, state_hash = ray.get(actor.state_hash.remote())
    return version, state_hash


async def replayed(server: Server) -> tuple[int, str]:
    """Return version and hash of the state that the log comes to."""
    store = Store.open(Registry(server.registry).find("current"), server.data)
    found = await store.state_hash()
    await store.close()
    return found
