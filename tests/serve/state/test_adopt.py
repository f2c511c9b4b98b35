"""Another bundle for a running store: its state is made beside the old one, and no event is refused meanwhile."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from serve.state.actor import StoreActor
from serve.state.config import StoreConfig
from serve.state.events import Event
from serve.state.folder import begin
from serve.state.store import Store
from tests.serve.state.state_world import (
    DIM,
    FAST,
    N_ITEMS,
    closed_hash,
    event,
    opened,
    random_events,
    run,
    send,
    write_small_bundle,
)

SLOW = StoreConfig(learner=FAST.learner, catch_up_events=1)
OTHER_ITEMS = [f"i{index}" for index in reversed(range(2, N_ITEMS))] + ["new1", "new2", "new3"]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write_small_bundle(tmp_path / "other", "b2", OTHER_ITEMS)


def named(events: list[Event]) -> list[Event]:
    """Return events as a gateway of the first bundle sends them."""
    return [
        event(one.event_id, one.user_id, one.item_idx, item_id=f"i{one.item_idx}" if one.item_idx >= 0 else "")
        for one in events
    ]


def test_an_adopted_bundle_comes_to_what_opening_the_log_with_it_does(bundle: Path, other: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, random_events(40))
        await store.adopt(other)
        assert store.position.bundle == "b2"
        hashed = await closed_hash(store)
        assert await closed_hash(Store.open(other, data, config=FAST)) == hashed
        assert (await closed_hash(Store.open(bundle, data, config=FAST)))[0] == 40

    run(work())


def test_gateways_of_the_old_bundle_are_served_while_and_after(bundle: Path, other: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data, SLOW)
        old = store.position
        await send(store, random_events(60))
        adopting = asyncio.create_task(store.adopt(other))
        sent, count = [], 0
        while not adopting.done():
            count += 1
            sent += (await send(store, named([event(f"during{count}", "u0", 3)]), old)).acks
        result = await send(store, named([event("after", "shopper", 5), event("gone", "shopper", 0)]), old)
        assert all(ack.status == "applied" for ack in sent)
        assert [ack.status for ack in result.acks] == ["applied", "rejected"]
        assert "'i0' is not in the catalogue of bundle b2" in str(result.acks[1].problem)
        assert result.batches == []
        history = (await store.user("shopper", store.position)).history
        assert [OTHER_ITEMS[item_idx] for item_idx in history.item_idx] == ["i5"]
        hashed = await closed_hash(store)
        assert await closed_hash(Store.open(other, data, config=FAST)) == hashed

    run(work())


def test_a_vector_of_another_space_moves_no_row(bundle: Path, other: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        old = store.position
        await store.adopt(other)
        before = (await store.image()).arrays["vectors"]
        wide = np.ones((1, DIM + 3), np.float32)
        await store.append(named([event("e1", "u0", 3)]), wide, old)
        np.testing.assert_array_equal((await store.image()).arrays["vectors"], before)
        await store.close()

    run(work())


def test_a_store_comes_back_with_the_bundle_it_went_over_to(bundle: Path, other: Path, data: Path) -> None:
    async def work() -> None:
        begin(data, "b1")
        store = StoreActor(str(bundle), str(data))
        await store.adopt(str(other))
        assert await store.origin() == (str(other), str(data))
        await store.close()
        store = StoreActor(str(bundle), str(data))
        assert await store.origin() == (str(other), str(data))
        assert store._store.position.bundle == "b2"
        await store.close()

    run(work())
