"""The recorder: a replica's decisions on their way to the store, out of the requests' way, and back from it."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from cluster.errors import NotFoundError
from cluster.requests import begin
from serve.slates import Ask, Slate
from serve.stages.query import Ranked
from serve.state.catalogue import LiveCatalogue
from serve.state.clock import now_ms
from serve.state.decision_log import Record, began_ms, first_of
from serve.trust.decisions import Decision
from serve.trust.taking import taken
from train.models.shopper import History

log = logging.getLogger(__name__)

T = TypeVar("T")

GATHER_S = 0.05  # decisions of so long are sent together
RETRY_S = 1.0  # after which a store that did not take them is asked again
TOGETHER = 64
MOST = 1_000  # decisions that wait
MOST_BYTES = 64 << 20  # of their memory
FRESH_MS = 2_000  # age up to which a decision may still be on its way from another replica
LOOKS = 5  # for such a one, GATHER_S apart
SCALE = 2**32


class Keeper(Protocol):
    """Who keeps decisions, as serve.state.decision_keeper.DecisionKeeper."""

    async def put(self, records: Sequence[Record]) -> list[bool]:
        """As DecisionKeeper.put."""
        ...

    async def get(self, recommendation_id: str) -> Record | None:
        """As DecisionKeeper.get."""
        ...

    async def chain(self, first_id: str) -> list[Record]:
        """As DecisionKeeper.chain."""
        ...

    async def newest(self, limit: int) -> list[Record]:
        """As DecisionKeeper.newest."""
        ...


class KeepingStore(Protocol):
    """The store that a keeper belongs to, or a handle to it."""

    @property
    def decisions(self) -> Keeper:
        """Who keeps decisions."""
        ...


class Recorder:
    """Takes a share of the decisions, and holds the newest of them until the store has them."""

    def __init__(self, store: KeepingStore, share: float) -> None:
        self._store, self._share = store, share
        self._waiting: OrderedDict[str, Decision] = OrderedDict()
        self._sending: asyncio.Task[None] | None = None
        self._n_bytes = 0  # of those that wait
        self.n_dropped = 0  # since this replica started

    def note(
        self, ask: Ask, history: History, ranked: Ranked, slate: Slate, catalogue: LiveCatalogue, model_version: str
    ) -> None:  # fmt: skip
        """Take what was decided, to be sent in a moment; the oldest gives way where the store does not take them."""
        if not self._wants(ask.recommendation_id):
            return
        made = taken(ask, history, ranked, slate, catalogue.item_ids, model_version)
        self._waiting[ask.recommendation_id] = made
        self._n_bytes += made.n_bytes
        while len(self._waiting) > 1 and (len(self._waiting) > MOST or self._n_bytes > MOST_BYTES):
            self._let_go(next(iter(self._waiting)))
            self.n_dropped += 1
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    @property
    def n_waiting(self) -> int:
        """How many are on their way."""
        return len(self._waiting)

    async def find(self, recommendation_id: str) -> Decision:
        """Return a decision of any replica; raises NotFoundError, which says why there is none."""
        began = self._began(recommendation_id)
        if (own := self._waiting.get(recommendation_id)) is not None:
            return own
        return Decision.read(await self._looked(self._store.decisions.get, recommendation_id, began))

    async def chain(self, first_id: str) -> list[Decision]:
        """Return the decision that began a list and those that continued it; raises as `find`."""
        began = self._began(first_id)
        if first_id in self._waiting:
            await self.empty()
        return [Decision.read(one) for one in await self._looked(self._store.decisions.chain, first_id, began)]

    async def newest(self, limit: int) -> list[Decision]:
        """Return the newest decisions of all replicas, the newest first; those of this moment may be on their way."""
        await self.empty()
        return [Decision.read(one) for one in await self._store.decisions.newest(limit)]

    async def settle(self, recommendation_id: str) -> bool:
        """Tell whether the store has taken a decision that was just noted; false where its id is taken."""
        made = self._waiting[recommendation_id]
        self._let_go(recommendation_id)
        [is_new] = await self._store.decisions.put([made.record()])
        return is_new

    async def empty(self) -> None:
        """Send what waits; raises when the store does not take it."""
        while self._waiting:
            some = list(self._waiting.values())[:TOGETHER]
            records = []
            for one in some:
                records.append(one.record())
                await asyncio.sleep(0)  # a request waits for one of them, not for all
            await self._store.decisions.put(records)
            for one in some:
                self._let_go(one.recommendation_id)

    def _let_go(self, recommendation_id: str) -> None:
        if (gone := self._waiting.pop(recommendation_id, None)) is not None:
            self._n_bytes -= gone.n_bytes

    def _began(self, recommendation_id: str) -> int:
        """Return when a list began, in epoch milliseconds; raises NotFoundError where nobody may know."""
        if (began := began_ms(recommendation_id)) is None:
            raise NotFoundError(f"{recommendation_id[:64]!r} is no recommendationId")
        if not self._wants(recommendation_id):
            raise NotFoundError(f"{recommendation_id} was not recorded: decision_share={self._share:g} of them are")
        return began

    async def _looked(self, ask: Callable[[str], Awaitable[T | None]], recommendation_id: str, began: int) -> T:
        """Return what the store has of an id; one just made may be on its way from another replica."""
        for _ in range(LOOKS):
            if found := await ask(recommendation_id):
                return found
            if now_ms() - began > FRESH_MS:
                break
            await asyncio.sleep(GATHER_S)
        raise NotFoundError(
            f"{recommendation_id} is not known: never made, erased, older than keep_decision_days, or lost while the "
            f"store was away, as {self.n_dropped} of this replica were"
        )

    def _wants(self, recommendation_id: str) -> bool:
        """Tell whether a decision is recorded; its id alone decides, so that every replica knows."""
        return bool(recommendation_id) and int(first_of(recommendation_id)[-8:], 16) < self._share * SCALE

    async def _send(self) -> None:
        begin("")  # whoever came first has no more to do with it than others
        pause_s = GATHER_S
        while self._waiting:
            await asyncio.sleep(pause_s)
            try:
                await self.empty()
                pause_s = GATHER_S
            except Exception as error:  # whatever it was: slates go on, and the oldest decisions give way
                log.warning("decisions wait n=%d dropped=%d error=%r", len(self._waiting), self.n_dropped, error)
                pause_s = RETRY_S
