"""The catalogue over HTTP: what is written is recommended as it is written, and no later than the answer."""

import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

from tests.serve.shop import KNOWN, Shop, item_ids
from tests.world import next_item
from train.data.steps.catalogue import plain_items

ITEMS = "/v1/catalogues/products/items"
RING_2 = {
    "title": "Thing 9 of ring 2",
    "categoryPath": "Shop > Ring 2",
    "brand": "Acme",
    "tags": ["step1"],
    "price": 14,
}


def put(shop: Shop, item_id: str, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    answer = shop.client.put(f"{ITEMS}/{quote(item_id, safe='')}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def batch(shop: Shop, *lines: Any) -> list[dict[str, Any]]:
    content = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    answer = shop.client.post(f"{ITEMS}:batch", content=content)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def fan_of_ring_2(shop: Shop) -> str:
    """Return a shopper who takes items of ring 2 alone, and has left some of them."""
    for item_id in ("i0012", "i0013"):
        shop.click("fan", item_id)
    return "fan"


def content_vector(shop: Shop, item_id: str) -> np.ndarray:
    """Return h_i of an item by its content alone."""
    assert shop.bundle.features is not None
    catalogue = shop.engine.view.catalogue
    told = pd.DataFrame([json.loads(catalogue.content(catalogue.index[item_id]))])
    return shop.bundle.model.content_vectors(shop.bundle.features.of(plain_items(told)))[0]


def test_a_new_item_has_the_vector_of_its_content_and_is_recommended_when_the_call_returns(shop: Shop) -> None:
    fan = fan_of_ring_2(shop)
    written = put(shop, "new", **RING_2)
    slate = shop.slate(user=fan, count=25, minVersion=written["version"])
    [found] = [item for item in slate["items"] if item["id"] == "new"]
    assert "sequence" in found["sources"]
    assert slate["degraded"] == []
    vector = shop.engine.view.items.vectors[shop.engine.index["new"]]
    assert vector.any()
    np.testing.assert_array_equal(vector, content_vector(shop, "new"))


def test_a_new_item_of_a_small_shop_is_among_the_popular_ones_for_strangers(shop: Shop) -> None:
    assert "new" not in item_ids(shop.slate(user="stranger", count=100))
    put(shop, "new", **RING_2)
    assert "new" in item_ids(shop.slate(user="stranger", count=100))


def test_a_new_item_takes_events_and_is_followed_like_any_other(shop: Shop) -> None:
    put(shop, "new", **RING_2)
    for turn in range(30):
        for item_id in ("i0001", "new"):
            shop.click(f"crowd{turn}", item_id)
    assert shop.history("crowd0") == ["i0001", "new"]
    shop.click("latecomer", "i0001")
    [found] = [item for item in shop.slate(user="latecomer", count=25)["items"] if item["id"] == "new"]
    assert "transitions" in found["sources"]
    assert "new" not in item_ids(shop.slate(user="crowd0", count=25))  # seen items are not shown again


def test_what_was_written_comes_back_and_is_shown(shop: Shop) -> None:
    written = put(shop, "ü/1 x", **RING_2, properties={"colour": "red"})
    got = shop.client.get(f"{ITEMS}/{quote('ü/1 x', safe='')}").json()
    assert got == written
    assert got["tags"] == ["step1"]
    slate = shop.slate(user=fan_of_ring_2(shop), count=25, **{"return": ["properties"]})
    [shown] = [item["properties"] for item in slate["items"] if item["id"] == "ü/1 x"]
    assert shown == {
        "title": RING_2["title"],
        "brand": "Acme",
        "categoryPath": "Shop > Ring 2",
        "price": 14.0,
        "colour": "red",
    }


def test_an_item_of_the_bundle_says_what_it_said_in_the_file(shop: Shop) -> None:
    got = shop.client.get(f"{ITEMS}/i0013").json()
    assert got == {
        "id": "i0013", "version": 0, "title": "Thing 1 of ring 2", "categoryPath": "Shop > Ring 2", "brand": "Bolt",
        "tags": ["step1"], "price": 14.0,
    }  # fmt: skip


def test_an_edited_item_goes_as_far_as_its_content_and_keeps_what_it_learned(shop: Shop) -> None:
    vectors, item_idx = shop.engine.view.items.vectors, shop.engine.index["i0013"]
    shop.click("someone", "i0012")
    shop.click("someone", "i0013")
    first = vectors[item_idx].copy()
    assert (first != shop.bundle.state.vectors[item_idx]).any()
    shop.client.patch(f"{ITEMS}/i0013", json={"categoryPath": "Shop > Ring 0", "tags": ["step0"]})
    before = shop.bundle.items.iloc[[item_idx]].reset_index(drop=True)
    features = shop.bundle.features
    assert features is not None
    after = before.assign(category_path="Shop > Ring 0", tags=pd.Series([["step0"]]))
    [step] = shop.bundle.model.content_steps(np.array([item_idx]), features.of(before), features.of(after))
    assert step.any()
    np.testing.assert_allclose(vectors[item_idx], first + step, atol=1e-6)
    shop.client.patch(f"{ITEMS}/i0013", json={"categoryPath": "Shop > Ring 2", "tags": ["step1"]})
    np.testing.assert_allclose(vectors[item_idx], first, atol=1e-6)


def test_a_deleted_item_is_in_no_list_and_comes_back_with_a_put(shop: Shop) -> None:
    fan = fan_of_ring_2(shop)
    follower = next_item("i0013")
    assert follower in item_ids(shop.slate(user=fan, count=25))
    version = shop.client.delete(f"{ITEMS}/{follower}").json()["version"]
    for user in (fan, "stranger", KNOWN):
        slate = shop.slate(user=user, count=25, minVersion=version)
        assert slate["items"] and follower not in item_ids(slate)
    assert shop.client.get(f"{ITEMS}/{follower}").status_code == 404
    assert shop.client.delete(f"{ITEMS}/{follower}").status_code == 404
    assert shop.client.patch(f"{ITEMS}/{follower}", json={"price": 1}).status_code == 404
    put(shop, follower, **RING_2)
    assert follower in item_ids(shop.slate(user=fan, count=25))


def test_the_whole_catalogue_can_go(shop: Shop) -> None:
    batch(shop, *({"id": item_id, "deleted": True} for item_id in list(shop.engine.item_ids)))
    assert shop.slate(user=KNOWN)["items"] == shop.slate(user="stranger")["items"] == []
    assert shop.client.get(ITEMS).json() == {"items": [], "next": None}


def test_writing_what_is_there_already_changes_nothing(shop: Shop) -> None:
    first = put(shop, "new", **RING_2)
    assert put(shop, "new", **RING_2) == first
    assert put(shop, "new", **RING_2, rating=None, attributes=[]) == first
    everything = shop.client.get(ITEMS, params={"limit": 1_000}).json()["items"]
    feed = [{name: value for name, value in item.items() if name != "version"} for item in everything]
    assert {line["status"] for line in batch(shop, *feed)} == {"unchanged"}
    assert len(shop.logged()) == 1


def test_who_read_an_old_item_cannot_overwrite_a_newer_one(shop: Shop) -> None:
    put(shop, "new", title="first")
    tag = shop.client.get(f"{ITEMS}/new").headers["etag"]
    put(shop, "new", {"if-match": tag}, title="second")
    for method, body in (("put", {"title": "third"}), ("patch", {"title": "third"}), ("delete", None)):
        answer = shop.client.request(method, f"{ITEMS}/new", json=body, headers={"if-match": tag})
        assert answer.status_code == 412, method
        assert "read it again" in answer.json()["detail"]
    assert shop.client.get(f"{ITEMS}/new").json()["title"] == "second"
    put(shop, "new", {"if-match": "*"}, title="third")
    assert shop.client.put(f"{ITEMS}/new", json={}, headers={"if-none-match": "*"}).status_code == 412
    assert shop.client.put(f"{ITEMS}/newer", json={}, headers={"if-match": "*"}).status_code == 412
    put(shop, "newer", {"if-none-match": "*"}, title="first")


def test_a_patch_changes_what_it_names_and_null_takes_away(shop: Shop) -> None:
    put(shop, "new", **RING_2, properties={"colour": "red", "size": 4})
    answer = shop.client.patch(f"{ITEMS}/new", json={"brand": None, "price": 3, "properties": {"colour": None}})
    assert answer.json().keys() == {"id", "version", "title", "categoryPath", "tags", "price", "properties"}
    assert (answer.json()["price"], answer.json()["properties"]) == (3.0, {"size": 4})


def test_pages_hold_every_item_once_whatever_comes_and_goes_meanwhile(shop: Shop) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = shop.client.get(ITEMS, params={"limit": 7, "cursor": cursor}).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        put(shop, f"new{len(seen)}", title="x") if len(seen) < 20 else None
        shop.client.delete(f"{ITEMS}/{seen[0]}")
    assert not any(item["id"] == "i0000" for item in shop.client.get(ITEMS).json()["items"])
    assert seen == [f"i{index:04d}" for index in range(24)] + ["new7", "new14"]


def test_a_bad_line_spoils_nothing_beside_it(shop: Shop) -> None:
    lines = batch(
        shop, {"id": "a", "title": "A"}, "{", {"id": "b", "colour": "red"}, {"title": "no id"},
        {"id": "missing", "deleted": True}, {"id": "a", "title": "A"}, {"id": "i0001", "deleted": True},
    )  # fmt: skip
    assert [line["status"] for line in lines] == [
        "applied", "rejected", "rejected", "rejected", "rejected", "unchanged", "applied"
    ]  # fmt: skip
    assert [line["problem"]["status"] for line in lines if line["problem"]] == [400, 400, 400, 404]
    assert shop.client.get(f"{ITEMS}/a").json()["title"] == "A"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("put", f"{ITEMS}/new", {"colour": "red"}, 400, "colour"),
        ("put", f"{ITEMS}/new", {"price": -1}, 400, "/price"),
        ("put", f"{ITEMS}/new", {"title": "x" * 1_001}, 400, "/title"),
        ("put", f"{ITEMS}/new", {"properties": {"x": "y" * 70_000}}, 422, "at most 65536 are kept"),
        ("put", f"{ITEMS}/{'x' * 129}", {}, 400, "128"),
        ("put", "/v1/catalogues/Ads/items/new", {}, 400, "/path/catalogue"),
        ("get", "/v1/catalogues/ads/items", None, 404, "'ads' does not exist; there is 'products'"),
        ("patch", "/v1/catalogues/ads/items/i0001", {}, 404, "'ads' does not exist; there is 'products'"),
        ("patch", f"{ITEMS}/nothing", {}, 404, "PUT it"),
        ("patch", f"{ITEMS}/i0001", [], 400, "object"),
        ("patch", f"{ITEMS}/i0001", {"tags": "a"}, 400, "/tags"),
        ("get", f"{ITEMS}/nothing", None, 404, "not in catalogue 'products'"),
        ("get", f"{ITEMS}?cursor=x", None, 400, "next"),
        ("post", f"{ITEMS}:batch", None, 400, "1 to 500 lines"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_says_why_and_changes_nothing(
    shop: Shop, method: str, path: str, body: Any, status: int, detail: str
) -> None:
    answer = shop.client.request(method, path, json=body)
    assert (answer.status_code, detail in answer.json()["detail"]) == (status, True), answer.text
    assert shop.logged() == []


def test_a_second_replica_shows_the_same_items(shop: Shop) -> None:
    behind = shop.lagging_engine()
    put(shop, "new", **RING_2)
    shop.client.delete(f"{ITEMS}/i0001")
    behind.view.apply([logged.batch for logged in shop.logged()])
    slates = [
        shop.portal.call(engine.recommend, shop.ask(fan, 2))
        for engine in (shop.engine, behind)
        for fan in (KNOWN, "stranger")
    ]
    assert slates[0].candidates.item_idx.tolist() == slates[2].candidates.item_idx.tolist()
    assert slates[1].candidates.item_idx.tolist() == slates[3].candidates.item_idx.tolist()
    assert behind.item_ids == shop.engine.item_ids
    assert behind.properties(behind.index["new"]) == shop.engine.properties(behind.index["new"])
