"""Decisions over HTTP: told, made again, and lists continued."""

import math
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from serve.api.access import caller_of
from serve.api.bodies import as_json, read_json
from serve.api.decision_schemas import DecisionAnswer, ExplanationAnswer, NextBody, ReplayAnswer
from serve.api.documents import refuses, takes
from serve.api.outgoing import SOURCE_NAMES, read_ask, read_basket, read_rank, show
from serve.api.problems import read
from serve.api.schemas import moment
from serve.api.slate_schemas import BasketBody, RankBody, RecommendationsAnswer, RecommendationsBody
from serve.engine import Engine
from serve.slates import Ask
from serve.stages.arranging.config import ScenarioConfig
from serve.stages.arranging.policy import Policy
from serve.state.decision_log import first_of
from serve.trust.continuing import continued
from serve.trust.decisions import Decision
from serve.trust.explaining import KINDS, Explanation
from serve.trust.replaying import ranked_scores

BODIES = {
    "recommendations": (RecommendationsBody, read_ask), "basket": (BasketBody, read_basket),
    "rank": (RankBody, read_rank),
}  # fmt: skip


def decision_routes(engine_of: Callable[[], Engine]) -> APIRouter:
    """Return the routes of decisions."""
    routes = APIRouter(prefix="/v1")

    @routes.get(
        "/decisions/{recommendation_id}/explanation", response_model=ExplanationAnswer, tags=["decisions"],
        responses=refuses(404, 409),
    )  # fmt: skip
    async def explain_decision(recommendation_id: str) -> Response:
        """Say what the history, and what the ranker read, had to do with each item."""
        engine = engine_of()
        found = await engine.recorder.find(recommendation_id)
        return as_json(tell_why(found, await engine.explain(found), engine.view.version))

    @routes.get(
        "/decisions/{recommendation_id}", response_model=DecisionAnswer, tags=["decisions"], responses=refuses(404)
    )
    async def get_decision(recommendation_id: str) -> Response:
        """Return a decision: what was asked, shown and left, with all that it followed from."""
        found = await engine_of().recorder.find(recommendation_id)
        return as_json(tell(found))

    @routes.post(
        "/decisions/{recommendation_id}/replay", response_model=ReplayAnswer, tags=["decisions"],
        responses=refuses(404, 409),
    )  # fmt: skip
    async def replay_decision(recommendation_id: str) -> Response:
        """Make a list again from what is kept of it."""
        engine = engine_of()
        found = await engine.recorder.find(recommendation_id)
        again = engine.replay(found)
        rows = zip(again.shown_ids, again.score.tolist(), again.propensity.tolist(), strict=True)
        items = [
            {"id": item_id, "rank": rank, "propensity": propensity, "score": score}
            for rank, (item_id, score, propensity) in enumerate(rows, start=1)
        ]
        return as_json({"recommendationId": recommendation_id, "identical": again.identical, "items": items})

    @routes.post(
        "/recommendations/{recommendation_id}/next", response_model=RecommendationsAnswer, tags=["recommendations"],
        openapi_extra=takes(NextBody), responses=refuses(404, 409, 410, 507),
    )  # fmt: skip
    async def next_items(recommendation_id: str, request: Request) -> Response:
        """Return the next items of a list, none of which was shown under its id before."""
        body, engine, caller = read(NextBody, await read_json(request)), engine_of(), caller_of(request)
        caller.count(caller.shopper)

        def again(first: Decision) -> Ask:
            caller.require(first.user_id)
            return asked(first, engine)

        ask, slate = await continued(engine, recommendation_id, body.count, again)
        wanted = [] if ask.sent is None else ask.sent.model_dump()["return_"]
        return as_json(show(slate, wanted, engine, ask.recommendation_id))

    return routes


def asked(decision: Decision, engine: Engine) -> Ask:
    """Return what a decision answered, in the manner of the scenario as it was then."""
    policy = Policy(
        scenario=decision.scenario, version=decision.scenario_version,
        config=ScenarioConfig.model_validate(decision.config),
    )  # fmt: skip
    model, read_body = BODIES[decision.route]
    body = read(model, decision.sent | ({"user": decision.user_id} if decision.user_id else {}))
    return read_body(body, engine.view.catalogue, policy)


def summary(decision: Decision) -> dict[str, Any]:
    """Return a decision as DecisionSummary says."""
    first = first_of(decision.recommendation_id)
    shown = decision.shown.tolist()
    return {
        "recommendationId": decision.recommendation_id,
        "continues": None if first == decision.recommendation_id else first,
        "time": moment(decision.at_ms), "route": decision.route, "user": decision.user_id or None,
        "request": decision.sent,
        "items": [
            {"id": decision.item_ids[place], "rank": rank, "propensity": propensity,
             "score": float(decision.score[place]), "sources": SOURCE_NAMES[decision.source[place]]}
            for rank, (place, propensity) in enumerate(zip(shown, decision.propensity.tolist(), strict=True), start=1)
        ],
        "policy": {"scenario": decision.scenario, "version": decision.scenario_version},
        "rules": [{"id": name, "version": version} for name, version in decision.rules],
        "modelVersion": decision.model_version, "stateVersion": decision.state_version,
        "degraded": decision.degraded, "fallback": decision.fallback,
    }  # fmt: skip


def tell(decision: Decision) -> dict[str, Any]:
    """Return a decision as DecisionAnswer says."""
    read_of = decision.features.tolist()
    rows = zip(decision.item_ids, decision.score.tolist(), decision.source.tolist(), strict=True)
    candidates = [
        {"id": item_id, "score": score, "sources": SOURCE_NAMES[source],
         "features": read_of[place] if place < len(read_of) else None}
        for place, (item_id, score, source) in enumerate(rows)
    ]  # fmt: skip
    return summary(decision) | {
        "candidates": candidates, "features": decision.feature_names, "history": decision.history,
        "historyLength": decision.n_history,
    }  # fmt: skip


def tell_why(decision: Decision, why: Explanation, state_version: int) -> dict[str, Any]:
    """Return an explanation as ExplanationAnswer says."""
    score, last = ranked_scores(decision)[decision.shown].tolist(), len(why.rows) - 1
    items = []
    for rank, item_id in enumerate(decision.shown_ids):
        shares = why.left_out[:, rank].tolist()
        rows = [
            {"item": item, "rowsAgo": last - row, "contribution": share}
            for row, (item, share) in enumerate(zip(why.rows, shares, strict=True))
        ]
        rows.sort(key=lambda row: -row["contribution"])
        parts = why.parts[rank].tolist()
        items.append({
            "id": item_id, "rank": rank + 1, "score": score[rank], "product": float(why.product[rank]), "history": rows,
            "ranker": None if math.isnan(parts[0]) else dict(zip(KINDS, parts, strict=True)),
        })  # fmt: skip
    return {
        "recommendationId": decision.recommendation_id, "exact": why.is_exact, "stateVersion": state_version,
        "baseline": None if math.isnan(why.baseline) else why.baseline, "items": items,
    }  # fmt: skip
