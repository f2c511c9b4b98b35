"""Slates over HTTP in the manner of a scenario, and with what a request says instead."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids

EXPLORING = {"exploration": {"method": "softmax", "share": 1}}


@contextmanager
def scenario(shop: Shop, **config: Any) -> Iterator[None]:
    """Answer in another manner for a while."""
    written(shop, config)
    yield
    written(shop, {})


def written(shop: Shop, config: dict[str, Any]) -> None:
    answer = shop.client.put("/v1/scenarios/home", json=config)
    assert answer.status_code == 200, answer.text


def propensities(slate: dict[str, Any]) -> list[float]:
    return [item["propensity"] for item in slate["items"]]


def test_a_slate_says_what_it_follows_and_that_nothing_was_drawn(shop: Shop) -> None:
    slate = shop.slate(user=KNOWN, count=5)
    assert slate["policy"] == {"scenario": "home", "version": 0}
    assert propensities(slate) == [1.0] * 5


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
def test_diversity_0_is_the_usual_order_and_1_is_not(shop: Shop, user: str) -> None:
    usual = shop.slate(user=user, count=10)
    assert item_ids(shop.slate(user=user, count=10, diversity=0)) == item_ids(usual)
    varied = shop.slate(user=user, count=10, diversity=1)
    assert item_ids(varied)[0] == item_ids(usual)[0]
    assert item_ids(varied) != item_ids(usual)
    assert propensities(varied) == [1.0] * 10


@pytest.mark.parametrize("path", ["recommendations", "rank", "basket"])
def test_no_item_scores_less_than_the_least_wanted(shop: Shop, path: str) -> None:
    body = {"user": KNOWN, "return": ["scores"]} | {
        "recommendations": {}, "rank": {"candidates": shop.engine.item_ids}, "basket": {"items": ["i0003"]}
    }[path]  # fmt: skip
    everything = shop.post(f"/v1/{path}", **body)["items"]
    least = everything[4]["score"]
    wanted = [item for item in everything if item["score"] >= least]
    few = shop.post(f"/v1/{path}", **body, minScore=least)
    assert few["items"] == wanted
    assert few["fallback"] == "none"
    assert shop.post(f"/v1/{path}", **body, minScore=1e9)["items"] == []


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
def test_a_scenario_that_explores_says_how_likely_each_item_was(shop: Shop, user: str) -> None:
    usual = item_ids(shop.slate(user=user, count=10))
    with scenario(shop, **EXPLORING):
        slates = [shop.slate(user=user, count=10) for _ in range(3)]
        assert len({tuple(item_ids(slate)) for slate in slates}) > 1
        assert all(0 < one < 1 for slate in slates for one in propensities(slate))
        assert slates[0]["policy"] == {"scenario": "home", "version": 1}
        still = shop.slate(user=user, count=10, explore=False)
        assert item_ids(still) == usual
        assert propensities(still) == [1.0] * 10


def test_a_seed_gives_the_same_slate_again_and_another_shopper_another_draw(shop: Shop) -> None:
    with scenario(shop, **EXPLORING):
        one, again, other = (shop.slate(user=KNOWN, seed=seed) for seed in (7, 7, 8))
        assert item_ids(one) == item_ids(again) != item_ids(other)
        assert propensities(one) == propensities(again)
        assert one["recommendationId"] != again["recommendationId"]


@pytest.mark.parametrize(
    ("config", "pointer", "status"),
    [
        ({"objective": "price *"}, "/objective", 422),
        ({"filter": "price <"}, "/filter", 422),
        ({"maxPer": {"brand": 0}}, "/maxPer/brand", 400),
        ({"sources": {"sequence": 0}}, "/sources", 400),
        ({"sources": {"else": 5}}, "/sources", 400),
        ({"exploration": {"method": "softmax", "temperature": 0}}, "/exploration/temperature", 400),
    ],
)  # fmt: skip
def test_a_scenario_that_means_nothing_is_refused(
    shop: Shop, config: dict[str, Any], pointer: str, status: int
) -> None:
    answer = shop.client.put("/v1/scenarios/home", json=config)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_scenario_filters_and_says_how_much_each_source_proposes(shop: Shop) -> None:
    with scenario(shop, filter="price <= 20"):
        assert all(int(item_id.removeprefix("i")) < 20 for item_id in item_ids(shop.slate(user=KNOWN, count=100)))
        both = item_ids(shop.slate(user=KNOWN, count=100, filter="price > 10"))
        assert both
        assert all(10 <= int(item_id.removeprefix("i")) < 20 for item_id in both)
    with scenario(shop, sources={"sequence": 1, "transitions": 0, "popular": 3}):
        slate = shop.slate(user=KNOWN, count=100)
        sources = [source for item in slate["items"] for source in item["sources"]]
        assert {source: sources.count(source) for source in sources} == {"sequence": 1, "popular": 3}


@pytest.mark.parametrize(
    "body", [{"diversity": -0.1}, {"diversity": 1.1}, {"seed": -1}, {"explore": "often"}, {"minScore": "much"}]
)
def test_a_wish_out_of_range_is_refused(shop: Shop, body: dict[str, Any]) -> None:
    answer = shop.client.post("/v1/recommendations", json={"user": KNOWN} | body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(body))}"
