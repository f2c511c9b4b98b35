"""A disk whose power may fail: it notes every write and every flush, and shows what any failure could leave behind.

SQLite asks a VFS for files (sqlite.org/vfs.html). The one here keeps the files of a connection as they are, notes what
reached them in which order, and from the notes makes the files that a cut at any moment could have left: flushed
bytes are there; of those written since, each sector of 512 bytes is there or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import apsw
import numpy as np

SECTOR = 512


class Write(NamedTuple):
    """Bytes written to a file, or where it was cut off when there are none."""

    file: str
    offset: int
    content: bytes | None


class Flush(NamedTuple):
    """A file's earlier writes are on the disk from here on."""

    file: str


class Delete(NamedTuple):
    """A file is gone, as is asked for together with a flush of its folder."""

    file: str


class Told(NamedTuple):
    """The log told that everything up to a version is durable."""

    version: int


@dataclass
class Disk:
    """What happened, in order."""

    notes: list[Write | Flush | Delete | Told] = field(default_factory=list)

    def told(self, version: int) -> None:
        """Note that someone was told."""
        self.notes.append(Told(version))

    def told_before(self, cut: int) -> int:
        """Return the newest version that anyone was told of before note number `cut`."""
        return max((note.version for note in self.notes[:cut] if isinstance(note, Told)), default=0)

    def after_cut(self, cut: int, rng: np.random.Generator) -> dict[str, bytes]:
        """Return the files that a cut before note number `cut` leaves, one of the ways it may."""
        safe: dict[str, bytearray] = {}
        unsafe: dict[str, list[Write]] = {}
        for note in self.notes[:cut]:
            if isinstance(note, Write):
                safe.setdefault(note.file, bytearray())
                unsafe.setdefault(note.file, []).append(note)
            elif isinstance(note, Flush):
                for write in unsafe.pop(note.file, []):
                    _apply(safe[note.file], write)
            elif isinstance(note, Delete):
                safe.pop(note.file, None)
                unsafe.pop(note.file, None)
        for file, writes in unsafe.items():
            for write in writes:
                for part in _sectors(write):
                    if rng.random() < 0.5:
                        _apply(safe[file], part)
        return {file: bytes(content) for file, content in safe.items()}


def _apply(content: bytearray, write: Write) -> None:
    if write.content is None:
        del content[write.offset :]
        return
    content.extend(bytes(max(0, write.offset - len(content))))
    content[write.offset : write.offset + len(write.content)] = write.content


def _sectors(write: Write) -> Iterator[Write]:
    if write.content is None:
        yield write
        return
    for start in range(0, len(write.content), SECTOR):
        yield Write(write.file, write.offset + start, write.content[start : start + SECTOR])


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.name, self.disk = "power", disk
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(name, flags, self.disk)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.disk.notes.append(Delete(Path(filename).name))


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], disk: Disk) -> None:
        super().__init__("", name, flags)
        self.file, self.disk = Path(name.filename() if hasattr(name, "filename") else str(name)).name, disk

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self.disk.notes.append(Write(self.file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self.disk.notes.append(Write(self.file, newsize, None))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self.disk.notes.append(Flush(self.file))


class _Connection:
    """An apsw connection, as far as the event log asks of one of sqlite3."""

    def __init__(self, connection: apsw.Connection, synchronous: str) -> None:
        self._connection, self._synchronous = connection, synchronous

    def execute(self, sql: str, parameters: Any = ()) -> apsw.Cursor:
        return self._connection.execute(sql.replace("synchronous=FULL", f"synchronous={self._synchronous}"), parameters)

    def create_function(self, name: str, n_arguments: int, function: Any, *, deterministic: bool) -> None:
        self._connection.create_scalar_function(name, function, n_arguments, deterministic=deterministic)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@contextmanager
def noted(disk: Disk, synchronous: str = "FULL") -> Iterator[None]:
    """Let `sqlite3.connect` open files on `disk`; synchronous: NORMAL is what the log must not use."""
    vfs = _Vfs(disk)

    def connect(path: Path, **_: Any) -> _Connection:
        return _Connection(apsw.Connection(str(path), vfs=vfs.name), synchronous)

    try:
        with patch("sqlite3.connect", connect):
            yield
    finally:
        vfs.unregister()
