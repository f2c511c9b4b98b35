"""The state machine: the bundle's state carried forward by the log, one commit after the other, in one thread."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cluster.errors import LogError, RequestError
from serve.state.admission import event_problem, fingerprint, judge
from serve.state.completion import complete, draft
from serve.state.event_log import EventLog, LogEntry, LoggedBatch
from serve.state.events import Ack, Event, MicroBatch, Position, Problem
from serve.state.folder import describe
from serve.state.image import Image, digest, item_arrays, read_shoppers, restore_items, shopper_arrays
from serve.state.learner import apply
from serve.state.live import LearnerConfig, LiveState, live_state
from serve.state.shoppers import AllShoppers
from serve.state.snapshot import FORMAT, Header, Snapshot, newest_snapshot
from train.bundle_state import BundleState
from train.data.schema import NO_ITEM
from train.models.item_state import DAY_MS

MAX_HALF_LIVES = 500  # events later than this after the bundle would count more than a float can sum


class Request(NamedTuple):
    """Events that arrived together."""

    events: Sequence[Event]
    vectors: np.ndarray  # (n, d) float32, h_u of each event's shopper


class Commit(NamedTuple):
    """What one commit did."""

    acks: list[list[Ack]]  # per request, in the order of its events
    batch: MicroBatch | None  # None when no event was new


class StateMachine:
    """State = bundle + log. Not safe for two threads at once."""

    def __init__(self, bundle: BundleState, log: EventLog, config: LearnerConfig) -> None:
        self.log = log
        self.bundle = bundle
        self.shoppers = AllShoppers(bundle.histories)
        self.state: LiveState = live_state(bundle, self.shoppers, config)
        self.lineage = f"{log.log_id}/{self.state.bundle}/{config.rule}"
        self.floor = log.last_of_other_bundles(self.state.bundle)  # batches up to here speak of another bundle
        self._item_ids: list[str] = bundle.items["item_id"].tolist()
        half_life_ms = bundle.state.config.half_life_days * DAY_MS
        self._latest_ms = int(min(bundle.state.epoch_ms + MAX_HALF_LIVES * half_life_ms, 2**53))

    @property
    def position(self) -> Position:
        """Where the state stands."""
        return Position(self.lineage, self.state.version)

    def recover(self) -> None:
        """Carry the state to the end of the log, from the newest intact snapshot if there is one."""
        if (found := newest_snapshot(self.log.folder, self.lineage)) is not None:
            restore_items(self.state, found.arrays)
            self.shoppers.restore(read_shoppers(found.arrays))
            self.state.version = found.header.version
        index = {item_id: item_idx for item_idx, item_id in enumerate(self._item_ids)}
        for logged in self.log.read(after=self.state.version):
            own = logged.bundle == self.state.bundle
            apply(self.state, logged.batch if own else self._rebased(logged, index))

    def check(self, request: Request) -> None:
        """Raise when the vectors do not belong to the events or to this bundle."""
        expected = (len(request.events), self.state.items.vectors.shape[1])
        if request.vectors.shape != expected or request.vectors.dtype != np.float32:
            found = f"{request.vectors.dtype} {request.vectors.shape}"
            raise RequestError(f"vectors are {found}, expected float32 {expected}; send one h_u per event")

    def commit(self, requests: Sequence[Request]) -> Commit:
        """Judge events, make the good and new ones durable as one micro-batch, and apply it."""
        self.log.check()
        if self.state.version != self.log.last_seq:
            raise LogError(f"applying stopped at {self.state.version} of {self.log.last_seq} events; restart the store")
        events = [event for request in requests for event in request.events]
        vectors = np.concatenate([request.vectors for request in requests])
        entries = [self._admitted(event, vector) for event, vector in zip(events, vectors, strict=True)]
        usable = [entry.event.event_id for entry in entries if isinstance(entry, LogEntry)]
        acks = judge(events, entries, self.log.known(usable), self.log.last_seq + 1)
        batch = self._append(entries, vectors, [ack.status == "applied" for ack in acks])
        ends = np.cumsum([len(request.events) for request in requests]).tolist()
        return Commit([acks[start:end] for start, end in zip([0, *ends], ends, strict=False)], batch)

    def image(self) -> Image:
        """Return a copy of the items, for a replica to start from."""
        return Image(self.position, self.state.bundle, self.state.config, item_arrays(self.state))

    def snapshot(self) -> Snapshot:
        """Return a copy of the whole state; two states have one hash only when they agree to the last bit."""
        arrays = item_arrays(self.state) | shopper_arrays(self.shoppers.live)
        header = Header(
            format=FORMAT, lineage=self.lineage, epoch=self.log.epoch, version=self.state.version,
            state_hash=digest(arrays),
        )  # fmt: skip
        return Snapshot(header, arrays)

    def describe(self) -> None:
        """Write down what the data folder holds now."""
        describe(self.log, self.state.bundle)

    def close(self) -> None:
        """Let go of the log."""
        self.log.close()
        self.describe()

    def logged(self, after: int, until: int) -> list[MicroBatch]:
        """Return the batches after version `after`, at least `floor`, that begin at or before seq `until`."""
        return [logged.batch for logged in self.log.read(after, until)]

    def _admitted(self, event: Event, vector: np.ndarray) -> LogEntry | Problem:
        if problem := event_problem(event, vector, len(self._item_ids), self._latest_ms):
            return problem
        item_id = None if event.item_idx == NO_ITEM else self._item_ids[event.item_idx]
        return LogEntry(event, item_id, fingerprint(event, item_id))

    def _append(self, entries: Sequence[LogEntry | Problem], vectors: np.ndarray, new: list[bool]) -> MicroBatch | None:
        chosen = [entry for entry, is_new in zip(entries, new, strict=True) if is_new and isinstance(entry, LogEntry)]
        if not chosen:
            return None
        events = draft([entry.event for entry in chosen], vectors[new], self.log.last_seq + 1)
        batch = complete(events, self.shoppers, self._window)
        self.log.append(self.state.bundle, batch, chosen)
        apply(self.state, batch)
        return batch

    def _rebased(self, logged: LoggedBatch, index: dict[str, int]) -> MicroBatch:
        """Return another bundle's batch in the words of this one; what this bundle was trained on counts no more.

        Its vectors lie in another space, so it makes no step.
        """
        batch = logged.batch
        item_idx = np.array([index.get(item_id or "", NO_ITEM) for item_id in logged.item_ids], np.int64)
        item_idx[batch.timestamp_ms <= self.bundle.manifest.data_cutoff_ms] = NO_ITEM
        vectors = np.zeros((len(batch), self.state.items.vectors.shape[1]), np.float32)
        return complete(replace(batch, item_idx=item_idx, vectors=vectors), self.shoppers, self._window)

    @property
    def _window(self) -> int:
        return self.state.items.transitions.config.window
