"""The catalogue over HTTP: a new or edited item is recommended as such when the call returns."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic.alias_generators import to_camel

from cluster.errors import NotFoundError, RequestError
from serve.api.bodies import as_json, read_bytes, read_json
from serve.api.documents import LINES, WRITES, answers_lines, refuses, takes, takes_lines
from serve.api.item_schemas import DeletionAnswer, ItemAnswer, ItemBody, ItemLine, ItemsAnswer, LineAnswer
from serve.api.problems import InvalidError, checked, problem, read
from serve.api.writing import expectation, patched, request_of, tagged, write
from serve.engine import Engine
from serve.state.catalogue import LiveCatalogue, etag, written_content
from serve.state.events import ITEM, Ack, Problem, Write
from serve.state.writing import WriteRequest

CATALOGUE = "products"
MAX_LINES = 500
UNSAID = Problem(500, "no reason was given")


def catalogue_routes(engine_of: Callable[[], Engine]) -> APIRouter:
    """Return the routes below /v1/catalogues."""
    routes = APIRouter(prefix="/v1/catalogues/{catalogue}", tags=["catalogue"], responses=refuses(404))

    @routes.get("/items", response_model=ItemsAnswer)
    async def list_items(
        catalogue: str, limit: int = Query(100, ge=1, le=1_000), cursor: str = Query("", max_length=20)
    ) -> Response:
        """Return items page by page; items that come or go meanwhile shift nothing."""
        known, view = of_catalogue(engine_of(), catalogue), engine_of().view
        offered = (item_idx for item_idx in range(read_cursor(cursor), len(known)) if not view.items.gone[item_idx])
        page = list(islice(offered, limit))
        following = next(offered, None)
        return as_json({
            "items": [told(known.item_ids[item_idx], known.content(item_idx), view.version) for item_idx in page],
            "next": None if following is None else str(following),
        })  # fmt: skip

    @routes.post(
        "/items:batch", openapi_extra=takes_lines(ItemLine), responses=answers_lines(LineAnswer) | refuses(507)
    )
    async def write_items(catalogue: str, request: Request) -> Response:
        """Write many items, each by itself; a line of the answer for each line of the body."""
        engine = engine_of()
        of_catalogue(engine, catalogue)
        judged = list(read_lines(await read_bytes(request)))
        sound = [one for one in judged if isinstance(one, WriteRequest)]
        acks = iter(await engine.assortment.write(sound) if sound else [])
        lines = [line_of(one, next(acks) if isinstance(one, WriteRequest) else one) for one in judged]
        return Response(b"\n".join(map(orjson.dumps, lines)) + b"\n", media_type=LINES)

    @routes.get("/items/{item_id:path}", response_model=ItemAnswer)
    async def get_item(catalogue: str, item_id: str) -> Response:
        """Return an item and, as ETag, what changes whenever the item does."""
        engine = engine_of()
        content = current(engine, catalogue, checked(item_id, "item"))
        if not content:
            raise NotFoundError(f"item {item_id!r} is not in the catalogue")
        return tagged(told(item_id, content, engine.view.version), content)

    @routes.put(
        "/items/{item_id:path}", response_model=ItemAnswer, openapi_extra=takes(ItemBody), responses=refuses(*WRITES)
    )
    async def put_item(catalogue: str, item_id: str, request: Request) -> Response:
        """Write an item, new or not."""
        engine, body = engine_of(), read(ItemBody, await read_json(request))
        before = current(engine, catalogue, checked(item_id, "item"))
        content = content_of(body)
        version = await write(engine, Write(ITEM, item_id, content), expectation(request, before))
        return tagged(told(item_id, content, version), content)

    @routes.patch(
        "/items/{item_id:path}", response_model=ItemAnswer, openapi_extra=takes(ItemBody), responses=refuses(*WRITES)
    )
    async def patch_item(catalogue: str, item_id: str, request: Request) -> Response:
        """Change some of an item; null takes a value away (RFC 7396)."""
        engine, patch = engine_of(), await read_json(request)
        return await patched(lambda: patch_once(engine, catalogue, item_id, patch, request), request)

    @routes.delete("/items/{item_id:path}", responses=refuses(*WRITES))
    async def delete_item(catalogue: str, item_id: str, request: Request) -> DeletionAnswer:
        """Offer an item no longer; no answer from now on shows it."""
        engine = engine_of()
        before = current(engine, catalogue, checked(item_id, "item"))
        return DeletionAnswer(
            id=item_id, version=await write(engine, Write(ITEM, item_id, ""), expectation(request, before))
        )

    return routes


async def patch_once(engine: Engine, catalogue: str, item_id: str, patch: Any, request: Request) -> Response:
    """Write an item as a patch leaves it, unless somebody else wrote it meanwhile."""
    before = current(engine, catalogue, checked(item_id, "item"))
    content = content_of(changed(item_id, before, patch))
    given = expectation(request, before)
    version = await write(engine, Write(ITEM, item_id, content), etag(before) if given is None else given)
    return tagged(told(item_id, content, version), content)


def content_of(body: ItemBody) -> str:
    """Return a body as the log keeps it."""
    return written_content(body.model_dump(exclude={"id", "deleted"}))


def changed(item_id: str, content: str, patch: Any) -> ItemBody:
    """Return an item after a merge patch."""
    if not content:
        raise NotFoundError(f"item {item_id!r} is not in the catalogue; PUT it")
    if not isinstance(patch, dict):
        raise RequestError("the body must be an object")
    facts = in_camel(content)
    for name, value in patch.items():
        if name == "properties" and isinstance(value, dict):
            value = {key: one for key, one in (facts.get(name, {}) | value).items() if one is not None}
        facts[name] = value
    return read(ItemBody, {name: value for name, value in facts.items() if value is not None})


def read_lines(content: bytes) -> Iterator[WriteRequest | Problem]:
    """Yield what each line asks for, or what is wrong with it."""
    lines = [line for line in content.splitlines() if line.strip()]
    if not 1 <= len(lines) <= MAX_LINES:
        raise RequestError(f"the body must hold 1 to {MAX_LINES} lines, not {len(lines)}; send several requests")
    for line in lines:
        try:
            body = read(ItemLine, orjson.loads(line))
        except (orjson.JSONDecodeError, InvalidError) as error:
            yield Problem(400, str(error))
            continue
        yield request_of(Write(ITEM, body.id, "" if body.deleted else content_of(body)))


def line_of(asked: WriteRequest | Problem, outcome: Ack | Problem) -> dict[str, Any]:
    """Return the answer to a line, as LineAnswer says."""
    item_id = asked.write.id if isinstance(asked, WriteRequest) else None
    if isinstance(outcome, Ack) and outcome.problem is None:
        status = "applied" if outcome.status == "applied" else "unchanged"
        return {"id": item_id, "status": status, "version": outcome.version, "problem": None}
    refused = outcome if isinstance(outcome, Problem) else outcome.problem
    return {"id": item_id, "status": "rejected", "version": None, "problem": problem(*refused or UNSAID)}


def of_catalogue(engine: Engine, catalogue: str) -> LiveCatalogue:
    """Return the live catalogue of that name."""
    if catalogue != CATALOGUE:
        raise NotFoundError(f"catalogue {catalogue[:128]!r} does not exist; there is {CATALOGUE!r}")
    return engine.view.catalogue


def current(engine: Engine, catalogue: str, item_id: str) -> str:
    """Return what an item says of itself, nothing where it is not offered."""
    return of_catalogue(engine, catalogue).content_of(item_id)


def told(item_id: str, content: str, version: int) -> dict[str, Any]:
    """Return an item as ItemAnswer says."""
    return {"id": item_id, "version": version, **in_camel(content)}


def in_camel(content: str) -> dict[str, Any]:
    """Return a content as it travels."""
    return {to_camel(name): value for name, value in orjson.loads(content).items()}


def read_cursor(cursor: str) -> int:
    """Return the item_idx that a page begins with."""
    if cursor and not (cursor.isascii() and cursor.isdigit()):
        raise RequestError(f"cursor {cursor!r} is none; give `next` of the page before")
    return int(cursor or 0)
