"""The state machine: the bundle's state carried forward by the log, one commit after the other, in one thread."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import uuid4

import numpy as np

from cluster.errors import LogError, NotFoundError, RequestError, UnprocessableError
from serve.state.admission import admitted, fingerprint, judge
from serve.state.completion import draft
from serve.state.course import Course, history_name
from serve.state.dead_letters import DeadLetter
from serve.state.decision_log import Record
from serve.state.event_log import EventLog, LogEntry, LoggedEvent
from serve.state.events import MERGE, Ack, Event, MicroBatch, Position, Write
from serve.state.folder import describe
from serve.state.image import Image, item_arrays, room_for
from serve.state.learner import apply
from serve.state.live import LearnerConfig, LiveState
from serve.state.request import Request
from serve.state.shoppers import AllShoppers, Shopper
from serve.state.snapshot import Moment, drop_snapshots, keep_snapshots
from serve.state.writing import WriteRequest, entry_of, judge_writes
from train.bundle_state import BundleState
from train.data.schema import NO_ITEM
from train.models.item_state import DAY_MS

MAX_HALF_LIVES = 500  # events later than this after the bundle would count more than a float can sum


class Commit(NamedTuple):
    """What one commit did."""

    acks: list[list[Ack]]  # per request, in the order of its events
    batch: MicroBatch | None  # None when no event was new


class Held(NamedTuple):
    """All that is held of a person."""

    user_ids: list[str]  # the asked one first, then those merged into it
    events: list[LoggedEvent]
    shopper: Shopper  # what the engine knows at this moment
    letters: list[DeadLetter]  # what was refused of late
    decisions: Sequence[Record] = ()  # what was shown, and why


class Receipt(NamedTuple):
    """What an erasure did."""

    n_user_ids: int  # the asked one, and those merged into it
    n_events: int  # silenced in the log
    revision: int  # of the log
    n_decisions: int = 0  # removed


class StateMachine:
    """State = bundle + log. Not safe for two threads at once.

    After a part of the log was silenced, or when another bundle shall be served, a state is made anew beside the old
    one, a stretch at a time, and takes its place when it has come to the log's end; until then `is_behind`.
    """

    def __init__(self, bundle: BundleState, log: EventLog, config: LearnerConfig) -> None:
        self.log = log
        self._config = config
        self._wanted = bundle
        self._next: Course | None = None
        self._take(Course.begin(bundle, log, config))

    @property
    def bundle(self) -> BundleState:
        """What the state began with."""
        return self._course.bundle

    @property
    def state(self) -> LiveState:
        """What the log has come to."""
        return self._course.state

    @property
    def shoppers(self) -> AllShoppers:
        """Everybody's history."""
        return self._course.shoppers

    @property
    def is_behind(self) -> bool:
        """Whether the state still reflects what was silenced since, or another bundle than the wanted one."""
        return self._revision != self.log.revision or self._wanted is not self.bundle

    @property
    def lineage(self) -> str:
        """The history that versions count in; another one after each rewriting, and until the state reflects it.

        What was removed changes no state of its time, but one that a bundle of before would come to now.
        """
        pending = "~" if self._revision != self.log.revision else ""
        return f"{self._history}/{self.log.revision}{pending}-{self._removed}"

    @property
    def position(self) -> Position:
        """Where the state stands."""
        return Position(self.lineage, self.state.version)

    def recover(self) -> None:
        """Carry the state to the end of the log."""
        self._course.advance(self.log)

    def check(self, request: Request) -> None:
        """Raise when the vectors do not belong to the events, or not to the bundle that they say they do."""
        if request.bundle not in ("", self.state.bundle):
            return
        expected = (len(request.events), self.state.items.vectors.shape[1])
        if request.vectors.shape != expected or request.vectors.dtype != np.float32:
            found = f"{request.vectors.dtype} {request.vectors.shape}"
            raise RequestError(f"vectors are {found}, expected float32 {expected}; send one h_u per event")

    def commit(self, requests: Sequence[Request]) -> Commit:
        """Judge events, make the good and new ones durable as one micro-batch, and apply it."""
        self._require_in_step()
        requests = [request.in_words_of(self.state) for request in requests]
        events = [event for request in requests for event in request.events]
        vectors = np.concatenate([request.vectors for request in requests])
        finite = np.logical_and.reduce(np.isfinite(vectors), axis=1).tolist()
        entries = [
            admitted(event, is_finite, self.state, self._latest_ms)
            for event, is_finite in zip(events, finite, strict=True)
        ]  # fmt: skip
        usable = [entry.event.event_id for entry in entries if isinstance(entry, LogEntry)]
        acks = judge(events, entries, self.log.known(usable), self.log.last_seq + 1)
        new = [position for position, ack in enumerate(acks) if ack.status == "applied"]
        chosen = [entry for position in new if isinstance(entry := entries[position], LogEntry)]
        batch = self._append(chosen, vectors[new]) if chosen else None
        ends = np.cumsum([len(request.events) for request in requests]).tolist()
        return Commit([acks[start:end] for start, end in zip([0, *ends], ends, strict=False)], batch)

    def write(self, requests: Sequence[WriteRequest], vectors: np.ndarray, bundle: str, now_ms: int) -> Commit:
        """Judge writes, make those that change something durable as one micro-batch, and apply it.

        vectors: (n, d) float32, h_i in the space of `bundle`, zeros of documents; one of another space places no item.
        """
        self._require_in_step()
        if bundle != self.state.bundle:
            vectors = np.zeros((len(requests), self.state.items.vectors.shape[1]), np.float32)
        known = self.log.known([request.event_id for request in requests])
        judged = list(judge_writes(requests, vectors, self.state, self.shoppers, known))
        new = [position for position, ack in enumerate(judged) if ack is None]
        batch = None
        if new:
            entries = [entry_of(requests[position], now_ms) for position in new]
            batch = self._append(entries, vectors[new], tuple(requests[position].write for position in new))
        seqs = iter(range(self.state.version - len(new) + 1, self.state.version + 1))
        acks = [
            ack or Ack(asked.event_id, "applied", next(seqs), None) for ack, asked in zip(judged, requests, strict=True)
        ]
        return Commit([acks], batch)

    def merge(self, user_id: str, source: str, now_ms: int) -> MicroBatch:
        """Let the history of `source` join that of `user_id`, durably; return the batch that says so."""
        self.log.check()
        if user_id == source:
            raise UnprocessableError(f"{user_id!r} cannot be merged into itself; name the guest as source")
        event = Event(
            event_id=f"{MERGE}-{uuid4().hex}", user_id=user_id, item_idx=NO_ITEM, event_type=MERGE, weight=0.0,
            timestamp_ms=now_ms, order_key=source,
        )  # fmt: skip
        entry = LogEntry(event, None, fingerprint(event, None))
        return self._append([entry], np.zeros((1, self.state.items.vectors.shape[1]), np.float32))

    def take_back_merge(self, user_id: str, source: str, since_ms: int) -> None:
        """Undo the newest merge of `source` into `user_id`, unless it is older than `since_ms`."""
        merges = [
            event for event in self.log.events_of(user_id) if (event.event_type, event.order_key) == (MERGE, source)
        ]
        if not merges:
            raise NotFoundError(f"{source!r} was never merged into {user_id!r}")
        if (newest := merges[-1]).timestamp_ms < since_ms:
            raise UnprocessableError(f"{source!r} was merged into {user_id!r} too long ago to be taken back")
        self._silence([newest.seq], [], newest.timestamp_ms)

    def held(self, user_id: str) -> Held:
        """Return all that is held of a shopper and of those who were merged into the shopper."""
        user_ids = self.log.person(user_id)
        events = {event.seq: event for one in user_ids for event in self.log.events_of(one)}
        ordered = [events[seq] for seq in sorted(events)]
        return Held(user_ids, ordered, self.shoppers.get(user_id), self.log.letters.of(user_ids))

    def erase(self, user_id: str, now_ms: int) -> Receipt:
        """Silence all that a person did, in every name; the bundle's histories of the person count no more, too."""
        held = self.held(user_id)
        if not held.events and held.shopper.history.is_stranger:  # no state reflects them, and a later bundle must not
            self.log.forget(held.user_ids, now_ms)
            return Receipt(len(held.user_ids), 0, self.log.revision)
        self._silence([event.seq for event in held.events], held.user_ids, now_ms)
        for one in held.user_ids:
            self.shoppers.live.pop(one, None)  # at once, before the state is made anew
        return Receipt(len(held.user_ids), len(held.events), self.log.revision)

    def adopt(self, bundle: BundleState) -> None:
        """Begin to make the state of another bundle."""
        self._wanted, self._next = bundle, None

    def catch_up(self, n_events: int) -> bool:
        """Carry the new state about `n_events` further; tell whether it has taken the old one's place."""
        if self._next is None:
            self._next = Course.begin(self._wanted, self.log, self._config)
        reached = self.log.next_seq(self._next.state.version) - 1  # beyond what was removed
        self._next.advance(self.log, min(reached + n_events, self.log.last_seq))
        if self._next.state.version < self.log.last_seq:
            return False
        self._take(self._next)
        self._next = None
        return True

    def let_go(self, after: int, latest_ms: int) -> int | None:
        """Remove what nobody needs of the next stretch after version `after`; return where to go on, None at the end.

        A batch of another bundle says nothing to this one where all its events are of before this one's cut-off: it
        goes when they are of `latest_ms` or before. A state of an older bundle, and its snapshots, would know them.
        """
        if self.is_behind:
            return None  # whoever is on the way may be such a one
        removals, limit_ms = self.log.removals, min(latest_ms, self.bundle.manifest.data_cutoff_ms)
        if after == 0:
            removals.drop_letters(latest_ms)
        stretch = removals.stretch(self.state.bundle, after, min(self.floor + 1, self.log.last_seq), limit_ms)
        if stretch is not None and stretch.outdated:
            keep_snapshots(self.log.folder, self._history)
            removals.remove(stretch.outdated)
        # Events come about in the order of their times: behind a stretch that is too young all are.
        return stretch.version if stretch is not None and stretch.has_old else None

    def room(self) -> dict[str, np.ndarray]:
        """Return memory for an image or a snapshot; any thread may ask."""
        return room_for(self.state)

    def image(self, room: Mapping[str, np.ndarray] | None = None) -> Image:
        """Return a copy of the items, for a replica to start from."""
        arrays = item_arrays(self.state, room)
        return Image(self.position, self.state.bundle, self.state.config, arrays, dict(self.shoppers.forgotten))

    def snapshot(self, room: Mapping[str, np.ndarray] | None = None) -> Moment:
        """As Course.snapshot."""
        return self._course.snapshot(self.log, room)

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

    def _require_in_step(self) -> None:
        self.log.check()
        if self.state.version != self.log.last_seq:
            raise LogError(f"applying stopped at {self.state.version} of {self.log.last_seq} events; restart the store")

    def _take(self, course: Course) -> None:
        """Serve a state from now on."""
        self._course, self._revision = course, self.log.revision
        self._history = history_name(self.log, course.state)
        self._removed = self.log.removals.last_seq
        # Batches up to here speak of another bundle, or are gone.
        self.floor = max(self._removed, self.log.last_of_other_bundles(course.state.bundle))
        state = course.bundle.state
        latest = state.epoch_ms + MAX_HALF_LIVES * state.config.half_life_days * DAY_MS
        self._latest_ms = int(min(latest, 2**53))

    def _append(self, entries: Sequence[LogEntry], vectors: np.ndarray, writes: tuple[Write, ...] = ()) -> MicroBatch:
        events = [entry.event for entry in entries]
        batch = self._course.completed(draft(events, vectors, self.log.last_seq + 1, writes))
        self.log.append(self.state.bundle, batch, entries)
        apply(self.state, batch)
        return batch

    def _silence(self, seqs: Sequence[int], user_ids: Sequence[str], at_ms: int) -> None:
        # First the snapshots that hold what shall be silent: were the power to fail between the two, only time is lost.
        drop_snapshots(self.log.folder, first=min(seqs, default=self.log.last_seq + 1))
        self.log.silence(seqs, user_ids, at_ms)
        self._next = None
