"""Where decisions lie: a file beside the log's, or tables in its database."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.errors import LogError, StorageError, UnavailableError
from serve.state.dead_letters import Execute
from serve.state.decision_log import DecisionLog
from serve.state.postgres_log import connect, driver, plain_place
from serve.state.sqlite_file import SqliteFile, connected, know_codes, prepare

FILE = "decisions.sqlite"
INDEX = "CREATE INDEX IF NOT EXISTS decisions_by_person ON decisions (code(user_id)) WHERE user_id != ''"
INDEX_THERE = "CREATE INDEX IF NOT EXISTS decisions_by_user ON decisions (user_id) WHERE user_id != ''"
TABLE = """CREATE TABLE IF NOT EXISTS decisions (
    recommendation_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, user_id TEXT NOT NULL, content BLOB NOT NULL) STRICT"""
TABLE_THERE = """CREATE TABLE IF NOT EXISTS decisions (
    recommendation_id text COLLATE "C" PRIMARY KEY, at_ms bigint NOT NULL, user_id text NOT NULL,
    content bytea NOT NULL)"""


class SqliteDecisions(SqliteFile, DecisionLog):
    """A file of its own, so that no ack of an event waits for a decision.

    Commits are not flushed (synchronous=NORMAL): a crash of the process loses none, one of the machine the newest.
    """

    def __init__(self, connection: sqlite3.Connection, place: str, forgotten: Mapping[str, int]) -> None:
        DecisionLog.__init__(self, place, forgotten)
        self._connection = connection

    @classmethod
    def open(cls, folder: Path, forgotten: Mapping[str, int]) -> "SqliteDecisions":
        """Return the decisions of a data folder, none where there were none."""
        path = folder / FILE
        connection = connected(path)
        try:
            prepare(connection, "NORMAL")
            know_codes(connection)
            connection.execute(TABLE)
            connection.execute(INDEX)
        except sqlite3.Error as error:
            connection.close()
            raise LogError(f"{path} cannot be opened: {error}; delete it to go on without past decisions") from error
        return cls(connection, str(path), forgotten)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise StorageError(f"no space left for {self.place}; free some") from error
            raise UnavailableError(f"{self.place} failed ({error.sqlite_errorname}: {error})") from error


class PostgresDecisions(DecisionLog):
    """A table beside the log's, over a connection of its own that does not wait for the disk."""

    def __init__(self, url: str, epoch: int, forgotten: Mapping[str, int]) -> None:
        """Open; epoch: of the event log, whose owner alone writes."""
        super().__init__(plain_place(url), forgotten)
        self._connection, self._url, self._epoch = connect(url), url, epoch
        with self._transaction() as execute:
            execute(TABLE_THERE, ())
            execute(INDEX_THERE, ())

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[Execute]:
        with self._watched(), self._connection.transaction():
            self._execute("SET LOCAL synchronous_commit = off")
            [(epoch,)] = self._execute("SELECT epoch FROM fence")
            if epoch != self._epoch:
                raise UnavailableError(f"epoch {epoch} began and this store has {self._epoch}: another one took over")
            yield self._execute

    def _all(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._watched():
            return self._execute(query, values).fetchall()

    def _execute(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        return self._connection.execute(query.replace("?", "%s"), values)

    @staticmethod
    def _same(left: str, right: str) -> str:
        return f"{left} = {right}"

    def _scrub(self) -> None:
        with self._watched():
            self._execute("VACUUM decisions")

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Raise the server's errors as ours; a connection that broke is made anew for whoever asks next."""
        psycopg = driver()
        try:
            if self._connection.closed:
                self._connection = connect(self._url)
            yield
        except psycopg.errors.DiskFull as error:
            raise StorageError(f"no space left for decisions in {self.place}; free some") from error
        except (psycopg.Error, LogError) as error:
            raise UnavailableError(f"{self.place} failed ({type(error).__name__}: {str(error).strip()})") from error
