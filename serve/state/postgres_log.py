"""The event log of a cluster: tables of a PostgreSQL database; any node may open it, one owner at a time writes."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster.errors import ConfigError, LogError, StorageError
from serve.state.dead_letters import Execute
from serve.state.event_log import COLUMNS, READ_COLUMNS, EventLog, LogEntry, LoggedBatch, encode, rows
from serve.state.events import MERGE, MicroBatch

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS fence (
        one boolean PRIMARY KEY DEFAULT true CHECK (one), log_id text NOT NULL, epoch bigint NOT NULL);
    CREATE TABLE IF NOT EXISTS events (
        seq bigint PRIMARY KEY, event_id text NOT NULL UNIQUE, fingerprint bytea NOT NULL, user_id text NOT NULL,
        item_id text, event_type text NOT NULL, weight double precision NOT NULL, timestamp_ms bigint NOT NULL,
        order_key text NOT NULL, value double precision, payload text NOT NULL);
    CREATE TABLE IF NOT EXISTS batches (
        version bigint PRIMARY KEY, first_seq bigint NOT NULL, bundle text NOT NULL, epoch bigint NOT NULL,
        content bytea NOT NULL);
    CREATE TABLE IF NOT EXISTS forgotten (digest text PRIMARY KEY, at_ms bigint NOT NULL);
    CREATE TABLE IF NOT EXISTS rewrites (
        revision bigint PRIMARY KEY, at_ms bigint NOT NULL, n_events bigint NOT NULL);
    CREATE TABLE IF NOT EXISTS dead_letters (
        number bigint PRIMARY KEY, at_ms bigint NOT NULL, event_id text NOT NULL UNIQUE, user_id text NOT NULL,
        status bigint NOT NULL, reason text NOT NULL, content text NOT NULL);
    CREATE TABLE IF NOT EXISTS removed (last_seq bigint NOT NULL);
    CREATE INDEX IF NOT EXISTS events_by_user ON events (user_id, seq);"""
    + f"""
    CREATE INDEX IF NOT EXISTS merges_by_source ON events (order_key) WHERE event_type = '{MERGE}'"""
)
BEGIN_LOCK = 0x6C69766573686C66  # of whoever makes the tables: CREATE IF NOT EXISTS alone may fail beside another's
PAGE = 256  # batches read at once


