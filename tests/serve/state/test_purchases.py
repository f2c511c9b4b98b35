"""What each shopper bought and kept, whatever else they did, and wherever the state comes from."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from cluster.storage import sha256
from serve.state import live
from serve.state.events import MERGE, Event, Row
from serve.state.purchases import NO_PURCHASES, Purchases
from serve.state.shoppers import AllShoppers, CachedShoppers, Shopper
from serve.state.snapshot import Header, Snapshot, newest_snapshot, write_snapshot
from serve.state.store import Store
from tests.serve.state.state_world import (
    CUTOFF_MS,
    FAST,
    N_ITEMS,
    closed_hash,
    come_back,
    event,
    opened,
    random_events,
    run,
    send,
    small_bundle,
    write_small_bundle,
)
from train.bundle_state import MANIFEST, read_bundle_state, read_manifest
from train.models.shopper import MAX_HISTORY

USERS = [f"u{index}" for index in range(8)]  # the first half of them known to the bundle


def bought(event_id: str, user_id: str, item_idx: int, **changes: object) -> Event:
    return event(event_id, user_id, item_idx, event_type="purchase", weight=5.0, **changes)


def returned(event_id: str, user_id: str, item_idx: int, **changes: object) -> Event:
    return event(event_id, user_id, item_idx, event_type="return", weight=-3.0, **changes)


async def purchases(store: Store, user_id: str) -> list[int]:
    return (await store.user(user_id, store.position)).bought.item_idx.tolist()


def told(purchases: Purchases) -> list[tuple[int, int]]:
    return list(zip(purchases.item_idx.tolist(), purchases.timestamp_ms.tolist(), strict=True))


class Step(NamedTuple):
    """Something that happens to a shopper."""

    user: str
    what: str  # a type of event, or MERGE
    item: int
    time: int
    guest: str


STEPS = st.lists(
    st.builds(
        Step, user=st.sampled_from(USERS), what=st.sampled_from(["click", "purchase", "purchase", "return", MERGE]),
        item=st.integers(0, 3), time=st.integers(0, 9), guest=st.sampled_from(USERS),
    ),
    max_size=40,
)  # fmt: skip


def rows(steps: list[Step]) -> Iterator[Row]:
    weights = {"click": 1.0, "purchase": 5.0, "return": -3.0, MERGE: 0.0}
    for seq, step in enumerate(steps, start=1):
        key = step.guest if step.what == MERGE else ""
        yield Row(seq, step.item, CUTOFF_MS + step.time, key, False, step.what, weights[step.what])


def slow(steps: list[Step]) -> dict[str, list[tuple[int, int]]]:
    """Return what everybody bought and kept, by looking at one event after the other."""
    histories = small_bundle().histories
    assert histories.kept is not None
    own: dict[str, list[tuple[int, int]]] = {user: [] for user in USERS}
    for row in np.flatnonzero(histories.kept).tolist():
        user = str(histories.user_ids[histories.user_idx[row]])
        own[user].append((int(histories.item_idx[row]), int(histories.timestamp_ms[row])))
    for step in steps:
        mine = own[step.user]
        if step.what == "purchase":
            mine.append((step.item, CUTOFF_MS + step.time))
        elif step.what == "return":
            same = [place for place, (item, _) in enumerate(mine) if item == step.item]
            if same:
                del mine[same[-1]]
        elif step.what == MERGE and step.user != step.guest:
            own[step.user] = sorted(own[step.guest] + mine, key=lambda one: one[1])
            own[step.guest] = []
    return own


def happen(shoppers: AllShoppers, steps: list[Step]) -> None:
    for step, row in zip(steps, rows(steps), strict=True):
        if step.what != MERGE:
            shoppers.append(step.user, row)
        elif step.user != step.guest:
            shoppers.merge(step.user, row)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_purchases_are_what_looking_at_every_event_finds(steps: list[Step]) -> None:
    shoppers = AllShoppers(small_bundle().histories)
    happen(shoppers, steps)
    assert {user: told(shoppers.get(user).bought) for user in USERS} == slow(steps)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS, ahead=st.integers(0, 40), behind=st.integers(0, 40))
def test_a_replica_has_the_purchases_however_far_it_is_from_the_store(
    steps: list[Step], ahead: int, behind: int
) -> None:
    """It hears of events that the store's answer has already, and of those that come later, before or after it."""
    steps = [step._replace(user="u0", what="click" if step.what == MERGE else step.what) for step in steps]
    store, replica = AllShoppers(small_bundle().histories), CachedShoppers(4)
    answered = len(steps) - min(len(steps), ahead)
    happen(store, steps[:answered])
    answer, held, heard = store.get("u0"), replica.expect("u0"), list(rows(steps))[max(0, answered - behind) :]
    for row in heard[: len(heard) // 2]:
        replica.append("u0", row)
    replica.put("u0", answer, held)
    for row in heard[len(heard) // 2 :]:
        replica.append("u0", row)
    shopper = replica.get("u0")
    assert shopper is not None
    assert told(shopper.bought) == slow(steps)["u0"]


def test_clicks_push_no_purchase_out_and_purchases_the_oldest_one() -> None:
    def row(seq: int, item_idx: int, kind: str) -> Row:
        return Row(seq, item_idx, seq, "", False, kind, 1.0)

    shopper = Shopper().appended(row(1, 7, "purchase"))
    for seq in range(2, MAX_HISTORY + 2):
        shopper = shopper.appended(row(seq, 1, "click"))
    assert 7 not in shopper.history.item_idx
    assert told(shopper.bought) == [(7, 1)]
    for seq in range(2, MAX_HISTORY + 2):
        shopper = shopper.appended(row(seq, 2, "purchase"))
    assert len(shopper.bought) == MAX_HISTORY
    assert 7 not in shopper.bought.item_idx


def test_joined_purchases_are_the_newest_of_both() -> None:
    many = Purchases(item_idx=np.arange(MAX_HISTORY), timestamp_ms=np.arange(MAX_HISTORY))
    one = Purchases(item_idx=np.array([5_000]), timestamp_ms=np.array([10]))
    found = many.joined(one)
    assert len(found) == MAX_HISTORY
    assert told(found)[:11] == [(item, item) for item in range(1, 10)] + [(5_000, 10), (10, 10)]
    assert told(many.joined(NO_PURCHASES)) == told(NO_PURCHASES.joined(many)) == told(many)


def test_purchases_come_back_from_snapshots_and_from_zero(bundle: Path, data: Path) -> None:
    async def filled() -> tuple[list[tuple[int, str]], dict[str, list[int]]]:
        store = opened(bundle, data)
        for part in range(3):
            await send(store, random_events(20, part, f"p{part}-"), seed=part)
            await store.snapshot()
        await send(store, random_events(5, 9, "tail-"), seed=9)
        found = {user: await purchases(store, user) for user in USERS}
        return [await closed_hash(store)], found

    hashes, found = run(filled())
    assert sum(map(len, found.values())) > 10
    assert set(hashes + run(come_back(bundle, data))) == set(hashes)

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
    write_snapshot(data, Snapshot(Header(lineage=lineage, epoch=1, version=2), arrays))
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
    known = small_bundle().histories
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
    items = [f"i{index}" for index in reversed(range(N_ITEMS))]
    other = write_small_bundle(tmp_path / "other", "b2", items, cutoff_ms=CUTOFF_MS + 5_000)

    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [
            bought("before", "u0", 1, timestamp_ms=CUTOFF_MS + 5_000),
            bought("after", "u0", 2, timestamp_ms=CUTOFF_MS + 5_001),
        ])  # fmt: skip
        published = small_bundle(item_ids=items).histories
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
        store = Store.open(bundle, data, bootstrap=True, config=FAST)
        await send(store, [returned("e1", "new", 3), returned("e2", "new", -1)])
        assert (await store.user("new", store.position)).content == ""
        await store.close()

    run(work())
