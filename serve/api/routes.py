"""The routes: parse, ask the engine, answer."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware

from cluster.errors import ConflictError, LiveshelfError, RequestError, UnavailableError, UnprocessableError
from cluster.front_door import REQUEST_ID
from cluster.keys import Keyring
from cluster.requests import within_each
from serve.api.access import access, caller_of
from serve.api.bodies import as_json, read_json
from serve.api.catalogue import catalogue_routes
from serve.api.decision_schemas import NextBody
from serve.api.decisions import decision_routes
from serve.api.documents import describe, methods_of, named, refuses, takes
from serve.api.evaluations import evaluation_routes
from serve.api.guarding import Guarded, install_docs
from serve.api.identifying import Identified
from serve.api.incoming import Claim, answer, one_of_many, read_bodies, to_event
from serve.api.item_schemas import ItemBody, ItemLine, LineAnswer
from serve.api.lists import list_routes, personal, policy_of
from serve.api.measuring import Measured, metric_routes
from serve.api.models import model_routes
from serve.api.operations import operation_routes
from serve.api.outgoing import read_ask
from serve.api.people import people_routes
from serve.api.person_schemas import MergeBody, UserBody
from serve.api.policies import KINDS, document_routes, preview_routes
from serve.api.problems import install_problems, read
from serve.api.schemas import EventBody, EventsAnswer, EventsBody, ProblemBody
from serve.api.slate_schemas import (
    BasketBody,
    RankBody,
    RecommendationsAnswer,
    RecommendationsBody,
    SearchBody,
    SimilarBody,
)
from serve.api.tokens import TokenBody, token_routes
from serve.api.tracing import Traced
from serve.api.traits import trait_routes
from serve.config import ALONE
from serve.engine import Engine
from serve.limits import Limits, RatesConfig
from serve.releases import Releases
from serve.state.events import Ack, Event, Problem

OPEN = Keyring(Path("/nowhere"))  # no keys, which lets anybody in
UNLIMITED = Limits(RatesConfig.parse([]))
ASKS = (RecommendationsBody, RankBody, BasketBody, SearchBody, SimilarBody)
DOCUMENT_BODIES = tuple(body for kind in KINDS for body in kind.bodies)
ITEM_BODIES = (ItemBody, ItemLine, LineAnswer)
REFUSALS: dict[int, type[LiveshelfError]] = {400: RequestError, 409: ConflictError, 422: UnprocessableError}


def nobody_releases() -> Releases:
    """Raise: this server is alone, as in tests of other things."""
    raise UnavailableError("nobody beside this process could do long work")


def make_api(
    engine_of: Callable[[], Engine], keyring_of: Callable[[], Keyring] = lambda: OPEN,
    releases_of: Callable[[], Releases] = nobody_releases, limits_of: Callable[[], Limits] = lambda: UNLIMITED,
    mark: str = "", origins: Sequence[str] = (), is_told: bool = False, tenants: Sequence[str] = ALONE,
) -> FastAPI:  # fmt: skip
    """Return the HTTP surface of the engine that `engine_of` names when a request comes, for holders of its keys.

    limits_of: how often they may ask; mark: of the cluster, whose requests alone are answered; origins: whose pages'
    scripts may ask, too; is_told: of Identified; tenants: whose shops there are, of which engines, releases and limits
    are named by `cluster.requests.current_tenant`.
    """
    api = FastAPI(
        title="liveshelf", version=version("liveshelf"), docs_url=None, redoc_url=None, redirect_slashes=False,
        dependencies=[Depends(access(keyring_of, limits_of, mark, tenants))], generate_unique_id_function=named,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours tell more, and no texts of callers
    )  # fmt: skip
    install_problems(api, lambda path: methods_of(api.openapi(), path))
    install_docs(api)
    api.add_middleware(Measured, lambda: engine_of().metrics)
    if origins:
        api.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["authorization"],
            expose_headers=["retry-after", REQUEST_ID],
        )  # fmt: skip
    api.add_middleware(Guarded, mark)
    api.add_middleware(Traced)
    api.add_middleware(Identified, is_told)
    bodies = (EventBody, EventsBody, MergeBody, NextBody, ProblemBody, TokenBody, UserBody)
    describe(api, *ASKS, *bodies, *ITEM_BODIES, *DOCUMENT_BODIES)

    # Routes are tried in their order: those asked most come first.
    @api.post(
        "/v1/events", response_model=EventsAnswer, openapi_extra=takes(EventBody, EventsBody), tags=["events"],
        responses=refuses(409, 507),
    )  # fmt: skip
    async def record_events(request: Request) -> Response:
        """Record what shoppers did; 200 means committed and applied."""
        content = await read_json(request)
        bodies, claim, is_alone = read_bodies(content), caller_of(request).about, "events" not in content
        outcomes = await ingest(engine_of(), bodies, claim if is_alone else one_of_many(claim))
        if is_alone:
            raise_refusal(outcomes[0])
        return as_json(answer(bodies, outcomes))

    @api.post(
        "/v1/recommendations", response_model=RecommendationsAnswer, openapi_extra=takes(RecommendationsBody),
        tags=["recommendations"],
    )  # fmt: skip
    async def recommend(request: Request) -> Response:
        """Return the items to show a shopper now."""
        body, engine = caller_of(request).about(read(RecommendationsBody, await read_json(request))), engine_of()
        ask = read_ask(body, engine.view.catalogue, await policy_of(engine, body))
        return await personal(engine, ask, body.return_)

    @api.get("/healthz", tags=["health"])
    async def check_health() -> dict[str, str]:
        """Say that this process lives."""
        return {"status": "ok"}

    @api.get("/readyz", tags=["health"])
    async def check_readiness() -> dict[str, Any]:
        """Say whether this replica follows the store, of every shop."""
        for one in within_each(tenants, engine_of).values():
            if one.follower.lost_at is not None:
                raise UnavailableError(f"the store has not answered for {one.follower.lag_ms():.0f} ms; reads go on")
        engine = engine_of()
        return {
            "status": "ready",
            "modelVersion": engine.bundle.manifest.version,
            "stateVersion": engine.view.version,
            "replica": engine.metrics.process,
        }

    api.include_router(token_routes())
    api.include_router(people_routes(engine_of))
    api.include_router(trait_routes(engine_of))
    api.include_router(evaluation_routes(engine_of))
    api.include_router(catalogue_routes(engine_of))
    api.include_router(list_routes(engine_of))
    api.include_router(decision_routes(engine_of))
    api.include_router(preview_routes(engine_of))
    api.include_router(metric_routes(engine_of, tenants, mark))
    api.include_router(model_routes(engine_of, releases_of))
    api.include_router(operation_routes(releases_of))
    for kind in KINDS:
        api.include_router(document_routes(engine_of, kind))
    return api


async def ingest(engine: Engine, bodies: list[EventBody | Problem], claim: Claim) -> list[Ack | Problem]:
    """Return what became of each event; only those that its caller may send and that mean something reach the store."""
    now = datetime.now(UTC)
    claimed = [body if isinstance(body, Problem) else claim(body) for body in bodies]
    judged = [
        body if isinstance(body, Problem) else to_event(body, engine.index, engine.bundle.critic, now)
        for body in claimed
    ]
    sound = [event for event in judged if isinstance(event, Event)]
    acks = iter(await engine.ingest(sound) if sound else [])
    return [next(acks) if isinstance(event, Event) else event for event in judged]


def raise_refusal(outcome: Ack | Problem) -> None:
    """Turn the refusal of a single event into the request's own."""
    found = outcome.problem if isinstance(outcome, Ack) else outcome
    if found is not None:
        raise REFUSALS[found.status](found.detail)
