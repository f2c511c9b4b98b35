"""What each shopper bought and kept, wherever the store's state comes from."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from safetensors.numpy import load_file

from cluster.storage import sha256
from serve.state import live
from serve.state.events import Event
from serve.state.snapshot import Header, Snapshot, newest_snapshot, write_snapshot
from serve.state.store import Store
from tests.serve.state import state_world as world
from tests.serve.state.state_world import CUTOFF_MS, closed_hash, come_back, event, opened, run, send
from train.bundle_state import MANIFEST, read_bundle_state, read_manifest

USERS = [f"u{index}" for index in range(2 * world.N_USERS)]  # the first half of them known to the bundle


def bought(event_id: str, user_id: str, item_idx: int, **changes: object) -> Event:
    return event(event_id, user_id, item_idx, event_type="purchase", weight=5.0, **changes)


def returned(event_id: str, user_id: str, item_idx: int, **changes: object) -> Event:
    return event(event_id, user_id, item_idx, event_type="return", weight=-3.0, **changes)


async def purchases(store: Store, user_id: str) -> list[int]:
    return (await store.user(user_id, store.position)).bought.item_idx.tolist()


def test_purchases_come_back_from_snapshots_and_from_zero(bundle: Path, data: Path) -> None:
    async def filled() -> tuple[tuple[int, str], dict[str, list[int]]]:
        store = opened(bundle, data)
        for part in range(3):
            await send(store, world.random_events(20, part, f"p{part}-"), seed=part)
            await store.snapshot()
        await send(store, world.random_events(5, 9, "tail-"), seed=9)
        found = {user: await purchases(store, user) for user in USERS}
        return await closed_hash(store), found

    hashed, found = run(filled())
    assert sum(map(len, found.values())) > 10
    assert run(come_back(bundle, data)) == [hashed, hashed]

    async def again() -> None:
        store = opened(bundle, data)
        await store.snapshot()
        await store.close()
        store = opened(bundle, data)  # of the snapshot alone
        assert {user: await purchases(store, user) for user in USERS} == found
        await store.close()

    run(again())


def test_a_snapshot_of_before_purchases_is_passed_over_and_the_log_tells_of_them(
    bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RULE", 8)

    async def filled() -> str:
        store = opened(bundle, data)
        await send(store, [bought("e1", "new", 3), event("e2", "new", 4)])
        await store.snapshot()
        await store.close()
        return store.position.lineage.rpartition("/")[0]

    lineage = run(filled())
    [path] = data.glob("snapshot-*")
    arrays = {name: array for name, array in load_file(path).items() if not name.startswith(("bought", "buyer"))}
    path.unlink()
    write_snapshot(data, Snapshot(Header(lineage=lineage, epoch=1, version=2), arrays).sealed())
    assert newest_snapshot(data, lineage) is not None
    monkeypatch.undo()

    async def work() -> None:
        store = opened(bundle, data)
        assert await purchases(store, "new") == [3]
        await store.close()

    run(work())
    first, second = run(come_back(bundle, data))
    assert first == second


def test_a_return_takes_the_newest_purchase_back_and_a_silenced_one_nothing(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [bought("e1", "new", 3), bought("e2", "new", 4), bought("e3", "new", 3)])
        await send(store, [returned("e4", "new", 3), returned("e5", "new", 5), event("e6", "new", 4)])
        assert await purchases(store, "new") == [3, 4]
        assert (await store.user("new", store.position)).history.item_idx.tolist() == [3, 4, 3, 4]
        await store.merge("account", "new")
        await send(store, [returned("e7", "account", 3)])
        assert (await purchases(store, "account"), await purchases(store, "new")) == ([4], [])
        await store.take_back_merge("account", "new")
        await store.caught_up()
        assert (await purchases(store, "account"), await purchases(store, "new")) == ([], [3, 4])
        await store.erase("new")
        await store.caught_up()
        assert await purchases(store, "new") == []
        hashed = await closed_hash(store)
        assert await closed_hash(opened(bundle, data)) == hashed

    run(work())


def test_the_bundles_purchases_of_an_erased_shopper_are_nobodys(bundle: Path, data: Path) -> None:
    known = world.small_bundle().histories
    assert known.kept is not None
    own = known.item_idx[:3][known.kept[:3]].tolist()

    async def work() -> None:
        store = opened(bundle, data)
        assert await purchases(store, "u0") == own
        await send(store, [returned("e1", "u0", own[-1])])
        assert await purchases(store, "u0") == own[:-1]
        await store.erase("u0")
        await store.caught_up()
        assert await purchases(store, "u0") == []
        await send(store, [bought("e2", "u0", 5)])
        assert await purchases(store, "u0") == [5]
        await store.close()

    run(work())


def test_in_a_bundle_of_before_purchases_nobody_bought_anything(bundle: Path, data: Path) -> None:
    rows = pd.read_parquet(bundle / "histories.parquet")
    assert rows["kept"].any()
    rows.drop(columns="kept").to_parquet(bundle / "histories.parquet")
    files = {name: sha256(bundle / name) for name in read_manifest(bundle).files}
    (bundle / MANIFEST).write_text(read_manifest(bundle).model_copy(update={"files": files}).model_dump_json())
    assert read_bundle_state(bundle).histories.kept is None

    async def work() -> None:
        store = opened(bundle, data)
        assert await purchases(store, "u0") == []
        await send(store, [bought("e1", "u0", 5)])
        assert await purchases(store, "u0") == [5]
        await store.close()

    run(work())


def test_another_bundle_knows_its_own_purchases_and_those_of_the_log_since(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    items = [f"i{index}" for index in reversed(range(world.N_ITEMS))]
    other = world.write_small_bundle(tmp_path / "other", "b2", items, cutoff_ms=CUTOFF_MS + 5_000)

    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [
            bought("before", "u0", 1, timestamp_ms=CUTOFF_MS + 5_000),
            bought("after", "u0", 2, timestamp_ms=CUTOFF_MS + 5_001),
        ])  # fmt: skip
        published = world.small_bundle(item_ids=items).histories
        assert published.kept is not None
        own = published.item_idx[:3][published.kept[:3]].tolist()
        await store.adopt(other)
        assert await purchases(store, "u0") == [*own, items.index("i2")]
        await store.close()

    run(work())


def test_what_is_worth_nothing_is_no_purchase_and_a_return_that_is_worth_something_takes_nothing_back(
    bundle: Path, data: Path
) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        free, odd = bought("e1", "new", 3), returned("e3", "new", 4)
        await send(store, [replace(free, weight=0.0), bought("e2", "new", 4), replace(odd, weight=1.0)])
        shopper = await store.user("new", store.position)
        assert (shopper.bought.item_idx.tolist(), shopper.history.item_idx.tolist()) == ([4], [4, 4])
        await store.close()

    run(work())


def test_a_return_of_nothing_leaves_a_stranger_unknown(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = Store.open(bundle, data, bootstrap=True, config=world.FAST)
        await send(store, [returned("e1", "new", 3), returned("e2", "new", -1)])
        assert (await store.user("new", store.position)).content == ""
        await store.close()

    run(work())
