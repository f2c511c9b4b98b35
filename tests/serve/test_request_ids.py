"""A request's id comes back, and is found in the lines of logs about it; no shopper's id is."""

import json

import pytest
from fastapi.testclient import TestClient

from cluster.errors import StorageError
from serve.api.routes import make_api
from tests.lines import Lines
from tests.serve.shop import Shop

GIVEN = {"x-request-id": "r1"}


@pytest.mark.parametrize("path", ["/healthz", "/v1/nothing", "/v1/items/i0003", "/v1/a%0Ab"])
def test_the_clients_id_comes_back_with_every_answer(shop: Shop, path: str) -> None:
    answer = shop.client.get(path, headers=GIVEN)
    assert answer.headers.get_list("x-request-id") == ["r1"]
    assert answer.is_success or answer.json()["requestId"] == "r1"


def test_an_id_is_made_where_none_is_given_or_it_is_not_safe(shop: Shop) -> None:
    given = [{}, {"x-request-id": "r" * 129}, {"x-request-id": '"'}]
    made = [shop.client.get("/v1/nothing", headers=headers) for headers in given]
    ids = [answer.headers["x-request-id"] for answer in made]
    assert len(set(ids)) == 3
    assert all(len(one) == 32 for one in ids)
    assert [answer.json()["requestId"] for answer in made] == ids


def test_an_internal_error_is_found_again_by_its_id(shop: Shop, lines: Lines) -> None:
    shop.broken.append(RuntimeError("a defect"))
    answer = shop.client.post("/v1/recommendations", json={}, headers=GIVEN)
    assert answer.headers.get_list("x-request-id") == ["r1"]
    assert answer.json()["requestId"] == "r1"
    [line] = [line for line in lines.written if line["level"] == "ERROR"]
    assert line["requestId"] == "r1"
    assert "a defect" in str(line["exception"])


def test_where_somebody_before_us_tells_the_id_it_is_told_once(shop: Shop) -> None:
    client = TestClient(make_api(lambda: shop.engine, is_told=True))
    answer = client.get("/v1/nothing", headers=GIVEN)
    assert "x-request-id" not in answer.headers
    assert answer.json()["requestId"] == "r1"


def test_a_refusal_is_told_with_its_id(shop: Shop, lines: Lines) -> None:
    shop.broken.append(StorageError("no space left for the event log"))
    shop.client.post("/v1/events", json={"type": "click", "user": "u", "item": "i0003"}, headers=GIVEN)
    [line] = [line for line in lines.written if line["level"] == "WARNING"]
    assert (line["requestId"], line["facts"]) == ("r1", {"route": "/v1/events", "status": 507})


def test_no_line_names_a_shopper(shop: Shop, lines: Lines) -> None:
    who = "shopper-whom-nobody-shall-find"
    event = {"type": "click", "user": who, "item": "i0003"}
    for _ in range(2):
        shop.client.post("/v1/events", json=event)
        shop.client.post("/v1/events", json={"events": [event, event | {"item": "none"}, event | {"type": "$merge"}]})
        shop.client.post("/v1/recommendations", json={"user": who, "count": 0})
        shop.client.post("/v1/recommendations", json={"user": who})
        shop.client.post(f"/v1/users/{who}:merge", json={"source": "guest-" + who})
        shop.client.get(f"/v1/users/{who}/export")
        shop.client.get(f"/v1/nothing/{who}")
        shop.client.delete(f"/v1/users/{who}")
        shop.store.away = True
    assert [line for line in lines.written if line["level"] == "WARNING"]  # of the store that is away
    assert [line for line in lines.written if who in json.dumps(line)] == []
