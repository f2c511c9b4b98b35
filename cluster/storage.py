"""Files that are either whole or absent: write aside, flush to disk, rename."""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import StorageError

CHUNK_BYTES = 1 << 20
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
FULL = (errno.ENOSPC, errno.EDQUOT)
NO_PLACE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY,
    errno.ENAMETOOLONG,
)  # fmt: skip


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path; on success it becomes `path`, durably, and on failure nothing remains."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield aside
            sync(aside)
            aside.replace(path)
            sync(path.parent)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; on success it becomes `path`, durably, and on failure nothing remains.

    `path` must not exist yet: a published folder is never changed.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    if path.exists():
        raise StorageError(f"{path} exists and would have to be replaced; name a new folder")
    with _disk_errors(path):
        aside.mkdir(parents=True)
        try:
            yield aside
            for child in aside.rglob("*"):
                sync(child)
            sync(aside)
            aside.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def write_whole(path: Path, text: str) -> None:
    """Replace a text file durably."""
    with whole_file(path) as aside:
        aside.write_text(text)


def sync(path: Path) -> None:
    """Flush a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the hex digest of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if _code(error) in FULL:
            raise StorageError(f"no space left for {path}; free some and run the same command again") from error
        if _code(error) in NO_PLACE:
            raise StorageError(f"cannot write {path}: {_words(error)}; choose a folder you may write") from error
        raise


def _code(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    # safetensors and NumPy lose the number of the system's error; what they say tells it.
    if SHORT_WRITE.fullmatch(str(error)):
        return errno.ENOSPC
    return next((code for code in (*FULL, *NO_PLACE) if f"(os error {code})" in str(error)), None)


def _words(error: Exception) -> str:
    return os.strerror(_code(error) or 0)
