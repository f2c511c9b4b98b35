import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serve.state.config import StoreConfig
from serve.state.events import ITEM, Write
from serve.state.image import digest, item_arrays, read_shoppers, room_for, shopper_arrays
from serve.state.live import live_state
from serve.state.machine import StateMachine
from serve.state.request import Request
from serve.state.shoppers import AllShoppers, Shopper
from serve.state.snapshot import KEEP, Header, Snapshot, newest_snapshot, write_snapshot
from serve.state.sqlite_log import SqliteLog
from serve.state.store import Store
from tests.serve.state.state_world import DIM, FAST, random_events, run, send, small_bundle


def flip_a_byte(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped header": lambda path: flip_a_byte(path, 0.01),
    "flipped middle": lambda path: flip_a_byte(path, 0.5),
    "flipped end": lambda path: flip_a_byte(path, 1),
    "truncated": truncate,
    "empty": empty,
    "missing": Path.unlink,
}


async def two_snapshots(bundle: Path, data: Path) -> tuple[str, tuple[int, str]]:
    """Leave snapshots at versions 8 and 16 and a log to 20; return the lineage and the last hash."""
    store = Store.open(bundle, data, bootstrap=True, config=FAST)
    for part, size in enumerate((8, 8, 4)):
        await send(store, random_events(size, part, f"p{part}-"), seed=part)
        if size == 8:
            await store.snapshot()
    hashed = await store.state_hash()
    await store.close()
    return store.position.lineage.rpartition("/")[0], hashed


async def reopened_hash(bundle: Path, data: Path) -> tuple[int, str]:
    store = Store.open(bundle, data, config=FAST)
    hashed = await store.state_hash()
    await store.close()
    return hashed


def snapshots(data: Path) -> list[Path]:
    return sorted(data.glob("snapshot-*"))


def test_recovery_begins_at_the_newest_snapshot_and_comes_to_the_same_bits(bundle: Path, data: Path) -> None:
    lineage, hashed = run(two_snapshots(bundle, data))
    found = newest_snapshot(data, lineage)
    assert found is not None
    assert found.header.version == 16
    assert run(reopened_hash(bundle, data)) == hashed
    for path in snapshots(data):
        path.unlink()
    assert run(reopened_hash(bundle, data)) == hashed


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_snapshot_is_passed_over_for_an_older_one(
    bundle: Path, data: Path, damage: Callable[[Path], None]
) -> None:
    lineage, hashed = run(two_snapshots(bundle, data))
    damage(snapshots(data)[-1])
    found = newest_snapshot(data, lineage)
    assert found is not None
    assert found.header.version == 8
    assert run(reopened_hash(bundle, data)) == hashed


def test_without_an_intact_snapshot_the_whole_log_is_replayed(
    bundle: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lineage, hashed = run(two_snapshots(bundle, data))
    for path in snapshots(data):
        flip_a_byte(path, 0.7)
    with caplog.at_level(logging.WARNING):
        assert newest_snapshot(data, lineage) is None
    assert caplog.text.count("snapshot is damaged") == 2
    assert run(reopened_hash(bundle, data)) == hashed


def test_a_snapshot_of_another_rule_is_not_used(bundle: Path, data: Path) -> None:
    lineage, _ = run(two_snapshots(bundle, data))
    assert newest_snapshot(data, lineage + "x") is None


def test_a_half_written_snapshot_is_no_snapshot(bundle: Path, data: Path) -> None:
    lineage, hashed = run(two_snapshots(bundle, data))
    newest = snapshots(data)[-1]
    newest.rename(data / f".{newest.name}.1.part")
    found = newest_snapshot(data, lineage)
    assert found is not None
    assert found.header.version == 8
    assert run(reopened_hash(bundle, data)) == hashed


def test_snapshots_are_taken_as_events_come_and_the_oldest_are_dropped(bundle: Path, data: Path) -> None:
    async def work() -> None:
        config = StoreConfig(learner=FAST.learner, snapshot_events=5)
        store = Store.open(bundle, data, bootstrap=True, config=config)
        for part in range(8):
            await send(store, random_events(6, part, f"p{part}-"))
            await store.snapshot()
        await store.close()

    run(work())
    assert len(snapshots(data)) == KEEP
    assert "0048-" in snapshots(data)[-1].name


def test_a_due_snapshot_is_taken_by_itself(bundle: Path, data: Path) -> None:
    async def work() -> None:
        config = StoreConfig(learner=FAST.learner, snapshot_events=5)
        store = Store.open(bundle, data, bootstrap=True, config=config)
        await send(store, random_events(4, prefix="a"))
        await send(store, random_events(4, prefix="b"))
        await store.close()

    run(work())
    assert [path.name.split("-")[1] for path in snapshots(data)] == ["000000000000008"]


def test_a_file_holds_the_arrays_to_the_bit(tmp_path: Path) -> None:
    arrays = {
        "odd": np.arange(3, dtype=np.uint8), "none": np.empty(0, np.int64), "table": np.eye(3, 5),
        "single": np.array([[np.nan, -0.0]], np.float32), "turned": np.arange(6).reshape(2, 3).T,
    }  # fmt: skip
    write_snapshot(tmp_path, Snapshot(Header(lineage="log/b1/5-é", epoch=1, version=7), arrays).sealed())
    found = newest_snapshot(tmp_path, "log/b1/5-é")
    assert found is not None
    assert found.header.version == 7
    assert digest(found.arrays) == digest(arrays)


def test_a_moment_stays_what_it_was_while_events_go_on(data: Path) -> None:
    machine = StateMachine(small_bundle(), SqliteLog.open(data, bootstrap=True), FAST.learner)
    rng = np.random.default_rng(0)

    def commit(part: int) -> None:
        machine.commit([Request(random_events(30, part, f"p{part}-"), rng.normal(size=(30, DIM)).astype(np.float32))])

    commit(1)
    moment, expected = machine.snapshot(), machine.snapshot().sealed().header
    commit(2)
    assert moment.sealed().header == expected
    assert machine.snapshot().sealed().header.state_hash != expected.state_hash
    machine.close()


@pytest.mark.parametrize("grows", [False, True])
def test_a_copy_is_the_same_in_room_made_before(grows: bool) -> None:
    bundle = small_bundle()
    state = live_state(bundle, AllShoppers(bundle.histories), FAST.learner)
    room = room_for(state)
    if grows:
        state.write(Write(ITEM, "new", "{}"), np.zeros(DIM, np.float32), 1)
    state.items.vectors[3] = 7
    copy = item_arrays(state, room)
    assert (copy["vectors"] is room["vectors"]) != grows
    assert digest(copy) == digest(item_arrays(state))
    assert not any(np.shares_memory(array, state.items.vectors) for array in copy.values())


def test_shoppers_of_any_name_survive_the_arrays() -> None:
    names = ["ü/é", "", "日本", '"\\']
    shoppers = {name: Shopper(version=place, order_key=name, traits=name) for place, name in enumerate(names)}
    found = read_shoppers(shopper_arrays(shoppers))
    assert {name: (one.version, one.order_key, one.traits, len(one.history)) for name, one in found.items()} == {
        name: (one.version, name, name, 0) for name, one in shoppers.items()
    }
    assert read_shoppers(shopper_arrays({})) == {}
    assert np.array_equal(shopper_arrays({})["history_length"], [])
