"""The stages apart: what each waits for, and that it matters not where they run."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.vectors import Held
from serve.engine import Engine
from serve.stages.index.exact import FlatIndex
from serve.stages.query import Query
from serve.stages.retrieval import Retriever, most_popular
from tests.serve.shop import KNOWN, STRANGER, Shop
from train.models.shopper import NO_HISTORY

EXPLORATION = {"method": "softmax", "share": 0.7}


def staged(shop: Shop) -> Engine:
    """Return the engine of a gateway whose stages each have a view of their own."""
    gateway, retriever, ranker = (shop.lagging_engine() for _ in range(3))
    for engine in (retriever, ranker):
        gateway._retrieve, gateway._rank = retriever._retrieve, ranker._rank
        gateway.arranging._knowledge._describe = retriever.arranging._knowledge._describe
        engine.view.apply([logged.batch for logged in shop.logged()])
    gateway.view.apply([logged.batch for logged in shop.logged()])
    return gateway


@pytest.mark.parametrize("user", [KNOWN, STRANGER, "newcomer"])
def test_fused_and_staged_rooms_give_the_same_slate_for_the_same_state(shop: Shop, user: str) -> None:
    for item in ("i0003", "i0011", "i0019"):
        version = shop.click("newcomer", item)
    ask = shop.ask(user, version)
    fused, apart = (shop.portal.call(engine.recommend, ask) for engine in (shop.engine, staged(shop)))
    assert fused.state_version == apart.state_version == version
    np.testing.assert_array_equal(fused.candidates.item_idx, apart.candidates.item_idx)
    np.testing.assert_array_equal(fused.candidates.score, apart.candidates.score)
    np.testing.assert_array_equal(fused.candidates.source, apart.candidates.source)


def test_a_scenario_is_the_same_wherever_its_stages_are(shop: Shop) -> None:
    config = {"objective": "p(click) * price", "maxPer": {"brand": 2}, "diversity": 0.3, "exploration": EXPLORATION}
    assert shop.client.put("/v1/scenarios/home", json=config).status_code == 200
    version = shop.click(KNOWN, "i0003")
    ask = replace(shop.ask(KNOWN, version), policy=shop.engine.policy("home"), seed=7, reasons=True)
    fused, apart = (shop.portal.call(engine.recommend, ask) for engine in (shop.engine, staged(shop)))
    assert fused.policy.config.max_per == {"brand": 2}
    np.testing.assert_array_equal(fused.candidates.item_idx, apart.candidates.item_idx)
    np.testing.assert_array_equal(fused.arranged.propensity, apart.arranged.propensity)
    assert fused.reasons == apart.reasons


def test_a_stage_that_lags_makes_the_slate_older_and_stale(shop: Shop) -> None:
    behind = staged(shop)
    version = shop.click(KNOWN, "i0003")
    behind.view.apply([logged.batch for logged in shop.logged()])  # the stages have not heard of it
    slate = shop.portal.call(behind.recommend, shop.ask(KNOWN, version))
    assert slate.state_version == 0
    assert slate.degraded == ("stale",)


def test_the_index_finds_what_a_full_sort_finds_and_sees_writes_at_once() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    index = FlatIndex(Held.all_of(vectors))
    query = rng.normal(size=8).astype(np.float32)
    assert index.search(query, 10).tolist() == np.argsort(-(vectors @ query))[:10].tolist()
    vectors[7] = 100 * query
    assert index.search(query, 1).tolist() == [7]
    assert index.search(query, 60)[50:].tolist() == [-1] * 10


def test_the_popular_list_follows_events(shop: Shop) -> None:
    quiet = shop.lagging_engine()
    room = Retriever(quiet.view, FlatIndex(quiet.view.items), shop.bundle.sources)
    first = room.popular(8)
    least = int(first[-1])
    shop.post("/v1/events", events=[{"type": "view", "user": "u", "item": shop.engine.item_ids[least]}] * 300)
    quiet.view.apply([logged.batch for logged in shop.logged()])
    assert room.popular(8)[0] == least != first[0]


def test_a_stranger_is_offered_popular_items_however_many_are_blocked(shop: Shop) -> None:
    items = shop.engine.view.items
    best = np.argsort(-items.recent, kind="stable")
    bundle = shop.bundle.manifest.version
    query = Query(bundle=bundle, history=NO_HISTORY, vector=np.zeros(8, np.float32), blocked=best[:20], min_version=0)
    found = shop.portal.call(shop.engine._retrieve, query)
    assert set(found.candidates.item_idx.tolist()) == set(best[20:].tolist())
    nothing_left = shop.portal.call(shop.engine._retrieve, replace(query, blocked=best))
    assert len(nothing_left.candidates) == 0


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.booleans()), min_size=1), st.integers(1, 200))
def test_the_most_popular_are_the_first_of_all_in_order(items: list[tuple[float, bool]], wanted: int) -> None:
    recent, gone = np.array([popularity for popularity, _ in items]), np.array([is_gone for _, is_gone in items])
    everything = np.argsort(-np.where(gone, -1.0, recent), kind="stable")
    np.testing.assert_array_equal(most_popular(recent, gone, wanted), everything[:wanted])
