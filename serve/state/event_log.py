"""The event log: micro-batches in SQLite, on the disk before anyone is told of them."""

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cluster.errors import LogError, StorageError
from cluster.storage import sync
from serve.state.events import Event, MicroBatch

FILE = "events.sqlite"
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS fence (log_id TEXT NOT NULL, epoch INTEGER NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, fingerprint BLOB NOT NULL, user_id TEXT NOT NULL,
        item_id TEXT, event_type TEXT NOT NULL, weight REAL NOT NULL, timestamp_ms INTEGER NOT NULL,
        order_key TEXT NOT NULL, value REAL, payload TEXT NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS batches (
        version INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, bundle TEXT NOT NULL, epoch INTEGER NOT NULL,
        content BLOB NOT NULL) STRICT""",
)
COLUMNS = "seq, event_id, fingerprint, user_id, item_id, event_type, weight, timestamp_ms, order_key, value, payload"
MAX_VARIABLES = 500  # ids per SELECT


class LogEntry(NamedTuple):
    """An event as it is written."""

    event: Event
    item_id: str | None
    fingerprint: bytes


class LoggedBatch(NamedTuple):
    """A micro-batch as it was written, and the ids that outlive the bundle whose item_idx it speaks."""

    bundle: str
    batch: MicroBatch
    item_ids: tuple[str | None, ...]


class EventLog:
    """One connection with one owner; a second process is refused.

    `append` returns when the batch is durable. A full disk leaves the log as it was and usable; after any other failure
    nobody knows what reached the disk, so it refuses further appends until it is opened again.
    """

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self._connection = connection
        self.folder = folder
        self.failure: str | None = None
        self.log_id, self.epoch = _raise_fence(connection)
        self.last_seq: int = connection.execute("SELECT coalesce(max(version), 0) FROM batches").fetchone()[0]

    @classmethod
    def open(cls, folder: Path, bootstrap: bool = False) -> "EventLog":
        """Return the log of `folder` and raise its epoch; a folder without one is refused unless `bootstrap`."""
        path = folder / FILE
        if not path.exists() and not bootstrap:
            raise LogError(f"{folder} holds no event log; give the folder that has it, or bootstrap=true to begin one")
        folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            # EXCLUSIVE before WAL: the lock then lies in the file itself and no second connection can exist, with
            # which SQLite up to 3.51.2 may lose commits.
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
                connection.execute(f"PRAGMA {pragma}")
            log = cls(connection, folder)
        except sqlite3.Error as error:
            connection.close()
            raise _opening_error(error, path) from error
        sync(folder)
        return log

    def check(self) -> None:
        """Raise when an earlier failure left it open what is on the disk."""
        if self.failure:
            raise LogError(f"the event log in {self.folder} takes no events after {self.failure}; restart the store")

    def known(self, event_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Return seq and fingerprint of those ids that are in the log."""
        found: dict[str, tuple[int, bytes]] = {}
        for start in range(0, len(event_ids), MAX_VARIABLES):
            chunk = event_ids[start : start + MAX_VARIABLES]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT event_id, seq, fingerprint FROM events WHERE event_id IN ({marks})"
            found |= {event_id: (seq, content) for event_id, seq, content in self._connection.execute(query, chunk)}
        return found

    def append(self, bundle: str, batch: MicroBatch, entries: Sequence[LogEntry]) -> None:
        """Write the next micro-batch and its events, all or nothing, and return when they are on the disk."""
        self.check()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                f"INSERT INTO events ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", _rows(batch.first_seq, entries)
            )
            self._connection.execute(
                "INSERT INTO batches VALUES (?,?,?,?,?)",
                (batch.version, batch.first_seq, bundle, self.epoch, _encode(batch)),
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self.last_seq = batch.version

    def read(self, after: int, until: int | None = None) -> Iterator[LoggedBatch]:
        """Yield the batches after version `after` that begin at or before seq `until`, in order."""
        query = (
            "SELECT version, first_seq, bundle, content FROM batches WHERE version > ? AND first_seq <= ? ORDER BY 1"
        )
        with closing(self._connection.execute(query, (after, self.last_seq if until is None else until))) as batches:
            for version, first_seq, bundle, content in batches:
                yield self._decode(version, first_seq, bundle, content)

    def last_of_other_bundles(self, bundle: str) -> int:
        """Return the version of the last batch that was not written under `bundle`, 0 when there is none."""
        query = "SELECT coalesce(max(version), 0) FROM batches WHERE bundle != ?"
        return self._connection.execute(query, (bundle,)).fetchone()[0]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _failed(self, error: sqlite3.Error) -> Exception:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            # SQLite has mostly rolled back by itself, and then a ROLLBACK of ours would raise.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            return StorageError(f"no space left for the event log in {self.folder}; free some, then send again")
        self.failure = f"{error.sqlite_errorname}: {error}"
        return LogError(f"the event log in {self.folder} failed ({self.failure}); restart the store, then send again")

    def _decode(self, version: int, first_seq: int, bundle: str, content: bytes) -> LoggedBatch:
        columns = "user_id, order_key, item_id, weight, timestamp_ms"
        query = f"SELECT {columns} FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq"
        events = self._connection.execute(query, (first_seq, version))
        user_ids, order_keys, item_ids, weight, timestamp_ms = zip(*events, strict=True)
        try:
            arrays = load(content)
        except SafetensorError as error:
            raise LogError(f"the event log in {self.folder} is damaged at version {version}: {error}") from error
        batch = MicroBatch(
            first_seq=first_seq, user_ids=user_ids, order_keys=order_keys,
            weight=np.array(weight), timestamp_ms=np.array(timestamp_ms, np.int64), **arrays,
        )  # fmt: skip
        return LoggedBatch(bundle, batch, item_ids)


def _raise_fence(connection: sqlite3.Connection) -> tuple[str, int]:
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA:
        connection.execute(statement)
    row = connection.execute("SELECT log_id, epoch FROM fence").fetchone()
    if row is None:
        row = (secrets.token_hex(8), 0)
        connection.execute("INSERT INTO fence VALUES (?,?)", row)
    connection.execute("UPDATE fence SET epoch = epoch + 1")
    connection.execute("COMMIT")
    return row[0], row[1] + 1


def _opening_error(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LogError(f"another process holds the event log {path}; stop it first, or choose another folder")
    if code == sqlite3.SQLITE_FULL:
        return StorageError(f"no space left for the event log {path}; free some and start again")
    return LogError(f"the event log {path} cannot be opened: {error}")


def _encode(batch: MicroBatch) -> bytes:
    return save({name: getattr(batch, name) for name in ("item_idx", "same_order", "previous", "vectors")})


def _rows(first_seq: int, entries: Sequence[LogEntry]) -> Iterable[tuple]:
    for seq, (event, item_id, content) in enumerate(entries, start=first_seq):
        yield (
            seq, event.event_id, content, event.user_id, item_id, event.event_type, float(event.weight),
            int(event.timestamp_ms), event.order_key, event.value, event.payload,
        )  # fmt: skip
