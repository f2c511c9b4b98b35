"""Replicas that hang, and replicas that break: what their clients are told by those around them."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import pytest
import ray
import ray.serve
from fastapi import FastAPI
from ray import cloudpickle

from bench.client import Client
from cluster.environment import cluster_mark
from cluster.haproxy import free_port
from serve.api.routes import make_api
from serve.app import REQUEST_S
from tests.serve.shop import KNOWN

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def port(ray_cluster: str) -> Iterator[int]:
    """Where Serve listens, as a server of ours has it."""
    found = free_port()
    ray.serve.start(http_options={"host": "127.0.0.1", "port": found, "request_timeout_s": REQUEST_S})
    yield found
    ray.serve.shutdown()


class Stuck:
    """A deployment that never answers."""


def stuck_api() -> FastAPI:
    api = FastAPI()

    @api.get("/healthz")
    async def wait() -> None:
        await asyncio.Event().wait()

    return api


@pytest.mark.parametrize("headers", [{}, {"x-request-timeout-seconds": "0", "x-request-disconnect-disabled": "?1"}])
def test_no_client_waits_longer_than_the_server_does(port: int, headers: dict[str, str]) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # replicas cannot import a test
    app = ray.serve.deployment(ray_actor_options={"num_cpus": 0})(ray.serve.ingress(stuck_api)(Stuck)).bind()
    ray.serve.run(app, name="stuck")
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/healthz", headers=headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    ray.serve.delete("stuck")
    assert (answer.status, told["status"], answer.headers["retry-after"]) == (503, 503, "1")


class Broken:
    """A deployment whose engine fails."""


def broken_api() -> FastAPI:
    return make_api(lambda: 1 // 0, mark=cluster_mark())  # pyright: ignore[reportArgumentType, reportReturnType]


def test_an_internal_error_of_a_replica_is_a_problem_too(port: int) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # replicas cannot import a test
    app = ray.serve.deployment(ray_actor_options={"num_cpus": 0})(ray.serve.ingress(broken_api)(Broken)).bind()
    ray.serve.run(app, name="broken")
    client = Client(port)
    for _ in range(2):  # the connection is good for another request
        answer = client.post("/v1/recommendations", {"user": KNOWN})
        assert (answer.status, answer.body["status"], answer.body["title"]) == (500, 500, "Internal Server Error")
        assert "division" not in str(answer.body)
