"""Keys over HTTP: every route needs one that may do what it does."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cluster.keys import Keyring
from serve.api.routes import make_api
from serve.run import main
from tests.serve.shop import Shop

OPEN = {"/healthz", "/readyz"}
SHOPS_OWN = ("/v1/catalogues/", "/v1/rules", "/v1/scenarios")  # what the shop writes
MAY = {
    "read": {
        "/v1/recommendations", "/v1/rank", "/v1/basket", "/v1/search", "/v1/similar", "/v1/popular", "/v1/trending",
        "/v1/new", "/v1/evaluations/prequential", "GET /v1/catalogues", "GET /v1/catalogues/{catalogue}/items",
        "GET /v1/catalogues/{catalogue}/items/{item_id}", "GET /v1/rules", "GET /v1/rules/{name}",
        "GET /v1/scenarios", "GET /v1/scenarios/{name}", "/v1/recommendations/{recommendation_id}/next", "/metrics",
        "/v1/users/{user_id}/tokens",
    },
    "events": {"/v1/events"},
}  # fmt: skip


def calls(client: TestClient) -> list[tuple[str, str]]:
    """Return method and path of every operation."""
    paths: dict[str, Any] = client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, operations in paths.items() for method in operations]


def statuses(shop: Shop, ring: Keyring, key: str | None) -> dict[str, int]:
    """Return what every operation answers to a holder of a key, with nothing in its body."""
    client = TestClient(make_api(lambda: shop.engine, lambda: ring), raise_server_exceptions=False)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    found = {}
    for method, path in calls(client):
        place = path.replace("{catalogue}", "products").replace("{item_id}", "i0001").replace("{user_id}", "nobody")
        found[f"{method} {path}"] = client.request(method, place, headers=headers).status_code
    return found


def test_once_there_are_keys_every_route_refuses_who_has_none(shop: Shop, ring: Keyring) -> None:
    ring.create("shop", ["admin"])
    for key in (None, "", "ls_abc_def", "x"):
        found = statuses(shop, ring, key)
        assert len(found) > 20
        for operation, status in found.items():
            assert (status != 401) == (operation.split()[1] in OPEN), operation


@pytest.mark.parametrize("scope", ["read", "events", "catalogue", "admin"])
def test_a_key_may_what_its_scope_says_and_no_more(shop: Shop, ring: Keyring, scope: str) -> None:
    for operation, status in statuses(shop, ring, ring.create("one", [scope])).items():
        path = operation.split()[1]
        may = path in OPEN or scope == "admin" or {operation, path} & MAY.get(scope, set())
        may = may or (scope == "catalogue" and path.startswith(SHOPS_OWN) and not operation.startswith("GET"))
        assert (status != 403) == bool(may), operation
        assert status != 401


def test_a_refusal_says_what_is_missing(shop: Shop, ring: Keyring) -> None:
    key = ring.create("one", ["events"])
    client = TestClient(make_api(lambda: shop.engine, lambda: ring))
    answer = client.post("/v1/recommendations", json={})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["status"] == 401
    answer = client.post("/v1/recommendations", json={}, headers={"Authorization": f"bearer {key}"})
    assert answer.status_code == 403
    assert "needs read" in answer.json()["detail"]


def test_keys_that_cannot_be_read_let_nobody_in_and_tell_nothing(shop: Shop, ring: Keyring) -> None:
    ring.create("one", ["admin"])
    ring.path.write_text("{")
    answer = TestClient(make_api(lambda: shop.engine, lambda: ring)).get("/v1/popular")
    assert answer.status_code == 503
    assert str(ring.path) not in answer.text


def test_the_network_is_not_let_in_without_keys(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [f"registry={registry}", f"data={tmp_path / 'data'}", f"keys={tmp_path / 'keys.json'}"]
    assert main(["start", "host=0.0.0.0", *where]) == 1
    assert "cluster.keys create" in capsys.readouterr().err
