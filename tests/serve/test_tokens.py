"""A shopper's token: its browser asks for that shopper, and for nothing and nobody else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cluster.keys import Keyring
from cluster.tokens import LONGEST_S, issue
from serve.api.routes import make_api
from tests.serve.shop import KNOWN, STRANGER, Shop, open_shop
from tests.serve.test_access import OPEN, calls
from tests.serve.test_rates import limited

ALLOWED: dict[str, dict[str, Any]] = {
    "POST /v1/events": {"type": "click", "item": "i0003"}, "POST /v1/recommendations": {},
    "POST /v1/recommendations/{recommendation_id}/next": {}, "POST /v1/rank": {"candidates": ["i0003"]},
    "POST /v1/basket": {"items": ["i0003"]}, "POST /v1/search": {"query": "item"},
    "POST /v1/similar": {"items": ["i0003"]}, "GET /v1/popular": {}, "GET /v1/trending": {}, "GET /v1/new": {},
}  # fmt: skip
FOR_ONE = ["/v1/events", "/v1/recommendations", "/v1/rank", "/v1/basket", "/v1/search"]  # whose bodies name a shopper


@pytest.fixture
def shop(registry: Path, tmp_path: Path) -> Iterator[Shop]:
    """A server that keeps what was shown, so that it can be continued."""
    with open_shop(registry, tmp_path / "data", decision_share=1.0) as shop:
        yield shop


@pytest.fixture
def key(ring: Keyring) -> str:
    """The key of the shop's own server."""
    return ring.create("shop", ["read", "events"])


@pytest.fixture
def locked(shop: Shop, ring: Keyring) -> TestClient:
    return shop.client_of(make_api(lambda: shop.engine, lambda: ring, origins=["https://shop.example"]))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def token_of(locked: TestClient, key: str, user: str = KNOWN, **body: Any) -> str:
    """Return a token that the shop's server asked for."""
    answer = locked.post(f"/v1/users/{user}/tokens", json=body, headers=bearer(key))
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"] == user
    return answer.json()["token"]


def test_a_token_is_refused_by_every_route_that_is_not_for_browsers(locked: TestClient, key: str) -> None:
    token, found = token_of(locked, key), {}
    for method, path in calls(locked):
        place = path.replace("{catalogue}", "products").replace("{item_id}", "i0001").replace("{user_id}", KNOWN)
        found[f"{method} {path}"] = locked.request(method, place, json={}, headers=bearer(token)).status_code
    assert set(ALLOWED) <= set(found)
    for operation, status in found.items():
        assert (status == 403) == (operation not in ALLOWED and operation.split()[1] not in OPEN), operation


@pytest.mark.parametrize("operation", ALLOWED)
def test_what_is_for_browsers_answers_a_token_and_no_other_shopper(
    shop: Shop, locked: TestClient, key: str, operation: str
) -> None:
    method, path = operation.split()
    own, other = (bearer(token_of(locked, key, user)) for user in (KNOWN, STRANGER))
    begun = locked.post("/v1/recommendations", json={"count": 3}, headers=own).json()["recommendationId"]
    place, body = path.replace("{recommendation_id}", begun), ALLOWED[operation]
    assert locked.request(method, place, json=body, headers=own).status_code == 200
    if path.endswith("/next"):
        refused = locked.post(place, json=body, headers=other)
        assert (refused.status_code, "another shopper" in refused.json()["detail"]) == (403, True)
        assert locked.post(place, json=body, headers=bearer(key)).status_code == 200
    if path in FOR_ONE:
        refused = locked.post(place, json=body | {"user": STRANGER}, headers=own)
        assert (refused.status_code, STRANGER in refused.text) == (403, False)
        assert locked.post(place, json=body | {"user": KNOWN}, headers=own).status_code == 200


def test_every_route_for_browsers_whose_body_names_a_shopper_is_asked_above(shop: Shop) -> None:
    document = shop.client.get("/openapi.json").json()
    naming = set[str]()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            refs = [one["$ref"].split("/")[-1] for one in schema.get("anyOf", [schema]) if "$ref" in one]
            named = any("user" in document["components"]["schemas"][ref]["properties"] for ref in refs)
            if named and f"{method.upper()} {path}" in ALLOWED:
                naming.add(path)
    assert naming == set(FOR_ONE)


def test_the_document_says_which_routes_a_token_opens(shop: Shop) -> None:
    paths = shop.client.get("/openapi.json").json()["paths"]
    assert set(ALLOWED) == {
        f"{method.upper()} {path}" for path, operations in paths.items() for method, operation in operations.items()
        if {"token": []} in operation.get("security", [])
    }  # fmt: skip


def test_a_list_is_the_tokens_own_shoppers_whoever_is_left_out(locked: TestClient, key: str) -> None:
    own = bearer(token_of(locked, key))
    for body in ({}, {"session": STRANGER}):
        assert locked.post("/v1/recommendations", json=body, headers=own).json()["fallback"] == "none"
    strangers = locked.post("/v1/recommendations", json={"session": STRANGER}, headers=bearer(key))
    assert strangers.json()["fallback"] == "popular"


