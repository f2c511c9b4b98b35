"""The event log: micro-batches, on the disk before anyone is told of them; what both kinds of log share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cluster.errors import LogError
from serve.state.dead_letters import Execute, LetterBox
from serve.state.events import (
    MERGE,
    NO_WRITE,
    RESERVED,
    SILENT,
    WRITES,
    Event,
    MicroBatch,
    Write,
    nobody_looked,
    nobody_spoke,
)
from serve.state.retention import Removals
from serve.state.shoppers import digest_of
from train.data.schema import NO_ITEM

COLUMNS = "seq, event_id, fingerprint, user_id, item_id, event_type, weight, timestamp_ms, order_key, value, payload"
READ_COLUMNS = f"""event_type, user_id, order_key, item_id, weight, timestamp_ms,
    CASE WHEN event_type IN ({", ".join(f"'{kind}'" for kind in sorted(WRITES))}) THEN payload ELSE '' END"""
OF_SHOPPERS = f"substr(event_type, 1, 1) != '{RESERVED}'"
TOLD_COLUMNS = "seq, event_id, user_id, item_id, event_type, weight, timestamp_ms, order_key, value, payload"
SILENCE = f"""UPDATE events SET event_id = ?, fingerprint = ?, user_id = '', item_id = NULL, event_type = '{SILENT}',
    weight = 0, timestamp_ms = 0, order_key = '', value = NULL, payload = '{{}}' WHERE seq = ?"""
MERGES = "SELECT seq, order_key, user_id FROM events WHERE event_type = ? ORDER BY seq"


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


class LoggedEvent(NamedTuple):
    """An event as it is told to the shopper whose it is: TOLD_COLUMNS."""

    seq: int
    event_id: str
    user_id: str
    item_id: str | None
    event_type: str
    weight: float
    timestamp_ms: int
    order_key: str
    value: float | None
    payload: str


class EventLog(ABC):
    """One owner writes, in one thread; another process is refused, or refuses this one from then on.

    `append` returns when the batch is durable. A full disk leaves the log as it was and usable; after any other failure
    nobody knows what reached the disk, so it refuses further appends until it is opened again.

    Events are never moved or dropped one by one. One that must not count any more is silenced: its row stays, and says
    nothing. `revision` counts how often that was done. Old batches are removed whole, and leave gaps.
    """

    folder: Path  # of the node's own files: snapshots and the manifest
    place: str  # how errors name it
    log_id: str  # drawn when the log began
    epoch: int  # how often it was opened
    last_seq: int  # of the newest event
    revision: int

    def __init__(self, folder: Path, place: str) -> None:
        self.folder, self.place = folder, place
        self.failure: str | None = None
        self.letters = LetterBox(self.check, self._transaction, self._all, self._same)
        self.removals = Removals(self.check, self._transaction, self._all)
        self.forgotten: dict[str, int] = {}  # digest of the user_id → when, in epoch milliseconds; grows in place

    def check(self) -> None:
        """Raise when an earlier failure left it open what is on the disk."""
        if self.failure:
            raise LogError(f"the event log in {self.place} takes no events after {self.failure}; restart the store")

    def append(self, bundle: str, batch: MicroBatch, entries: Sequence[LogEntry]) -> None:
        """Write the next micro-batch and its events, all or nothing, and return when they are on the disk."""
        self.check()
        self._write(bundle, batch, entries)
        self.last_seq = batch.version

    def events_of(self, user_id: str) -> list[LoggedEvent]:
        """Return a shopper's events in order, and the merges of the shopper into another one."""
        mine = f"{self._same('user_id', '?')} OR (event_type = ? AND {self._same('order_key', '?')})"
        query = f"SELECT {TOLD_COLUMNS} FROM events WHERE {mine} ORDER BY seq"
        return [LoggedEvent(*row) for row in self._all(query, (user_id, MERGE, user_id))]

    def events(self, after: int, limit: int) -> list[LoggedEvent]:
        """Return up to `limit` events after seq `after`, in order, under the ids of those whom they belong to now."""
        query = f"SELECT {TOLD_COLUMNS} FROM events WHERE seq > ? AND {OF_SHOPPERS} ORDER BY seq LIMIT ?"
        found = [LoggedEvent(*row) for row in self._all(query, (after, limit))]
        merges: dict[str, list[tuple[int, str]]] = {}
        for seq, source, target in self._all(MERGES, (MERGE,)):
            merges.setdefault(source, []).append((seq, target))
        return [event._replace(user_id=_owner(event.user_id, event.seq, merges)) for event in found]

    def next_seq(self, after: int) -> int:
        """Return where the batch after version `after` begins, behind the newest event when there is none."""
        found = self._all("SELECT first_seq FROM batches WHERE version > ? ORDER BY version LIMIT 1", (after,))
        return found[0][0] if found else self.last_seq + 1

    def person(self, user_id: str) -> list[str]:
        """Return a shopper's id and those of everybody who was merged into the shopper, at any distance."""
        found = [user_id]
        for one in found:  # grows while it is read
            query = f"SELECT order_key FROM events WHERE {self._same('user_id', '?')} AND event_type = ?"
            merged = self._all(query, (one, MERGE))
            found += sorted({source for (source,) in merged} - set(found))
        return found

    def silence(self, seqs: Sequence[int], user_ids: Sequence[str], at_ms: int) -> None:
        """Make events say nothing, on the disk and in every replay; nothing of what they said can be read any more.

        seqs: ascending; user_ids: of shoppers whom the bundle shall know no more either, as of `at_ms`, and of whom no
        dead letter shall stay.
        """
        self.check()
        touched = list(self._holding(seqs))
        with self._transaction() as execute:
            for seq in seqs:
                execute(SILENCE, (f"{SILENT}-{seq}", b"", seq))
            for batch in touched:
                content = encode(silenced(batch, seqs))
                execute("UPDATE batches SET content = ? WHERE version = ?", (content, batch.version))
            self._forget(execute, user_ids, at_ms)
            execute("INSERT INTO rewrites VALUES (?, ?, ?)", (self.revision + 1, at_ms, len(seqs)))
        self._read_rewrites()
        self._scrub()

    def forget(self, user_ids: Sequence[str], at_ms: int) -> None:
        """As `silence` does of shoppers who have no events here: no bundle shall know them, no dead letter stay."""
        self.check()
        with self._transaction() as execute:
            self._forget(execute, user_ids, at_ms)
        self._read_rewrites()
        self._scrub()

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

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Execute]:
        """Make what is executed durable, all or nothing; refused where another owner took over."""

    @abstractmethod
    def _all(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query, whose values stand where it has question marks."""

    @staticmethod
    @abstractmethod
    def _same(left: str, right: str) -> str:
        """Return the condition that two columns, or a column and a value, are one id, as the indexes have it."""

    @abstractmethod
    def _scrub(self) -> None:
        """Leave nothing of what was overwritten in the files."""

    def _forget(self, execute: Execute, user_ids: Sequence[str], at_ms: int) -> None:
        self.letters.burn(execute, user_ids)
        for digest in map(digest_of, user_ids):
            execute("DELETE FROM forgotten WHERE digest = ?", (digest,))
            execute("INSERT INTO forgotten VALUES (?, ?)", (digest, at_ms))

    def _read_rewrites(self) -> None:
        self.removals.read()
        self.revision = self._all("SELECT coalesce(max(revision), 0) FROM rewrites")[0][0]
        self.forgotten.update(self._all("SELECT digest, at_ms FROM forgotten"))

    def _holding(self, seqs: Sequence[int]) -> Iterator[MicroBatch]:
        """Yield the batches that hold `seqs`, each once."""
        reached = 0
        for seq in seqs:
            if seq > reached:
                [logged] = self.read(after=seq - 1, until=seq)
                reached = logged.batch.version
                yield logged.batch

    def _failed(self, what: str) -> LogError:
        self.failure = what
        return LogError(f"the event log in {self.place} failed ({what}); restart the store, then send again")

    def _decoded(
        self, version: int, first_seq: int, bundle: str, content: bytes, events: Iterable[tuple[Any, ...]]
    ) -> LoggedBatch:
        """Return a batch from its row and its events' READ_COLUMNS, in the order of seq."""
        event_types, user_ids, order_keys, item_ids, weight, timestamp_ms, contents = zip(*events, strict=True)
        try:
            arrays = load(content)
        except SafetensorError as error:
            raise LogError(f"the event log in {self.place} is damaged at version {version}: {error}") from error
        batch = MicroBatch(
            first_seq=first_seq, event_types=event_types, user_ids=user_ids, order_keys=order_keys,
            weight=np.array(weight), timestamp_ms=np.array(timestamp_ms, np.int64),
            **(_lacking(len(user_ids)) | arrays),
            writes=_writes(event_types, item_ids, user_ids, contents),
        )  # fmt: skip
        return LoggedBatch(bundle, batch, item_ids)


def _owner(user_id: str, seq: int, merges: Mapping[str, list[tuple[int, str]]]) -> str:
    """Return whose an event is: at each merge after it, whatever was its shopper's became the other one's."""
    while (after := next((merge for merge in merges.get(user_id, []) if merge[0] > seq), None)) is not None:
        seq, user_id = after
    return user_id


def _lacking(n: int) -> dict[str, np.ndarray]:
    """Return what batches of n events lack that are older than the column."""
    return {"judged": nobody_looked(n), "opinion": nobody_spoke(n)}


def _writes(
    event_types: Sequence[str], item_ids: Sequence[str | None], user_ids: Sequence[str], contents: Sequence[str]
) -> tuple[Write, ...]:
    """Return what a batch of writes says, a row each; nothing of a batch of events, or where all of it is silent."""
    if WRITES.isdisjoint(event_types):
        return ()
    return tuple(
        Write(kind, item_id or user_id, content) if kind in WRITES else NO_WRITE
        for kind, item_id, user_id, content in zip(event_types, item_ids, user_ids, contents, strict=True)
    )


def encode(batch: MicroBatch) -> bytes:
    """Return what a batch holds beyond its events' columns."""
    names = ("item_idx", "same_order", "standing", "previous", "vectors", "judged", "opinion")
    return save({name: getattr(batch, name) for name in names})


def silenced(batch: MicroBatch, seqs: Sequence[int]) -> MicroBatch:
    """Return a batch in which the events of `seqs` say nothing."""
    silent = np.isin(np.arange(batch.first_seq, batch.version + 1), seqs)

    def texts(given: tuple[str, ...], instead: str) -> tuple[str, ...]:
        return tuple(instead if gone else text for text, gone in zip(given, silent.tolist(), strict=True))

    def rows(given: np.ndarray, instead: float) -> np.ndarray:
        return np.where(silent.reshape(-1, *[1] * (given.ndim - 1)), given.dtype.type(instead), given)

    return MicroBatch(
        first_seq=batch.first_seq, event_types=texts(batch.event_types, SILENT), user_ids=texts(batch.user_ids, ""),
        order_keys=texts(batch.order_keys, ""), item_idx=rows(batch.item_idx, NO_ITEM), weight=rows(batch.weight, 0),
        timestamp_ms=rows(batch.timestamp_ms, 0), same_order=rows(batch.same_order, 0),
        standing=rows(batch.standing, 0), previous=rows(batch.previous, NO_ITEM), vectors=rows(batch.vectors, 0),
        judged=rows(batch.judged, 0), opinion=rows(batch.opinion, np.nan),
        writes=tuple(
            NO_WRITE if gone else write for write, gone in zip(batch.writes, silent.tolist(), strict=False)
        ) if not silent.all() else (),
    )  # fmt: skip


def rows(first_seq: int, entries: Sequence[LogEntry]) -> Iterable[tuple]:
    """Yield the COLUMNS of each event."""
    for seq, (event, item_id, content) in enumerate(entries, start=first_seq):
        yield (
            seq, event.event_id, content, event.user_id, item_id, event.event_type, float(event.weight),
            int(event.timestamp_ms), event.order_key, event.value, event.payload,
        )  # fmt: skip
