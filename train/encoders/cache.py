"""Vectors on disk, so that content is encoded once: a bounded SQLite file that may be deleted at any time."""

import hashlib
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from cluster.errors import StorageError
from train.encoders.base import Encoder, Kind, Space, clean

log = logging.getLogger(__name__)

MOST_ROWS = 2_000_000  # about 2 GB at 256 numbers each
BUSY_S = 30.0  # another process's write takes milliseconds
CHUNK = 256  # rows asked for, or encoded and stored, at once
TABLE = """
CREATE TABLE IF NOT EXISTS vectors (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL
)"""


class VectorCache:
    """Vectors by the sha256 of content, encoder, version and kind; the oldest go first when it is full.

    Several processes may use one file. A damaged file is replaced by an empty one.
    """

    def __init__(self, path: Path, most_rows: int = MOST_ROWS) -> None:
        self.path, self.most_rows = path, most_rows
        self.hits = self.misses = 0

    def encode(self, encoder: Encoder, texts: Sequence[str], kind: Kind = "query") -> np.ndarray:
        """Return `encoder.encode(texts, kind)`, each distinct text from the file where it is known."""
        cleaned = [clean(text) for text in texts]
        distinct = list(dict.fromkeys(cleaned))
        position = {text: row for row, text in enumerate(distinct)}
        vectors = np.empty((len(distinct), encoder.dim), dtype=np.float32)
        for start in range(0, len(distinct), CHUNK):
            vectors[start : start + CHUNK] = self._chunk(encoder, distinct[start : start + CHUNK], kind)
        return vectors[[position[text] for text in cleaned]]

    def _chunk(self, encoder: Encoder, texts: list[str], kind: Kind) -> np.ndarray:
        keys = [content_key(encoder.space, text.encode(), kind) for text in texts]
        known = self.find(keys, encoder.dim)
        missing = [row for row, key in enumerate(keys) if key not in known]
        if missing:
            fresh = encoder.encode([texts[row] for row in missing], kind)
            new = {keys[row]: vector for row, vector in zip(missing, fresh, strict=True)}
            self.keep(new)
            known |= new
        return np.stack([known[key] for key in keys])

    def find(self, keys: list[bytes], dim: int) -> dict[bytes, np.ndarray]:
        """Return the vectors (dim,) of those distinct keys that are known."""
        known = self._read(keys, dim)
        self.hits, self.misses = self.hits + len(known), self.misses + len(keys) - len(known)
        return known

    def _read(self, keys: list[bytes], dim: int) -> dict[bytes, np.ndarray]:
        asked = f"SELECT key, vector FROM vectors WHERE key IN ({','.join('?' * len(keys))})"
        try:
            with closing(self._open()) as database:
                rows = database.execute(asked, keys).fetchall()
        except sqlite3.DatabaseError as error:
            self._replace(error)
            return {}
        return {key: np.frombuffer(vector, dtype="<f4") for key, vector in rows if len(vector) == 4 * dim}

    def keep(self, vectors: dict[bytes, np.ndarray]) -> None:
        """Store vectors by key."""
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        try:
            with closing(self._open()) as database, database:
                database.executemany("INSERT OR REPLACE INTO vectors (key, vector) VALUES (?, ?)", rows)
                newest = database.execute("SELECT max(number) FROM vectors").fetchone()[0]
                database.execute("DELETE FROM vectors WHERE number <= ?", (newest - self.most_rows,))
        except sqlite3.DatabaseError as error:
            self._replace(error)

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=BUSY_S)
        try:
            database.execute(TABLE)
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def _replace(self, error: sqlite3.DatabaseError) -> None:
        """Start anew after damage; a disk that cannot be written is no damage."""
        if isinstance(error, sqlite3.OperationalError):
            raise StorageError(f"cannot use the vectors in {self.path}: {error}; free or name another place") from error
        log.warning("replaced damaged cache path=%s error=%s", self.path, error)
        self.path.unlink(missing_ok=True)


def content_key(space: Space, content: bytes, kind: Kind) -> bytes:
    """Return what is equal only for equal content, encoded for the same purpose into the same space."""
    digest = hashlib.sha256(content).hexdigest()
    return hashlib.sha256(f"{space.name}\0{space.version}\0{space.dim}\0{kind}\0{digest}".encode()).digest()
