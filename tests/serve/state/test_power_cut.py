"""Whatever moment the power fails at, the log opens again and holds every event that anyone was told of."""

from pathlib import Path

import numpy as np
import pytest

from serve.state.events import MicroBatch
from serve.state.sqlite_log import FILE, SqliteLog
from tests.serve.state.log_machine import written
from tests.serve.state.power import Disk, noted
from tests.serve.state.state_world import event

BATCHES = 40


def told_batches(disk: Disk, folder: Path, synchronous: str = "FULL") -> dict[int, MicroBatch]:
    """Write batches of one to nine events to a new log on `disk` and return them by version."""
    rng, batches = np.random.default_rng(0), {}
    with noted(disk, synchronous):
        log = SqliteLog.open(folder, bootstrap=True)
        log._connection.execute("PRAGMA wal_autocheckpoint=20")  # pages: so that checkpoints are cut, too
        for _ in range(BATCHES):
            first = log.last_seq + 1
            size = int(rng.integers(1, 10))
            batches[first + size - 1] = written(log, [event(f"e{first + place}") for place in range(size)])
            disk.told(log.last_seq)
        log.close()
    return batches


def versions_left(files: dict[str, bytes], folder: Path, batches: dict[int, MicroBatch]) -> list[int]:
    """Return the versions that a log of these files holds, each of them as it was written."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    log = SqliteLog.open(folder, bootstrap=True)
    left = list(log.read(0))
    log.close()
    for one in left:
        assert one.batch.user_ids == batches[one.batch.version].user_ids
        assert np.array_equal(one.batch.vectors, batches[one.batch.version].vectors)
    return [one.batch.version for one in left]


def lost_events(disk: Disk, batches: dict[int, MicroBatch], folder: Path, cuts: int) -> int:
    """Return how many cuts of `cuts` lost what someone had been told of; the rest left a beginning of the log."""
    rng, order, lost = np.random.default_rng(1), sorted(batches), 0
    for number in range(cuts):
        cut = int(rng.integers(len(disk.notes) + 1))
        left = versions_left(disk.after_cut(cut, rng), folder / str(number), batches)
        assert left == order[: len(left)]
        lost += (left[-1] if left else 0) < disk.told_before(cut)
    return lost


@pytest.mark.parametrize("cuts", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_power_cut_loses_an_event_that_anyone_was_told_of(cuts: int, tmp_path: Path) -> None:
    disk = Disk()
    batches = told_batches(disk, tmp_path / "log")
    assert len(batches) == BATCHES
    assert lost_events(disk, batches, tmp_path, cuts) == 0


def test_a_log_that_does_not_flush_every_commit_would_lose_some(tmp_path: Path) -> None:
    disk = Disk()
    batches = told_batches(disk, tmp_path / "log", synchronous="NORMAL")
    assert lost_events(disk, batches, tmp_path, 100) > 10


def test_the_disk_without_a_cut_holds_the_file_that_is_there(tmp_path: Path) -> None:
    disk = Disk()
    told_batches(disk, tmp_path / "log")
    assert disk.after_cut(len(disk.notes), np.random.default_rng(0))[FILE] == (tmp_path / "log" / FILE).read_bytes()
