"""Tokens over HTTP: with one, the browser of a shopper asks for that shopper by itself, for a while."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cluster.errors import ConflictError
from cluster.tokens import LONGEST_S, USUAL_S, issue
from serve.api.access import caller_of
from serve.api.bodies import read_json
from serve.api.documents import refuses, takes
from serve.api.problems import checked, read
from serve.api.schemas import Wire


class TokenBody(Wire):
    """For how long."""

    expires_in: int = Field(USUAL_S, ge=60, le=LONGEST_S, description="seconds")


class TokenAnswer(BaseModel):
    """What a browser sends in the place of a key."""

    user: str
    token: str = Field(description="for `Authorization: Bearer …`")
    expiresAt: datetime


def token_routes() -> APIRouter:
    """Return the route that gives tokens."""
    routes = APIRouter(prefix="/v1/users", tags=["tokens"])

    @routes.post("/{user_id:path}/tokens", openapi_extra=takes(TokenBody), responses=refuses(409))
    async def create_token(user_id: str, request: Request) -> TokenAnswer:
        """Let a browser ask for lists and send events of this shopper alone, as far as the key may that asks for it."""
        key, body = caller_of(request).key, read(TokenBody, await read_json(request))
        if key is None:
            raise ConflictError("this server has no keys, so that anybody may call it without a token")
        now = datetime.now(UTC).replace(microsecond=0)
        token = issue(key, checked(user_id), body.expires_in, now)
        return TokenAnswer(user=user_id, token=token, expiresAt=now + timedelta(seconds=body.expires_in))

    return routes
