"""Lists beside recommendations: ranked, for a basket, like an item, popular, trending, new."""

from typing import Any

import numpy as np
import pytest

from serve.slates import NOTHING, Ask
from serve.stages.browsing import Browse
from serve.stages.filters.language import parse
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids
from tests.world import next_item

ITEMS = "/v1/catalogues/products/items"


def listed(shop: Shop, kind: str, **query: Any) -> list[str]:
    answer = shop.client.get(f"/v1/{kind}", params=query)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [item["rank"] for item in found["items"]] == list(range(1, len(found["items"]) + 1))
    return item_ids(found)


def test_a_given_list_is_ranked_as_the_slate_ranks_it(shop: Shop) -> None:
    slate = item_ids(shop.slate(user=KNOWN, count=8))
    ranked = shop.post("/v1/rank", user=KNOWN, candidates=sorted(slate), **{"return": ["scores"]})
    assert set(item_ids(ranked)) == set(slate)
    score = [item["score"] for item in ranked["items"]]
    assert score == sorted(score, reverse=True)


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
def test_a_given_list_keeps_what_was_seen_and_leaves_out_what_does_not_match_or_is_gone(shop: Shop, user: str) -> None:
    given = [*dict.fromkeys([*shop.history(KNOWN)[-2:], "i0001", "i0002", "i0019"])]
    assert set(item_ids(shop.post("/v1/rank", user=user, candidates=given))) == set(given)
    shop.client.delete(f"{ITEMS}/i0001")
    left = shop.post("/v1/rank", user=user, candidates=given, filter="id != 'i0002'")
    assert set(item_ids(left)) == set(given) - {"i0001", "i0002"}


def test_unknown_candidates_are_named(shop: Shop) -> None:
    for path, body in (
        ("rank", {"candidates": ["i0001", "nix"]}),
        ("basket", {"items": ["nix"]}),
        ("similar", {"items": ["nix"]}),
    ):
        answer = shop.client.post(f"/v1/{path}", json=body)
        assert answer.status_code == 422
        assert "'nix' is not in the catalogue" in answer.json()["detail"]


def test_a_basket_is_completed_by_what_follows_and_not_by_what_it_holds(shop: Shop) -> None:
    basket = ["i0000", "i0001"]
    found = item_ids(shop.post("/v1/basket", items=basket, count=5))
    assert next_item("i0001") in found
    assert not set(found) & set(basket)


def test_similar_items_are_those_at_the_smallest_angle(shop: Shop) -> None:
    vectors = shop.engine.view.items.vectors.astype(np.float64)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = directions[[3, 5]].sum(axis=0)
    cosine = directions @ (wanted / np.linalg.norm(wanted))
    best = [one for one in np.argsort(-cosine).tolist() if one not in (3, 5)][:6]
    found = shop.post("/v1/similar", items=["i0005", "i0003", "i0003"], count=6, **{"return": ["scores"]})
    assert item_ids(found) == [shop.engine.item_ids[one] for one in best]
    np.testing.assert_allclose([item["score"] for item in found["items"]], cosine[best], rtol=1e-5)


def test_similar_items_match_a_filter(shop: Shop) -> None:
    found = item_ids(shop.post("/v1/similar", items=["i0003"], filter="category = 'Ring 2'"))
    assert set(found) == {f"i{one:04d}" for one in range(12, 18)}


def test_what_was_taken_most_of_late_is_popular(shop: Shop) -> None:
    least = listed(shop, "popular", count=100)[-1]
    shop.post("/v1/events", events=[{"type": "view", "user": f"u{one}", "item": least} for one in range(400)])
    assert listed(shop, "popular", count=3)[0] == least
    assert listed(shop, "popular", filter=f"id = '{least}'") == [least]


def test_what_is_taken_more_than_usual_is_trending(shop: Shop) -> None:
    best = listed(shop, "popular", count=100)
    riser, usual = best[-1], best[0]
    shop.post("/v1/events", events=[{"type": "view", "user": f"u{one}", "item": riser} for one in range(60)])
    items = shop.engine.view.items
    share = items.recent / items.recent_total - items.popularity / items.n_events
    order = [shop.engine.item_ids[one] for one in np.argsort(-share, kind="stable").tolist()]
    assert listed(shop, "trending", count=5) == order[:5]
    assert order.index(riser) < order.index(usual)


def test_new_items_come_latest_first_and_no_other_does(shop: Shop) -> None:
    assert listed(shop, "new") == []
    for item_id in ("first", "second", "third"):
        put = shop.client.put(f"{ITEMS}/{item_id}", json={"title": "Thing", "price": 5}).json()
    shop.client.patch(f"{ITEMS}/i0003", json={"price": 1})
    assert listed(shop, "new", minVersion=put["version"]) == ["third", "second", "first"]
    shop.client.delete(f"{ITEMS}/second")
    assert listed(shop, "new", count=1, filter="price < 9") == ["third"]


def test_properties_come_with_a_list_on_request(shop: Shop) -> None:
    answer = shop.client.get("/v1/popular", params={"count": 1, "return": ["properties", "scores"]}).json()
    [item] = answer["items"]
    assert item["properties"]["title"].startswith("Thing")
    assert 0 < item["score"] <= 1


@pytest.mark.parametrize("query", ["count=0", "count=x", "window=7d", "filter=price+<", "catalogue=ads"])
def test_a_wish_that_cannot_be_read_is_refused(shop: Shop, query: str) -> None:
    answer = shop.client.get(f"/v1/popular?{query}")
    assert answer.status_code in (400, 422)
    assert query.partition("=")[0] in answer.json()["detail"]


def test_an_answer_that_misses_a_write_says_so(shop: Shop) -> None:
    answer = shop.client.get("/v1/new", params={"minVersion": 99}).json()
    assert answer["degraded"] == ["stale"]


def test_nothing_is_like_an_item_without_a_vector(shop: Shop) -> None:
    shop.client.put(f"{ITEMS}/blank", json={"properties": {"a": 1}})
    assert shop.post("/v1/similar", items=["blank"])["items"] == []


def test_a_replica_that_lags_behind_its_stages_names_only_what_it_knows(shop: Shop) -> None:
    lagging = shop.lagging_engine()
    lagging._browse, lagging._search = shop.engine._browse, shop.engine._search
    lagging._retrieve, lagging._rank = shop.engine._retrieve, shop.engine._rank
    shop.client.put(f"{ITEMS}/new", json={"title": "Thing"})
    found = shop.portal.call(lagging.browse, Browse(kind="new", count=5))
    assert found.item_idx.tolist() == []
    slate = shop.portal.call(lagging.recommend, shop.ask(KNOWN, 0))
    assert slate.candidates.item_idx.max() < len(lagging.item_ids)


def test_an_image_brings_what_was_written_to_filters_and_search(shop: Shop) -> None:
    lagging = shop.lagging_engine()
    shop.client.put(f"{ITEMS}/i0005", json={"title": "zweihander", "price": 12_345})
    lagging.view.load(shop.portal.call(shop.store.image))
    ask = Ask(user_id=None, count=5, context=NOTHING, excluded=NOTHING, min_version=0, filter=parse("price = 12345"))
    hits, _ = shop.portal.call(lagging.search, ask, "zweihander")
    assert [lagging.item_ids[one] for one in hits.item_idx] == ["i0005"]
