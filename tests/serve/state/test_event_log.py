import sqlite3
import subprocess
import sys
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import LogError, StorageError
from serve.state.machine import StateMachine
from serve.state.request import Request
from serve.state.sqlite_log import SqliteLog
from serve.state.store import Store
from tests.serve.state.log_machine import OpenLog, check_against_a_model, written
from tests.serve.state.state_world import DIM, FAST, event, run, send, small_bundle

ROOT = Path(__file__).resolve().parents[3]
OPEN_IN_PROCESS = """
import sys; from pathlib import Path
from cluster.errors import LogError
from serve.state.sqlite_log import SqliteLog
try:
    SqliteLog.open(Path(sys.argv[1]))
except LogError as error:
    print(error)
"""


class FailingConnection(sqlite3.Connection):
    """A connection whose statements fail as a disk would make them, when told to."""

    failing: tuple[str, int] | None = None  # the statement's beginning, SQLite's code

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        if self.failing and sql.startswith(self.failing[0]):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode, error.sqlite_errorname = self.failing[1], "SQLITE_IOERR_FSYNC"
            raise error
        return super().execute(sql, *parameters)  # pyright: ignore


def failing_machine(folder: Path) -> tuple[StateMachine, FailingConnection]:
    connection = sqlite3.connect(
        folder / "events.sqlite", isolation_level=None, check_same_thread=False, factory=FailingConnection
    )
    return StateMachine(small_bundle(), SqliteLog(connection, folder), FAST.learner), connection


def request(*event_ids: str) -> Request:
    return Request([event(event_id) for event_id in event_ids], np.ones((len(event_ids), DIM), np.float32))


def test_a_file_keeps_what_it_is_given(tmp_path: Path) -> None:
    folders = count()

    def new_log() -> OpenLog:
        return partial(SqliteLog.open, tmp_path / str(next(folders)))

    check_against_a_model(new_log)


def test_a_second_process_is_refused_in_one_sentence(tmp_path: Path) -> None:
    log = SqliteLog.open(tmp_path, bootstrap=True)
    command = [sys.executable, "-c", OPEN_IN_PROCESS, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        f"another process holds the event log {tmp_path}/events.sqlite; stop it first, or choose another folder"
    )
    written(log, [event("e1")])
    log.close()


def test_a_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite").write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(LogError, match="cannot be opened"):
        SqliteLog.open(tmp_path)


def test_after_a_failed_flush_nothing_more_is_acknowledged_until_reopened(tmp_path: Path) -> None:
    machine, connection = failing_machine(tmp_path)
    machine.commit([request("e1")])
    connection.failing = ("COMMIT", sqlite3.SQLITE_IOERR_FSYNC)
    with pytest.raises(LogError, match="restart the store"):
        machine.commit([request("e2")])
    connection.failing = None
    with pytest.raises(LogError, match="takes no events after SQLITE_IOERR_FSYNC"):
        machine.commit([request("e1")])  # not even a duplicate: e2 may be in the open transaction
    assert machine.state.version == 1
    machine.log.close()
    reopened = StateMachine(small_bundle(), SqliteLog.open(tmp_path), FAST.learner)
    reopened.recover()
    assert reopened.commit([request("e1", "e2")]).acks[0][0].status == "duplicate"


@pytest.mark.parametrize("statement", ["SELECT event_id", "SELECT version"])
def test_a_log_that_cannot_be_read_is_reported_as_one_that_cannot_be_written(tmp_path: Path, statement: str) -> None:
    machine, connection = failing_machine(tmp_path)
    machine.commit([request("e1")])
    connection.failing = (statement, sqlite3.SQLITE_IOERR_READ)
    with pytest.raises(LogError, match="restart the store"):
        machine.log.known(["e1"]) if statement.endswith("event_id") else list(machine.log.read(0))
    connection.failing = None
    with pytest.raises(LogError, match="takes no events"):
        machine.commit([request("e2")])


def test_after_a_full_disk_the_same_events_can_be_sent_again(tmp_path: Path) -> None:
    machine, connection = failing_machine(tmp_path)
    connection.failing = ("COMMIT", sqlite3.SQLITE_FULL)
    with pytest.raises(StorageError, match="no space left"):
        machine.commit([request("e1")])
    assert machine.state.version == 0
    connection.failing = None
    assert [ack.version for ack in machine.commit([request("e1")]).acks[0]] == [1]


def test_on_a_really_full_disk_writes_fail_reads_go_on_and_space_heals(bundle: Path, tiny_disk: Path) -> None:
    async def work() -> None:
        store = Store.open(bundle, tiny_disk / "data", bootstrap=True, config=FAST)
        await send(store, [event("first", "new", 3)])
        (tiny_disk / "ballast").write_bytes(b"x" * 800_000)
        acked = 1
        with pytest.raises(StorageError, match="no space left"):
            for number in range(500):
                await send(store, [event(f"e{number}", "new", 3, payload="x" * 4_000)])
                acked += 1
        assert len((await store.user("new", store.position)).history) == acked
        before = await store.state_hash()
        assert before[0] == acked
        (tiny_disk / "ballast").unlink()
        assert (await send(store, [event("last", "new", 4)])).acks[0].version == acked + 1
        after = await store.state_hash()
        await store.close()
        store = Store.open(bundle, tiny_disk / "data", config=FAST)
        assert await store.state_hash() == after
        await store.close()

    run(work())
