"""Merging a guest into an account, and taking it back."""

from pathlib import Path

import numpy as np
import pytest

from cluster.errors import NotFoundError, UnprocessableError
from serve.state.events import MERGE, Row
from serve.state.shoppers import CachedShoppers, Shopper, joined
from serve.state.store import Store
from serve.state.view import View
from tests.serve.state.state_world import CUTOFF_MS, event, opened, random_events, run, send, small_bundle
from train.models.shopper import MAX_HISTORY, NO_HISTORY


async def items(store: Store, user_id: str) -> list[int]:
    return (await store.user(user_id, store.position)).history.item_idx.tolist()


async def visited(store: Store) -> None:
    """Let a guest and an account see things in turn."""
    at = CUTOFF_MS + 1_000
    await send(store, [
        event("e1", "guest", 1, timestamp_ms=at), event("e2", "account", 2, timestamp_ms=at + 1),
        event("e3", "guest", 3, timestamp_ms=at + 2),
    ])  # fmt: skip


def test_the_guests_history_joins_the_accounts_by_time(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await visited(store)
        version = await store.merge("account", "guest")
        assert version == 4
        assert await items(store, "account") == [1, 2, 3]
        assert await items(store, "guest") == []
        await send(store, [event("e4", "account", 5), event("e5", "guest", 6)])
        assert await items(store, "account") == [1, 2, 3, 5]
        assert await items(store, "guest") == [6]
        hashed = await store.state_hash()
        await store.close()
        store = opened(bundle, data)
        assert await store.state_hash() == hashed
        await store.close()

    run(work())


def test_a_merge_taken_back_leaves_both_as_if_it_had_never_been(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await visited(store)
        await store.snapshot()
        await store.merge("account", "guest")
        await send(store, [event("e4", "account", 5), event("e5", "guest", 6)])
        await store.snapshot()
        await store.take_back_merge("account", "guest")
        await store.caught_up()
        assert await items(store, "account") == [2, 5]
        assert await items(store, "guest") == [1, 3, 6]
        with pytest.raises(NotFoundError, match="never merged"):
            await store.take_back_merge("account", "guest")
        await store.close()
        store = opened(bundle, data)
        assert await items(store, "guest") == [1, 3, 6]
        await store.close()

    run(work())


def test_an_old_merge_stays(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await visited(store)
        await store.merge("account", "guest")
        with pytest.raises(UnprocessableError, match="too long ago"):
            store._machine.take_back_merge("account", "guest", since_ms=2**53)
        with pytest.raises(UnprocessableError, match="into itself"):
            await store.merge("account", "account")
        assert await items(store, "account") == [1, 2, 3]
        await store.close()

    run(work())


def test_an_erased_account_takes_its_guests_along(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await visited(store)
        await store.merge("account", "guest")
        await store.merge("other account", "account")
        held = await store.export("other account")
        assert held.user_ids == ["other account", "account", "guest"]
        assert [one.event_id for one in held.events if not one.event_id.startswith("$")] == ["e1", "e2", "e3"]
        receipt = await store.erase("other account")
        assert (receipt.n_user_ids, receipt.n_events) == (3, 5)
        await store.caught_up()
        for user_id in held.user_ids:
            assert await items(store, user_id) == []
        await store.close()

    run(work())


def test_an_erased_guest_is_gone_from_the_account(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await visited(store)
        await store.merge("account", "guest")
        await store.erase("guest")
        await store.caught_up()
        assert await items(store, "account") == [2]
        await store.close()

    run(work())


def test_a_view_asks_for_both_again_after_a_merge(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await visited(store)
        view = View(small_bundle(), await store.image())
        for user_id in ("account", "guest"):
            await view.fetch(user_id, store)
        await store.merge("account", "guest")
        view.apply(await store.changes(view.position, 1))
        assert view.user("account") is None
        assert (await view.fetch("account", store)).history.item_idx.tolist() == [1, 2, 3]
        assert (await view.fetch("guest", store)).history.item_idx.tolist() == []
        await store.close()

    run(work())


def test_an_answer_from_before_a_merge_is_not_kept() -> None:
    shoppers = CachedShoppers(4)
    rows = shoppers.expect("account")
    shoppers.merge("account", Row(9, -1, 0, "guest", False, MERGE, 0.0))
    shoppers.put("account", Shopper(version=3), rows)
    assert shoppers.get("account") is None


def test_a_joined_history_keeps_orders_apart_and_the_newest_rows() -> None:
    def shopper(items: list[int], times: list[int], orders: list[int]) -> Shopper:
        history = NO_HISTORY
        for position, (item_idx, timestamp_ms) in enumerate(zip(items, times, strict=True)):
            same_order = position > 0 and orders[position] == orders[position - 1]
            history = history.appended(item_idx, timestamp_ms, same_order)
        return Shopper(version=1, history=history, order_key=f"o{items[-1]}")

    found = joined(shopper([1, 2, 3], [10, 10, 40], [0, 0, 1]), shopper([7, 8], [20, 30], [0, 0]), 9)
    assert found.history.item_idx.tolist() == [1, 2, 7, 8, 3]
    assert found.history.order_idx.tolist() == [0, 0, 1, 1, 2]
    assert (found.version, found.order_key) == (9, "o3")
    long = shopper(list(range(MAX_HISTORY)), list(range(MAX_HISTORY)), list(range(MAX_HISTORY)))
    found = joined(long, shopper([7], [-1], [0]), 9)
    np.testing.assert_array_equal(found.history.item_idx, np.arange(MAX_HISTORY))


def test_histories_of_random_events_come_apart_again(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, random_events(30, 1, "a"))
        before = {user_id: await items(store, user_id) for user_id in ("u0", "u5")}
        await store.merge("u0", "u5")
        assert sorted(await items(store, "u0")) == sorted(before["u0"] + before["u5"])
        await store.take_back_merge("u0", "u5")
        await store.caught_up()
        assert {user_id: await items(store, user_id) for user_id in ("u0", "u5")} == before
        await store.close()

    run(work())
