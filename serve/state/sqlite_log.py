"""The event log of one machine: an SQLite file that one process holds."""

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from cluster.errors import LogError, StorageError
from cluster.storage import sync
from serve.state.event_log import COLUMNS, READ_COLUMNS, EventLog, LogEntry, LoggedBatch, encode, rows
from serve.state.events import MERGE, MicroBatch
from serve.state.sqlite_file import SqliteFile, code, connected, know_codes, prepare

FILE = "events.sqlite"
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS fence (log_id TEXT NOT NULL, epoch INTEGER NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, fingerprint BLOB NOT NULL, user_id TEXT NOT NULL,
        item_id TEXT, event_type TEXT NOT NULL, weight REAL NOT NULL, timestamp_ms INTEGER NOT NULL,
        order_key TEXT NOT NULL, value REAL, payload TEXT NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS batches (
        version INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, bundle TEXT NOT NULL, epoch INTEGER NOT NULL,
        content BLOB NOT NULL) STRICT""",
    "CREATE TABLE IF NOT EXISTS forgotten (digest TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS rewrites (
        revision INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, n_events INTEGER NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS dead_letters (
        number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, event_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL,
        status INTEGER NOT NULL, reason TEXT NOT NULL, content TEXT NOT NULL) STRICT""",
    "CREATE TABLE IF NOT EXISTS removed (last_seq INTEGER NOT NULL) STRICT",
    "CREATE UNIQUE INDEX IF NOT EXISTS events_by_id ON events (code(event_id))",
    "CREATE INDEX IF NOT EXISTS events_by_person ON events (code(user_id), seq)",
    f"CREATE INDEX IF NOT EXISTS merges_by_person ON events (code(order_key)) WHERE event_type = '{MERGE}'",
)
OLD_INDEXES = ("merges_by_source", "events_by_user")  # of earlier versions, with ids
MAX_VARIABLES = 500  # ids per SELECT


class SqliteLog(SqliteFile, EventLog):
    """The log as one file."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        EventLog.__init__(self, folder, str(folder))
        self._connection = connection
        know_codes(connection)
        self.log_id, self.epoch = _raise_fence(connection)
        _renew(connection)
        self.last_seq: int = connection.execute("SELECT coalesce(max(version), 0) FROM batches").fetchone()[0]
        self._read_rewrites()

    @classmethod
    def open(cls, folder: Path, bootstrap: bool = False) -> "SqliteLog":
        """Return the log of `folder` and raise its epoch; a folder without one is refused unless `bootstrap`."""
        path = folder / FILE
        if not path.exists() and not bootstrap:
            raise LogError(f"{folder} holds no event log; give the folder that has it, or bootstrap=true to begin one")
        folder.mkdir(parents=True, exist_ok=True)
        connection = connected(path)
        try:
            prepare(connection, "FULL")
            log = cls(connection, folder)
        except sqlite3.Error as error:
            connection.close()
            raise _opening_error(error, path) from error
        sync(folder)
        return log

    def known(self, event_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        found: dict[str, tuple[int, bytes]] = {}
        for start in range(0, len(event_ids), MAX_VARIABLES):
            chunk = event_ids[start : start + MAX_VARIABLES]
            marks = ",".join("?" * len(chunk))
            query = f"SELECT event_id, seq, fingerprint FROM events WHERE code(event_id) IN ({marks})"
            held = self._all(query, tuple(map(code, chunk)))
            found |= {event_id: (seq, content) for event_id, seq, content in held}
        return found

    def read(self, after: int, until: int | None = None) -> Iterator[LoggedBatch]:
        query = (
            "SELECT version, first_seq, bundle, content FROM batches WHERE version > ? AND first_seq <= ? ORDER BY 1"
        )
        events = f"SELECT {READ_COLUMNS} FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq"
        span = (after, self.last_seq if until is None else until)
        with self._watched(), closing(self._connection.execute(query, span)) as batches:
            for version, first_seq, bundle, content in batches:
                own = self._connection.execute(events, (first_seq, version))
                yield self._decoded(version, first_seq, bundle, content, own)

    def last_of_other_bundles(self, bundle: str) -> int:
        query = "SELECT coalesce(max(version), 0) FROM batches WHERE bundle != ?"
        with self._watched():
            return self._connection.execute(query, (bundle,)).fetchone()[0]

    def _write(self, bundle: str, batch: MicroBatch, entries: Sequence[LogEntry]) -> None:
        with self._transaction() as execute:
            self._connection.executemany(
                f"INSERT INTO events ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows(batch.first_seq, entries)
            )
            execute(
                "INSERT INTO batches VALUES (?,?,?,?,?)",
                (batch.version, batch.first_seq, bundle, self.epoch, encode(batch)),
            )

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Raise SQLite's errors as ours; after any but a full disk, nobody knows what the log holds."""
        try:
            yield
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
                raise self._failed(f"{error.sqlite_errorname}: {error}") from error
            # SQLite has mostly rolled back by itself, and then a ROLLBACK of ours would raise.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            problem = f"no space left for the event log in {self.folder}; free some, then send again"
            raise StorageError(problem) from error


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


def _renew(connection: sqlite3.Connection) -> None:
    """Rid a log of earlier versions of indexes with ids, and of copies that they left, once; it takes a while."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", OLD_INDEXES[-1:]).fetchone():
        return
    connection.execute("VACUUM")
    for name in OLD_INDEXES:
        connection.execute(f"DROP INDEX IF EXISTS {name}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _opening_error(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LogError(f"another process holds the event log {path}; stop it first, or choose another folder")
    if code == sqlite3.SQLITE_FULL:
        return StorageError(f"no space left for the event log {path}; free some and start again")
    return LogError(f"the event log {path} cannot be opened: {error}")
