"""What a shopper bought of late is not shown to them, where a scenario says so; to others it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from serve.stages.arranging.config import ScenarioConfig
from serve.state.clock import now_ms
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop

DAY_MS = 86_400_000
BOUGHT, CLICKED = "i0003", "i0004"


@pytest.fixture
def sparing(repeating_registry: Path, tmp_path: Path) -> Iterator[Shop]:
    """A shop that shows seen items again, but keeps what was bought back for 30 days."""
    with open_shop(repeating_registry, tmp_path / "data", decision_share=1.0) as shop:
        write(shop, "home", notPurchasedWithin="30d")
        yield shop


def write(shop: Shop, name: str, **config: Any) -> None:
    answer = shop.client.put(f"/v1/scenarios/{name}", json=config)
    assert answer.status_code == 200, answer.text


def send(shop: Shop, kind: str, user: str, item: str, **more: Any) -> int:
    return shop.post("/v1/events", type=kind, user=user, item=item, **more)["results"][0]["version"]


def shown(shop: Shop, user: str, **body: Any) -> set[str]:
    return set(item_ids(shop.slate(user=user, count=100, **body)))


def pass_days(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let requests be asked later than they are."""
    monkeypatch.setattr("serve.engine.now_ms", lambda: now_ms() + int(days * DAY_MS))


