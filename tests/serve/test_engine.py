"""Requests and events through the engine: what a slate reflects, what it leaves out, and what it says of itself."""

from pathlib import Path

import numpy as np
import pytest

from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop
from tests.world import next_item
from train.data.steps.events import EVENT_WEIGHTS
from train.models.shopper import history_of
from train.recommender import prospects, ranked


def test_a_click_changes_the_next_answer(shop: Shop) -> None:
    assert shop.slate(user=STRANGER)["fallback"] == "popular"
    version = shop.click(STRANGER, "i0003")
    slate = shop.slate(user=STRANGER, minVersion=version)
    assert slate["fallback"] == "none"
    assert slate["stateVersion"] >= version
    assert slate["degraded"] == []
    follower = next(item for item in slate["items"] if item["id"] == next_item("i0003"))
    assert "transitions" in follower["sources"]


def test_a_version_that_never_comes_is_said_to_be_stale(shop: Shop) -> None:
    slate = shop.slate(user=KNOWN, minVersion=99)
    assert slate["degraded"] == ["stale"]
    assert slate["stateVersion"] == 0
    assert slate["items"]


def test_a_view_that_lags_says_so_and_catches_up(registry: Path, tmp_path: Path) -> None:
    with open_shop(registry, tmp_path, follow=False) as shop:
        acked = shop.click(KNOWN, "i0003")
        behind = shop.lagging_engine()
        portal = shop.portal
        assert portal.call(behind.recommend, shop.ask(KNOWN, acked)).degraded == ("stale",)
        following = portal.start_task_soon(behind.follower.run)
        slate = portal.call(behind.recommend, shop.ask(KNOWN, acked))
        following.cancel()
        assert slate.degraded == ()
        assert slate.state_version == acked


@pytest.mark.parametrize("body", [{}, {"user": STRANGER}, {"session": "s1"}])
def test_nobody_we_know_gets_the_popular_items_best_first(shop: Shop, body: dict[str, str]) -> None:
    slate = shop.slate(count=8, **body)
    assert slate["fallback"] == "popular"
    assert {source for item in slate["items"] for source in item["sources"]} == {"popular"}
    recent = shop.engine.view.items.recent
    best = np.lexsort((np.arange(len(recent)), -recent.astype(np.float32)))[:8]
    assert item_ids(slate) == [shop.engine.item_ids[item_idx] for item_idx in best]


def test_a_session_stands_in_for_a_guest(shop: Shop) -> None:
    shop.post("/v1/events", type="click", session="s1", item="i0003")
    assert shop.slate(session="s1")["fallback"] == "none"


def test_seen_items_are_not_shown_again(shop: Shop) -> None:
    own = set(shop.history(KNOWN)) | {"i0023"}
    shop.click(KNOWN, "i0023")
    shown = item_ids(shop.slate(user=KNOWN, count=100))
    assert own.isdisjoint(shown)
    assert own | set(shown) == set(shop.engine.item_ids)


def test_seen_items_are_shown_again_where_shoppers_buy_again(repeating_registry: Path, tmp_path: Path) -> None:
    with open_shop(repeating_registry, tmp_path) as shop:
        slate = shop.slate(user=KNOWN, count=100)
        assert set(shop.history(KNOWN)) <= set(item_ids(slate))
        repeated = [item["id"] for item in slate["items"] if "repeat" in item["sources"]]
        assert set(repeated) == set(shop.history(KNOWN))


@pytest.mark.parametrize("user", [KNOWN, STRANGER])
def test_excluded_items_are_not_shown(shop: Shop, user: str) -> None:
    before = item_ids(shop.slate(user=user, count=3))
    after = item_ids(shop.slate(user=user, count=3, excludeItems=[*before, "unheard of"]))
    assert len(after) == 3
    assert set(before).isdisjoint(after)


def test_what_is_looked_at_counts_before_it_is_an_event(shop: Shop) -> None:
    told = shop.slate(user=STRANGER, count=100, context={"items": ["i0003"]})
    assert told["fallback"] == "none"
    assert "i0003" not in item_ids(told)
    [follower] = [item for item in told["items"] if item["id"] == next_item("i0003")]
    assert "transitions" in follower["sources"]
    assert shop.slate(user=STRANGER)["fallback"] == "popular"


