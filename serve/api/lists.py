"""Lists beside recommendations: a given one ranked, what goes with a basket, and those that everybody gets alike."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from serve.api.access import caller_of
from serve.api.bodies import as_json, read_json
from serve.api.documents import refuses, takes
from serve.api.outgoing import known_items, read_basket, read_rank, read_search, show, show_hits, show_list
from serve.api.problems import read
from serve.api.slate_schemas import (
    BasketBody,
    ListAnswer,
    ListBody,
    RankBody,
    RecommendationsAnswer,
    SearchAnswer,
    SearchBody,
    SimilarBody,
    SlateBody,
)
from serve.engine import Engine
from serve.slates import NOTHING, Ask
from serve.stages.arranging.policy import Policy
from serve.stages.browsing import Browse, Kind
from serve.stages.filters.catalogues import within
from serve.stages.filters.expression import bound, every
from serve.stages.filters.language import parse
from serve.stages.retrieval import WAIT_S


def list_routes(engine_of: Callable[[], Engine]) -> APIRouter:
    """Return the routes of lists."""
    routes = APIRouter(prefix="/v1", tags=["lists"])

    @routes.post("/rank", response_model=RecommendationsAnswer, openapi_extra=takes(RankBody))
    async def rank(request: Request) -> Response:
        """Put a given list in the shopper's order; what is no longer offered, or does not match, is left out."""
        body = caller_of(request).about(read(RankBody, await read_json(request)))
        engine = engine_of()
        ask = read_rank(body, engine.view.catalogue, await policy_of(engine, body))
        return await personal(engine, ask, body.return_)

    @routes.post("/basket", response_model=RecommendationsAnswer, openapi_extra=takes(BasketBody))
    async def complete_basket(request: Request) -> Response:
        """Return what goes with a basket, for the shopper if one is named."""
        body = caller_of(request).about(read(BasketBody, await read_json(request)))
        engine = engine_of()
        ask = read_basket(body, engine.view.catalogue, await policy_of(engine, body))
        return await personal(engine, ask, body.return_)

    @routes.post("/similar", response_model=ListAnswer, openapi_extra=takes(SimilarBody))
    async def find_similar(request: Request) -> Response:
        """Return what is like some items."""
        body, engine = read(SimilarBody, await read_json(request)), engine_of()
        items = np.unique(known_items("items", body.items, engine.index))
        return await listed(request, engine, "similar", body, items)

    @routes.post("/search", response_model=SearchAnswer, openapi_extra=takes(SearchBody))
    async def search(request: Request) -> Response:
        """Return what says the words of a query or is near to what it means; the shopper has a say in the order."""
        body, engine = caller_of(request).about(read(SearchBody, await read_json(request))), engine_of()
        await engine.view.wait_for(body.min_version, WAIT_S)
        hits, degraded = await engine.search(read_search(body, engine.view.catalogue), body.query)
        return as_json(show_hits(hits, body.return_, engine, degraded))

    @routes.get("/popular", response_model=ListAnswer, responses=refuses(422))
    async def list_popular(request: Request, asked: Annotated[ListBody, Query()]) -> Response:
        """Return what shoppers took most of late."""
        return await listed(request, engine_of(), "popular", asked)

    @routes.get("/trending", response_model=ListAnswer, responses=refuses(422))
    async def list_trending(request: Request, asked: Annotated[ListBody, Query()]) -> Response:
        """Return the items whose share of what is taken of late exceeds their usual one most."""
        return await listed(request, engine_of(), "trending", asked)

    @routes.get("/new", response_model=ListAnswer, responses=refuses(422))
    async def list_new(request: Request, asked: Annotated[ListBody, Query()]) -> Response:
        """Return the items that came since the bundle was fitted, the latest first."""
        return await listed(request, engine_of(), "new", asked)

    return routes


async def policy_of(engine: Engine, body: SlateBody) -> Policy:
    """Return the scenario that a request names, which may be as new as the version that it asks for."""
    await engine.view.wait_for(body.min_version, WAIT_S)
    return engine.policy(body.scenario)


async def personal(engine: Engine, ask: Ask, wanted: list[Any]) -> Response:
    """Return a slate."""
    return as_json(show(await engine.recommend(ask), wanted, engine, ask.recommendation_id))


async def listed(
    request: Request, engine: Engine, kind: Kind, asked: ListBody, items: np.ndarray = NOTHING
) -> Response:
    """Return a list that everybody gets alike."""
    caller = caller_of(request)
    caller.count(caller.shopper)
    await engine.view.wait_for(asked.min_version, WAIT_S)
    theirs = within(asked.catalogue, engine.view.catalogue.membership)
    filter = every(theirs, None if asked.filter is None else bound(parse(asked.filter), {}))
    found = await engine.browse(
        Browse(kind=kind, count=asked.count, items=items, filter=filter, min_version=asked.min_version)
    )
    degraded = ("stale",) if found.version < asked.min_version else ()
    return as_json(show_list(found, asked.return_, engine, degraded))
