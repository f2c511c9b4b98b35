"""Reasons: whatever is said is true, and what is true of whom is said."""

from typing import Any

import numpy as np
import pytest

from serve.stages.directions import directions
from serve.stages.reasons import ALIKE
from tests.serve.arranging.test_slates import EXPLORING, scenario
from tests.serve.shop import KNOWN, STRANGER, Shop, open_shop
from tests.world import next_item

ITEMS = "/v1/catalogues/products/items"
WHY: dict[str, Any] = {"return": ["reasons", "properties"], "count": 100}


def told(slate: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return item → code → reason."""
    return {item["id"]: {reason["code"]: reason for reason in item["reasons"]} for item in slate["items"]}


def check(shop: Shop, slate: dict[str, Any], history: list[str], viewed: list[str]) -> None:
    """Hold every reason against what the state says, item by item."""
    engine, items = shop.engine, shop.engine.view.items
    newest = [*history, *viewed][::-1]
    for item in slate["items"]:
        own, said = engine.index[item["id"]], {reason["code"]: reason for reason in item["reasons"]}
        assert len(said) == len(item["reasons"])
        assert ("seenBefore" in said) == (item["id"] in newest)
        if "seenBefore" in said:
            assert said["seenBefore"]["weight"] == newest.count(item["id"])
        assert ("popular" in said) == ("popular" in item["sources"])
        if "popular" in said:
            assert said["popular"]["weight"] == pytest.approx(items.recent[own] / items.recent.sum())
        assert ("new" in said) == (own >= shop.bundle.state.n_items)
        others = [engine.index[one] for one in newest if one != item["id"]]
        unit = directions(items.vectors)
        cosines = {one: float(unit[own] @ unit[one]) for one in others}
        alike = said.get("similarToViewed") or said.get("similarTo")
        assert (alike is not None) == (max(cosines.values(), default=-1.0) >= ALIKE)
        if alike is not None:
            assert alike["weight"] == pytest.approx(max(cosines.values()), abs=1e-5)
            assert cosines[engine.index[alike["item"]]] == pytest.approx(alike["weight"], abs=1e-5)
            assert (alike["item"] in viewed) == ("similarToViewed" in said)
        brands = {one: engine.properties(engine.index[one]).get("brand") for one in newest}
        same = [one for one in newest if brands[one] == item["properties"].get("brand") and brands[one]]
        assert ("sameBrand" in said) == any(one != item["id"] for one in same)
        if "sameBrand" in said:
            assert said["sameBrand"]["item"] == next(one for one in same if one != item["id"])
            assert said["sameBrand"]["weight"] == pytest.approx(len(same) / len(newest))
        check_followed(shop, own, said.get("followedAfter"), newest)


def check_followed(shop: Shop, own: int, reason: dict[str, Any] | None, newest: list[str]) -> None:
    """Hold what is said of an item's origin against how much its score falls without that origin's links."""
    engine, transitions = shop.engine, shop.engine.view.items.transitions
    history = np.array([engine.index[one] for one in newest[::-1]], np.int64)
    recent = history[-transitions.config.window :]
    found = transitions.followers(history)
    score = dict(zip(found.item_idx.tolist(), found.score.tolist(), strict=True)).get(own, 0.0)
    by_origin: dict[int, float] = {}
    for age, one in enumerate(recent[::-1].tolist()):
        alone = transitions.followers(np.array([one]))
        part = dict(zip(alone.item_idx.tolist(), alone.score.tolist(), strict=True)).get(own, 0.0)
        by_origin[one] = by_origin.get(one, 0.0) + part * transitions.config.history_decay**age
    assert sum(by_origin.values()) == pytest.approx(score)
    by_origin.pop(own, None)
    assert (reason is not None) == (sum(by_origin.values()) > 0)
    if reason is not None:
        own_share = by_origin[engine.index[reason["item"]]] / sum(by_origin.values())
        assert reason["weight"] == pytest.approx(own_share)
        assert own_share == pytest.approx(max(by_origin.values()) / sum(by_origin.values()))


@pytest.mark.parametrize("viewed", [[], ["i0003", "i0011"]])
@pytest.mark.parametrize("user", [KNOWN, STRANGER])
def test_every_reason_is_true(shop: Shop, user: str, viewed: list[str]) -> None:
    shop.client.put(f"{ITEMS}/new", json={"title": "Thing 1", "brand": "Acme", "price": 3})
    shop.click("somebody", "new")
    slate = shop.slate(user=user, **WHY, context={"items": viewed})
    check(shop, slate, shop.history(user), viewed)


def test_reasons_are_true_where_items_are_shown_again(repeating_registry: Any, tmp_path: Any) -> None:
    with open_shop(repeating_registry, tmp_path) as shop:
        for item in ("i0003", "i0004", "i0003"):
            shop.click("again", item)
        slate = shop.slate(user="again", **WHY)
        check(shop, slate, shop.history("again"), [])
        assert told(slate)["i0003"]["seenBefore"] == {"code": "seenBefore", "item": "i0003", "weight": 2.0}


def test_what_follows_an_item_says_after_which(shop: Shop) -> None:
    slate = shop.slate(user=STRANGER, **WHY, context={"items": ["i0003"]})
    reason = told(slate)[next_item("i0003")]["followedAfter"]
    assert reason == {"code": "followedAfter", "item": "i0003", "weight": 1.0}


def test_what_was_drawn_says_so(shop: Shop) -> None:
    best = [item["id"] for item in shop.slate(user=KNOWN, **WHY)["items"]]
    with scenario(shop, **EXPLORING):
        slate = shop.slate(user=KNOWN, **WHY)
    left = list(best)
    for item in slate["items"]:
        assert ("explored" in told(slate)[item["id"]]) == (item["id"] != left[0])
        left.remove(item["id"])


def test_nobody_who_does_not_ask_is_told(shop: Shop) -> None:
    assert all("reasons" not in item for item in shop.slate(user=KNOWN)["items"])
    assert shop.client.post("/v1/similar", json={"items": ["i0003"], "return": ["reasons"]}).status_code == 400