def test_the_best_score_comes_first_and_the_count_is_kept(shop: Shop) -> None:
    slate = shop.slate(user=KNOWN, count=7, **{"return": ["scores", "properties"]})
    scores = [item["score"] for item in slate["items"]]
    assert len(scores) == 7
    assert scores == sorted(scores, reverse=True)
    assert [item["rank"] for item in slate["items"]] == list(range(1, 8))
    first = slate["items"][0]
    number = int(first["id"].removeprefix("i"))
    assert first["properties"]["price"] == 1 + number
    assert first["properties"]["title"].startswith("Thing")


def test_a_batch_of_recommendations_equals_the_live_answers(shop: Shop) -> None:
    bundle = shop.bundle
    users = [user for user in range(bundle.histories.n_users) if len(bundle.histories.items_of(user))][:10]
    histories = [history_of(bundle.histories, user) for user in users]
    [found] = prospects(bundle.model, bundle.state, bundle.sources, histories, keep_seen=False)
    for user, candidates in zip(users, ranked(found, bundle.state, bundle.ranker), strict=True):
        best = candidates.best(10)
        live = shop.slate(user=bundle.histories.user_ids[user], count=10, **{"return": ["scores"]})
        assert item_ids(live) == [shop.engine.item_ids[item_idx] for item_idx in best.item_idx]
        assert [item["score"] for item in live["items"]] == pytest.approx(best.score.tolist(), rel=1e-5, abs=1e-5)


def test_a_batch_equals_the_live_answers_after_events_too(shop: Shop) -> None:
    for item in ("i0003", "i0011", "i0019"):
        shop.click("newcomer", item)
    items, shopper = shop.engine.view.items, shop.engine.view.user("newcomer")
    assert shopper is not None
    [found] = prospects(shop.bundle.model, items, shop.bundle.sources, [shopper.history], keep_seen=False)
    [candidates] = ranked(found, items, shop.bundle.ranker)
    best = candidates.best(10)
    live = item_ids(shop.slate(user="newcomer", count=10))
    assert live == [shop.engine.item_ids[item_idx] for item_idx in best.item_idx]


def test_events_of_one_call_build_on_each_other(shop: Shop) -> None:
    items = ["i0003", "i0011", "i0019"]
    events = [{"type": "click", "user": "together", "item": item, "time": 1_000 + n} for n, item in enumerate(items)]
    shop.post("/v1/events", events=events)
    for event in events:
        shop.post("/v1/events", **(event | {"user": "alone"}))
    assert shop.history("together") == shop.history("alone") == items
    vectors = [logged.batch.vectors for logged in shop.logged()]
    np.testing.assert_allclose(vectors[0], np.concatenate(vectors[1:]), atol=1e-5)
    assert not vectors[0][0].any()
    assert vectors[0][1:].any(axis=1).all()


@pytest.mark.parametrize("type_", sorted(name for name, weight in EVENT_WEIGHTS.items() if weight <= 0))
def test_what_says_nothing_good_leaves_the_history_alone(shop: Shop, type_: str) -> None:
    shop.post("/v1/events", type=type_, user=STRANGER, item="i0003")
    assert shop.history(STRANGER) == []
    assert shop.slate(user=STRANGER)["fallback"] == "popular"


def test_without_the_store_known_shoppers_are_answered_and_others_get_the_popular_items(shop: Shop) -> None:
    before = shop.slate(user=KNOWN)
    shop.engine.view._state.marks.add("u0001")  # as by an event that another replica took
    shop.store.away = True
    assert item_ids(shop.slate(user=KNOWN)) == item_ids(before)
    unknown = shop.slate(user="u0001")
    assert unknown["degraded"] == ["history"]
    assert unknown["fallback"] == "popular"
    shop.store.away = False
    assert shop.slate(user="u0001")["fallback"] == "none"


def test_an_order_is_open_while_its_row_is_the_newest(shop: Shop) -> None:
    version = shop.click(STRANGER, "i0003", orderId="o1")
    assert shop.slate(user=STRANGER, minVersion=version, context={"orderId": "o1"})["items"]

    def is_filling(user: str, order_key: str) -> bool:
        shopper = shop.engine.view.user(user)
        return shopper is not None and shopper.in_order(order_key)

    assert is_filling(STRANGER, "o1")
    assert not any(is_filling(*other) for other in ((STRANGER, "o2"), (STRANGER, ""), (KNOWN, "o1")))
    shop.click(STRANGER, "i0004")
    assert not is_filling(STRANGER, "o1")
