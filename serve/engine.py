"""The engine: one straight line down for a request, another for events."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np

from cluster.errors import OutOfStepError, UnavailableError
from serve.stages.query import Found, Query, Ranked
from serve.stages.retrieval import WAIT_S
from serve.state.events import Ack, Event, Position
from serve.state.follower import Follower
from serve.state.machine import Held, Receipt
from serve.state.store import AppendResult
from serve.state.view import Source
from train.bundle import Bundle
from train.models.candidates import Candidates
from train.models.shopper import NO_HISTORY, History

FACTS = {"title": "title", "brand": "brand", "category_path": "categoryPath", "price": "price"}

Encode = Callable[[History], Awaitable[np.ndarray]]  # history → h_u (d,)
Retrieve = Callable[[Query], Awaitable[Found]]
Rank = Callable[[Query, Found], Awaitable[Ranked]]


class Store(Source, Protocol):
    """The store as a gateway calls it."""

    async def append(self, events: Sequence[Event], vectors: np.ndarray, since: Position) -> AppendResult:
        """As serve.state.store.Store.append."""
        ...

    async def merge(self, user_id: str, source: str) -> int:
        """As serve.state.store.Store.merge."""
        ...

    async def take_back_merge(self, user_id: str, source: str) -> int:
        """As serve.state.store.Store.take_back_merge."""
        ...

    async def export(self, user_id: str) -> Held:
        """As serve.state.store.Store.export."""
        ...

    async def erase(self, user_id: str) -> Receipt:
        """As serve.state.store.Store.erase."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request for recommendations, its item ids already numbers."""

    user_id: str | None  # None: nobody we could know
    count: int
    context: np.ndarray  # item_idx looked at in this visit, oldest first, perhaps not yet in the history
    excluded: np.ndarray  # item_idx
    min_version: int
    order_key: str = ""  # of the order that the shopper is filling; empty where there is none
    traits: dict[str, Any] = field(default_factory=dict)  # what is known of the shopper just now, before what was known


@dataclass(frozen=True, slots=True, kw_only=True)
class Slate:
    """What is shown, best first, and how it came about."""

    candidates: Candidates
    state_version: int
    lag_ms: float
    degraded: tuple[str, ...]
    fallback: Literal["none", "popular"]


class Engine:
    """Answers from its replica's memory; the stages may be rooms of this process or deployments of their own."""

    def __init__(
        self, bundle: Bundle, follower: Follower, store: Store, encode: Encode, retrieve: Retrieve, rank: Rank
    ) -> None:
        self.bundle, self.follower, self.view, self.store = bundle, follower, follower.view, store
        self._encode, self._retrieve, self._rank = encode, retrieve, rank
        self.item_ids: list[str] = bundle.items["item_id"].tolist()
        self.index = {item_id: item_idx for item_idx, item_id in enumerate(self.item_ids)}
        self._facts = {
            wire: bundle.items[name].astype(object).where(bundle.items[name].notna(), None).tolist()
            for name, wire in FACTS.items() if name in bundle.items
        }  # fmt: skip

    async def recommend(self, ask: Ask) -> Slate:
        """Return the shopper's slate, reflecting `ask.min_version` or saying that it does not."""
        await self.view.wait_for(ask.min_version, WAIT_S)
        history, degraded = await self._history(ask)
        query = Query(
            bundle=self.bundle.manifest.version, history=history, vector=await self._vector(history),
            blocked=self._blocked(history, ask), min_version=self.view.version,
        )  # fmt: skip
        ranked = await self._rank(query, await self._retrieve(query))
        if ranked.version < ask.min_version:
            degraded = (*degraded, "stale")
        return Slate(
            candidates=ranked.candidates.best(ask.count), state_version=ranked.version, lag_ms=self.follower.lag_ms(),
            degraded=degraded, fallback="popular" if history.is_stranger else "none",
        )  # fmt: skip

    async def ingest(self, events: Sequence[Event]) -> list[Ack]:
        """Return when each event is durable and applied here, or refused."""
        result = await self.store.append(events, await self._vectors(events), self.view.position)
        self.view.apply(result.batches)
        return result.acks

    def properties(self, item_idx: int) -> dict[str, Any]:
        """Return what the catalogue says of an item, as the API spells it."""
        facts = {name: column[item_idx] for name, column in self._facts.items()}
        return {name: value for name, value in facts.items() if value is not None}

    async def _history(self, ask: Ask) -> tuple[History, tuple[str, ...]]:
        """Return the shopper's history with the visit's context, and what had to be left out."""
        history, degraded = NO_HISTORY, ()
        if ask.user_id is not None:
            try:
                history = await self.view.fetch(ask.user_id, self.store)
            except UnavailableError:
                degraded = ("history",)
        is_open = ask.user_id is not None and self.view.is_filling(ask.user_id, ask.order_key)
        for item_idx in ask.context.tolist():
            newest_ms = int(history.timestamp_ms[-1]) if len(history) else 0
            history = history.appended(item_idx, newest_ms, same_order=is_open)
        history = replace(history, is_open=is_open)
        if ask.traits and self.bundle.traits is not None:
            history = replace(history, traits=self.bundle.traits.changed(history.traits, ask.traits))
        return history, degraded

    def _blocked(self, history: History, ask: Ask) -> np.ndarray:
        if self.bundle.manifest.keep_seen:
            return ask.excluded
        return np.union1d(history.item_idx, ask.excluded)

    async def _known(self, user_id: str) -> History:
        """Return a shopper's history; none where the store serves another bundle: then the event moves no row."""
        try:
            return await self.view.fetch(user_id, self.store)
        except OutOfStepError:
            return NO_HISTORY

    async def _vector(self, history: History) -> np.ndarray:
        """Return h_u (d,), zeros for a stranger."""
        if history.is_stranger:
            return np.zeros(self.view.items.vectors.shape[1], dtype=np.float32)
        return await self._encode(history)

    async def _vectors(self, events: Sequence[Event]) -> np.ndarray:
        """Return h_u (n, d) of each event's shopper just before the event, earlier events of the call counted."""
        user_ids = list({event.user_id for event in events if _teaches(event)})
        known = await asyncio.gather(*(self._known(user_id) for user_id in user_ids))
        latest = dict(zip(user_ids, known, strict=True))
        histories = []
        for event in events:
            histories.append(latest[event.user_id] if _teaches(event) else NO_HISTORY)
            if _teaches(event) and event.weight > 0:
                latest[event.user_id] = histories[-1].appended(event.item_idx, event.timestamp_ms, same_order=False)
        return np.stack(await asyncio.gather(*(self._vector(history) for history in histories)))


def _teaches(event: Event) -> bool:
    return event.item_idx >= 0 and event.weight != 0
