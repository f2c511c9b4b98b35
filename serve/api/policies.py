"""Scenarios and rules over HTTP: documents of the shop that lists are made by when the call returns."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from cluster.config import Config
from cluster.errors import NotFoundError, UnavailableError, UnprocessableError
from serve.api.bodies import as_json, read_json
from serve.api.decisions import asked
from serve.api.documents import WRITES, refuses, takes
from serve.api.problems import checked, read
from serve.api.writing import expectation, tagged, write
from serve.engine import Engine
from serve.stages.arranging.config import ScenarioConfig
from serve.stages.retrieval import WAIT_S
from serve.stages.rules.config import RULES, Action, rule_class
from serve.state.catalogue import written_content
from serve.state.documents import Document
from serve.state.events import RULE, SCENARIO, Write
from serve.trust.previewing import previewed

EXAMPLES = 5
MOST = 500  # documents of a kind: every replica holds all of them, and looks at every rule for every list


OWN_VERSION = "of this document: 1 when it was first written, one more with each change"
STATE_VERSION = "as minVersion it makes an answer reflect this document"


class RuleAnswer(BaseModel):
    """A rule as it is now; what is not said of it is missing."""

    id: str
    version: int = Field(description=OWN_VERSION)
    stateVersion: int = Field(description=STATE_VERSION)
    action: Action
    filter: str
    when: str | None = None
    scenarios: list[str]
    priority: int
    starts: datetime | None = None
    ends: datetime | None = None
    enabled: bool
    note: str
    factor: float | None = None
    position: int | None = None
    limit: int | None = None
    minimum: int | None = None
    share: float | None = None


class ScenarioAnswer(ScenarioConfig):
    """A scenario as it is now, with all that was not said."""

    id: str
    version: int = Field(description=OWN_VERSION)
    state_version: int = Field(description=STATE_VERSION)


class ScenariosAnswer(BaseModel):
    """Every scenario, in the order of ids."""

    scenarios: list[ScenarioAnswer]


class RulesAnswer(BaseModel):
    """Every rule, in the order of ids."""

    rules: list[RuleAnswer]


class PreviewAnswer(BaseModel):
    """What a rule would have done to the newest lists."""

    id: str
    decisions: int = Field(description="that were looked at, the newest 100 at most")
    inForce: int = Field(description="of them, those for which the rule would have been in force")
    changed: int = Field(description="of them, those that would show other items, or in another order")
    examples: list[str] = Field(description="recommendationIds of some that would change, the newest first")


class GoneAnswer(BaseModel):
    """A document that is there no longer."""

    id: str
    stateVersion: int = Field(description="as minVersion it makes an answer reflect that")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of document, and how it travels."""

    row: str  # its type in the log
    noun: str
    bodies: tuple[type[Config], ...]
    model_of: Callable[[Any], type[Config]]  # what a content must be like
    answer: type[BaseModel]
    answers: type[BaseModel]  # of all, in a field named like the route


RULES_KIND = Kind(
    row=RULE, noun="rule", bodies=tuple(RULES.values()), model_of=rule_class, answer=RuleAnswer, answers=RulesAnswer
)  # fmt: skip

SCENARIOS_KIND = Kind(
    row=SCENARIO, noun="scenario", bodies=(ScenarioConfig,), model_of=lambda content: ScenarioConfig,
    answer=ScenarioAnswer, answers=ScenariosAnswer,
)  # fmt: skip
KINDS = (SCENARIOS_KIND, RULES_KIND)


def document_routes(engine_of: Callable[[], Engine], kind: Kind) -> APIRouter:
    """Return the routes of a kind of document."""
    plural = f"{kind.noun}s"
    routes = APIRouter(prefix=f"/v1/{plural}", tags=["policies"])

    @routes.get("", response_model=kind.answers, name=f"list_{plural}")
    async def list_documents() -> Response:
        """Return all documents of this kind."""
        view = engine_of().view
        return as_json(
            {plural: [told(kind, name, one, view.version) for name, one in view.documents.all(kind.row).items()]}
        )

    @routes.get("/{name:path}", response_model=kind.answer, name=f"get_{kind.noun}", responses=refuses(404))
    async def get_document(name: str) -> Response:
        """Return a document and, as ETag, what changes whenever it does."""
        return shown(engine_of(), kind, checked(name, kind.noun))

    @routes.put(
        "/{name:path}", response_model=kind.answer, openapi_extra=takes(*kind.bodies), name=f"put_{kind.noun}",
        responses=refuses(*WRITES),
    )  # fmt: skip
    async def put_document(name: str, request: Request) -> Response:
        """Write a document, new or not."""
        engine, content = engine_of(), content_of(kind, await read_json(request))
        documents, before = engine.view.documents, engine.view.documents.get(kind.row, checked(name, kind.noun))
        if not before.content and len(documents.all(kind.row)) >= MOST:
            raise UnprocessableError(f"there are {MOST} {plural} already; delete one that nobody needs")
        version = await write(engine, Write(kind.row, name, content), expectation(request, before.content))
        if not await engine.view.wait_for(version, WAIT_S):
            raise UnavailableError(
                f"{kind.noun} {name!r} is written and not visible here yet; send it again in a second"
            )
        return shown(engine, kind, name)

    @routes.delete("/{name:path}", name=f"delete_{kind.noun}", responses=refuses(404, *WRITES))
    async def delete_document(name: str, request: Request) -> GoneAnswer:
        """Let a document be there no longer."""
        engine = engine_of()
        before = engine.view.documents.get(kind.row, checked(name, kind.noun))
        version = await write(engine, Write(kind.row, name, ""), expectation(request, before.content))
        return GoneAnswer(id=name, stateVersion=version)

    return routes


def preview_routes(engine_of: Callable[[], Engine]) -> APIRouter:
    """Return the route that tells what a rule would do."""
    routes = APIRouter(prefix="/v1/rules", tags=["policies"])

    @routes.post("/{name:path}:preview", response_model=PreviewAnswer, openapi_extra=takes(*RULES_KIND.bodies))
    async def preview_rule(name: str, request: Request) -> Response:
        """Say how many of the newest lists a rule would change; nothing is written."""
        engine, content = engine_of(), content_of(RULES_KIND, await read_json(request))
        draft = Write(RULE, checked(name, "rule"), content)
        found = await previewed(engine, draft, lambda decision: asked(decision, engine))
        return as_json({
            "id": name, "decisions": found.n_decisions, "inForce": found.n_in_force, "changed": len(found.changed),
            "examples": found.changed[:EXAMPLES],
        })  # fmt: skip

    return routes


def content_of(kind: Kind, body: Any) -> str:
    """Return a body as the log keeps it: what it says, and no defaults, which may become better ones."""
    return written_content(read(kind.model_of(body), body).model_dump(mode="json", by_alias=True, exclude_unset=True))


def shown(engine: Engine, kind: Kind, name: str) -> Response:
    """Return a document as it is here and now."""
    document = engine.view.documents.get(kind.row, name)
    if not document.content:
        raise NotFoundError(f"there is no {kind.noun} {name!r}")
    return tagged(told(kind, name, document, engine.view.version), document.content)


def told(kind: Kind, name: str, document: Document, state_version: int) -> dict[str, Any]:
    """Return a document as its answer says."""
    said = orjson.loads(document.content)
    content = kind.model_of(said).model_validate(said).model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"id": name, "version": document.version, "stateVersion": state_version, **content}
