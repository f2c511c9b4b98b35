"""Who asks too often is refused for a while, and nobody else is."""

from ipaddress import ip_network
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request

from cluster.keys import Keyring
from serve.api.addresses import address_of
from serve.api.routes import OPEN, make_api
from serve.limits import Limits, RatesConfig
from tests.serve.shop import KNOWN, Shop
from tests.serve.test_metrics import samples, told


def limited(shop: Shop, now: list[float], ring: Keyring = OPEN, **rates: float) -> TestClient:
    """Return a client of a server with rates, whose clock is `now`."""
    settings = RatesConfig.checked(rates)
    limits = Limits(settings, shop.engine.metrics.capped, clock=lambda: now[0], rng=np.random.default_rng(0))
    return shop.client_of(make_api(lambda: shop.engine, lambda: ring, limits_of=lambda: limits))


def ask(client: TestClient, user: str | None = None) -> int:
    return client.post("/v1/recommendations", json={"user": user} if user else {}).status_code


def test_an_address_that_asks_too_often_is_refused_until_it_waited(shop: Shop) -> None:
    now = [100.0]
    client = limited(shop, now, address=1, burst_s=3)
    assert [ask(client) for _ in range(5)] == [200, 200, 200, 429, 429]
    refused = client.get("/v1/popular")
    assert refused.json()["title"] == "Too Many Requests"
    assert "this address asks more often than it may" in refused.json()["detail"]
    now[0] += int(refused.headers["retry-after"])
    assert ask(client) == 200
    assert samples(told(shop), "liveshelf_capped_total") == {("address",): 3}
    assert samples(told(shop), "liveshelf_request_seconds_count")["POST", "/v1/recommendations", "429"] == 2


def test_whoever_watches_over_the_server_is_never_refused(shop: Shop) -> None:
    client = limited(shop, [0.0], address=1, key=1, burst_s=0)
    assert [ask(client), ask(client)] == [200, 429]
    for path in ("/healthz", "/readyz", "/metrics"):
        assert [client.get(path).status_code for _ in range(5)] == [200] * 5


def test_who_guesses_keys_is_refused_as_an_address(shop: Shop, ring: Keyring) -> None:
    ring.create("shop", ["read"])
    client = limited(shop, [0.0], ring, address=1, burst_s=3)
    guesses = [client.get("/v1/popular", headers={"Authorization": f"Bearer ls_a_{n}"}) for n in range(5)]
    assert [answer.status_code for answer in guesses] == [401, 401, 401, 429, 429]


def test_the_keys_of_one_client_have_one_rate_together_and_those_of_another_their_own(
    shop: Shop, ring: Keyring
) -> None:
    keys = [ring.create("shop", ["read"]), ring.rotate("shop"), ring.create("app", ["events"])]
    client = limited(shop, [0.0], ring, key=1, burst_s=2)
    found = [client.get("/v1/popular", headers={"Authorization": f"Bearer {key}"}).status_code for key in keys * 2]
    assert found == [200, 200, 403, 429, 429, 403]


@pytest.mark.parametrize("named", [{"user": KNOWN}, {"session": KNOWN}, {"user": KNOWN, "session": "s"}])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/recommendations", {}), ("/v1/rank", {"candidates": ["i0003"]}), ("/v1/basket", {"items": ["i0003"]}),
        ("/v1/search", {"query": "item"}), ("/v1/events", {"type": "click", "item": "i0003"}),
    ],
)  # fmt: skip
def test_a_shopper_who_is_named_too_often_is_refused_and_nobody_else(
    shop: Shop, path: str, body: dict[str, Any], named: dict[str, str]
) -> None:
    client = limited(shop, [0.0], shopper=1, burst_s=2)
    assert [client.post(path, json=body | named).status_code for _ in range(3)] == [200, 200, 429]
    assert client.post(path, json=body | {"user": "another"}).status_code == 200
    if path != "/v1/events":
        assert {client.post(path, json=body).status_code for _ in range(5)} == {200}
    assert client.get(f"/v1/users/{KNOWN}/export").status_code == 429


def test_of_a_batch_what_is_too_much_of_one_shopper_is_refused_and_spoils_nothing(shop: Shop) -> None:
    now = [0.0]
    client = limited(shop, now, shopper=1, burst_s=3)
    events = [{"type": "click", "user": user, "item": "i0003", "id": f"{user}{n}"} for n in range(5) for user in "ab"]
    answer = client.post("/v1/events", json={"events": events}).json()
    assert [result["status"] for result in answer["results"]] == ["applied"] * 6 + ["rejected"] * 4
    assert [(result["id"], result["problem"]["status"]) for result in answer["results"][6:]] == [
        ("a3", 429), ("b3", 429), ("a4", 429), ("b4", 429),
    ]  # fmt: skip
    now[0] += 3
    again = client.post("/v1/events", json={"events": events[4:]}).json()
    assert [result["status"] for result in again["results"]] == ["duplicate"] * 2 + ["applied"] * 4


def test_a_shoppers_refusal_names_nobody_in_the_metrics(shop: Shop) -> None:
    client = limited(shop, [0.0], shopper=1, burst_s=0)
    assert [ask(client, KNOWN), ask(client, KNOWN)] == [200, 429]
    assert samples(told(shop), "liveshelf_capped_total") == {("shopper",): 1}
    assert KNOWN not in told(shop)


def came(peer: str, **headers: str) -> Request:
    """Return a request of somebody who connected."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw, "client": (peer, 1)})


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("192.0.2.1", {}, "192.0.2.1"), ("192.0.2.1", {"x_forwarded_for": "198.51.100.1"}, "192.0.2.1"),
        ("192.0.2.1", {"x_liveshelf_address": "198.51.100.1"}, "192.0.2.1"),
        ("192.0.2.1", {"x_liveshelf_address": "198.51.100.1", "x_liveshelf_cluster": "guessed"}, "192.0.2.1"),
        ("127.0.0.1", {"x_liveshelf_address": "198.51.100.1", "x_liveshelf_cluster": "ours"}, "198.51.100.1"),
        ("10.0.0.1", {"x_forwarded_for": "198.51.100.1"}, "198.51.100.1"),
        ("10.0.0.1", {"x_forwarded_for": "203.0.113.9, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"),
        ("10.0.0.1", {"x_forwarded_for": "198.51.100.1, nonsense"}, "10.0.0.1"), ("10.0.0.1", {}, "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", {}, "2001:db8:1:2::/64"), ("2001:db8:1:2:ffff::", {}, "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", {}, "192.0.2.1"), ("testclient", {}, "testclient"),
    ],
)  # fmt: skip
def test_an_address_is_who_connected_unless_somebody_tells_who_is_to_be_believed(
    peer: str, headers: dict[str, str], address: str
) -> None:
    assert address_of(came(peer, **headers), "ours", [ip_network("10.0.0.0/8")]) == address


def test_without_a_mark_nobody_is_believed() -> None:
    request = came("192.0.2.1", x_liveshelf_address="198.51.100.1", x_liveshelf_cluster="")
    assert address_of(request, "", []) == "192.0.2.1"
