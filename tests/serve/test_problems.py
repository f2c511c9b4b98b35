"""Whatever goes wrong, the answer is a problem that says what, and never how we are built."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from openapi_spec_validator import validate

from cluster.errors import StorageError
from serve.api.routes import make_api
from tests.serve.shop import Shop

EVENT = '{"type":"click","user":"u","item":"i0003","value":%s}'
PATHS = ("/v1/events", "/v1/recommendations")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body", ["", "{", "nonsense", "{'a': 1}", EVENT % "NaN", EVENT % "Infinity", EVENT % "1e999", "[" * 5_000, "\ud83d"]
)
def test_what_is_not_json_is_a_400(shop: Shop, path: str, body: str) -> None:
    answer = shop.client.post(path, content=body.encode("utf-8", "surrogatepass"))
    assert answer.status_code == 400
    assert answer.json()["title"] == "Bad Request"
    assert answer.json()["instance"] == path


@pytest.mark.parametrize("path", PATHS)
def test_a_large_body_is_refused_before_it_is_parsed(shop: Shop, path: str) -> None:
    answer = shop.client.post(path, content=b"[" * 262_145)
    assert answer.status_code == 413
    assert shop.client.post(path, content=b"[" * 262_144).status_code == 400


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/events"), ("DELETE", "/v1/recommendations")])
def test_a_wrong_method_is_a_405_that_names_the_right_one(shop: Shop, method: str, path: str) -> None:
    answer = shop.client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/catalogues/products/items/i0001", "DELETE, GET, PATCH, PUT"), ("/v1/rules/r", "DELETE, GET, PUT"),
        ("/v1/users/u:merge", "DELETE, GET, PATCH, POST, PUT"),  # what the merge of u is called may be an id, too
    ],
)  # fmt: skip
def test_a_405_names_the_methods_of_all_routes_of_a_path(shop: Shop, path: str, methods: str) -> None:
    assert shop.client.options(path).headers["allow"] == methods


@pytest.mark.parametrize(
    ("path", "said"),
    [("%FF", "not UTF-8"), ("a%ED%A0%80", "not UTF-8"), ("%EF%BF%BD%FF", "not UTF-8"), ("a%0Ab", "line break")],
)
def test_a_path_that_is_no_text_is_a_400(shop: Shop, path: str, said: str) -> None:
    for method, prefix in (("DELETE", "/v1/users/"), ("GET", "/v1/rules/"), ("GET", "/nothing/")):
        answer = shop.client.request(method, prefix + path)
        assert (answer.status_code, said in answer.json()["detail"]) == (400, True)
    assert shop.client.delete("/v1/users/%EF%BF%BD").json()["user"] == "\ufffd"


@pytest.mark.parametrize("given", ["application/xml", "text/plain", "multipart/form-data; boundary=x", "image/png"])
@pytest.mark.parametrize("path", [*PATHS, "/v1/catalogues/products/items:batch"])
def test_a_body_that_is_said_to_be_no_json_is_a_415(shop: Shop, path: str, given: str) -> None:
    assert shop.client.post(path, content=b"{}", headers={"content-type": given}).status_code == 415


def test_a_page_of_somebody_else_cannot_let_a_browser_post(shop: Shop) -> None:
    event, form = b'{"type":"click","user":"u","item":"i0003"}', "application/x-www-form-urlencoded"
    origin = {"origin": "https://elsewhere.example"}
    for headers, status in [
        ({"content-type": form}, 200), ({"content-type": form} | origin, 415), (origin, 415),
        ({"content-type": "application/json; charset=utf-8"} | origin, 200),
    ]:  # fmt: skip
        assert shop.client.post("/v1/events", content=event, headers=headers).status_code == status


@pytest.mark.parametrize(
    "path", ["/healthz", "/metrics", "/docs", "/openapi.json", "/nothing", "/v1/rules/%FF", "/v1/new"]
)
def test_every_answer_forbids_what_a_browser_might_make_of_it(shop: Shop, path: str) -> None:
    for broken in (False, True):
        if broken:
            shop.broken.append(RuntimeError("broken"))
        headers = shop.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"].partition("style-src")[0]


@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/v1/events/", "/%00", "/v1/../etc/passwd"])
def test_an_unknown_path_is_a_404(shop: Shop, path: str) -> None:
    assert shop.client.get(path, follow_redirects=False).status_code == 404


def test_an_unknown_field_is_pointed_at(shop: Shop) -> None:
    answer = shop.client.post("/v1/recommendations", json={"user": "u", "context": {"colour": "red"}})
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/context/colour"]


def test_an_unknown_item_of_the_visit_is_a_422(shop: Shop) -> None:
    answer = shop.client.post("/v1/recommendations", json={"user": "u", "context": {"items": ["nothing"]}})
    assert answer.status_code == 422
    assert "'nothing'" in answer.json()["detail"]


@pytest.mark.parametrize("field", [{"count": 0}, {"count": 101}, {"minVersion": -1}, {"scenario": ""}, {"user": ""}])
def test_a_field_out_of_range_is_a_400(shop: Shop, field: dict[str, object]) -> None:
    answer = shop.client.post("/v1/recommendations", json=field)
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}" for name in field]


@pytest.mark.parametrize("path", PATHS)
def test_an_internal_error_tells_nothing_of_itself(shop: Shop, path: str) -> None:
    shop.broken.append(RuntimeError("a secret of ours"))
    answer = shop.client.post(path, json={"type": "click", "user": "u", "item": "i0003"} if "event" in path else {})
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_a_full_disk_is_a_507(shop: Shop) -> None:
    shop.broken.append(StorageError("no space left for the event log"))
    event = {"type": "click", "user": "u", "item": "i0003"}
    assert shop.client.post("/v1/events", json=event).status_code == 507


def test_readiness_follows_the_store_and_liveness_does_not(shop: Shop) -> None:
    ready = shop.client.get("/readyz").json()
    served = {"modelVersion": shop.bundle.manifest.version, "stateVersion": 0}
    assert ready == {"status": "ready", "replica": shop.engine.metrics.process} | served
    shop.engine.follower.lost_at = 0.0
    assert shop.client.get("/readyz").status_code == 503
    assert shop.client.get("/healthz").json() == {"status": "ok"}


def test_the_document_is_valid_openapi_3_1(shop: Shop) -> None:
    document = shop.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    validate(document)
    bodies = {path: document["paths"][path]["post"]["requestBody"] for path in PATHS}
    assert all(body["required"] for body in bodies.values())


def test_the_documentation_page_needs_nothing_but_this_server(shop: Shop) -> None:
    page = shop.client.get("/docs")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(named) == 3
    answers = [shop.client.get(one) for one in named]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert all(answer.headers["content-type"].startswith(("text/", "image/")) for answer in answers)
    assert "http" not in page.headers["content-security-policy"]
    assert shop.client.get("/docs/other.js").status_code == 404


def test_no_file_of_ours_is_named_in_a_problem(shop: Shop) -> None:
    answer = shop.client.post("/v1/events", content="{")
    assert str(Path(__file__).parents[2]) not in answer.text


def test_what_was_meant_for_another_cluster_is_refused_and_nothing_of_it_is_kept(shop: Shop) -> None:
    client = TestClient(make_api(lambda: shop.engine, mark="ours"))
    click = {"type": "click", "user": "u1", "item": "i0003"}
    refused = client.post("/v1/events", json=click, headers={"x-liveshelf-cluster": "theirs"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "another server" in refused.json()["detail"]
    assert shop.logged() == []
