"""Catalogues over HTTP: a new or edited item is recommended as such when the call returns."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic.alias_generators import to_camel

from cluster.errors import NotFoundError, RequestError
from serve.api.bodies import as_json, read_bytes, read_json
from serve.api.documents import LINES, WRITES, answers_lines, refuses, takes, takes_lines
from serve.api.item_schemas import (
    CataloguesAnswer,
    DeletionAnswer,
    ItemAnswer,
    ItemBody,
    ItemLine,
    ItemsAnswer,
    LineAnswer,
)
from serve.api.problems import InvalidError, checked, problem, read
from serve.api.writing import expectation, patched, request_of, tagged, write
from serve.engine import Engine
from serve.state.catalogue import etag, written_content
from serve.state.events import ITEM, Ack, Problem, Write
from serve.state.membership import CatalogueName, home_of, misplaced
from serve.state.writing import WriteRequest
from train.data.schema import PRODUCTS

MAX_LINES = 500
UNSAID = Problem(500, "no reason was given")


def catalogue_routes(engine_of: Callable[[], Engine]) -> APIRouter:
    """Return the routes below /v1/catalogues."""
    routes = APIRouter(prefix="/v1/catalogues", tags=["catalogue"])

    @routes.get("", response_model=CataloguesAnswer)
    async def list_catalogues() -> Response:
        """Return the catalogues by name, and how many items each offers."""
        counts = engine_of().view.catalogue.membership.counts
        return as_json({"catalogues": [{"name": name, "items": count} for name, count in counts.items()]})

    @routes.get("/{catalogue}/items", response_model=ItemsAnswer, responses=refuses(404))
    async def list_items(
        catalogue: CatalogueName, limit: int = Query(100, ge=1, le=1_000), cursor: str = Query("", max_length=20)
    ) -> Response:
        """Return items page by page; items that come or go meanwhile shift nothing."""
        view = engine_of().view
        known = view.catalogue
        require_begun(engine_of(), catalogue)
        start = min(read_cursor(cursor), len(known))
        found = (start + np.flatnonzero(known.membership.among(catalogue)[start:])[: limit + 1]).tolist()
        return as_json({
            "items": [told(known.item_ids[one], known.content(one), view.version) for one in found[:limit]],
            "next": str(found[limit]) if len(found) > limit else None,
        })  # fmt: skip

    @routes.post(
        "/{catalogue}/items:batch", openapi_extra=takes_lines(ItemLine),
        responses=answers_lines(LineAnswer) | refuses(507),
    )  # fmt: skip
    async def write_items(catalogue: CatalogueName, request: Request) -> Response:
        """Write many items, each by itself; a line of the answer for each line of the body."""
        engine = engine_of()
        judged = list(read_lines(await read_bytes(request), catalogue))
        sound = [one for one in judged if isinstance(one, WriteRequest)]
        acks = iter(await engine.assortment.write(sound) if sound else [])
        lines = [line_of(one, next(acks) if isinstance(one, WriteRequest) else one) for one in judged]
        return Response(b"\n".join(map(orjson.dumps, lines)) + b"\n", media_type=LINES)

    @routes.get("/{catalogue}/items/{item_id:path}", response_model=ItemAnswer, responses=refuses(404))
    async def get_item(catalogue: CatalogueName, item_id: str) -> Response:
        """Return an item and, as ETag, what changes whenever the item does."""
        engine = engine_of()
        content = current(engine, catalogue, checked(item_id, "item"))
        return tagged(told(item_id, content, engine.view.version), content)

    @routes.put(
        "/{catalogue}/items/{item_id:path}", response_model=ItemAnswer, openapi_extra=takes(ItemBody),
        responses=refuses(*WRITES),
    )  # fmt: skip
    async def put_item(catalogue: CatalogueName, item_id: str, request: Request) -> Response:
        """Write an item, new or not; a catalogue begins with its first one."""
        engine, body = engine_of(), read(ItemBody, await read_json(request))
        before = engine.view.catalogue.content_of(checked(item_id, "item"))
        content = content_of(body, catalogue)
        version = await write(engine, Write(ITEM, item_id, content), expectation(request, before), catalogue)
        return tagged(told(item_id, content, version), content)

    @routes.patch(
        "/{catalogue}/items/{item_id:path}", response_model=ItemAnswer, openapi_extra=takes(ItemBody),
        responses=refuses(404, *WRITES),
    )  # fmt: skip
    async def patch_item(catalogue: CatalogueName, item_id: str, request: Request) -> Response:
        """Change some of an item; null takes a value away (RFC 7396)."""
        engine, patch = engine_of(), await read_json(request)
        return await patched(lambda: patch_once(engine, catalogue, item_id, patch, request), request)

    @routes.delete("/{catalogue}/items/{item_id:path}", responses=refuses(404, *WRITES))
    async def delete_item(catalogue: CatalogueName, item_id: str, request: Request) -> DeletionAnswer:
        """Offer an item no longer; no answer from now on shows it."""
        engine = engine_of()
        before = engine.view.catalogue.content_of(checked(item_id, "item"))
        version = await write(engine, Write(ITEM, item_id, ""), expectation(request, before), catalogue)
        return DeletionAnswer(id=item_id, version=version)

    return routes


async def patch_once(engine: Engine, catalogue: str, item_id: str, patch: Any, request: Request) -> Response:
    """Write an item as a patch leaves it, unless somebody else wrote it meanwhile."""
    before = current(engine, catalogue, checked(item_id, "item"))
    content = content_of(changed(before, patch), catalogue)
    given = expectation(request, before)
    version = await write(engine, Write(ITEM, item_id, content), etag(before) if given is None else given, catalogue)
    return tagged(told(item_id, content, version), content)


def content_of(body: ItemBody, catalogue: str) -> str:
    """Return a body as the log keeps it."""
    said = body.model_dump(exclude={"id", "deleted"})
    return written_content(said if catalogue == PRODUCTS else said | {"catalogue": catalogue})


def changed(content: str, patch: Any) -> ItemBody:
    """Return an item after a merge patch."""
    if not isinstance(patch, dict):
        raise RequestError("the body must be an object")
    facts = in_camel(content)
    for name, value in patch.items():
        if name == "properties" and isinstance(value, dict):
            value = {key: one for key, one in (facts.get(name, {}) | value).items() if one is not None}
        facts[name] = value
    return read(ItemBody, {name: value for name, value in facts.items() if value is not None})


def read_lines(content: bytes, catalogue: str) -> Iterator[WriteRequest | Problem]:
    """Yield what each line asks for of a catalogue, or what is wrong with it."""
    lines = [line for line in content.splitlines() if line.strip()]
    if not 1 <= len(lines) <= MAX_LINES:
        raise RequestError(f"the body must hold 1 to {MAX_LINES} lines, not {len(lines)}; send several requests")
    for line in lines:
        try:
            body = read(ItemLine, orjson.loads(line))
        except (orjson.JSONDecodeError, InvalidError) as error:
            yield Problem(400, str(error))
            continue
        write = Write(ITEM, body.id, "" if body.deleted else content_of(body, catalogue))
        yield request_of(write, catalogue=catalogue)


def line_of(asked: WriteRequest | Problem, outcome: Ack | Problem) -> dict[str, Any]:
    """Return the answer to a line, as LineAnswer says."""
    item_id = asked.write.id if isinstance(asked, WriteRequest) else None
    if isinstance(outcome, Ack) and outcome.problem is None:
        status = "applied" if outcome.status == "applied" else "unchanged"
        return {"id": item_id, "status": status, "version": outcome.version, "problem": None}
    refused = outcome if isinstance(outcome, Problem) else outcome.problem
    return {"id": item_id, "status": "rejected", "version": None, "problem": problem(*refused or UNSAID)}


def require_begun(engine: Engine, catalogue: str) -> None:
    """Raise NotFoundError where there is no such catalogue."""
    if catalogue not in (membership := engine.view.catalogue.membership):
        raise NotFoundError(membership.lacks(catalogue))


def current(engine: Engine, catalogue: str, item_id: str) -> str:
    """Return what an item says of itself; raises NotFoundError where it is not in the catalogue."""
    require_begun(engine, catalogue)
    content = engine.view.catalogue.content_of(item_id)
    if not content:
        raise NotFoundError(f"item {item_id!r} is not in catalogue {catalogue!r}; PUT it there")
    if wrong := misplaced(f"item {item_id!r}", home_of(content), catalogue):
        raise NotFoundError(wrong)
    return content


def told(item_id: str, content: str, version: int) -> dict[str, Any]:
    """Return an item as ItemAnswer says."""
    return {"id": item_id, "version": version, **in_camel(content)}


def in_camel(content: str) -> dict[str, Any]:
    """Return a content as it travels; its catalogue is in the path."""
    return {to_camel(name): value for name, value in orjson.loads(content).items() if name != "catalogue"}


def read_cursor(cursor: str) -> int:
    """Return the item_idx that a page begins with."""
    if cursor and not (cursor.isascii() and cursor.isdigit()):
        raise RequestError(f"cursor {cursor!r} is none; give `next` of the page before")
    return int(cursor or 0)
