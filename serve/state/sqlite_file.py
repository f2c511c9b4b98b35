"""An SQLite file that one process holds, and that keeps nothing of what was overwritten."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from serve.state.dead_letters import Execute

CODE_BYTES = 12  # of an id in an index; that two of a billion share a code is a matter of one in 10^11


class SqliteFile(ABC):
    """One connection to one file; a second process is refused."""

    _connection: sqlite3.Connection

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[Execute]:
        with self._watched():
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection.execute
            self._connection.execute("COMMIT")

    def _all(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._watched():
            return self._connection.execute(query, values).fetchall()

    @staticmethod
    def _same(left: str, right: str) -> str:
        return f"code({left}) = code({right})"

    def _scrub(self) -> None:
        """Bring the zeroed pages into the file, and cut off the write-ahead log with the pages as they were."""
        self._all("PRAGMA wal_checkpoint(TRUNCATE)")

    @abstractmethod
    def _watched(self) -> AbstractContextManager[None]:
        """Raise SQLite's errors as ours."""


def connected(path: Path) -> sqlite3.Connection:
    """Return a connection to a file, which `prepare` makes ready."""
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)


def prepare(connection: sqlite3.Connection, synchronous: Literal["FULL", "NORMAL"]) -> None:
    """Lock the file, and settle how commits reach the disk."""
    # EXCLUSIVE before WAL: the lock then lies in the file itself and no second connection can exist, with which SQLite
    # up to 3.51.2 may lose commits. What is overwritten or deleted is zeroed in its page.
    settled = ("locking_mode=EXCLUSIVE", "journal_mode=WAL", f"synchronous={synchronous}", "secure_delete=ON")
    for pragma in settled:
        connection.execute(f"PRAGMA {pragma}")


def know_codes(connection: sqlite3.Connection) -> None:
    """Let SQL say `code(id)`.

    Where entries of an index move between pages, copies stay that nothing overwrites: so no index holds an id.
    """
    connection.create_function("code", 1, code, deterministic=True)


def code(text: str) -> bytes:
    """Return what an index knows of an id."""
    return blake2b(text.encode(), digest_size=CODE_BYTES).digest()
