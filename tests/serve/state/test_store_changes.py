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
