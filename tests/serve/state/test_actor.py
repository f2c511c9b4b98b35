"""A store that no longer knows its log ends, so that it is started again and reads it; one that only waits lives."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from cluster.errors import UnavailableError
from cluster.processes import started_at
from serve.state import actor
from serve.state.actor import StoreActor, opened_by
from serve.state.folder import begin
from tests.serve.state.state_world import event, run, vectors_for


def test_a_failed_log_ends_the_process_once_the_answer_is_out(
    bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor, "FAREWELL_S", 0.0)

    async def work() -> None:
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(os, "_exit", ended.set_result)
        begin(data, "b1")
        store = StoreActor(str(bundle), str(data))
        position = store._store.position
        store._store._machine.log.failure = "SQLITE_IOERR_FSYNC: disk I/O error"
        with pytest.raises(UnavailableError, match="started again"):
            await store.append([event("e1")], vectors_for([event("e1")]), position)
        assert await ended == 1
        await store.close()

    run(work())


def test_a_sign_of_life_does_not_wait_for_the_disk(bundle: Path, data: Path) -> None:
    async def work() -> None:
        begin(data, "b1")
        store = StoreActor(str(bundle), str(data))
        disk = threading.Event()
        store._store._thread.submit(disk.wait)
        sending = asyncio.create_task(store.append([event("e1")], vectors_for([event("e1")]), store._store.position))
        await asyncio.sleep(0)
        assert await store.is_alive()
        assert opened_by(data) == {os.getpid(): started_at(os.getpid())}
        assert not sending.done()
        disk.set()
        assert (await sending).acks[0].status == "applied"
        await store.close()

    run(work())