def test_events_of_a_browser_are_its_shoppers_and_those_of_others_are_refused_one_by_one(
    shop: Shop, locked: TestClient, key: str
) -> None:
    own, click = bearer(token_of(locked, key, STRANGER)), {"type": "click", "item": "i0003"}
    before = shop.history(KNOWN)
    events = [click, click | {"user": KNOWN, "id": "e1"}, click | {"session": KNOWN}, click | {"user": STRANGER}]
    answer = locked.post("/v1/events", json={"events": events}, headers=own).json()
    assert [result["status"] for result in answer["results"]] == ["applied", "rejected", "applied", "applied"]
    assert (answer["results"][1]["id"], answer["results"][1]["problem"]["status"]) == ("e1", 403)
    assert shop.history(STRANGER) == ["i0003"] * 3
    assert shop.history(KNOWN) == before


def test_a_token_may_no_more_than_its_key(locked: TestClient, ring: Keyring) -> None:
    own = bearer(token_of(locked, ring.create("reader", ["read"])))
    assert locked.post("/v1/recommendations", json={}, headers=own).status_code == 200
    refused = locked.post("/v1/events", json=ALLOWED["POST /v1/events"], headers=own)
    assert (refused.status_code, "needs events" in refused.json()["detail"]) == (403, True)


def test_a_key_that_may_not_read_gives_no_token(locked: TestClient, ring: Keyring) -> None:
    feed = ring.create("feed", ["events"])
    assert locked.post(f"/v1/users/{KNOWN}/tokens", json={}, headers=bearer(feed)).status_code == 403


def test_a_token_is_good_until_it_says_or_its_key_is_revoked(locked: TestClient, ring: Keyring, key: str) -> None:
    holder = ring.holder(key)
    assert holder is not None
    for ago_s, status in ((0, 200), (500, 200), (601, 401)):
        begun = datetime.now(UTC) - timedelta(seconds=ago_s)
        answer = locked.get("/v1/popular", headers=bearer(issue(holder, KNOWN, 600, begun)))
        assert answer.status_code == status
    token = token_of(locked, key)
    ring.create("other", ["read"])
    ring.revoke(holder.id)
    answer = locked.get("/v1/popular", headers=bearer(token))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("body", "life_s"), [({}, 3_600), ({"expiresIn": 60}, 60), ({"expiresIn": LONGEST_S}, LONGEST_S)]
)
def test_a_token_lives_for_an_hour_or_for_as_long_as_was_wanted(
    locked: TestClient, key: str, body: dict[str, int], life_s: int
) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    answer = locked.post(f"/v1/users/{KNOWN}/tokens", json=body, headers=bearer(key)).json()
    life = timedelta(seconds=life_s)
    assert before + life <= datetime.fromisoformat(answer["expiresAt"]) <= datetime.now(UTC) + life


@pytest.mark.parametrize("seconds", [0, 59, LONGEST_S + 1, "x", None])
def test_no_token_lives_shorter_or_longer_than_makes_sense(locked: TestClient, key: str, seconds: Any) -> None:
    answer = locked.post(f"/v1/users/{KNOWN}/tokens", json={"expiresIn": seconds}, headers=bearer(key))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/expiresIn")


def test_a_server_without_keys_gives_no_token_and_needs_none(shop: Shop) -> None:
    answer = shop.client.post(f"/v1/users/{KNOWN}/tokens", json={})
    assert (answer.status_code, "no keys" in answer.json()["detail"]) == (409, True)


def test_a_browser_that_asks_too_often_uses_up_what_is_its_shoppers_and_nothing_of_the_key(
    shop: Shop, ring: Keyring, key: str
) -> None:
    client = limited(shop, [0.0], ring, key=1, shopper=1, burst_s=3)
    token = token_of(client, key, STRANGER)  # costs the key and the shopper one
    asked = ["POST /v1/similar", "POST /v1/recommendations", "GET /v1/popular"]
    found = [client.request(*one.split(), json=ALLOWED[one], headers=bearer(token)).status_code for one in asked]
    assert found == [200, 200, 429]
    assert [client.get("/v1/popular", headers=bearer(key)).status_code for _ in range(3)] == [200, 200, 429]


def preflight(client: TestClient, origin: str) -> Any:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    return client.options("/v1/events", headers={"Origin": origin} | asked)


def test_pages_that_the_shop_named_may_call_and_no_others(locked: TestClient, key: str) -> None:
    locked.event_hooks = {}  # a preflight is no operation of the API
    ours, theirs = "https://shop.example", "https://elsewhere.example"
    may = preflight(locked, ours)
    assert (may.status_code, may.headers["access-control-allow-origin"]) == (200, ours)
    assert {"authorization", "content-type"} <= set(may.headers["access-control-allow-headers"].lower().split(", "))
    assert "access-control-allow-credentials" not in may.headers
    assert may.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in preflight(locked, theirs).headers
    own = bearer(token_of(locked, key))
    for origin, allowed in ((ours, ours), (theirs, None)):
        for path in ("/v1/popular", "/v1/nothing"):
            answer = locked.get(path, headers=own | {"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed


def test_where_no_page_was_named_none_may(shop: Shop) -> None:
    shop.client.event_hooks = {}
    assert preflight(shop.client, "https://shop.example").status_code == 405
    answer = shop.client.get("/v1/popular", headers={"Origin": "https://shop.example"})
    assert "access-control-allow-origin" not in answer.headers
