"""Filters in requests: lists of what matches, full while enough of it is there."""

from pathlib import Path

import numpy as np
import pytest

from serve.stages.filters.expression import holds
from serve.stages.filters.facts import facts_of
from serve.stages.filters.language import parse
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop

ITEMS = "/v1/catalogues/products/items"


def matching(shop: Shop, text: str) -> set[str]:
    """Return the ids of the items that a filter shows, held against them one by one."""
    catalogue = shop.engine.view.catalogue
    every = enumerate(catalogue.item_ids)
    return {item_id for one, item_id in every if holds(parse(text), facts_of(item_id, catalogue.told(one)))}


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
@pytest.mark.parametrize(
    "text",
    ["category = 'Ring 2'", "brand in ('Acme', 'Cove') and price < 20", "category != 'Ring 0'", "id = 'i0003'"],
)
def test_a_list_is_full_while_items_match_and_holds_no_other(
    repeating_registry: Path, tmp_path: Path, user: str, text: str
) -> None:
    with open_shop(repeating_registry, tmp_path / "data") as shop:
        wanted = matching(shop, text)
        found = item_ids(shop.slate(user=user, count=10, filter=text))
        assert len(found) == min(10, len(wanted)) > 0
        assert set(found) <= wanted


def test_a_filter_that_shows_all_changes_nothing(shop: Shop) -> None:
    assert item_ids(shop.slate(user=KNOWN, filter="not price < 0")) == item_ids(shop.slate(user=KNOWN))


def test_nothing_matches_and_the_list_says_so(shop: Shop) -> None:
    assert shop.slate(user=KNOWN, filter="colour = 'red'")["items"] == []


def test_seen_and_excluded_items_stay_out(shop: Shop) -> None:
    every = item_ids(shop.slate(user=KNOWN, filter="category = 'Ring 1'"))
    assert every
    rest = item_ids(shop.slate(user=KNOWN, filter="category = 'Ring 1'", excludeItems=every[:2]))
    assert set(rest) == set(every[2:])


def test_a_written_item_is_filtered_by_what_it_says_now(shop: Shop) -> None:
    red = "colour = 'red' and inStock"
    put = shop.client.put(f"{ITEMS}/new", json={"title": "Thing 1", "properties": {"colour": "red", "inStock": True}})
    assert put.status_code == 200
    assert item_ids(shop.slate(user=STRANGER, filter=red)) == ["new"]
    shop.client.patch(f"{ITEMS}/i0005", json={"properties": {"colour": "red", "inStock": True}})
    assert set(item_ids(shop.slate(user=STRANGER, filter=red))) == {"new", "i0005"}
    shop.client.patch(f"{ITEMS}/new", json={"properties": {"inStock": False}})
    assert item_ids(shop.slate(user=STRANGER, filter=red)) == ["i0005"]
    shop.client.delete(f"{ITEMS}/i0005")
    assert item_ids(shop.slate(user=STRANGER, filter=red)) == []


def test_the_request_speaks_in_its_filter(shop: Shop) -> None:
    text = "category = user.ring and context.device = 'ios'"
    asked = {"user": STRANGER, "filter": text, "traits": {"ring": "Ring 3"}}
    assert set(item_ids(shop.slate(**asked, context={"device": "ios"}))) == matching(shop, "category = 'Ring 3'")
    assert item_ids(shop.slate(**asked, context={"device": "android"})) == []
    assert item_ids(shop.slate(user=STRANGER, filter=text)) == []


def test_what_cannot_be_read_is_answered_with_its_place(shop: Shop) -> None:
    answer = shop.client.post("/v1/recommendations", json={"user": KNOWN, "filter": "price < 3 or (brand = "})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/filter"
    assert error["position"] == 23
    assert "the end stands where" in error["detail"]


def test_popular_items_match_in_the_order_of_their_popularity(shop: Shop) -> None:
    items = shop.engine.view.items
    wanted = [shop.engine.index[item_id] for item_id in matching(shop, "category = 'Ring 2'")]
    best = sorted(wanted, key=lambda item_idx: (-items.recent[item_idx], item_idx))
    shown = np.isin(np.arange(items.n_items), wanted)
    retriever = shop.engine._retrieve.__self__  # pyright: ignore[reportFunctionMemberAccess]
    found = retriever._popular_among(shown, items, np.empty(0, np.int64), len(wanted))
    assert items.recent[found].tolist() == items.recent[best].tolist()
