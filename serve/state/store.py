"""The store: the one writer of the live state, as the gateways call it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from cluster.errors import OutOfStepError, StorageError, UnavailableError
from serve.state.clock import now_ms
from serve.state.config import StoreConfig
from serve.state.dead_letters import DeadLetter, Outbox
from serve.state.decision_keeper import DecisionKeeper
from serve.state.event_log import LoggedEvent
from serve.state.events import Ack, AppendResult, Event, MicroBatch, Position
from serve.state.folder import open_decisions, open_folder
from serve.state.group_commit import GroupCommit
from serve.state.image import Image
from serve.state.machine import Commit, Held, Receipt, StateMachine
from serve.state.recent import Recent
from serve.state.reports import Reports, store_values
from serve.state.request import Request
from serve.state.retention import Retention
from serve.state.shoppers import Shopper
from serve.state.snapshot import write_snapshot
from serve.state.writing import WriteRequest
from train.bundle_state import read_bundle_state

log = logging.getLogger(__name__)

T = TypeVar("T")


class Store:
    """One event loop asks, one thread does all the work on state and disk, in the order of the log."""

    def __init__(self, machine: StateMachine, config: StoreConfig, decisions: DecisionKeeper) -> None:
        self._machine, self.decisions = machine, decisions
        self._config = config
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._recent = Recent(machine.state.version, config.recent_events)
        self._group_commit = GroupCommit(self._commit, config.queue)
        self.reports = Reports(lambda: store_values(machine, self._group_commit))
        self._outbox = Outbox(self._put_letters, config.dead_letters)
        self._retention = Retention(self._let_go, config.keep_days)
        self._one_writer = asyncio.Lock()
        self._one_snapshot = asyncio.Lock()
        self._catching_up: asyncio.Task[None] | None = None
        self._saved = machine.state.version
        self._saving: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    def open(
        cls, bundle_folder: Path, data_folder: Path, bootstrap: bool = False, config: StoreConfig | None = None
    ) -> "Store":
        """Return the store after recovery; a folder without a log is refused unless `bootstrap`."""
        config = config or StoreConfig()
        bundle = read_bundle_state(bundle_folder)
        log = open_folder(data_folder, bundle.manifest.version, bootstrap)
        machine = StateMachine(bundle, log, config.learner)
        machine.recover()
        decisions = open_decisions(data_folder, log)
        return cls(machine, config, DecisionKeeper(decisions, config.keep_decision_days))

    @property
    def position(self) -> Position:
        """The newest version that was given out."""
        return Position(self._machine.lineage, self._recent.version)

    @property
    def epoch(self) -> int:
        """How often the log was opened."""
        return self._machine.log.epoch

    async def append(self, events: Sequence[Event], vectors: np.ndarray, since: Position) -> AppendResult:
        """Return when each event is durable and applied, or refused.

        vectors: (n, d) float32, h_u of each event's shopper, zeros for none; since: where the caller's view stands, of
        this bundle or another one. Of an OverloadedError nothing was taken. Any other error means that nobody knows
        whether the events are durable: send the same ids again.
        """
        self._require_open()
        request = Request(events, vectors, since.bundle, since.reader)
        self._machine.check(request)
        return self._told(await self._group_commit.submit(request), since)

    async def changes(self, since: Position, timeout_s: float) -> list[MicroBatch]:
        """Return the next batches after `since`, waiting up to `timeout_s` for one; none when the time is up."""
        self._check(since)
        self._retention.when_due()  # replicas ask here all the time, and after the store was opened first of all
        self.decisions.retention.when_due()
        if since.version == self._recent.version and not await self._recent.wait(timeout_s, since.reader):
            return []
        self._check(since)  # the log may have been rewritten meanwhile
        batches = self._recent.after(since.version)
        if batches is None:
            until = min(since.version + self._config.changes_events, self._recent.version)
            return await self._in_thread(self._machine.logged, since.version, until)
        return [batch for batch in batches if batch.first_seq <= since.version + self._config.changes_events]

    async def user(self, user_id: str, since: Position) -> Shopper:
        """Return a shopper's history, with every event that was acknowledged before the call; a stranger has none.

        since: only its bundle matters, which says what item_idx means.
        """
        self._require_open()
        if since.bundle != self.position.bundle:
            raise OutOfStepError(f"bundle {self.position.bundle} is served, not {since.bundle}; load the store's image")
        return self._machine.shoppers.get(user_id)

    async def write(self, requests: Sequence[WriteRequest], vectors: np.ndarray, since: Position) -> AppendResult:
        """As `append`, for items and documents; vectors: (n, d) float32, h_i of items' contents, zeros for none."""
        self._require_open()
        commit = await self._committed({since.reader}, self._machine.write, requests, vectors, since.bundle, now_ms())
        return self._told(commit.acks[0], since)

    async def merge(self, user_id: str, source: str) -> int:
        """Let the history of `source` join that of `user_id`; return the version that shows it."""
        self._require_open()
        async with self._one_writer:
            batch = await self._in_thread(self._machine.merge, user_id, source, now_ms())
            self._recent.append(batch)
        return batch.version

    async def take_back_merge(self, user_id: str, source: str) -> int:
        """Undo the newest merge of `source` into `user_id`, at most `undo_hours` old; return the log's revision."""
        since_ms = now_ms() - int(self._config.undo_hours * 3_600_000)
        await self._rewrite(self._machine.take_back_merge, user_id, source, since_ms)
        return self._machine.log.revision

    async def export(self, user_id: str) -> Held:
        """Return all that is held of a shopper."""
        self._require_open()
        await self._outbox.empty()
        held = await self._in_thread(self._machine.held, user_id)
        return held._replace(decisions=await self.decisions.of(held.user_ids))

    async def events(self, after: int, limit: int) -> list[LoggedEvent]:
        """Return up to `limit` events after version `after`, under the ids of those whom they belong to now."""
        self._require_open()
        return await self._in_thread(self._machine.log.events, after, limit)

    async def dead_letters(self) -> list[DeadLetter]:
        """Return the newest refused events, oldest first."""
        self._require_open()
        await self._outbox.empty()
        return await self._in_thread(self._machine.log.letters.all)

    async def erase(self, user_id: str) -> Receipt:
        """Return when nothing that a person did is on the disk or told to anybody; what was learned from it goes soon.

        The state is then made anew as if the events had said nothing, while requests and events go on.
        """
        return await self._rewrite(self._erase, user_id, now_ms())

    async def adopt(self, bundle_folder: Path) -> None:
        """Return when the state is that of another bundle and the same log; the old one is served meanwhile."""
        self._require_open()
        bundle = await asyncio.to_thread(read_bundle_state, bundle_folder)
        async with self._one_snapshot, self._one_writer:
            await self._in_thread(self._machine.adopt, bundle)
            self._begin_catching_up()
        await self.caught_up()
        await self._in_thread(self._machine.describe)
        self._retention.now()

    async def caught_up(self) -> None:
        """Return when the state is the wanted bundle's, and reflects nothing that was erased or taken back."""
        while self._catching_up is not None and not self._catching_up.done():
            await asyncio.shield(self._catching_up)

    async def image(self) -> Image:
        """Return a copy of the items, for a replica to start from."""
        self._require_open()
        return await self._copied(self._machine.image)

    async def state_hash(self) -> tuple[int, str]:
        """Return a version, and the hash of the whole state at it."""
        async with self._one_snapshot:
            await self.caught_up()
            copy = await self._copied(self._machine.snapshot)
        header = (await asyncio.to_thread(copy.sealed)).header
        return header.version, header.state_hash

    async def snapshot(self) -> Path:
        """Return the file that the whole state was written to; events go on while it is written."""
        async with self._one_snapshot:
            await self.caught_up()
            copy = await self._copied(self._machine.snapshot)
            snapshot = await asyncio.to_thread(copy.sealed)
            path = await asyncio.to_thread(write_snapshot, self._machine.log.folder, snapshot)
            await self._in_thread(self._machine.describe)
        log.info("wrote snapshot version=%d path=%s", snapshot.header.version, path)
        return path

    async def close(self) -> None:
        """Finish what is queued and let go of the log; whoever asks from now on is told to ask again."""
        if self._closed:
            return
        self._closed = True
        await self._group_commit.drain()
        if self._catching_up is not None:
            self._catching_up.cancel()
        if self._saving is not None:
            await self._saving
        self._retention.close()
        await self._outbox.close()
        await self.decisions.close()
        await self._in_thread(self._machine.close)
        self._thread.shutdown()

    def _told(self, acks: list[Ack], since: Position) -> AppendResult:
        batches = self._recent.after(since.version) if since.lineage == self._machine.lineage else None
        return AppendResult(acks, batches or [], self._recent.version)

    async def _commit(self, requests: list[Request]) -> list[list[Ack]]:
        commit = await self._committed({one.reader for one in requests}, self._machine.commit, requests)
        for request, acks in zip(requests, commit.acks, strict=True):
            self._outbox.note(request.events, acks, now_ms())
        return commit.acks

    async def _put_letters(self, letters: list[DeadLetter]) -> None:
        await self._in_thread(self._machine.log.letters.put, letters, self._config.dead_letters)

    async def _let_go(self, after: int, latest_ms: int) -> int | None:
        return await self._in_thread(self._machine.let_go, after, latest_ms)

    def _erase(self, user_id: str, at_ms: int) -> Receipt:
        # Decisions first: were the power to fail between the two, the log would still say whose they are.
        n_decisions = self.decisions.erase(self._machine.log.person(user_id), at_ms)
        return self._machine.erase(user_id, at_ms)._replace(n_decisions=n_decisions)

    async def _committed(self, told: set[str], work: Callable[..., Commit], *arguments: object) -> Commit:
        async with self._one_writer:
            commit = await self._in_thread(work, *arguments)
            if commit.batch is not None:
                self._recent.append(commit.batch, told)
                self._save_when_due()
        return commit

    async def _rewrite(self, work: Callable[..., T], *arguments: object) -> T:
        """Return what rewriting a part of the log gives; the state follows in the background."""
        self._require_open()
        async with self._one_snapshot, self._one_writer:  # a snapshot under way would bring back what goes
            await self._outbox.empty()  # so that an erasure finds every letter
            done = await self._in_thread(work, *arguments)
            if self._machine.is_behind:
                self._recent.restart()
                self._begin_catching_up()
        return done

    def _begin_catching_up(self) -> None:
        if self._catching_up is None or self._catching_up.done():
            self._catching_up = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        while not await self._in_thread(self._machine.catch_up, self._config.catch_up_events):
            pass
        self._recent.restart()
        self._saved = 0  # no snapshot is of this state
        self._save_when_due()

    def _save_when_due(self) -> None:
        idle = self._saving is None or self._saving.done()
        if idle and not self._machine.is_behind and self._recent.version - self._saved >= self._config.snapshot_events:
            self._saved = self._recent.version
            self._saving = asyncio.create_task(self._save())

    async def _save(self) -> None:
        try:
            await self.snapshot()
        except (StorageError, OSError) as error:
            # Nothing is lost but time: recovery replays more of the log.
            log.warning("snapshot failed error=%s", error)

    def _check(self, since: Position) -> None:
        self._require_open()
        oldest, newest = self._machine.floor, self._recent.version
        if since.lineage != self._machine.lineage:
            raise OutOfStepError(
                f"{since.lineage} is another history than {self._machine.lineage}; load the store's bundle and image"
            )
        if not oldest <= since.version <= newest:
            raise OutOfStepError(
                f"version {since.version} is not between {oldest} and {newest}; load the store's image"
            )

    def _require_open(self) -> None:
        if self._closed:
            raise UnavailableError("the store is closing; send the same request again in a second")

    async def _copied(self, work: Callable[[dict[str, np.ndarray]], T]) -> T:
        return await self._in_thread(work, await asyncio.to_thread(self._machine.room))

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
