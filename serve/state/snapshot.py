"""Snapshots: the state at one version, so that recovery replays only what came after. A cache: none is ever needed."""

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from cluster.config import Config
from cluster.errors import StorageError
from cluster.storage import sha256, sync, whole_file
from serve.state.image import digest

log = logging.getLogger(__name__)

FORMAT = 1
KEEP = 3
DIGITS = 16  # of the file's sha256, in its name


class Header(Config):
    """What a snapshot is of."""

    format: int = Field(default=FORMAT, description="names and types of the arrays")
    lineage: str = Field(description="log, bundle and learning rule")
    epoch: int = Field(description="how often the log had been opened")
    version: int = Field(description="seq of the last event in it")
    state_hash: str = Field(default="", description="digest of the arrays")


class Snapshot(NamedTuple):
    """A state at one version."""

    header: Header
    arrays: dict[str, np.ndarray]

    def sealed(self) -> "Snapshot":
        """Return the snapshot with the hash of what it holds; two states have one only when they agree to the bit."""
        return Snapshot(self.header.model_copy(update={"state_hash": digest(self.arrays)}), self.arrays)


def write_snapshot(folder: Path, snapshot: Snapshot) -> Path:
    """Write a snapshot, whole or not at all, under a name that holds its checksum; keep the newest KEEP."""
    total = hashlib.sha256()
    for part in _parts(snapshot):
        total.update(part)
    digest = total.hexdigest()
    path = folder / f"snapshot-{snapshot.header.version:015d}-{digest[:DIGITS]}.safetensors"
    with whole_file(path) as aside:
        with aside.open("wb") as file:
            file.writelines(_parts(snapshot))
        sync(aside)
        if sha256(aside) != digest:
            raise StorageError(f"{folder} gives back other bytes than were written to it; move the log to a sound disk")
    for old in [*_paths(folder)[KEEP:], *folder.glob(".snapshot-*.part")]:  # parts are left by a killed process
        old.unlink()
    return path


def newest_snapshot(folder: Path, lineage: str, until: int | None = None) -> Snapshot | None:
    """Return the newest intact snapshot of a lineage, of version `until` at most, or None; damaged ones are no hit."""
    for found in _intact(folder):
        if found.header.lineage == lineage and (until is None or found.header.version <= until):
            return found
    return None


class SnapshotFile(NamedTuple):
    """A snapshot as it lies in the folder."""

    header: Header
    n_bytes: int
    written_ms: int


def snapshot_files(folder: Path) -> list[SnapshotFile]:
    """Return the snapshots that can be read, newest first; whether they are intact is not looked at."""
    found = [(path, header) for path in _paths(folder) if (header := _header(path)) is not None]
    return [SnapshotFile(header, path.stat().st_size, path.stat().st_mtime_ns // 1_000_000) for path, header in found]


def drop_snapshots(folder: Path, first: int) -> None:
    """Remove the snapshots, of any lineage, that hold version `first` or a later one."""
    for path in [*_paths(folder), *folder.glob(".snapshot-*.part")]:
        if path.name.startswith(".") or int(path.name.split("-")[1]) >= first:
            path.unlink()
    sync(folder)


def keep_snapshots(folder: Path, lineage: str) -> None:
    """Remove the snapshots of every other lineage."""
    kept = [path for path in _paths(folder) if (header := _header(path)) is not None and header.lineage == lineage]
    for path in {*_paths(folder), *folder.glob(".snapshot-*.part")}.difference(kept):
        path.unlink()
    sync(folder)


def _parts(snapshot: Snapshot) -> Iterator[bytes | memoryview]:
    """Yield a snapshot as a file of safetensors holds it, the arrays as they lie: the package's `save` copies them."""
    arrays = sorted(snapshot.arrays.items(), key=lambda named: (-named[1].itemsize, named[0]))
    told: dict[str, Any] = {"__metadata__": {"header": snapshot.header.model_dump_json()}}
    end = 0
    for name, array in arrays:
        start, end = end, end + array.nbytes
        dtype = f"{array.dtype.kind.upper()}{8 * array.itemsize}"  # F32, I64, U8
        told[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (start, end)}
    header = json.dumps(told).encode()
    header += b" " * (-len(header) % 8)  # so that the arrays lie aligned
    yield len(header).to_bytes(8, "little") + header
    for _, array in arrays:
        yield np.ascontiguousarray(array).data


def _intact(folder: Path) -> Iterator[Snapshot]:
    for path in _paths(folder):
        try:
            if not sha256(path).startswith(path.stem[-DIGITS:]):
                log.warning("snapshot is damaged, trying an older one path=%s", path)
                continue
            if (header := _header(path)) is not None and header.format == FORMAT:
                yield Snapshot(header, load_file(path))
        except (OSError, SafetensorError) as error:
            log.warning("snapshot is unreadable, trying an older one path=%s error=%s", path, error)


def _header(path: Path) -> Header | None:
    """Return what a snapshot is of, or None where that cannot be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            return Header.model_validate_json((file.metadata() or {}).get("header", ""))
    except (OSError, SafetensorError, ValidationError) as error:
        log.warning("snapshot is unreadable path=%s error=%s", path, error)
        return None


def _paths(folder: Path) -> list[Path]:
    """Return the snapshots, newest first."""
    return sorted(folder.glob("snapshot-*.safetensors"), reverse=True)
