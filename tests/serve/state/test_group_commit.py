"""The queue before the log is bounded: what does not fit is refused at once and whole, and the rest is answered."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import OverloadedError, RequestError, StorageError
from cluster.requests import Carried, arriving, request_id
from serve.state import group_commit
from serve.state.config import StoreConfig
from serve.state.events import Ack
from serve.state.group_commit import GroupCommit, QueueConfig, size_of
from serve.state.request import Request
from tests.lines import Lines
from tests.serve.state.state_world import FAST, event, opened, random_events, run, send

ROOMY = 1 << 30


def request(n_events: int, payload: str = "{}", name: str = "e") -> Request:
    events = [event(f"{name}{index}", payload=payload) for index in range(n_events)]
    return Request(events, np.zeros((n_events, 4), np.float32))


class Disk:
    """A log that writes when it is let, and notes what it was given."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.written: list[str] = []
        self.error: Exception | None = None
        self.worked_for: list[str] = []  # request ids of each commit

    async def commit(self, requests: list[Request]) -> list[list[Ack]]:
        self.worked_for.append(request_id())
        await self.free.wait()
        if self.error is not None:
            raise self.error
        self.written += [one.event_id for request in requests for one in request.events]
        return [[Ack(one.event_id, "applied", 1, None) for one in request.events] for request in requests]


def queue_over(disk: Disk, queue_events: int, queue_bytes: int = ROOMY) -> GroupCommit:
    return GroupCommit(
        disk.commit, QueueConfig(commit_events=4, queue_events=queue_events, queue_bytes=queue_bytes)
    )  # fmt: skip


@given(sizes=st.lists(st.integers(1, 8), max_size=12), bound=st.integers(8, 20))
def test_whatever_comes_at_once_is_taken_up_to_the_bound_and_refused_whole_beyond(sizes: list[int], bound: int) -> None:
    async def work() -> None:
        disk, waiting, refused = Disk(), [], set[int]()
        queue = queue_over(disk, bound)
        for number, size in enumerate(sizes):
            expected = queue.n_events + size <= bound
            task = asyncio.create_task(queue.submit(request(size, name=f"r{number}-")))
            await asyncio.sleep(0)
            if task.done():
                refused.add(number)
                with pytest.raises(OverloadedError, match="the store is busy: .* events wait already"):
                    await task
            else:
                waiting.append(task)
            assert (number not in refused) == expected
            assert queue.n_events <= bound
        disk.free.set()
        acks = [ack for acks in await asyncio.gather(*waiting) for ack in acks]
        taken = [f"r{n}-{index}" for n, size in enumerate(sizes) if n not in refused for index in range(size)]
        assert [ack.event_id for ack in acks] == disk.written == taken
        assert (queue.n_events, queue.n_bytes) == (0, 0)

    run(work())


def test_bytes_are_bounded_too(bundle: Path) -> None:
    async def work() -> None:
        disk, large = Disk(), request(1, "x" * 10_000)
        queue = queue_over(disk, 1_000, queue_bytes=size_of(large) + 200)
        first = asyncio.create_task(queue.submit(large))
        await asyncio.sleep(0)
        small = asyncio.create_task(queue.submit(request(1)))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="bytes wait already"):
            await queue.submit(large)
        disk.free.set()
        assert [len(acks) for acks in await asyncio.gather(first, small)] == [1, 1]
        assert len(await queue.submit(large)) == 1

    run(work())


def test_what_could_never_wait_is_told_so_and_not_to_come_again() -> None:
    async def work() -> None:
        with pytest.raises(RequestError, match="9 events at once are more than the 8"):
            await queue_over(Disk(), 8).submit(request(9))

    run(work())


def test_a_failed_commit_and_a_caller_that_gave_up_leave_room_again() -> None:
    async def work() -> None:
        disk = Disk()
        queue = queue_over(disk, 8)
        failing, leaving = (asyncio.create_task(queue.submit(request(4))) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        disk.error = StorageError("no space left")
        disk.free.set()
        with pytest.raises(StorageError):
            await failing
        await queue.drain()
        disk.error = None
        assert len(await queue.submit(request(8))) == 8

    run(work())


def test_an_overloaded_store_takes_nothing_of_what_it_refuses(bundle: Path, data: Path) -> None:
    async def work() -> None:
        small = StoreConfig(learner=FAST.learner, queue=QueueConfig(queue_events=10))
        store = opened(bundle, data, small)
        parts = [random_events(4, seed, f"p{seed}-") for seed in range(5)]
        outcomes = await asyncio.gather(*(send(store, part) for part in parts), return_exceptions=True)
        taken = [part for part, outcome in zip(parts, outcomes, strict=True) if not isinstance(outcome, Exception)]
        assert len(taken) == 2
        assert all(isinstance(one, OverloadedError) for one in outcomes if isinstance(one, Exception))
        assert store.position.version == 8
        again = [await send(store, part) for part in parts]
        statuses = [{ack.status for ack in result.acks} for result in again]
        assert statuses == [{"duplicate"}] * 2 + [{"applied"}] * 3
        await store.close()

    run(work())


def test_a_commit_names_the_requests_that_share_it_and_a_refusal_its_own(
    monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.setattr(group_commit, "SLOW_S", 0.0)

    async def asked(queue: GroupCommit, name: str) -> None:
        with arriving([Carried(name)]):
            await queue.submit(request(2, name=name))

    async def work() -> list[str]:
        disk = Disk()
        queue = queue_over(disk, queue_events=8)
        sending = [asyncio.create_task(asked(queue, name)) for name in ("r1", "r2", "r3", "r4")]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await asked(queue, "r5")
        with pytest.raises(OverloadedError):
            await asked(queue, "r6")  # within the same second: counted, and not told
        disk.free.set()
        await asyncio.gather(*sending)
        return disk.worked_for

    groups = run(work())
    assert ",".join(groups) == "r1,r2,r3,r4"
    [refusal] = [line for line in lines.written if line["message"].startswith("refused")]
    assert (refusal["requestId"], refusal["facts"]) == ("r5", {"requests": 1, "waiting": 8})
    assert [line["requestId"] for line in lines.written if line["message"].startswith("slow commit")] == groups
