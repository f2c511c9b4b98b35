"""Decisions behind a balancer: whichever replica is asked, it knows what any other decided a moment ago."""

import pytest

from bench.client import Client
from tests.serve.shop import KNOWN, item_ids
from tests.serve.test_app import Server
from tests.serve.test_app import server as server  # the fixture

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_any_replica_tells_a_decision_makes_it_again_and_continues_it(server: Server) -> None:
    for _ in range(5):
        first = server.post("/v1/recommendations", user=KNOWN, count=4)
        name, shown = first["recommendationId"], item_ids(first)
        for _ in range(4):  # each over a connection of its own, which the balancer gives to either replica
            shown += item_ids(server.post(f"/v1/recommendations/{name}/next", count=2))
            assert server.post(f"/v1/decisions/{name}/replay")["identical"]
            client = Client(server.port)
            told, why = (client.get(f"/v1/decisions/{name}{more}") for more in ("", "/explanation"))
            client.close()
            assert item_ids(told.body) == item_ids(why.body) == item_ids(first)
        assert len(shown) == len(set(shown)) == 12
