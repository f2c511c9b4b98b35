"""Rules in the lists of a shop: they hold from the moment in which the call that wrote them returns."""

from collections.abc import Callable
from typing import Any

import pytest

from serve.stages.filters.expression import holds
from serve.stages.filters.facts import facts_of
from serve.stages.filters.language import parse
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids

ACME = "brand = 'Acme'"
LISTS: dict[str, Callable[[Shop], dict[str, Any]]] = {
    "recommendations": lambda shop: shop.slate(user=KNOWN, count=100),
    "recommendations to strangers": lambda shop: shop.slate(user=STRANGER, count=100),
    "basket": lambda shop: shop.post("/v1/basket", items=["i0003"], count=100),
    "rank": lambda shop: shop.post("/v1/rank", user=KNOWN, candidates=shop.engine.item_ids),
    "search": lambda shop: shop.post("/v1/search", query="thing", count=100),
    "similar": lambda shop: shop.post("/v1/similar", items=["i0003"], count=100),
    "popular": lambda shop: shop.client.get("/v1/popular", params={"count": 100}).json(),
    "trending": lambda shop: shop.client.get("/v1/trending", params={"count": 100}).json(),
    "new": lambda shop: shop.client.get("/v1/new", params={"count": 100}).json(),
}  # fmt: skip


def rule(shop: Shop, action: str, filter: str, name: str = "r", **said: Any) -> int:
    answer = shop.client.put(f"/v1/rules/{name}", json={"action": action, "filter": filter, **said})
    assert answer.status_code == 200, answer.text
    return answer.json()["stateVersion"]


def matching(shop: Shop, found: list[str], text: str) -> list[str]:
    """Return those of a list that match a filter."""
    catalogue = shop.engine.view.catalogue
    told = {item_id: facts_of(item_id, catalogue.told(catalogue.index[item_id])) for item_id in found}
    return [item_id for item_id in found if holds(parse(text), told[item_id])]


def few_candidates(shop: Shop) -> None:
    """Let only the most popular item, and the nearest one, be proposed."""
    sources = {"sequence": 1, "transitions": 0, "repeat": 0, "popular": 1}
    assert shop.client.put("/v1/scenarios/home", json={"sources": sources}).status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_a_filter_rule_holds_in_every_list(shop: Shop, name: str) -> None:
    for number in range(4):
        shop.client.put(f"/v1/catalogues/products/items/new{number}", json={"brand": "Acme" if number % 2 else "Else"})
    before = item_ids(LISTS[name](shop))
    rule(shop, "filter", ACME)
    after = item_ids(LISTS[name](shop))
    assert after == matching(shop, after, ACME)
    assert set(after) >= set(matching(shop, before, ACME))
    assert 0 < len(after) < len(before)
    shop.client.delete("/v1/rules/r")
    assert item_ids(LISTS[name](shop)) == before


def test_a_filter_rule_and_a_requests_filter_hold_together(shop: Shop) -> None:
    rule(shop, "filter", ACME)
    found = item_ids(shop.slate(user=KNOWN, count=100, filter="category = 'Ring 1'"))
    assert found == matching(shop, found, f"{ACME} and category = 'Ring 1'")
    assert found


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
def test_boosted_items_rise_and_buried_ones_sink(shop: Shop, user: str) -> None:
    usual = item_ids(shop.slate(user=user, count=100))
    last, first = usual[-1], usual[0]
    rule(shop, "boost", f"id = '{last}'", factor=1e6)
    assert item_ids(shop.slate(user=user, count=100)) == [last, *usual[:-1]]
    rule(shop, "bury", f"id = '{first}'", "s", factor=1e6)
    found = item_ids(shop.slate(user=user, count=100))
    assert (found[0], found[-1]) == (last, first)
    rule(shop, "bury", f"id = '{last}'", "t", factor=1e6)  # which takes the boost back
    assert item_ids(shop.slate(user=user, count=100))[-1] == first


def test_what_an_objective_is_worth_is_boosted_too(shop: Shop) -> None:
    shop.client.put("/v1/scenarios/home", json={"objective": "-price"})
    usual = shop.slate(user=KNOWN, count=100, **{"return": ["scores"]})["items"]
    last = usual[-1]
    rule(shop, "boost", f"id = '{last['id']}'", factor=1e6)
    top = shop.slate(user=KNOWN, count=1, **{"return": ["scores"]})["items"][0]
    assert top["id"] == last["id"]
    assert top["score"] == pytest.approx(last["score"] / 1e6)


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
def test_a_pinned_item_stands_at_its_place_though_nothing_proposed_it(shop: Shop, user: str) -> None:
    few_candidates(shop)
    usual = item_ids(shop.slate(user=user, count=100))
    [*_, wanted] = [item_id for item_id in shop.engine.item_ids if item_id not in [*usual, *shop.history(user)]]
    rule(shop, "pin", f"id = '{wanted}'", position=1)
    slate = shop.slate(user=user, count=100)
    assert item_ids(slate) == [wanted, *usual]
    assert slate["items"][0]["sources"] == []
    rule(shop, "pin", f"id = '{wanted}'", position=50)
    assert item_ids(shop.slate(user=user, count=100)) == [*usual, wanted]  # the list is no longer


