"""What slates are ordered by over HTTP, and what caps leave in them."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.serve.arranging.test_slates import EXPLORING, scenario
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids

ITEMS = "/v1/catalogues/products/items"
SCORED: dict[str, Any] = {"return": ["scores", "properties"], "count": 100}


def scores(slate: dict[str, Any]) -> list[float | None]:
    return [item["score"] for item in slate["items"]]


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
@pytest.mark.parametrize("objective", ["score", "2 * score + 1", "p(click)"])
def test_what_grows_with_the_score_orders_as_it_does(shop: Shop, user: str, objective: str) -> None:
    usual = shop.slate(user=user, **SCORED)
    with scenario(shop, objective=objective):
        slate = shop.slate(user=user, **SCORED)
    found = [item["score"] for item in slate["items"]]
    assert found == sorted(found, reverse=True)
    if objective != "p(click)":  # whose curve is flat in places
        assert item_ids(slate) == item_ids(usual)
    else:
        assert all(0 < one <= 1 for one in found)


def test_an_attribute_may_be_the_objective(shop: Shop) -> None:
    with scenario(shop, objective="-price"):
        slate = shop.slate(user=KNOWN, **SCORED)
    prices = [item["properties"]["price"] for item in slate["items"]]
    assert prices == sorted(prices)
    assert scores(slate) == [-price for price in prices]


def test_the_rarest_items_are_the_most_novel(shop: Shop) -> None:
    with scenario(shop, objective="novelty"):
        slate = shop.slate(user=STRANGER, **SCORED)
    items, index = shop.engine.view.items, shop.engine.index
    counts = [items.popularity[index[item_id]] for item_id in item_ids(slate)]
    assert counts == sorted(counts)
    assert all(0 <= one <= 1 for one in scores(slate) if one is not None)


def test_items_without_a_finite_value_come_last_in_their_usual_order(shop: Shop) -> None:
    usual = item_ids(shop.slate(user=KNOWN, count=100))
    few = [usual[7], usual[3]]
    for item_id, margin in zip(few, (0.5, 0.2), strict=True):
        assert shop.client.patch(f"{ITEMS}/{item_id}", json={"properties": {"margin": margin}}).status_code == 200
    usual = item_ids(shop.slate(user=KNOWN, count=100))  # which the writes moved
    others = [item_id for item_id in usual if item_id not in few]
    with scenario(shop, objective="margin"):
        slate = shop.slate(user=KNOWN, **SCORED)
        assert scores(slate) == [pytest.approx(0.5), pytest.approx(0.2)] + [None] * len(others)
        assert item_ids(slate)[:2] == few
        assert item_ids(slate)[2:] == others
        assert item_ids(shop.slate(user=KNOWN, minScore=0.3)) == few[:1]
    with scenario(shop, objective="score / 0 - price / 0"):
        slate = shop.slate(user=KNOWN, **SCORED)
        assert set(scores(slate)) == {None}
        assert item_ids(slate) == usual
    with scenario(shop, objective="margin", **EXPLORING):
        assert all(0 < item["propensity"] <= 1 for item in shop.slate(user=KNOWN, count=100)["items"])


def test_money_counts_where_the_objective_says_so(shop: Shop) -> None:
    with scenario(shop, objective="p(click) * price"):
        slate = shop.slate(user=KNOWN, **SCORED)
    calibration = shop.bundle.calibration
    assert calibration is not None
    usual = shop.slate(user=KNOWN, **SCORED)["items"]
    p_click = calibration.p_click(np.array([item["score"] for item in usual], np.float32))
    worth = {item["id"]: p * item["properties"]["price"] for item, p in zip(usual, p_click, strict=True)}
    assert scores(slate) == pytest.approx([worth[item_id] for item_id in item_ids(slate)], rel=1e-4)


def test_a_probability_that_nobody_measured_is_said_to_be_left_out(shop: Shop) -> None:
    usual = shop.slate(user=KNOWN, count=100)
    with pytest.MonkeyPatch.context() as patch, scenario(shop, objective="p(click) * price"):
        patch.setattr(shop.engine.arranging._knowledge, "_calibration", None)
        slate = shop.slate(user=KNOWN, count=100)
    assert slate["degraded"] == ["objective"]
    assert item_ids(slate) == item_ids(usual)


@pytest.mark.parametrize("config", [{}, {"diversity": 0.5}, EXPLORING, {"objective": "-price"}], ids=str)
def test_no_more_items_of_a_brand_are_shown_than_may_be(shop: Shop, config: dict[str, Any]) -> None:
    with scenario(shop, maxPer={"brand": 2, "category": 1}, **config):
        for count in (3, 100):
            items = shop.slate(user=STRANGER, **SCORED | {"count": count})["items"]
            brands = Counter(item["properties"]["brand"] for item in items)
            levels = Counter(level for item in items for level in item["properties"]["categoryPath"].split(" > "))
            assert max(brands.values()) <= 2
            assert max(levels.values()) == 1
    with scenario(shop, maxPer={"brand": 2}, **config):
        items = shop.slate(user=STRANGER, **SCORED)["items"]
        assert set(Counter(item["properties"]["brand"] for item in items).values()) == {2}


def test_what_is_written_counts_for_caps_at_once(shop: Shop) -> None:
    with scenario(shop, maxPer={"brand": 1}):
        before = item_ids(shop.slate(user=STRANGER, count=100))
        shop.client.patch(f"{ITEMS}/{before[0]}", json={"brand": "Another"})
        after = item_ids(shop.slate(user=STRANGER, count=100))
        assert after[0] == before[0]
        assert len(after) == len(before) + 1


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
def test_of_nothing_a_list_is_empty_in_any_manner(shop: Shop, user: str) -> None:
    every = {"objective": "p(click) * price", "maxPer": {"brand": 1}, "diversity": 0.5, **EXPLORING}
    for config in ({}, every, {"diversity": 0.5}, {"objective": "margin"}):
        with scenario(shop, **config):
            slate = shop.slate(user=user, filter="colour = 'red'", **{"return": ["reasons", "scores"]})
            assert slate["items"] == []
            assert slate["degraded"] == []
