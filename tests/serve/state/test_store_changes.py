import asyncio
from pathlib import Path

import pytest

from cluster.errors import OutOfStepError
from serve.state.config import StoreConfig
from serve.state.events import Position
from serve.state.live import LearnerConfig
from tests.serve.state.state_world import (
    event,
    opened,
    run,
    send,
)


def test_changes_waits_for_the_next_event(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        waiting = asyncio.create_task(store.changes(store.position, 30))
        await asyncio.sleep(0)
        await send(store, [event("e1")])
        assert [batch.version for batch in await waiting] == [1]
        assert await store.changes(store.position, 0) == []
        await store.close()

    run(work())


def test_who_sent_events_hears_of_them_with_their_acks_and_is_not_woken_but_for_what_others_sent(
    bundle: Path, data: Path
) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        ours, theirs = (store.position._replace(reader=reader) for reader in ("ours", "theirs"))
        we, they = (asyncio.create_task(store.changes(since, 30)) for since in (ours, theirs))
        await asyncio.sleep(0)
        assert [batch.version for batch in (await send(store, [event("e1")], since=ours)).batches] == [1]
        assert [batch.version for batch in await they] == [1]
        assert not we.done()
        await send(store, [event("e2")], since=theirs)
        assert [batch.version for batch in await we] == [1, 2]
        await store.close()

    run(work())


def test_who_lost_the_answer_hears_of_its_events_all_the_same(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        ours = store.position._replace(reader="ours")
        waiting = asyncio.create_task(store.changes(ours, 30))
        await asyncio.sleep(0)
        for number in range(3):
            await send(store, [event(f"e{number}")], since=ours)
        assert [batch.version for batch in await waiting] == [1, 2, 3]
        again = asyncio.create_task(store.changes(store.position._replace(reader="ours"), 30))
        await asyncio.sleep(0)
        await send(store, [event("e3")], since=ours)
        assert [batch.version for batch in await again] == [4]
        await store.close()

    run(work())


def test_a_position_ahead_of_the_log_or_of_another_history_is_refused(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        with pytest.raises(OutOfStepError, match="not between 0 and 0"):
            await store.changes(Position(store.position.lineage, 1), 0)
        with pytest.raises(OutOfStepError, match="another history"):
            await store.changes(Position("log/bundle/rule/0", 0), 0)
        await store.close()

    run(work())


def test_a_lagging_replica_reads_from_the_log(bundle: Path, data: Path) -> None:
    async def work() -> None:
        small = StoreConfig(learner=LearnerConfig(negatives=4), recent_events=2, changes_events=3)
        store = opened(bundle, data, small)
        start = store.position
        for index in range(8):
            await send(store, [event(f"e{index}", item_idx=index)])
        batches = await store.changes(start, 0)
        assert [batch.version for batch in batches] == [1, 2, 3]
        assert batches[2].item_idx.tolist() == [2]
        await store.close()

    run(work())
