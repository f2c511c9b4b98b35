"""Old events go when the bundle learned from them, and the state is to the bit what it was before."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.errors import LogError, OutOfStepError, StorageError
from serve.state import retention
from serve.state.config import StoreConfig
from serve.state.events import Event, Position
from serve.state.sqlite_log import FILE
from serve.state.store import Store
from tests.serve.state.state_world import (
    CUTOFF_MS,
    FAST,
    closed_hash,
    event,
    opened,
    random_events,
    run,
    send,
    vectors_for,
    write_small_bundle,
)
from train.bundle_state import read_bundle_state

KEEPING_NONE = StoreConfig(learner=FAST.learner, keep_days=0)
NOW_MS = 2**52


def kept(data: Path) -> list[int]:
    """Return the seqs of a closed log."""
    with sqlite3.connect(data / FILE) as connection:
        found = connection.execute("SELECT seq FROM events ORDER BY 1").fetchall()
    connection.close()
    return [seq for (seq,) in found]


def without_snapshots(data: Path) -> Path:
    for path in data.glob("snapshot-*"):
        path.unlink()
    return data


def let_go(store: Store, latest_ms: int = NOW_MS) -> None:
    """Remove all that may go."""
    after: int | None = 0
    while after is not None:
        after = store._machine.let_go(after, latest_ms)


@pytest.fixture
def after(tmp_path: Path) -> Path:
    """A bundle that learned from the events of the first three seconds."""
    return write_small_bundle(tmp_path / "after", "b2", cutoff_ms=CUTOFF_MS + 2_000)


def early(n: int) -> list[Event]:
    """Return events that the second bundle learned from."""
    return [replace(one, timestamp_ms=CUTOFF_MS) for one in random_events(n)]


async def lived(bundle: Path, after: Path, data: Path) -> Store:
    """Return a store that went over to another bundle in the middle of its log."""
    store = opened(bundle, data)
    for start in range(0, 60, 5):
        await send(store, early(60)[start : start + 5], seed=start)
    await store.merge("u1", "u2")
    await store.adopt(after)
    await send(store, random_events(20, 1, "later"))
    return store


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=1, max_size=12),
    latest=st.integers(-1, 6), stretch=st.integers(1, 20), merges=st.sets(st.integers(0, 11)),
)  # fmt: skip
def test_the_state_is_the_same_before_and_after(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[bool, int]], latest: int, stretch: int,
    merges: set[int],
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("retention")
    bundles = [
        write_small_bundle(folder / name, name, cutoff_ms=CUTOFF_MS + ms) for name, ms in (("b1", 0), ("b2", 2_000))
    ]
    data = folder / "data"

    async def work() -> None:
        for number, (is_new, size) in enumerate(sizes):
            store = opened(bundles[is_new], data)
            await send(store, random_events(size, number, f"p{number}-"), seed=number)
            if number in merges:
                await store.merge("u1", "u2")
            await store.close()
        store = opened(bundles[1], data)
        before, last_seq = await store.state_hash(), store._machine.log.last_seq
        let_go(store, CUTOFF_MS + latest * 1_000)
        assert await closed_hash(store) == before
        assert await closed_hash(opened(bundles[1], without_snapshots(data))) == before
        assert kept(data)[-1] == last_seq
        store = opened(bundles[1], data)
        assert (await send(store, [event("new")])).acks[0].version == last_seq + 1
        await store.erase("u1")
        hashed = await closed_hash(store)
        assert await closed_hash(opened(bundles[1], without_snapshots(data))) == hashed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retention, "STRETCH", stretch)
        run(work())


def test_what_goes_is_old_and_learned_and_no_merge(bundle: Path, after: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        for name, ms in (("a", 1_000), ("b", 3_000), ("c", 0), ("d", 2_000)):
            await send(store, [event(name, "u0", timestamp_ms=CUTOFF_MS + ms)])
        await store.merge("u0", "u1")
        await store.adopt(after)
        await send(store, [event("e", "u0", timestamp_ms=CUTOFF_MS), event("f", "u0")])
        let_go(store, CUTOFF_MS + 1_000)
        await store.close()
        assert kept(data) == [2, 4, 5, 6, 7]  # b and d are too young, 5 is the merge, the rest is the bundle's own
        manifest = json.loads((data / "manifest.json").read_text())
        assert (manifest["first_seq"], manifest["last_seq"]) == (2, 7)
        store = opened(after, data)
        let_go(store)
        assert await store.events(0, 10) != []
        await store.close()
        assert kept(data) == [2, 5, 6, 7]  # b is later than what the bundle learned from

    run(work())


def test_a_store_lets_go_when_it_goes_over_to_a_bundle_and_after_it_was_opened(
    bundle: Path, after: Path, data: Path
) -> None:
    async def work() -> None:
        store = opened(bundle, data, KEEPING_NONE)
        await send(store, [event("a"), event("b", timestamp_ms=CUTOFF_MS + 5_000)])
        await send(store, [event("c"), event("d")])
        await send(store, [event("e")])
        await store.adopt(after)
        assert store._retention.running is not None
        await store._retention.running
        await store.close()
        assert kept(data) == [1, 2, 5]  # `e` is the newest: it says where the log ends
        store = opened(after, data, KEEPING_NONE)
        await send(store, [event("f")])
        await store.changes(Position(store.position.lineage, 5), 0)
        assert store._retention.running is not None
        await store._retention.running
        await store.close()
        assert kept(data) == [1, 2, 6]

    run(work())


def test_without_the_setting_everything_stays(bundle: Path, after: Path, data: Path) -> None:
    async def work() -> None:
        store = await lived(bundle, after, data)
        await store.changes(store.position, 0)
        assert store._retention.running is None
        await store.close()

    run(work())
    assert kept(data) == [*range(1, 82)]


def test_views_are_sent_for_an_image_wherever_there_is_a_gap(bundle: Path, after: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        before = store.position
        await store.close()
        store = await lived(bundle, after, data)
        image = await store.image()
        let_go(store)
        floor = store._machine.floor
        assert floor == 61
        assert (await store.changes(Position(image.position.lineage, floor), 0))[0].first_seq == floor + 1
        with pytest.raises(OutOfStepError, match="not between 61 and 81"):
            await store.changes(Position(image.position.lineage, 7), 0)
        await store.close()
        store = opened(bundle, data)  # back: its own events of before are gone, and no copy that knows them goes on
        with pytest.raises(OutOfStepError, match="not between"):
            await store.changes(Position(store.position.lineage, 7), 0)
        assert store.position.lineage != before.lineage
        await store.close()

    run(work())


def test_an_older_bundle_no_longer_knows_what_went_whether_there_was_a_snapshot_or_not(
    bundle: Path, after: Path, data: Path
) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event(f"e{number}", "new", number) for number in range(5)])
        await send(store, [event("last", "new", 6)])
        await store.snapshot()
        await store.adopt(after)
        own = await store.snapshot()
        let_go(store)
        assert [*data.glob("snapshot-*")] == [own]
        await store.adopt(bundle)
        assert (await store.user("new", store.position)).history.item_idx.tolist() == [6]
        hashed = await closed_hash(store)
        assert await closed_hash(opened(bundle, without_snapshots(data))) == hashed

    run(work())


def test_nothing_goes_while_another_bundle_is_on_its_way(bundle: Path, after: Path, data: Path) -> None:
    async def work() -> None:
        store = await lived(bundle, after, data)
        store._machine.adopt(read_bundle_state(bundle))
        assert store._machine.is_behind
        assert store._machine.let_go(0, NOW_MS) is None
        await store.close()

    run(work())
    assert kept(data) == [*range(1, 82)]


def test_an_event_that_went_would_count_again(bundle: Path, after: Path, data: Path) -> None:
    async def work() -> None:
        store = await lived(bundle, after, data)
        let_go(store)
        again = early(1)
        assert (await store.append(again, vectors_for(again), store.position)).acks[0].status == "applied"
        await store.close()

    run(work())


@pytest.mark.parametrize("error", [StorageError("no space left"), LogError("failed")])
def test_a_removal_that_fails_is_tried_another_day(
    bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def work() -> None:
        def fail(*_: object) -> int:
            raise error

        store = opened(bundle, data, KEEPING_NONE)
        with monkeypatch.context() as patched:
            patched.setattr(store._machine, "let_go", fail)
            await store.changes(store.position, 0)
            assert store._retention.running is not None
            await store._retention.running
        assert (await send(store, [event("e1")])).acks[0].status == "applied"
        await store.close()

    run(work())
