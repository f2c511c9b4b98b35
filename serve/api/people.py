"""What a shopper may ask for: all that is held, its erasure, and one history of a guest's and an account's."""

from collections.abc import Callable
from datetime import UTC, datetime

import orjson
from fastapi import APIRouter, Request

from serve.api.bodies import read_json
from serve.api.decision_schemas import DecisionSummary
from serve.api.decisions import summary
from serve.api.documents import refuses, takes
from serve.api.person_schemas import (
    ErasureAnswer,
    ExportAnswer,
    HeldEvent,
    HistoryRow,
    MergeAnswer,
    MergeBody,
    RefusedEvent,
)
from serve.api.problems import checked, read
from serve.api.schemas import moment
from serve.engine import Engine
from serve.state.dead_letters import DeadLetter
from serve.state.event_log import LoggedEvent
from serve.state.purchases import Purchases
from serve.trust.decisions import Decision
from train.models.shopper import History


def people_routes(engine_of: Callable[[], Engine]) -> APIRouter:
    """Return the routes below /v1/users/{id}."""
    routes = APIRouter(prefix="/v1/users", tags=["users"])

    @routes.get("/{user_id:path}/export")
    async def export_user(user_id: str) -> ExportAnswer:
        """Return all that is held of a person."""
        engine, user_id = engine_of(), checked(user_id)
        await engine.recorder.empty()  # other replicas' come by themselves
        held = await engine.store.export(user_id)
        return ExportAnswer(
            user=user_id, ids=held.user_ids, events=[tell(event) for event in held.events],
            traits=orjson.loads(held.shopper.traits or "{}"),
            history=_told(held.shopper.history, engine.item_ids), bought=_told(held.shopper.bought, engine.item_ids),
            refused=[tell_refused(letter) for letter in held.letters],
            decisions=[DecisionSummary(**summary(Decision.read(record))) for record in held.decisions],
        )  # fmt: skip

    @routes.delete("/{user_id:path}", responses=refuses(507))
    async def erase_user(user_id: str) -> ErasureAnswer:
        """Erase a person: from the log, its files, snapshots and memory; and unlearn what was learned from them."""
        engine, user_id = engine_of(), checked(user_id)
        await engine.recorder.empty()
        receipt = await engine.store.erase(user_id)
        return ErasureAnswer(
            user=user_id, erasedIds=receipt.n_user_ids, erasedEvents=receipt.n_events,
            erasedDecisions=receipt.n_decisions, revision=receipt.revision, erasedAt=datetime.now(UTC),
        )  # fmt: skip

    @routes.post("/{user_id:path}:merge", openapi_extra=takes(MergeBody), responses=refuses(409, 507))
    async def merge_user(user_id: str, request: Request) -> MergeAnswer:
        """Let a guest's history join the account's."""
        body = read(MergeBody, await read_json(request))
        version = await engine_of().store.merge(checked(user_id), body.source)
        return MergeAnswer(user=user_id, source=body.source, version=version)

    @routes.post("/{user_id:path}:unmerge", openapi_extra=takes(MergeBody), responses=refuses(404, 507))
    async def unmerge_user(user_id: str, request: Request) -> MergeAnswer:
        """Take a merge back, up to 24 hours later: both are as if it had never been."""
        body = read(MergeBody, await read_json(request))
        await engine_of().store.take_back_merge(checked(user_id), body.source)
        return MergeAnswer(user=user_id, source=body.source, version=None)

    return routes


def tell(event: LoggedEvent) -> HeldEvent:
    """Return an event as its shopper gets it."""
    return HeldEvent(
        id=event.event_id, version=event.seq, type=event.event_type, user=event.user_id, item=event.item_id,
        time=moment(event.timestamp_ms), orderId=event.order_key or None, value=event.value, weight=event.weight,
        more=orjson.loads(event.payload),
    )  # fmt: skip


def _told(rows: History | Purchases, item_ids: list[str]) -> list[HistoryRow]:
    items = [item_ids[item_idx] for item_idx in rows.item_idx.tolist()]
    return [HistoryRow(item=item, time=moment(ms)) for item, ms in zip(items, rows.timestamp_ms.tolist(), strict=True)]


def tell_refused(letter: DeadLetter) -> RefusedEvent:
    """Return a refused event as its shopper gets it."""
    return RefusedEvent(time=moment(letter.at_ms), reason=letter.reason, event=orjson.loads(letter.content))
