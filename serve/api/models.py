"""Bundles over HTTP: which ones there are, and the wish that another one be served."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from cluster.errors import BundleError
from serve.api.bodies import as_json
from serve.api.documents import refuses
from serve.api.operations import OperationAnswer, accepted
from serve.api.schemas import moment
from serve.engine import Engine
from serve.releases import Releases
from train.bundle_state import Manifest


class ModelAnswer(BaseModel):
    """A published bundle."""

    version: str
    name: str | None = Field(None, description="what it was trained on")
    parent: str | None = Field(None, description="the bundle it went on from")
    created: datetime | None = None
    dataUntil: datetime | None = Field(None, description="time of the newest event in it")
    learnedUntil: datetime | None = Field(None, description="time of the newest event that its model was trained on")
    keepSeen: bool | None = Field(None, description="whether items a shopper had before may be shown again")
    compressed: bool | None = None
    codeVersion: str | None = None
    metrics: dict[str, dict[str, float]] | None = Field(None, description="row of the evaluation → metric → value")
    problem: str | None = Field(None, description="why it cannot be read")


class ModelsAnswer(BaseModel):
    """The registry."""

    models: list[ModelAnswer] = Field(description="in the order of versions")
    current: str | None = Field(description="what the registry names as the one to serve")
    previous: str | None = Field(description="what a rollback would serve")
    served: str = Field(description="by the replica that answers; another one while one bundle takes another's place")


def model_routes(engine_of: Callable[[], Engine], releases_of: Callable[[], Releases]) -> APIRouter:
    """Return the routes below /v1/models."""
    routes = APIRouter(prefix="/v1/models", tags=["models"])

    @routes.get("", response_model=ModelsAnswer)
    async def list_models() -> Response:
        """Return every published bundle with what its evaluation found."""
        served, found = engine_of().bundle.manifest.version, await releases_of().models()
        models = [told(version, one) for version, one in found.manifests.items()]
        return as_json({"models": models, "current": found.current, "previous": found.previous, "served": served})

    @routes.post("/{version}:promote", status_code=202, response_model=OperationAnswer, responses=refuses(404, 409))
    async def promote_model(version: str) -> Response:
        """Serve a bundle instead of the one that is served, without a failed request."""
        return accepted(await releases_of().promote(version))

    @routes.post("/{version}:rollback", status_code=202, response_model=OperationAnswer, responses=refuses(404, 409))
    async def rollback_model(version: str) -> Response:
        """Serve again what was current before this bundle, which must be the current one."""
        return accepted(await releases_of().rollback(version))

    return routes


def told(version: str, found: Manifest | BundleError) -> dict[str, Any]:
    """Return a bundle as ModelAnswer says."""
    if isinstance(found, BundleError):
        return {"version": version, "problem": str(found)}
    return {
        "version": version, "name": found.name, "parent": found.parent, "created": found.created,
        "dataUntil": moment(found.data_cutoff_ms),
        "learnedUntil": moment(found.learned_until_ms) if found.learned_until_ms else None,
        "keepSeen": found.keep_seen, "compressed": found.is_compressed, "codeVersion": found.code_version,
        "metrics": found.metrics,
    }  # fmt: skip