def test_pins_take_their_places_in_the_order_of_priority(shop: Shop) -> None:
    usual = item_ids(shop.slate(user=STRANGER, count=10))
    rule(shop, "pin", f"id = '{usual[9]}'", "low", position=2)
    rule(shop, "pin", f"id = '{usual[8]}'", "high", position=2, priority=1)
    assert item_ids(shop.slate(user=STRANGER, count=4)) == [usual[0], usual[8], usual[9], usual[1]]
    rule(shop, "pin", f"id in ('{usual[9]}', '{usual[7]}')", "low", position=3, limit=2)
    assert item_ids(shop.slate(user=STRANGER, count=4)) == [usual[0], usual[8], usual[7], usual[9]]


def test_what_may_not_be_shown_is_not_pinned(shop: Shop) -> None:
    seen, free = shop.history(KNOWN)[0], item_ids(shop.slate(user=KNOWN, count=5))[4]
    rule(shop, "pin", f"id = '{seen}'", "seen", position=1)
    assert seen not in item_ids(shop.slate(user=KNOWN, count=100))
    rule(shop, "pin", f"id = '{free}'", position=1)
    assert item_ids(shop.slate(user=KNOWN, count=3))[0] == free
    assert free not in item_ids(shop.slate(user=KNOWN, count=100, excludeItems=[free]))
    assert free not in item_ids(shop.slate(user=KNOWN, count=100, filter=f"id != '{free}'"))
    shop.client.delete(f"/v1/catalogues/products/items/{free}")
    assert free not in item_ids(shop.slate(user=KNOWN, count=100))


@pytest.mark.parametrize(
    "config", [{}, {"diversity": 0.5}, {"exploration": {"method": "softmax", "share": 1.0}}], ids=str
)
@pytest.mark.parametrize("user", [KNOWN, STRANGER])
def test_caps_and_quotas_hold_in_any_manner_of_arranging(shop: Shop, config: dict[str, Any], user: str) -> None:
    shop.client.put("/v1/scenarios/home", json=config | {"maxPer": {"id": 1}})
    rule(shop, "cap", ACME, "cap", limit=1)
    rule(shop, "quota", "brand = 'Bolt'", "quota", share=0.4)
    for count in (1, 5, 10, 100):
        found = item_ids(shop.slate(user=user, count=count))
        assert len(matching(shop, found, ACME)) <= 1
        bolts = matching(shop, shop.engine.item_ids, "brand = 'Bolt'")
        able = set(bolts) - set(shop.history(user))
        assert len(matching(shop, found, "brand = 'Bolt'")) >= min(-(-2 * count // 5), len(able))


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
def test_a_quota_finds_items_that_nothing_proposed(shop: Shop, user: str) -> None:
    few_candidates(shop)
    rule(shop, "quota", ACME, minimum=3)
    assert len(matching(shop, item_ids(shop.slate(user=user, count=4)), ACME)) >= 3


def test_a_cap_of_none_hides_what_even_a_pin_wants(shop: Shop) -> None:
    rule(shop, "pin", ACME, "pin", position=1, priority=9)
    rule(shop, "quota", ACME, "quota", minimum=9, priority=9)
    rule(shop, "cap", ACME, "cap", limit=0)
    found = item_ids(shop.slate(user=KNOWN, count=100))
    assert found and not matching(shop, found, ACME)


def test_a_rule_asks_who_wants_the_list_and_for_which_place(shop: Shop) -> None:
    shop.client.put("/v1/scenarios/checkout", json={})
    rule(shop, "filter", "brand = user.favourite", when="user.favourite in ('Acme', 'Bolt')", scenarios=["checkout"])
    everything = item_ids(shop.slate(user=STRANGER, count=100))
    for traits, scenario in (({}, "checkout"), ({"favourite": "Acme"}, "home"), ({"favourite": "Cove"}, "checkout")):
        assert item_ids(shop.slate(user=STRANGER, count=100, scenario=scenario, traits=traits)) == everything
    found = item_ids(shop.slate(user=STRANGER, count=100, scenario="checkout", traits={"favourite": "Bolt"}))
    assert found == matching(shop, found, "brand = 'Bolt'") != []


@pytest.mark.parametrize(
    "said", [{"enabled": False}, {"ends": "2020-01-01T00:00:00Z"}, {"starts": "2999-01-01T00:00:00Z"}]
)
def test_a_rule_that_is_not_in_force_changes_nothing(shop: Shop, said: dict[str, Any]) -> None:
    usual = {name: make(shop)["items"] for name, make in LISTS.items()}
    rule(shop, "filter", ACME, **said)
    assert {name: make(shop)["items"] for name, make in LISTS.items()} == usual


def test_what_items_say_now_counts_for_rules_at_once(shop: Shop) -> None:
    rule(shop, "filter", "colour = 'red'")
    assert item_ids(shop.slate(user=STRANGER)) == []
    shop.client.patch("/v1/catalogues/products/items/i0005", json={"properties": {"colour": "red"}})
    assert item_ids(shop.slate(user=STRANGER)) == ["i0005"]


def test_a_second_replica_follows_the_same_rules(shop: Shop) -> None:
    behind = shop.lagging_engine()
    rule(shop, "boost", ACME, factor=100)
    rule(shop, "cap", ACME, "cap", limit=2)
    behind.view.apply([logged.batch for logged in shop.logged()])
    slates = [shop.portal.call(engine.recommend, shop.ask(KNOWN, 2)) for engine in (shop.engine, behind)]
    assert slates[0].candidates.item_idx.tolist() == slates[1].candidates.item_idx.tolist()
    first = [shop.engine.item_ids[one] for one in slates[0].candidates.item_idx.tolist()]
    assert matching(shop, first, ACME) == first[:2]
