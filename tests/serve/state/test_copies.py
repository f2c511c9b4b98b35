"""Nothing that SQLite moved from page to page is left of whoever was erased: neither in rows nor in indexes."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from serve.state.completion import draft
from serve.state.dead_letters import DeadLetter
from serve.state.decision_log import Record, new_id
from serve.state.decision_tables import SqliteDecisions
from serve.state.event_log import LogEntry
from serve.state.sqlite_log import SqliteLog
from tests.serve.state.state_world import event

N_USERS, SIZE = 600, 128


def shoppers(n_batches: int) -> Iterator[list[str]]:
    """Yield the shoppers of batches of SIZE events, in no order."""
    rng = np.random.default_rng(7)
    for _ in range(n_batches):
        yield [f"shopper-{number:04d}" for number in rng.integers(N_USERS, size=SIZE)]


def of_events(folder: Path) -> Iterator[None]:
    """Fill a log, and erase shoppers of it."""
    log, number = SqliteLog.open(folder, bootstrap=True), 0
    for user_ids in shoppers(60):
        events = [event(f"{user_id}-{number + at}", user_id, 0) for at, user_id in enumerate(user_ids)]
        number += SIZE
        batch = draft(events, np.zeros((SIZE, 2), np.float32), log.last_seq + 1)
        log.append("b1", batch, [LogEntry(one, "i0", b"") for one in events])
    yield
    for user_id in erased():
        log.silence([one.seq for one in log.events_of(user_id)], [user_id], 1)
    log.close()


def of_letters(folder: Path) -> Iterator[None]:
    """Fill a box of dead letters, and burn some."""
    log = SqliteLog.open(folder, bootstrap=True)
    for turn, user_ids in enumerate(shoppers(20)):
        log.letters.put([DeadLetter(turn, f"{user_id}-{at}-{turn % 3}", user_id, 422, "no", "{}" * at)
                         for at, user_id in enumerate(user_ids)], 2_000)  # fmt: skip
    yield
    for user_id in erased():
        log.silence([], [user_id], 1)
    log.close()


def of_decisions(folder: Path) -> Iterator[None]:
    """Fill a log of decisions, and erase some."""
    folder.mkdir()
    log = SqliteDecisions.open(folder, {})
    for turn, user_ids in enumerate(shoppers(40)):
        log.put(
            [Record(new_id(turn), turn, user_id, user_id.encode() * (at % 50)) for at, user_id in enumerate(user_ids)]
        )
    yield
    for user_id in erased():
        log.erase([user_id], 0)
    log.close()


def erased() -> list[str]:
    """Return every fourth shopper."""
    return [f"shopper-{number:04d}" for number in range(0, N_USERS, 4)]


@pytest.mark.parametrize("work", [of_events, of_letters, of_decisions])
def test_no_copy_of_the_erased_is_left_on_any_page(data: Path, work: Callable[[Path], Iterator[None]]) -> None:
    steps = work(data)
    next(steps)
    for _ in steps:
        pass
    content = b"".join(path.read_bytes() for path in data.iterdir())
    assert b"shopper-0001" in content
    assert [user_id for user_id in erased() if user_id.encode() in content] == []


def test_an_index_with_ids_in_it_which_earlier_versions_made_goes(data: Path) -> None:
    log = SqliteLog.open(data, bootstrap=True)
    log.append(
        "b1",
        draft([event("e1", "u1", 0)], np.zeros((1, 2), np.float32), 1),
        [LogEntry(event("e1", "u1", 0), "i0", b"")],
    )
    log.close()
    with closing(sqlite3.connect(data / "events.sqlite")) as connection:
        connection.execute("CREATE INDEX events_by_user ON events (user_id, seq)")
    log = SqliteLog.open(data)
    assert [one.event_id for one in log.events_of("u1")] == ["e1"]
    assert log.known(["e1"]) == {"e1": (1, b"")}
    log.close()
    with closing(sqlite3.connect(data / "events.sqlite")) as connection:
        assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events_by_user'").fetchall() == []
