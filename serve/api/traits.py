"""Shoppers' traits over HTTP: what the shop knows of them beside what they did, kept until it says otherwise."""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from cluster.errors import NotFoundError, RequestError
from serve.api.bodies import read_json
from serve.api.documents import WRITES, refuses, takes
from serve.api.person_schemas import UserAnswer, UserBody
from serve.api.problems import checked, read
from serve.api.writing import expectation, patched, tagged, write
from serve.engine import Engine
from serve.state.catalogue import etag, written_content
from serve.state.events import TRAITS, Write
from serve.state.shoppers import Shopper


def trait_routes(engine_of: Callable[[], Engine]) -> APIRouter:
    """Return the routes of /v1/users/{id} itself."""
    routes = APIRouter(prefix="/v1/users", tags=["users"])

    @routes.get("/{user_id:path}", response_model=UserAnswer, responses=refuses(404))
    async def get_user(user_id: str) -> Response:
        """Return what was written of a shopper and, as ETag, what changes whenever that does."""
        shopper = await held(engine_of(), checked(user_id))
        if not shopper.content:
            raise NotFoundError(f"user {user_id!r} is not known; PUT says something of a user, as does any event")
        return told(user_id, shopper.content, shopper.version)

    @routes.put("/{user_id:path}", response_model=UserAnswer, openapi_extra=takes(UserBody), responses=refuses(*WRITES))
    async def put_user(user_id: str, request: Request) -> Response:
        """Write all traits of a shopper, known or not; lists of theirs reflect them when the call returns."""
        engine, body = engine_of(), read(UserBody, await read_json(request))
        before = (await held(engine, checked(user_id))).content
        return await written(engine, user_id, body, expectation(request, before))

    @routes.patch(
        "/{user_id:path}", response_model=UserAnswer, openapi_extra=takes(UserBody), responses=refuses(*WRITES)
    )
    async def patch_user(user_id: str, request: Request) -> Response:
        """Change some traits of a shopper, known or not; null takes one away (RFC 7396)."""
        engine, patch = engine_of(), await read_json(request)

        async def once() -> Response:
            before = (await held(engine, checked(user_id))).content
            body, given = changed(before, patch), expectation(request, before)
            return await written(engine, user_id, body, (etag(before) if before else "") if given is None else given)

        return await patched(once, request)

    return routes


async def held(engine: Engine, user_id: str) -> Shopper:
    """Return a shopper as the store has them: replicas keep the lately seen alone."""
    return await engine.store.user(user_id, engine.view.position)


async def written(engine: Engine, user_id: str, body: UserBody, expected: str | None) -> Response:
    """Write traits and tell them."""
    content = written_content(body.traits)
    return told(user_id, content, await write(engine, Write(TRAITS, user_id, content), expected))


def changed(content: str, patch: Any) -> UserBody:
    """Return traits after a merge patch."""
    if not isinstance(patch, dict):
        raise RequestError("the body must be an object")
    if isinstance(traits := patch.get("traits"), dict):
        merged = orjson.loads(content or "{}") | traits
        patch = patch | {"traits": {name: value for name, value in merged.items() if value is not None}}
    return read(UserBody, patch)


def told(user_id: str, content: str, version: int) -> Response:
    """Return a shopper as UserAnswer says."""
    return tagged({"user": user_id, "version": version, "traits": orjson.loads(content)}, content)
