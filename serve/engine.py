"""The engine: one straight line down for a request, another for events."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from cluster.errors import OutOfStepError, UnavailableError
from cluster.tracing import span, traced
from serve.assortment import Assortment, query_vector
from serve.backing import Store
from serve.judge import Judge
from serve.metrics import Metrics
from serve.slates import ANYTHING, Ask, Slate
from serve.stages.arranging.arrange import Arranged, Arranging
from serve.stages.arranging.knowledge import Knowledge
from serve.stages.arranging.policy import Policies, Policy
from serve.stages.browsing import Browse, Browsed
from serve.stages.encoding import Encoding
from serve.stages.filters.expression import every
from serve.stages.fused import Stages
from serve.stages.query import Query, Ranked
from serve.stages.reasons import Reason, reasons_of
from serve.stages.retrieval import WAIT_S
from serve.stages.rules.rulebook import NO_RULES, Rulebook
from serve.stages.searching import Hits, Search
from serve.state.clock import now_ms
from serve.state.events import Ack, Event
from serve.state.follower import Follower
from serve.state.reports import REPORT_S
from serve.state.shoppers import Shopper
from serve.trust.decisions import Decision
from serve.trust.explaining import Explanation, explained
from serve.trust.recorder import Recorder
from serve.trust.replaying import Replayed, replayed, require_same
from train.bundle import Bundle
from train.models.shopper import NO_HISTORY, History

FACTS = {"title": "title", "brand": "brand", "category_path": "categoryPath", "price": "price"}


class Engine:
    """Answers from its replica's memory; the stages may be rooms of this process or deployments of their own."""

    def __init__(
        self, bundle: Bundle, follower: Follower, store: Store, stages: Stages,
        judged_share: float = 0.0, judged_a_second: float = 1e6, guard: bool = True, decision_share: float = 0.0,
        process: str = "gateway",
    ) -> None:  # fmt: skip
        self.bundle, self.follower, self.view, self.store = bundle, follower, follower.view, store
        self._encode, stages = traced("encode", Encoding(bundle.model)), stages.traced()
        self._retrieve, self._rank, self._browse, self._search, _, self._turn = stages
        self.assortment = Assortment(bundle, self.view, store)
        self.arranging = Arranging(self.view, Knowledge(bundle, self.view, stages.describe))
        self._arrange = traced("arrange", self.arranging.arrange)
        self._policies, self._rulebook = Policies(self.view.documents), Rulebook(self.view.documents)
        self._judge = Judge(self._ranked, self._vector, bundle.manifest, judged_share, judged_a_second)
        self.metrics = Metrics(process)
        self.recorder = Recorder(store, decision_share)
        self.has_guard = guard and judged_share > 0  # else nobody would see that it may end
        self._facts = {
            wire: bundle.items[name].astype(object).where(bundle.items[name].notna(), None).tolist()
            for name, wire in FACTS.items() if name in bundle.items
        }  # fmt: skip

    @property
    def item_ids(self) -> list[str]:
        """Every item_id by item_idx."""
        return self.view.catalogue.item_ids

    @property
    def index(self) -> dict[str, int]:
        """item_id → item_idx."""
        return self.view.catalogue.index

    def policy(self, scenario: str) -> Policy:
        """Return a scenario as it is now; raises UnprocessableError where there is none."""
        return self._policies.newest(scenario)

    async def recommend(self, ask: Ask) -> Slate:
        """Return the shopper's slate, reflecting `ask.min_version` or saying that it does not."""
        await self.view.wait_for(ask.min_version, WAIT_S)
        ask = self._ruled(ask)
        shopper, degraded = await self._shopper(ask)
        ask, history = ask.sparing(shopper), shopper.history
        still = self.has_guard and self.view.figures.guarded
        if still:
            degraded = (*degraded, "learning")
        is_plain = ask.filter is None and not ask.in_force.rules  # else the catalogue may have to be read first
        async with self._turn if is_plain else nullcontext():
            ranked = await self._ranked(history, await self._vector(history), still, ask)
        if ranked.version < ask.min_version:
            degraded = (*degraded, "stale")
        known = await self._known_here(ranked.candidates.item_idx, ranked.version)
        arranged = await self._arrange(ranked.candidates.keep(known), ask.order(history.is_stranger))
        reasons = self._reasons(arranged, history, ask, still) if ask.reasons else []
        slate = Slate(
            arranged=arranged, reasons=reasons, policy=ask.policy, state_version=ranked.version,
            lag_ms=self.follower.lag_ms(), degraded=(*degraded, *ranked.degraded, *arranged.degraded),
            fallback="popular" if history.is_stranger else "none",
        )  # fmt: skip
        self.recorder.note(ask, history, ranked, slate, self.view.catalogue, self.bundle.manifest.version)
        self.metrics.slate(slate.fallback, slate.degraded)
        return slate

    def replay(self, decision: Decision) -> Replayed:
        """Return a decision made again."""
        return replayed(decision, self.bundle, self.index, self.arranging.directions_of)

    async def explain(self, decision: Decision) -> Explanation:
        """Return why a decision showed what it did, by items as they lie now."""
        require_same(decision, self.bundle)
        items, model = self.view.published if "learning" in decision.degraded else self.view.items, self.bundle.model
        vectors = items.vectors[[self.index[one] for one in decision.shown_ids]]
        reads = getattr(model, "max_length", math.inf)
        return await asyncio.to_thread(
            explained, decision, self.bundle.ranker, vectors, self.index, model.encode_shoppers, reads
        )  # fmt: skip

    async def browse(self, ask: Browse) -> Browsed:
        """Return a list that is the same for everybody."""
        bundle, version = self.bundle.manifest.version, max(ask.min_version, self.view.version)
        filter = every(ask.filter, self._rulebook.in_force(None, {}, datetime.now(UTC)).filter)
        found = await self._browse(replace(ask, bundle=bundle, min_version=version, filter=filter))
        known = await self._known_here(found.item_idx, found.version)
        return replace(found, item_idx=found.item_idx[known], score=found.score[known])

    async def search(self, ask: Ask, text: str) -> tuple[Hits, tuple[str, ...]]:
        """Return what answers a query, in an order that the shopper has a say in, and what had to be left out."""
        await self.view.wait_for(ask.min_version, WAIT_S)
        filter = every(ask.filter, self._rulebook.in_force(None, ask.said, datetime.now(UTC)).filter)
        shopper, degraded = await self._shopper(ask)
        vector, liking = await asyncio.gather(
            asyncio.to_thread(query_vector, self.bundle, text), self._vector(shopper.history)
        )  # fmt: skip
        found = await self._search(Search(
            text=text, vector=vector, shopper=liking, count=ask.count, filter=filter,
            min_version=max(ask.min_version, self.view.version), bundle=self.bundle.manifest.version,
        ))  # fmt: skip
        known = await self._known_here(found.item_idx, found.version)
        hits = replace(
            found, item_idx=found.item_idx[known], score=found.score[known], found_by=found.found_by[known]
        )  # fmt: skip
        return hits, (*degraded, "stale") if hits.version < ask.min_version else degraded

    async def ingest(self, events: Sequence[Event]) -> list[Ack]:
        """Return when each event is durable and applied here, or refused."""
        histories = await self._before(events)
        vectors = await self._vectors(histories)
        events = await self._judge.judged(events, histories, vectors)
        with span("append"):
            result = await self.store.append(events, vectors, self.view.position)
        self.view.apply(result.batches)
        self.metrics.events(ack.status for ack in result.acks)
        return result.acks

    def told(self) -> str:
        """Return this replica's metrics."""
        return self.metrics.text({
            "liveshelf_state_version": (self.view.version, "Version that answers reflect."),
            "liveshelf_store_silence_seconds": (self.follower.lag_ms() / 1e3, "Since when the store is not heard."),
            "liveshelf_items": (len(self.item_ids), "Items known, offered or not."),
            "liveshelf_decisions_waiting": (self.recorder.n_waiting, "Decisions on their way to the store."),
            "liveshelf_decisions_dropped": (self.recorder.n_dropped, "Decisions that the store did not take."),
        })  # fmt: skip

    async def keep_telling(self) -> None:
        """Report this replica's metrics to the store now and then, until cancelled."""
        while True:
            await asyncio.sleep(REPORT_S)
            with suppress(UnavailableError):
                await self.store.reports.put(self.metrics.process, self.told())

    def properties(self, item_idx: int) -> dict[str, Any]:
        """Return what the catalogue says of an item, as the API spells it."""
        if (content := self.view.catalogue.written.get(item_idx)) is not None:
            told = orjson.loads(content or "{}")
            facts = {wire: told.get(name) for name, wire in FACTS.items()} | told.get("properties", {})
        else:
            facts = {name: column[item_idx] for name, column in self._facts.items()}
        return {name: value for name, value in facts.items() if value is not None}

    def _ruled(self, ask: Ask) -> Ask:
        """Return a request with the rules that are in force for it."""
        found = self._rulebook.in_force(ask.policy.scenario, ask.said, ask.now or datetime.now(UTC))
        return ask if found is NO_RULES else replace(ask, filter=every(ask.filter, found.filter), in_force=found)

    async def _known_here(self, item_idx: np.ndarray, version: int) -> np.ndarray:
        """Return which items (n,) this replica can name; a stage that is ahead of it may have found newer ones."""
        await self.view.wait_for(version, WAIT_S)
        return item_idx < len(self.item_ids)

    async def _shopper(self, ask: Ask) -> tuple[Shopper, tuple[str, ...]]:
        """Return who asks, the visit's context in the history, and what had to be left out."""
        shopper, degraded = Shopper(), ()
        if ask.user_id is not None:
            try:
                with span("history"):
                    shopper = await self.view.fetch(ask.user_id, self.store)
            except UnavailableError:
                degraded = ("history",)
        history, is_open = shopper.history, shopper.in_order(ask.order_key)
        newest_ms = int(history.timestamp_ms[-1]) if len(history) else 0
        for item_idx in ask.context.tolist():
            history = history.appended(item_idx, newest_ms, same_order=is_open)
        for item_idx in ask.basket.tolist():
            history = history.appended(item_idx, newest_ms, same_order=is_open)
            is_open = True
        asked_ms = now_ms() if ask.now is None else int(ask.now.timestamp() * 1e3)
        history = replace(history, is_open=is_open, asked_ms=asked_ms)
        if ask.traits and self.bundle.traits is not None:
            history = replace(history, traits=self.bundle.traits.changed(history.traits, ask.traits))
        return replace(shopper, history=history), degraded

    async def _ranked(self, history: History, vector: np.ndarray, still: bool, ask: Ask = ANYTHING) -> Ranked:
        """Return the scored candidates of a shopper, from the live items or from those that stand still."""
        may_repeat = self.bundle.manifest.keep_seen or ask.only is not None
        blocked = ask.excluded if may_repeat else np.union1d(history.item_idx, ask.excluded)
        query = Query(
            bundle=self.bundle.manifest.version, history=history, vector=vector, blocked=blocked,
            min_version=self.view.version, filter=ask.filter, only=ask.only, still=still,
            quotas=ask.policy.config.sources, marks=ask.in_force.marks(ask.count),
        )  # fmt: skip
        found = await self._retrieve(query)
        ranked = await self._rank(query, found)
        return replace(ranked, degraded=(*found.degraded, *ranked.degraded)) if found.degraded else ranked

    def _reasons(self, arranged: Arranged, history: History, ask: Ask, still: bool) -> list[list[Reason]]:
        items = self.view.published if still else self.view.items
        n_published = self.view.catalogue.n_published
        return reasons_of(arranged.shown, arranged.by_lot, history, ask.context, items, n_published)

    async def _known(self, user_id: str) -> Shopper:
        """Return a shopper; a stranger where the store serves another bundle: then the event moves no row."""
        try:
            return await self.view.fetch(user_id, self.store)
        except OutOfStepError:
            return Shopper()

    async def _vector(self, history: History) -> np.ndarray:
        """Return h_u (d,), zeros for a stranger."""
        return (await self._vectors([history]))[0]

    async def _vectors(self, histories: Sequence[History]) -> np.ndarray:
        """Return h_u (n, d), zeros for strangers."""
        vectors = np.zeros((len(histories), self.view.items.vectors.shape[1]), dtype=np.float32)
        if known := [place for place, history in enumerate(histories) if not history.is_stranger]:
            vectors[known] = await self._encode([histories[place] for place in known])
        return vectors

    async def _before(self, events: Sequence[Event]) -> list[History]:
        """Return each event's shopper just before it, earlier events of the call counted; none where it says nothing.

        A history is open where the event belongs to the order of its newest row.
        """
        latest, absent, histories = dict[str, Shopper](), set[str](), list[History]()
        for user_id in {event.user_id for event in events if _teaches(event)}:
            if (shopper := self.view.user(user_id)) is None:
                absent.add(user_id)
            else:
                latest[user_id] = shopper
        latest.update(zip(absent, await asyncio.gather(*map(self._known, absent)), strict=True))
        for event in events:
            if not _teaches(event):
                histories.append(NO_HISTORY)
                continue
            shopper, key = latest[event.user_id], event.order_key
            is_open = shopper.in_order(key)
            histories.append(replace(shopper.history, is_open=is_open, asked_ms=event.timestamp_ms))
            if event.weight > 0:
                history = shopper.history.appended(event.item_idx, event.timestamp_ms, same_order=is_open)
                latest[event.user_id] = replace(shopper, history=history, order_key=key)
        return histories


def _teaches(event: Event) -> bool:
    return event.item_idx >= 0 and event.weight != 0
