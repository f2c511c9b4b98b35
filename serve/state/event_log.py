"""The event log: micro-batches, on the disk before anyone is told of them; what both kinds of log share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cluster.errors import LogError
from serve.state.events import Event, MicroBatch

COLUMNS = "seq, event_id, fingerprint, user_id, item_id, event_type, weight, timestamp_ms, order_key, value, payload"
READ_COLUMNS = "user_id, order_key, item_id, weight, timestamp_ms"


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


class EventLog(ABC):
    """One owner writes, in one thread; another process is refused, or refuses this one from then on.

    `append` returns when the batch is durable. A full disk leaves the log as it was and usable; after any other failure
    nobody knows what reached the disk, so it refuses further appends until it is opened again.
    """

    folder: Path  # of the node's own files: snapshots and the manifest
    place: str  # how errors name it
    log_id: str  # drawn when the log began
    epoch: int  # how often it was opened
    last_seq: int  # of the newest event

    def __init__(self, folder: Path, place: str) -> None:
        self.folder, self.place = folder, place
        self.failure: str | None = None

    def check(self) -> None:
        """Raise when an earlier failure left it open what is on the disk."""
        if self.failure:
            raise LogError(f"the event log in {self.place} takes no events after {self.failure}; restart the store")

    def append(self, bundle: str, batch: MicroBatch, entries: Sequence[LogEntry]) -> None:
        """Write the next micro-batch and its events, all or nothing, and return when they are on the disk."""
        self.check()
        self._write(bundle, batch, entries)
        self.last_seq = batch.version

    @abstractmethod
    def known(self, event_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Return seq and fingerprint of those ids that are in the log."""

    @abstractmethod
    def read(self, after: int, until: int | None = None) -> Iterator[LoggedBatch]:
        """Yield the batches after version `after` that begin at or before seq `until`, in order."""

    @abstractmethod
    def last_of_other_bundles(self, bundle: str) -> int:
        """Return the version of the last batch that was not written under `bundle`, 0 when there is none."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the log."""

    @abstractmethod
    def _write(self, bundle: str, batch: MicroBatch, entries: Sequence[LogEntry]) -> None:
        """Make a batch durable, or raise and say in `failure` whether anyone knows if it is."""

    def _failed(self, what: str) -> LogError:
        self.failure = what
        return LogError(f"the event log in {self.place} failed ({what}); restart the store, then send again")

    def _decoded(
        self, version: int, first_seq: int, bundle: str, content: bytes, events: Iterable[tuple[Any, ...]]
    ) -> LoggedBatch:
        """Return a batch from its row and its events' READ_COLUMNS, in the order of seq."""
        user_ids, order_keys, item_ids, weight, timestamp_ms = zip(*events, strict=True)
        try:
            arrays = load(content)
        except SafetensorError as error:
            raise LogError(f"the event log in {self.place} is damaged at version {version}: {error}") from error
        batch = MicroBatch(
            first_seq=first_seq, user_ids=user_ids, order_keys=order_keys,
            weight=np.array(weight), timestamp_ms=np.array(timestamp_ms, np.int64), **arrays,
        )  # fmt: skip
        return LoggedBatch(bundle, batch, item_ids)


def encode(batch: MicroBatch) -> bytes:
    """Return what a batch holds beyond its events' columns."""
    return save({name: getattr(batch, name) for name in ("item_idx", "same_order", "previous", "vectors")})


def rows(first_seq: int, entries: Sequence[LogEntry]) -> Iterable[tuple]:
    """Yield the COLUMNS of each event."""
    for seq, (event, item_id, content) in enumerate(entries, start=first_seq):
        yield (
            seq, event.event_id, content, event.user_id, item_id, event.event_type, float(event.weight),
            int(event.timestamp_ms), event.order_key, event.value, event.payload,
        )  # fmt: skip
