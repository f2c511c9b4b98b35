import asyncio
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import LogError, OutOfStepError, RequestError
from serve.state.config import StoreConfig
from serve.state.events import Position
from serve.state.store import Store
from tests.serve.state.state_world import (
    DIM,
    FAST,
    N_ITEMS,
    event,
    opened,
    random_events,
    run,
    send,
    vectors_for,
    write_small_bundle,
)


async def hash_after_restart(bundle: Path, data: Path, config: StoreConfig = FAST) -> tuple[int, str]:
    store = opened(bundle, data, config)
    hashed = await store.state_hash()
    await store.close()
    return hashed


def test_an_acknowledged_event_is_in_the_history_after_a_restart(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        result = await send(store, [event("e1", "new", 3), event("e2", "new", 5)])
        assert [(ack.status, ack.version) for ack in result.acks] == [("applied", 1), ("applied", 2)]
        assert result.version == 2
        await store.close()
        store = opened(bundle, data)
        shopper = await store.user("new", store.position)
        assert shopper.history.item_idx.tolist() == [3, 5]
        assert shopper.version == 2
        await store.close()

    run(work())


def test_a_replay_gives_the_same_bits_as_the_first_time(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        fresh = await store.state_hash()
        for part in range(6):
            await send(store, random_events(9, part, f"p{part}-"), seed=part)
        before = await store.state_hash()
        await store.close()
        assert before[1] != fresh[1]
        assert before[0] == 54
        assert await hash_after_restart(bundle, data) == before

    run(work())


def test_how_events_are_grouped_makes_no_difference(bundle: Path, data: Path) -> None:
    events = random_events(40)
    vectors = vectors_for(events)

    async def work(folder: Path, size: int) -> tuple[int, str]:
        store = opened(bundle, folder)
        for start in range(0, len(events), size):
            await store.append(events[start : start + size], vectors[start : start + size], store.position)
        hashed = await store.state_hash()
        await store.close()
        return hashed

    assert len({run(work(data / str(size), size)) for size in (1, 7, 40)}) == 1


def test_concurrent_appends_share_a_commit(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        start = store.position
        results = await asyncio.gather(*(send(store, [event(f"e{index}", f"s{index}", 1)]) for index in range(50)))
        assert {result.acks[0].version for result in results} == set(range(1, 51))
        batches = await store.changes(start, 0)
        assert sum(map(len, batches)) == 50
        assert len(batches) < 10
        await store.close()

    run(work())


def test_a_retry_is_a_duplicate_with_the_first_version_also_after_a_restart(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event("e1"), event("e2", item_idx=4)])
        before = await store.state_hash()
        again = await send(store, [event("e2", item_idx=4), event("e2", item_idx=4, timestamp_ms=1)])
        assert [(ack.status, ack.version) for ack in again.acks] == [("duplicate", 2)] * 2
        assert await store.state_hash() == before
        await store.close()
        store = opened(bundle, data)
        again = await send(store, [event("e1")])
        assert [(ack.status, ack.version) for ack in again.acks] == [("duplicate", 1)]
        await store.close()

    run(work())


@pytest.mark.parametrize(
    "changes", [{"item_idx": 5}, {"user_id": "u1"}, {"value": 2.0}, {"payload": '{"a":1}'}, {"order_key": "o"}]
)
def test_an_id_with_other_content_is_a_conflict(bundle: Path, data: Path, changes: dict) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        result = await send(store, [event("e1"), event("e1", **changes)])
        assert [ack.status for ack in result.acks] == ["applied", "rejected"]
        problem = result.acks[1].problem
        assert problem is not None
        assert problem.status == 409
        await store.close()

    run(work())


@pytest.mark.parametrize(
    "changes",
    [
        {"item_idx": N_ITEMS}, {"item_idx": -2}, {"weight": float("nan")}, {"weight": float("inf")},
        {"timestamp_ms": -1}, {"timestamp_ms": 2**62}, {"user_id": ""}, {"user_id": "a\x00b"}, {"user_id": "x" * 129},
        {"value": float("inf")}, {"payload": "\ud800"}, {"payload": "x" * 70_000}, {"order_key": "\n"},
    ],
)  # fmt: skip
def test_a_bad_event_is_refused_alone(bundle: Path, data: Path, changes: dict) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        result = await send(store, [event("good"), event("bad", **changes), event("better")])
        assert [(ack.status, ack.version) for ack in result.acks] == [
            ("applied", 1), ("rejected", None), ("applied", 2),
        ]  # fmt: skip
        problem = result.acks[1].problem
        assert problem is not None
        assert problem.status == 422
        before = await store.state_hash()
        await store.close()
        assert await hash_after_restart(bundle, data) == before

    run(work())


def test_a_vector_that_is_not_finite_refuses_its_event_alone(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        vectors = np.ones((2, DIM), np.float32)
        vectors[0, 3] = np.nan
        result = await store.append([event("e1"), event("e2")], vectors, store.position)
        assert [ack.status for ack in result.acks] == ["rejected", "applied"]
        await store.close()

    run(work())


def test_vectors_of_another_shape_are_refused(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        with pytest.raises(RequestError, match="one h_u per event"):
            await store.append([event("e1")], np.ones((1, DIM + 1), np.float32), store.position)
        await store.close()

    run(work())


def test_earlier_events_of_a_batch_come_before_the_later_ones(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        start = store.position
        await send(store, [event("e1", "new", 3, order_key="o"), event("e2", "new", 5, order_key="o"),
                           event("e3", "new", -1), event("e4", "new", 7)])  # fmt: skip
        (batch,) = await store.changes(start, 0)
        assert batch.same_order.tolist() == [False, True, False, False]
        assert [row[row >= 0].tolist() for row in batch.previous] == [[], [3], [], [5, 3]]
        shopper = await store.user("new", store.position)
        assert shopper.history.order_idx.tolist() == [0, 0, 1]
        await store.close()

    run(work())


def test_a_known_shopper_goes_on_from_the_bundle(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        before = (await store.user("u1", store.position)).history
        await send(store, [event("e1", "u1", 2)])
        after = (await store.user("u1", store.position)).history
        assert after.item_idx.tolist() == [*before.item_idx.tolist(), 2]
        assert after.order_idx[-1] == before.order_idx[-1] + 1
        await store.close()

    run(work())


@pytest.mark.parametrize(("weight", "grows"), [(5.0, 1), (0.0, 0), (-3.0, 0)])
def test_only_a_positive_event_joins_the_history(bundle: Path, data: Path, weight: float, grows: int) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event("e1", "new", 2, weight=weight)])
        assert len((await store.user("new", store.position)).history) == grows
        await store.close()

    run(work())


def test_a_folder_without_a_log_is_refused_unless_asked_for(bundle: Path, data: Path) -> None:
    with pytest.raises(LogError, match="bootstrap=true"):
        Store.open(bundle, data, config=FAST)
    assert not data.exists()


def test_a_lost_log_is_noticed(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event("e1")])
        await store.close()

    run(work())
    (data / "events.sqlite").unlink()
    with pytest.raises(LogError, match="now events.sqlite is missing"):
        Store.open(bundle, data, bootstrap=True, config=FAST)


def test_each_opening_raises_the_epoch(bundle: Path, data: Path) -> None:
    async def work() -> list[int]:
        epochs = []
        for _ in range(3):
            store = opened(bundle, data)
            epochs.append(store.epoch)
            await store.close()
        return epochs

    assert run(work()) == [1, 2, 3]


def test_a_cancelled_append_is_still_committed(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        sending = asyncio.create_task(send(store, [event("e1")]))
        await asyncio.sleep(0)
        sending.cancel()
        result = await send(store, [event("e1")])
        assert [(ack.status, ack.version) for ack in result.acks] == [("duplicate", 1)]
        await store.close()

    run(work())


def test_a_new_bundle_takes_over_what_came_after_its_cutoff(bundle: Path, data: Path, tmp_path: Path) -> None:
    renamed = ["i9", "i2", "other"]  # idx 0 and 1 of the next bundle were 9 and 2 of the first
    after = write_small_bundle(tmp_path / "b2", "b2", item_ids=renamed)

    async def work() -> None:
        store = opened(bundle, data)
        old = await store.image()
        await send(store, [event("e1", "new", 2), event("e2", "new", 5), event("e3", "new", 9),
                           event("e4", "new", 9, timestamp_ms=1)])  # fmt: skip
        await store.close()
        store = opened(after, data)
        assert (await store.user("new", store.position)).history.item_idx.tolist() == [1, 0]
        with pytest.raises(OutOfStepError, match="another history"):
            await store.changes(old.position, 0)
        with pytest.raises(OutOfStepError, match="not between 4 and 4"):
            await store.changes(Position(store.position.lineage, 0), 0)
        assert (await send(store, [event("e1", "new", 1)])).acks[0].status == "duplicate"
        await send(store, [event("e5", "new", 0)])
        rebased = await store.state_hash()
        await store.close()
        assert await hash_after_restart(after, data) == rebased

    run(work())
