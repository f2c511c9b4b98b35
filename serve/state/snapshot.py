"""Snapshots: the state at one version, so that recovery replays only what came after. A cache: none is ever needed."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from cluster.config import Config
from cluster.errors import StorageError
from cluster.storage import CHUNK_BYTES, sync, whole_file
from serve.state.image import begun, digest, kind_of, laid_out, shopper_arrays
from serve.state.shoppers import Shopper

log = logging.getLogger(__name__)

FORMAT = 2
KEEP = 3
DIGITS = 16  # of the header's sha256, in the file's name; the header holds the hash of the arrays


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


class Moment(NamedTuple):
    """A state at one version as fast as it can be taken, while events wait; shoppers are shared, whom nobody writes."""

    header: Header
    items: dict[str, np.ndarray]
    shoppers: Mapping[str, Shopper]

    def sealed(self) -> Snapshot:
        """Return the snapshot of it; this takes long, and events need not wait."""
        return Snapshot(self.header, self.items | shopper_arrays(self.shoppers)).sealed()


def write_snapshot(folder: Path, snapshot: Snapshot) -> Path:
    """Write a sealed snapshot, whole or not at all, read again what was written, and keep the newest KEEP."""
    told = snapshot.header.model_dump_json()
    path = folder / f"snapshot-{snapshot.header.version:015d}-{_checksum(told)}.safetensors"
    with whole_file(path) as aside:
        with aside.open("wb") as file:
            file.writelines(_parts(snapshot, told))
        sync(aside)
        if _digest_in(aside) != snapshot.header.state_hash:
            raise StorageError(f"{folder} gives back other bytes than were written to it; move the log to a sound disk")
    for old in [*_paths(folder)[KEEP:], *folder.glob(".snapshot-*.part")]:  # parts are left by a killed process
        old.unlink()
    return path


def newest_snapshot(folder: Path, lineage: str, until: int | None = None) -> Snapshot | None:
    """Return the newest intact snapshot of a lineage, of version `until` at most, or None; damaged ones are no hit."""
    for path in _paths(folder):
        if (header := _header(path)) is None or header.lineage != lineage or header.format != FORMAT:
            continue
        if (until is None or header.version <= until) and (arrays := _arrays(path, header)) is not None:
            return Snapshot(header, arrays)
    return None


class SnapshotFile(NamedTuple):
    """A snapshot as it lies in the folder."""

    header: Header
    n_bytes: int
    written_ms: int


def snapshot_files(folder: Path) -> list[SnapshotFile]:
    """Return the snapshots that can be read, newest first; whether their arrays are intact is not looked at."""
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


def _parts(snapshot: Snapshot, header: str) -> Iterator[bytes | memoryview]:
    """Yield a snapshot as a file of safetensors holds it, the arrays as they lie: the package's `save` copies them."""
    ordered = laid_out(snapshot.arrays)
    told: dict[str, Any] = {"__metadata__": {"header": header}}
    end = 0
    for name, array in ordered:
        start, end = end, end + array.nbytes
        told[name] = {"dtype": kind_of(array), "shape": array.shape, "data_offsets": (start, end)}
    head = json.dumps(told).encode()
    head += b" " * (-len(head) % 8)  # so that the arrays lie aligned
    yield len(head).to_bytes(8, "little") + head
    for _, array in ordered:
        yield array.data


def _digest_in(path: Path) -> str:
    """Return the digest of the arrays in a file, read piece by piece."""
    with path.open("rb") as file:
        told = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        del told["__metadata__"]
        total = begun([(name, array["dtype"], array["shape"]) for name, array in told.items()])
        while piece := file.read(CHUNK_BYTES):
            total.update(piece)
    return total.hexdigest()


def _checksum(header: str) -> str:
    return hashlib.sha256(header.encode()).hexdigest()[:DIGITS]


def _header(path: Path) -> Header | None:
    """Return what a snapshot is of, or None where that cannot be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            told = (file.metadata() or {}).get("header", "")
        if path.stem.endswith(_checksum(told)):
            return Header.model_validate_json(told)
        log.warning("snapshot is damaged, trying an older one path=%s", path)
    except (OSError, SafetensorError, ValidationError) as error:
        log.warning("snapshot is unreadable, trying an older one path=%s error=%s", path, error)
    return None


def _arrays(path: Path, header: Header) -> dict[str, np.ndarray] | None:
    """Return what a snapshot holds, or None where that is not what was written."""
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        log.warning("snapshot is unreadable, trying an older one path=%s error=%s", path, error)
        return None
    if digest(arrays) == header.state_hash:
        return arrays
    log.warning("snapshot is damaged, trying an older one path=%s", path)
    return None


def _paths(folder: Path) -> list[Path]:
    """Return the snapshots, newest first."""
    return sorted(folder.glob("snapshot-*.safetensors"), reverse=True)
