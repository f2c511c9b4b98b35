"""The guard: when learning is found to do harm the bundle's own items answer, until it does no more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.state.events import Event
from serve.state.figures import GUARDED
from serve.state.live import LearnerConfig
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop
from tests.world import next_item
from train.models.shopper import NO_HISTORY, History
from train.recommender import prospects, ranked

SOON = LearnerConfig(judged_window=40, guard_events=20)
SPAMMER, HOUR_MS, YEAR_2025_MS = "spammer", 3_600_000, 1_735_689_600_000
Follow = Callable[[str], str]  # an item → what shoppers take after it


@contextmanager
def watched(registry: Path, data: Path, **settings: Any) -> Iterator[Shop]:
    """Serve with a guard that decides soon, on every event."""
    with open_shop(registry, data, learner=SOON, judged_share=1.0, **settings) as shop:
        yield shop


def figure(shop: Shop) -> dict[str, Any]:
    return shop.client.get("/v1/evaluations/prequential").json()


def visits(shop: Shop, name: str, follow: Follow, until: str, most: int = 80) -> int:
    """Let new shoppers take five items each, until the guard does something; return how many shoppers it took."""
    for number in range(most):
        item = shop.engine.item_ids[number * 5 % 24]
        for _ in range(5):
            shop.click(f"{name}{number}", item)
            item = follow(item)
        if figure(shop)["guard"] == until:
            return number + 1
    return most + 1


def spoil(shop: Shop, n: int = 2_000) -> None:
    """Let somebody teach that what comes next is far away, past the judge."""
    quiet, item_ids = shop.lagging_engine(), shop.engine.item_ids
    for start in range(0, n, 200):
        events = [
            Event(
                event_id=f"spam{number}", user_id=SPAMMER, item_idx=-7 * number % len(item_ids), event_type="click",
                weight=1.0, timestamp_ms=YEAR_2025_MS + 2 * HOUR_MS * number,
            )
            for number in range(start, start + 200)
        ]  # fmt: skip
        shop.portal.call(quiet.ingest, events)
    shop.portal.call(shop.in_step)


def still_slate(shop: Shop, history: History, count: int = 10) -> list[str]:
    """Return what the bundle's own items come to, by the code for batches."""
    items, bundle = shop.bundle.state, shop.bundle
    [found] = prospects(bundle.model, items, bundle.sources, [history], bundle.manifest.keep_seen)
    best = ranked(found, items, bundle.ranker)[0].best(count)
    return [shop.engine.item_ids[item_idx] for item_idx in best.item_idx]


def test_a_hostile_stream_brings_the_bundles_items_back_and_its_erasure_the_live_ones(
    repeating_registry: Path, tmp_path: Path
) -> None:
    with watched(repeating_registry, tmp_path) as shop:
        spoil(shop)
        live = item_ids(shop.slate(user=KNOWN, count=10))
        assert visits(shop, "honest", next_item, until="holding") <= 80
        assert figure(shop)["liveMinusStill"]["high"] < 0
        slate = shop.slate(user=KNOWN, count=10)
        before = shop.engine.view.user(KNOWN)
        assert before is not None
        assert slate["degraded"] == ["learning"]
        assert item_ids(slate) == still_slate(shop, before.history) != live
        version = shop.click(KNOWN, next_item(item_ids(slate)[0]))
        fresh = shop.engine.view.user(KNOWN)
        assert fresh is not None
        assert item_ids(shop.slate(user=KNOWN, count=10, minVersion=version)) == still_slate(
            shop, fresh.history
        )  # histories go on
        shop.client.delete(f"/v1/users/{SPAMMER}")
        shop.portal.call(shop.store.caught_up)
        shop.portal.call(shop.in_step)
        assert visits(shop, "later", next_item, until="watching") <= 80
        assert shop.slate(user=KNOWN, count=10)["degraded"] == []


def test_shoppers_who_change_their_ways_do_not_bring_the_guard(repeating_registry: Path, tmp_path: Path) -> None:
    def other_way(item: str) -> str:
        return f"i{(int(item[1:]) + 13) % 24:04d}"

    with watched(repeating_registry, tmp_path) as shop:
        assert visits(shop, "honest", other_way, until="holding", most=30) > 30
        assert figure(shop)["liveMinusStill"]["low"] > 0


@pytest.fixture
def guarded_shop(registry: Path, tmp_path: Path) -> Iterator[Shop]:
    """A shop that was found to learn harmful things."""
    with open_shop(registry, tmp_path / "data", judged_share=1.0) as shop:
        for number in range(8):
            shop.click("crowd", shop.engine.item_ids[number])
        shop.engine.view.figures.sums[GUARDED] = 1
        yield shop


def test_a_stranger_gets_what_the_bundle_found_popular(guarded_shop: Shop) -> None:
    slate = guarded_shop.slate(user=STRANGER, count=5)
    assert slate["fallback"] == "popular"
    assert item_ids(slate) == still_slate(guarded_shop, NO_HISTORY, 5)


def test_the_guard_is_said_beside_what_else_is_missing(guarded_shop: Shop) -> None:
    assert guarded_shop.slate(user=KNOWN, minVersion=99)["degraded"] == ["learning", "stale"]


def test_stages_of_their_own_answer_as_the_gateway_was_told(guarded_shop: Shop) -> None:
    gateway, stages = guarded_shop.lagging_engine(judged_share=1.0), guarded_shop.lagging_engine()
    gateway._retrieve, gateway._rank = stages._retrieve, stages._rank
    for engine in (gateway, stages):
        engine.view.apply([logged.batch for logged in guarded_shop.logged()])
    gateway.view.figures.sums[GUARDED] = 1
    ask = guarded_shop.ask("crowd", 8)
    fused, apart = (guarded_shop.portal.call(engine.recommend, ask) for engine in (guarded_shop.engine, gateway))
    assert apart.degraded == ("learning",)
    np.testing.assert_array_equal(fused.candidates.item_idx, apart.candidates.item_idx)
    np.testing.assert_array_equal(fused.candidates.score, apart.candidates.score)


@pytest.mark.parametrize("settings", [{"guard": False, "judged_share": 1.0}, {"judged_share": 0.0}])
def test_without_a_guard_or_a_judge_the_live_items_answer(
    registry: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    with open_shop(registry, tmp_path / "data", **settings) as shop:
        before = item_ids(shop.slate(user=KNOWN, count=10))
        shop.engine.view.figures.sums[GUARDED] = 1
        slate = shop.slate(user=KNOWN, count=10)
        assert figure(shop)["guard"] == "off"
        assert (slate["degraded"], item_ids(slate)) == ([], before)
