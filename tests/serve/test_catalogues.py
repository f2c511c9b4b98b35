"""Several catalogues in one shop: whatever is asked for is shown from the wished one, by all that a shopper did."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.api.outgoing import read_ask, read_rank
from serve.api.slate_schemas import RankBody, RecommendationsBody
from serve.stages.arranging.policy import HOME
from serve.stages.filters.catalogues import within
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop
from tests.serve.test_stages import staged

ADS = [f"ad{number}" for number in range(6)]
PRODUCTS = [f"i{number:04d}" for number in range(24)]
ALL = {"products": set(PRODUCTS), "ads": set(ADS)}


def path(catalogue: str, item_id: str = "") -> str:
    return f"/v1/catalogues/{catalogue}/items" + (f"/{item_id}" if item_id else "")


def put(shop: Shop, catalogue: str, item_id: str, **body: Any) -> int:
    """Return the version of a written item."""
    answer = shop.client.put(path(catalogue, item_id), json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["version"]


def advertise(shop: Shop) -> None:
    """Write an ad that is much like the products of each ring."""
    for number, ad in enumerate(ADS):
        ring = number % 4
        put(shop, "ads", ad, title=f"Ad of ring {ring}", categoryPath=f"Shop > Ring {ring}", tags=["step1"], price=5)


@pytest.fixture
def mall(registry: Path, tmp_path: Path) -> Iterator[Shop]:
    """A shop with products and ads."""
    with open_shop(registry, tmp_path / "data", decision_share=1.0) as shop:
        advertise(shop)
        yield shop


def refused(answer: Any, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert all(word in answer.json()["detail"] for word in words), answer.text


def counts(shop: Shop) -> dict[str, int]:
    told = shop.client.get("/v1/catalogues").json()["catalogues"]
    return {one["name"]: one["items"] for one in told}


def test_a_catalogue_begins_with_its_first_item_and_stays_when_its_last_one_goes(shop: Shop) -> None:
    assert counts(shop) == {"products": 24}
    refused(shop.client.get(path("ads")), 404, "'ads' does not exist; there is 'products'")
    put(shop, "ads", "ad", title="Ad")
    assert counts(shop) == {"ads": 1, "products": 24}
    shop.client.delete(path("ads", "ad"))
    assert counts(shop) == {"ads": 0, "products": 24}
    assert shop.client.get(path("ads")).json() == {"items": [], "next": None}
    assert shop.slate(user=KNOWN, catalogue="ads")["items"] == []


def test_an_item_is_where_it_was_written_and_nowhere_else(mall: Shop) -> None:
    before = len(mall.logged())
    refused(
        mall.client.put(path("ads", "i0001"), json={}), 409, "'i0001' is in catalogue 'products'", "DELETE it there"
    )
    refused(mall.client.put(path("coupons", "ad1"), json={}), 409, "'ad1' is in catalogue 'ads'")
    for catalogue, item_id, home in (("ads", "i0001", "products"), ("products", "ad1", "ads")):
        for method, body in (("get", None), ("patch", {"price": 1}), ("delete", None)):
            answer = mall.client.request(method, path(catalogue, item_id), json=body)
            refused(answer, 404, f"{item_id!r} is in catalogue {home!r}, not in {catalogue!r}")
    assert len(mall.logged()) == before
    assert mall.client.get(path("ads", "ad1")).json()["title"] == "Ad of ring 1"
    patched = mall.client.patch(path("ads", "ad1"), json={"price": 9}).json()
    assert patched == mall.client.get(path("ads", "ad1")).json()
    assert counts(mall) == {"ads": 6, "products": 24}


def test_lines_of_a_batch_are_judged_alike(mall: Shop) -> None:
    lines = [
        {"id": "ad9"}, {"id": "i0001"}, {"id": "i0002", "deleted": True}, {"id": "ad0", "deleted": True},
        {"id": "nix", "deleted": True},
    ]  # fmt: skip
    answer = mall.client.post(f"{path('ads')}:batch", content="\n".join(map(json.dumps, lines)))
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["problem"] and line["problem"]["status"] for line in told] == [None, 409, 404, None, 404]
    assert "'i0002' is in catalogue 'products', not in 'ads'" in told[2]["problem"]["detail"]
    assert counts(mall) == {"ads": 6, "products": 24}
    refused(mall.client.post(f"{path('Ads')}:batch", content='{"id":"x"}'), 400, "/path/catalogue")


def test_an_id_that_was_deleted_may_begin_anew_elsewhere(mall: Shop) -> None:
    mall.client.delete(path("products", "i0007"))
    version = put(mall, "ads", "i0007", title="Thing of ring 1", categoryPath="Shop > Ring 1")
    assert counts(mall) == {"ads": 7, "products": 23}
    assert "i0007" in item_ids(mall.slate(user=STRANGER, catalogue="ads", minVersion=version))
    assert "i0007" not in item_ids(mall.slate(user=STRANGER, count=100))


def test_pages_show_one_catalogue_whatever_is_written_meanwhile(mall: Shop) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        page = mall.client.get(path("ads"), params={"limit": 2, "cursor": cursor}).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if len(seen) == 2:
            for catalogue, item_id in (("products", "new"), ("ads", "late"), ("coupons", "c1")):
                put(mall, catalogue, item_id)
            mall.client.delete(path("ads", seen[0]))
    assert seen == [*ADS, "late"]
    page = mall.client.get(path("products"), params={"limit": 100}).json()
    assert ([item["id"] for item in page["items"]], page["next"]) == ([*PRODUCTS, "new"], None)
    assert mall.client.get(path("ads"), params={"cursor": "9" * 20}).json()["items"] == []


LISTS = {
    "slate": ("post", "recommendations", {"user": KNOWN}), "stranger's": ("post", "recommendations", {}),
    "basket": ("post", "basket", {"items": ["i0001", "ad1"]}),
    "similar": ("post", "similar", {"items": ["ad0", "i0003"]}),
    "search": ("post", "search", {"query": "ring", "user": KNOWN}), "popular": ("get", "popular", {}),
    "trending": ("get", "trending", {}), "new": ("get", "new", {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("catalogue", [None, "products", "ads"])
def test_each_list_shows_one_catalogue(mall: Shop, kind: str, catalogue: str | None) -> None:
    version = put(mall, "products", "new", title="New thing of ring 0")
    method, route, asked = LISTS[kind]
    asked = asked | {"count": 100, "minVersion": version} | ({"catalogue": catalogue} if catalogue else {})
    answer = mall.client.request(method, f"/v1/{route}", **{"json" if method == "post" else "params": asked})
    found = set(item_ids(answer.json()))
    theirs = ALL[catalogue or "products"] | ({"new"} if catalogue != "ads" else set())
    assert found and found <= theirs
    if kind in ("stranger's", "popular", "trending"):
        assert found == theirs
    assert ("new" in found) == (catalogue != "ads") or kind not in ("new", "search")


@pytest.mark.parametrize("kind", LISTS)
def test_a_catalogue_that_does_not_exist_is_refused_with_those_that_do(mall: Shop, kind: str) -> None:
    method, route, asked = LISTS[kind]
    for catalogue, status, words in (
        ("coupons", 422, "'coupons' does not exist; there are 'ads', 'products'"), ("Ads!", 400, "catalogue"),
    ):  # fmt: skip
        sent = {"json" if method == "post" else "params": asked | {"catalogue": catalogue}}
        refused(mall.client.request(method, f"/v1/{route}", **sent), status, words)


def test_a_click_on_a_product_moves_what_ads_a_shopper_sees(mall: Shop) -> None:
    pairs = {"i0001": "ad1", "i0013": "ad2"}
    for turn in range(20):
        for product, ad in pairs.items():
            mall.click(f"crowd {product} {turn}", product)
            mall.click(f"crowd {product} {turn}", ad, catalogue="ads")
    before, orders = item_ids(mall.slate(user=STRANGER, catalogue="ads")), []
    for product, ad in pairs.items():
        version = mall.click(f"newcomer {product}", product)
        for slate in (
            mall.slate(user=f"newcomer {product}", catalogue="ads", minVersion=version),
            mall.slate(session="visit", catalogue="ads", context={"items": [product]}),
            mall.post("/v1/basket", items=[product], catalogue="ads"),
        ):
            assert set(item_ids(slate)) == ALL["ads"]
            assert [item["id"] for item in slate["items"] if "transitions" in item["sources"]] == [ad]
            orders.append(item_ids(slate))
    assert orders[0] == orders[1] == orders[2] != orders[3] == orders[4] == orders[5]
    assert before not in orders


def test_a_scenario_says_which_catalogue_and_a_request_says_it_instead(mall: Shop) -> None:
    assert mall.client.put("/v1/scenarios/sidebar", json={"catalogue": "ads"}).status_code == 200
    assert mall.client.get("/v1/scenarios/sidebar").json()["catalogue"] == "ads"
    asked = {"user": KNOWN, "scenario": "sidebar", "count": 100}
    assert set(item_ids(mall.slate(**asked))) <= ALL["ads"]
    assert set(item_ids(mall.slate(**asked, catalogue="products"))) <= ALL["products"]
    assert set(item_ids(mall.post("/v1/basket", **asked, items=["i0001"]))) <= ALL["ads"]
    refused(mall.client.post("/v1/rank", json={"scenario": "sidebar", "candidates": ["ad1", "i0001"]}), 422, "'i0001'")
    assert mall.client.put("/v1/scenarios/early", json={"catalogue": "coupons"}).status_code == 200
    refused(mall.client.post("/v1/recommendations", json={"scenario": "early"}), 422, "'coupons' does not exist")
    put(mall, "coupons", "c1")
    assert item_ids(mall.slate(scenario="early")) == ["c1"]
    refused(mall.client.put("/v1/scenarios/bad", json={"catalogue": "Ads"}), 400, "/catalogue")


def test_a_given_list_may_be_of_any_catalogue_unless_one_is_named(mall: Shop) -> None:
    given = ["ad1", "i0001", "ad2", "i0019"]
    assert set(item_ids(mall.post("/v1/rank", user=KNOWN, candidates=given))) == set(given)
    answer = mall.client.post("/v1/rank", json={"candidates": given, "catalogue": "ads"})
    refused(answer, 422, "candidates: item 'i0001' is in catalogue 'products', not in 'ads'")
    mall.client.delete(path("ads", "ad2"))
    ranked = mall.post("/v1/rank", user=KNOWN, candidates=["ad1", "ad2"], catalogue="ads")
    assert item_ids(ranked) == ["ad1"]  # what is no longer offered is left out, as ever
    only_ads = mall.post("/v1/rank", user=KNOWN, candidates=given, filter="catalogue = 'ads'")
    assert item_ids(only_ads) == ["ad1"]


def test_a_shop_with_one_catalogue_is_asked_without_a_filter(shop: Shop) -> None:
    live = shop.engine.view.catalogue
    wish = RecommendationsBody.model_validate({"user": KNOWN})
    ranked = RankBody.model_validate({"candidates": ["i0001"]})
    assert read_ask(wish, live, HOME).filter is None
    put(shop, "ads", "ad", title="Ad")
    first, again = (read_ask(wish, live, HOME).filter for _ in range(2))
    assert first is again is within("products", live.membership) is not None  # whose mask is kept
    assert read_rank(ranked, live, HOME).filter is None
    shop.client.delete(path("ads", "ad"))
    assert read_ask(wish, live, HOME).filter is None


def test_filters_and_rules_know_the_catalogue_of_an_item(mall: Shop) -> None:
    put(mall, "products", "odd", title="Odd", properties={"catalogue": "spring"})
    given = {"user": STRANGER, "candidates": ["ad1", "i0001", "odd"]}
    assert set(item_ids(mall.post("/v1/rank", **given, filter="catalogue = 'products'"))) == {"i0001", "odd"}
    assert item_ids(mall.post("/v1/rank", **given, filter="catalogue = 'spring'")) == []
    assert mall.client.get(path("products", "odd")).json()["properties"] == {"catalogue": "spring"}
    rule = {"action": "pin", "filter": "catalogue = 'ads'", "position": 1}
    assert mall.client.put("/v1/rules/first", json=rule).status_code == 200
    assert item_ids(mall.post("/v1/rank", **given))[0] == "ad1"
    assert set(item_ids(mall.slate(user=STRANGER, count=100))) == ALL["products"] | {"odd"}  # no rule opens a catalogue


def test_an_event_of_another_catalogue_is_refused_alone_and_kept_for_the_shop(mall: Shop) -> None:
    sent = [("ad1", "ads"), ("ad1", None), ("i0001", "ads"), ("nix", "ads"), ("i0001", "Ads"), ("i0002", "products")]
    events = [
        {"type": "click", "user": "u", "id": f"e{number}", "item": item, "catalogue": catalogue}
        for number, (item, catalogue) in enumerate(sent)
    ]
    problems = [result["problem"] for result in mall.post("/v1/events", events=events)["results"]]
    assert [problem and problem["status"] for problem in problems] == [None, None, 422, 422, 400, None]
    assert problems[2]["detail"] == "item 'i0001' is in catalogue 'products', not in 'ads'"
    assert "'nix' is not in the catalogue of bundle" in problems[3]["detail"]
    assert mall.history("u") == ["ad1", "ad1", "i0002"]
    letters = mall.portal.call(mall.store._store.dead_letters)
    assert [letter.event_id for letter in letters] == ["e2", "e3"]
    alone = {"type": "click", "user": "u", "item": "ad1", "catalogue": "products"}
    refused(mall.client.post("/v1/events", json=alone), 422, "item 'ad1' is in catalogue 'ads', not in 'products'")
    mall.client.delete(path("ads", "ad1"))
    assert mall.click("u", "ad1", catalogue="ads")  # events about what is offered no longer count


def test_a_list_goes_on_in_its_catalogue_and_is_made_again_to_the_bit_after_a_restart(
    registry: Path, tmp_path: Path
) -> None:
    asked = {"user": KNOWN, "catalogue": "ads", "count": 2, "return": ["scores", "reasons"]}
    with open_shop(registry, tmp_path / "data", decision_share=1.0) as shop:
        advertise(shop)
        shop.client.put("/v1/scenarios/sidebar", json={"catalogue": "ads", "exploration": {"method": "softmax"}})
        slates = [shop.slate(**asked), shop.slate(user=KNOWN, scenario="sidebar", count=2)]
        slates += [
            shop.post(f"/v1/recommendations/{slate['recommendationId']}/next", count=3) for slate in tuple(slates)
        ]
        assert all(set(item_ids(slate)) <= ALL["ads"] for slate in slates)
        for first, following in zip(slates[:2], slates[2:], strict=True):
            assert len({*item_ids(first), *item_ids(following)}) == 5
        shop.portal.call(shop.engine.recorder.empty)
        shop.portal.call(shop.store.snapshot)
        shop.client.delete(path("ads", item_ids(slates[0])[0]))
    with open_shop(registry, tmp_path / "data", decision_share=1.0) as shop:
        assert counts(shop) == {"ads": 5, "products": 24}
        for slate in slates:
            again = shop.post(f"/v1/decisions/{slate['recommendationId']}/replay")
            assert (again["identical"], item_ids(again)) == (True, item_ids(slate))
            told = shop.client.get(f"/v1/decisions/{slate['recommendationId']}").json()
            assert {one["id"] for one in told["candidates"]} <= ALL["ads"]
            assert shop.client.get(f"/v1/decisions/{slate['recommendationId']}/explanation").status_code == 200
        assert set(item_ids(shop.slate(**asked))) <= ALL["ads"] - {item_ids(slates[0])[0]}


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
@pytest.mark.parametrize("catalogue", ["products", "ads"])
def test_fused_and_staged_rooms_show_the_same_items_of_a_catalogue(mall: Shop, user: str, catalogue: str) -> None:
    body = RecommendationsBody.model_validate({"user": user, "catalogue": catalogue, "count": 5})
    ask = read_ask(body, mall.engine.view.catalogue, HOME)
    fused, apart = (mall.portal.call(engine.recommend, ask) for engine in (mall.engine, staged(mall)))
    assert {mall.engine.item_ids[one] for one in fused.candidates.item_idx.tolist()} <= ALL[catalogue]
    np.testing.assert_array_equal(fused.candidates.item_idx, apart.candidates.item_idx)
    np.testing.assert_array_equal(fused.candidates.score, apart.candidates.score)