def test_what_was_bought_stays_away_for_its_time_and_comes_back(sparing: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = shown(sparing, "new")
    send(sparing, "click", "new", CLICKED)
    send(sparing, "cart", "new", BOUGHT)
    assert shown(sparing, "new") == everything
    version = send(sparing, "purchase", "new", BOUGHT)
    assert shown(sparing, "new", minVersion=version) == everything - {BOUGHT}
    assert shown(sparing, "other") == shown(sparing, STRANGER) == everything
    pass_days(monkeypatch, 29.99)
    assert shown(sparing, "new") == everything - {BOUGHT}
    pass_days(monkeypatch, 30.01)
    assert shown(sparing, "new") == everything


def test_the_time_of_a_purchase_is_its_own(sparing: Shop) -> None:
    send(sparing, "purchase", "new", BOUGHT, time=now_ms() - 31 * DAY_MS)
    assert BOUGHT in shown(sparing, "new")
    send(sparing, "purchase", "new", BOUGHT, time=now_ms() - 29 * DAY_MS)
    assert BOUGHT not in shown(sparing, "new")


def test_what_was_returned_is_shown_again(sparing: Shop) -> None:
    send(sparing, "purchase", "new", BOUGHT)
    assert BOUGHT not in shown(sparing, "new")
    send(sparing, "return", "new", BOUGHT)
    assert BOUGHT in shown(sparing, "new")


def test_another_scenario_shows_it(sparing: Shop) -> None:
    write(sparing, "again", notPurchasedWithin=None)
    send(sparing, "purchase", "new", BOUGHT)
    assert BOUGHT in shown(sparing, "new", scenario="again")
    assert BOUGHT not in shown(sparing, "new")


def test_purchases_of_before_the_server_count(sparing: Shop) -> None:
    own = set(sparing.history(KNOWN))
    assert own <= shown(sparing, KNOWN)
    write(sparing, "home", notPurchasedWithin="9999w")
    assert shown(sparing, KNOWN) == set(sparing.engine.item_ids) - own


def test_a_merged_guests_purchases_are_the_accounts(sparing: Shop) -> None:
    send(sparing, "purchase", "guest", BOUGHT)
    merged = sparing.post("/v1/users/account:merge", source="guest")
    assert BOUGHT not in shown(sparing, "account", minVersion=merged["version"])
    assert BOUGHT in shown(sparing, "guest")


def test_ranked_lists_baskets_and_further_pages_keep_it_back_and_searches_find_it(sparing: Shop) -> None:
    first = sparing.slate(user="new", count=3)
    send(sparing, "purchase", "new", BOUGHT)
    ranked = sparing.post("/v1/rank", user="new", candidates=[BOUGHT, CLICKED])
    assert item_ids(ranked) == [CLICKED]
    basket = sparing.post("/v1/basket", user="new", items=[CLICKED], count=100)
    assert {BOUGHT, CLICKED}.isdisjoint(item_ids(basket))
    following = sparing.post(f"/v1/recommendations/{first['recommendationId']}/next", count=100)
    assert set(item_ids(following)) == set(sparing.engine.item_ids) - {BOUGHT, *item_ids(first)}
    assert item_ids(sparing.post("/v1/search", user="new", query="Thing 3 of ring 0", count=1)) == [BOUGHT]


@pytest.mark.parametrize("user", ["new", STRANGER])
def test_a_rule_pins_no_item_that_is_kept_back(sparing: Shop, user: str) -> None:
    pin = {"action": "pin", "filter": f"id = '{BOUGHT}'", "position": 4}
    send(sparing, "purchase", "new", BOUGHT)
    kept = sparing.slate(user=user, count=5)
    told = sparing.post("/v1/rules/pin:preview", **pin)
    assert sparing.client.put("/v1/rules/pin", json=pin).status_code == 200
    pinned = item_ids(sparing.slate(user=user, count=5))
    assert (pinned == item_ids(kept), pinned[3] == BOUGHT) == ((True, False) if user == "new" else (False, True))
    assert (told["inForce"], told["changed"]) == (1, int(user == STRANGER))


def test_a_decision_is_made_again_as_it_was_after_its_item_was_bought(sparing: Shop) -> None:
    write(sparing, "drawn", notPurchasedWithin="30d", exploration={"method": "softmax", "share": 0.8}, diversity=0.3)
    send(sparing, "purchase", "new", BOUGHT)
    slate = sparing.slate(user="new", count=5, scenario="drawn", **{"return": ["scores"]})
    send(sparing, "purchase", "new", item_ids(slate)[0])
    write(sparing, "drawn")
    recommendation = f"/v1/decisions/{slate['recommendationId']}"
    again = sparing.post(f"{recommendation}/replay")
    assert again["identical"]
    assert item_ids(again) == item_ids(slate)
    assert BOUGHT not in [one["id"] for one in sparing.client.get(recommendation).json()["candidates"]]
    why = sparing.client.get(f"{recommendation}/explanation").json()
    assert [item["id"] for item in why["items"]] == item_ids(slate)


def test_without_the_store_nobody_knows_what_was_bought_and_the_answer_says_so(sparing: Shop) -> None:
    send(sparing, "purchase", "new", BOUGHT)
    sparing.engine.view._shoppers.clear()  # as in a replica that has not seen the shopper
    sparing.store.away = True
    slate = sparing.slate(user="new", count=100)
    assert (slate["degraded"], BOUGHT in item_ids(slate)) == (["history"], True)


def test_an_export_tells_what_was_bought(sparing: Shop) -> None:
    send(sparing, "purchase", "new", BOUGHT, time=1_700_000_000_000)
    send(sparing, "click", "new", CLICKED)
    told = sparing.client.get("/v1/users/new/export").json()
    assert told["bought"] == [{"item": BOUGHT, "time": "2023-11-14T22:13:20Z"}]
    known = sparing.client.get(f"/v1/users/{KNOWN}/export").json()
    assert known["bought"] == known["history"] != []


def test_stages_of_their_own_keep_it_back_too(sparing: Shop) -> None:
    version = send(sparing, "purchase", "new", BOUGHT)
    apart = sparing.lagging_engine()
    apart.view.apply([logged.batch for logged in sparing.logged()])
    sparing.engine._retrieve = apart._retrieve
    assert BOUGHT not in shown(sparing, "new", minVersion=version)


@pytest.mark.parametrize("given", ["", "30", "d", "0d", "030d", "30 d", "30D", "1.5d", "-1d", "30m", "P30D", "10000d"])
def test_what_is_no_duration_is_refused_at_its_place(shop: Shop, given: str) -> None:
    answer = shop.client.put("/v1/scenarios/home", json={"notPurchasedWithin": given})
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/notPurchasedWithin"
    assert f"{given!r} is no duration" in error["detail"]
    assert "30d" in error["detail"]


def test_a_duration_is_of_hours_days_or_weeks() -> None:
    hours = [ScenarioConfig(not_purchased_within=given).not_purchased_within_ms for given in ("12h", "30d", "6w")]
    assert hours == [12 * 3_600_000, 30 * DAY_MS, 42 * DAY_MS]
    assert ScenarioConfig().not_purchased_within_ms is None
    with pytest.raises(ValidationError):
        ScenarioConfig.model_validate({"notPurchasedWithin": 30})


def test_a_scenario_without_it_asks_for_no_purchases(shop: Shop) -> None:
    ask = shop.ask(KNOWN, 0)
    [shopper, _] = shop.portal.call(shop.engine._shopper, ask)
    assert len(shopper.bought)
    assert ask.sparing(shopper) is ask
    np.testing.assert_array_equal(ask.excluded, [])
