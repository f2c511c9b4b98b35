"""Scenarios over HTTP: lists are made in their manner when the call returns."""

from pathlib import Path
from typing import Any

import pytest

from serve.stages.arranging.config import ScenarioConfig
from tests.serve.shop import KNOWN, Shop, item_ids, open_shop

DRAWN = {"exploration": {"method": "softmax", "share": 1.0}}


def put(shop: Shop, name: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = shop.client.put(f"/v1/scenarios/{name}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_home_is_there_before_anybody_wrote_it_and_cannot_be_deleted(shop: Shop) -> None:
    usual = ScenarioConfig().model_dump(mode="json", by_alias=True, exclude_none=True)
    got = shop.client.get("/v1/scenarios/home")
    assert got.json() == {"id": "home", "version": 0, "stateVersion": 0, **usual}
    assert shop.client.get("/v1/scenarios").json() == {"scenarios": [got.json()]}
    refused = shop.client.delete("/v1/scenarios/home")
    assert (refused.status_code, "always there" in refused.json()["detail"]) == (409, True)
    assert put(shop, "home", {"diversity": 0.5}, {"if-match": got.headers["etag"]})["version"] == 1
    assert put(shop, "home", {})["version"] == 2


def test_a_request_is_answered_in_the_manner_that_was_just_written(shop: Shop) -> None:
    usual = shop.slate(user=KNOWN, count=5)
    assert usual["policy"] == {"scenario": "home", "version": 0}
    assert put(shop, "home", {"filter": "category = 'Ring 2'"})["version"] == 1
    slate = shop.slate(user=KNOWN, count=5, **{"return": ["properties"]})
    assert slate["policy"] == {"scenario": "home", "version": 1}
    assert slate["items"]
    assert {item["properties"]["categoryPath"] for item in slate["items"]} == {"Shop > Ring 2"}
    put(shop, "home", {})
    assert item_ids(shop.slate(user=KNOWN, count=5)) == item_ids(usual)


def test_a_scenario_of_the_shops_own_is_named_by_the_request(shop: Shop) -> None:
    put(shop, "checkout", DRAWN)
    slate = shop.slate(user=KNOWN, count=5, scenario="checkout")
    assert slate["policy"] == {"scenario": "checkout", "version": 1}
    assert all(item["propensity"] < 1 for item in slate["items"])
    assert all(item["propensity"] == 1 for item in shop.slate(user=KNOWN, count=5)["items"])
    for path, body in (("basket", {"items": ["i0003"]}), ("rank", {"candidates": ["i0003", "i0004"]})):
        assert shop.post(f"/v1/{path}", scenario="checkout", **body)["policy"]["scenario"] == "checkout"
    assert shop.client.delete("/v1/scenarios/checkout").status_code == 200
    for path, body in (("recommendations", {}), ("basket", {"items": ["i0003"]}), ("rank", {"candidates": ["i0003"]})):
        answer = shop.client.post(f"/v1/{path}", json={"scenario": "checkout", **body})
        assert (answer.status_code, "there is no scenario 'checkout'" in answer.json()["detail"]) == (422, True)


def test_a_scenario_is_there_after_a_restart(registry: Path, tmp_path: Path) -> None:
    with open_shop(registry, tmp_path / "data") as shop:
        written = put(shop, "checkout", DRAWN | {"maxPer": {"brand": 2}})
    with open_shop(registry, tmp_path / "data") as shop:
        assert shop.client.get("/v1/scenarios/checkout").json() == written


@pytest.mark.parametrize(
    ("body", "status", "pointer", "position"),
    [
        ({"colour": 1}, 400, "/colour", None),
        ({"diversity": 2}, 400, "/diversity", None),
        ({"exploration": {"method": "luck"}}, 400, "/exploration/method", None),
        ({"filter": "brand ="}, 422, "/filter", 8),
    ],
)
def test_what_means_nothing_is_refused_at_its_place(
    shop: Shop, body: dict[str, Any], status: int, pointer: str, position: int | None
) -> None:
    answer = shop.client.put("/v1/scenarios/home", json=body)
    assert answer.status_code == status
    assert [(one["pointer"], one.get("position")) for one in answer.json()["errors"]] == [(pointer, position)]
    assert shop.logged() == []
