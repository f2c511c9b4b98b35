"""Operations outlive the process that keeps them, and end once."""

import asyncio
from pathlib import Path

import pytest

from cluster.errors import ConflictError, NotFoundError, StorageError
from serve.state import operations as room
from serve.state.events import Problem
from serve.state.operations import FILE, Operations
from tests.serve.state.state_world import run


async def written() -> Path:
    return Path("snapshot-000000000000007-0123456789abcdef.safetensors")


async def no_room() -> Path:
    raise StorageError("no space left")


async def defect() -> Path:
    raise ZeroDivisionError


async def never() -> Path:
    await asyncio.Event().wait()
    raise AssertionError


def test_an_operation_and_its_end_outlive_the_process(tmp_path: Path) -> None:
    async def work() -> None:
        kept = Operations(tmp_path, written)
        begun = await kept.begin("promotion", "b2")
        assert await Operations(tmp_path, written).get(begun.id) == begun
        await kept.end(begun.id, {}, Problem(503, "no"))
        await kept.end(begun.id, {"version": "b2"})
        found = await Operations(tmp_path, written).get(begun.id)
        assert (found.status, found.result, found.problem) == ("failed", {}, Problem(503, "no"))

    run(work())


def test_a_snapshot_that_a_dead_process_began_has_failed_and_a_rollout_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        kept = Operations(tmp_path, never)
        snapshot, rollout = await kept.begin("snapshot"), await kept.begin("promotion", "b2")
        later = Operations(tmp_path, written)
        assert (await later.get(snapshot.id)).problem == Problem(
            503, "the store was started again meanwhile; begin another one"
        )
        assert await later.running() == [rollout]
        with pytest.raises(ConflictError, match=rollout.id):
            await later.begin("rollback", "b1")

    run(work())


@pytest.mark.parametrize(("snapshot", "problem"), [
    (written, None), (no_room, Problem(507, "no space left")),
    (defect, Problem(500, "the work failed; the log of its process says why")),
])  # fmt: skip
def test_a_snapshot_says_how_it_ended(tmp_path: Path, snapshot: room.Write, problem: Problem | None) -> None:
    async def work() -> None:
        kept = Operations(tmp_path, snapshot)
        begun = await kept.begin("snapshot")
        await kept.idle()
        found = await kept.get(begun.id)
        assert (found.problem, found.result) == (problem, {} if problem else {"version": 7})

    run(work())


def test_what_is_not_on_the_disk_was_never_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        kept = Operations(tmp_path, written)

        def full(*_: object) -> None:
            raise StorageError("no space left")

        with monkeypatch.context() as patched:
            patched.setattr(room, "write_whole", full)
            with pytest.raises(StorageError):
                await kept.begin("promotion", "b2")
        assert await kept.running() == []
        await kept.begin("promotion", "b2")

    run(work())


def test_the_newest_are_kept_and_a_file_that_cannot_be_read_is_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "KEEP", 2)

    async def work() -> None:
        kept, ids = Operations(tmp_path, written), list[str]()
        for _ in range(3):
            ids.append((await kept.begin("promotion", "b2")).id)
            await kept.end(ids[-1], {})
        with pytest.raises(NotFoundError):
            await kept.get(ids[0])
        assert [(await kept.get(one)).id for one in ids[1:]] == ids[1:]
        (tmp_path / FILE).write_text("[")
        assert await Operations(tmp_path, written).running() == []

    run(work())