class PostgresLog(EventLog):
    """The newest owner writes: opening raises the epoch, and who has an older one is refused from then on."""

    def __init__(self, connection: Any, url: str, folder: Path) -> None:
        super().__init__(folder, plain_place(url))
        self._connection = connection
        _require_durable(connection, self.place)
        with connection.transaction():
            # Waits for an append of the owner before, which holds the row, and is seen by its next one.
            raised = "UPDATE fence SET epoch = epoch + 1 RETURNING log_id, epoch"
            self.log_id, self.epoch = connection.execute(raised).fetchone()
        self.last_seq = connection.execute("SELECT coalesce(max(version), 0) FROM batches").fetchone()[0]
        self._read_rewrites()

    @classmethod
    def open(cls, url: str, folder: Path, bootstrap: bool = False) -> "PostgresLog":
        """Return the log of a database and raise its epoch; one without a log is refused unless `bootstrap`."""
        connection = connect(url)
        try:
            if not bootstrap and not holds_log(connection):
                raise LogError(f"{plain_place(url)} holds no event log; name the database that has it, or "
                               "bootstrap=true to begin one")  # fmt: skip
            begin(connection)
            folder.mkdir(parents=True, exist_ok=True)
            return cls(connection, url, folder)
        except Exception:
            connection.close()
            raise

    def known(self, event_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        query = "SELECT event_id, seq, fingerprint FROM events WHERE event_id = ANY(?)"
        return {event_id: (seq, bytes(content)) for event_id, seq, content in self._all(query, (list(event_ids),))}

    def read(self, after: int, until: int | None = None) -> Iterator[LoggedBatch]:
        batches = """SELECT version, first_seq, bundle, content FROM batches
            WHERE version > ? AND first_seq <= ? ORDER BY version LIMIT ?"""
        events = f"SELECT {READ_COLUMNS} FROM events WHERE seq BETWEEN ? AND ? ORDER BY seq"
        until = self.last_seq if until is None else until
        while page := self._all(batches, (after, until, PAGE)):
            found = iter(self._all(events, (page[0][1], page[-1][0])))
            for version, first_seq, bundle, content in page:
                own = [next(found) for _ in range(version - first_seq + 1)]
                yield self._decoded(version, first_seq, bundle, bytes(content), own)
            after = page[-1][0]

    def last_of_other_bundles(self, bundle: str) -> int:
        return self._all("SELECT coalesce(max(version), 0) FROM batches WHERE bundle != ?", (bundle,))[0][0]

    def close(self) -> None:
        self._connection.close()

    def _write(self, bundle: str, batch: MicroBatch, entries: Sequence[LogEntry]) -> None:
        with self._transaction() as execute:
            with self._connection.cursor() as cursor, cursor.copy(f"COPY events ({COLUMNS}) FROM STDIN") as copy:
                for row in rows(batch.first_seq, entries):
                    copy.write_row(row)
            execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?, ?)",
                (batch.version, batch.first_seq, bundle, self.epoch, encode(batch)),
            )

    @contextmanager
    def _transaction(self) -> Iterator[Execute]:
        with self._watched(), self._connection.transaction():
            [(epoch,)] = self._execute("SELECT epoch FROM fence FOR SHARE")
            if epoch != self.epoch:
                raise self._failed(f"epoch {epoch} began and this store has {self.epoch}: another one took over")
            yield self._execute

    def _execute(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        return self._connection.execute(query.replace("?", "%s"), values)

    def _all(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._watched():
            return self._execute(query, values).fetchall()

    @staticmethod
    def _same(left: str, right: str) -> str:
        return f"{left} = {right}"

    def _scrub(self) -> None:
        """Let the server overwrite old rows; its own write-ahead log and its backups go by the operator's rules."""
        with self._watched():
            self._execute("VACUUM events, batches, dead_letters")

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Raise the server's errors as ours; after any but a full disk, nobody knows what the log holds."""
        psycopg = driver()
        try:
            yield
        except psycopg.errors.DiskFull as error:
            problem = f"no space left for the event log in {self.place}; free some, then send again"
            raise StorageError(problem) from error
        except psycopg.Error as error:
            raise self._failed(f"{type(error).__name__}: {str(error).strip()}") from error


def driver() -> Any:
    """Return psycopg, or say how to get it."""
    try:
        import psycopg
    except ImportError:
        raise ConfigError("a log in PostgreSQL needs psycopg: pip install 'liveshelf[postgres]'") from None
    return psycopg


def connect(url: str) -> Any:
    """Return a connection that commits each statement, or each transaction, at once."""
    psycopg = driver()
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="liveshelf store")
    except psycopg.Error as error:
        raise LogError(f"the event log in {plain_place(url)} cannot be opened: {str(error).strip()}") from None


def begin(connection: Any) -> None:
    """Make the tables of a log where there are none."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (BEGIN_LOCK,))
        connection.execute(SCHEMA)
        fence = "INSERT INTO fence (log_id, epoch) VALUES (%s, 0) ON CONFLICT DO NOTHING"
        connection.execute(fence, (secrets.token_hex(8),))


def holds_log(connection: Any) -> bool:
    """Return whether a log was begun."""
    if connection.execute("SELECT to_regclass('fence')").fetchone()[0] is None:
        return False
    return connection.execute("SELECT 1 FROM fence").fetchone() is not None


def plain_place(url: str) -> str:
    """Return a database's address without the password."""
    parts = urlsplit(url)
    return f"postgresql://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _require_durable(connection: Any, place: str) -> None:
    for setting, wanted in (("fsync", "on"), ("full_page_writes", "on")):
        found = connection.execute(f"SHOW {setting}").fetchone()[0]
        if found != wanted:
            raise LogError(f"{place} runs with {setting}={found} and would lose events; set it to {wanted}")
    connection.execute("SET synchronous_commit = on")  # whatever the role or the database says
