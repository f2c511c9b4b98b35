"""The OpenAPI document: what the routes read by themselves, every answer they give, and the key that each needs."""

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from serve.api.access import counts, is_for_shoppers, scope_of
from serve.api.problems import PROBLEM_TYPE
from serve.api.schemas import ProblemBody

LINES = "application/x-ndjson"
REF = "#/components/schemas/{model}"
ABOUT = (
    "Real-time recommendations. Ids in paths are percent-encoded; every error is a problem (RFC 9457); an unknown "
    "shopper is never an error; `version` of a write, sent as `minVersion`, makes an answer reflect it."
)
KEY = {
    "type": "http", "scheme": "bearer",
    "description": "a key of `python -m cluster.keys`; a server for which none was made needs none",
}  # fmt: skip
TOKEN = {
    "type": "http", "scheme": "bearer",
    "description": "a shopper's token, from `POST /v1/users/{user_id}/tokens`: for that shopper alone",
}  # fmt: skip
TAGS = {
    "events": "What shoppers do", "recommendations": "What to show a shopper", "lists": "Other lists",
    "catalogue": "Items", "policies": "Scenarios and rules: how lists are made", "decisions": "What was shown, and why",
    "users": "What is held of a person", "tokens": "What a browser may ask with",
    "models": "Bundles, and which one is served", "operations": "Long work",
    "evaluations": "How good the answers are", "metrics": "For Prometheus", "health": "For balancers",
}  # fmt: skip
REFUSALS = {
    400: "Malformed, or an unknown field", 401: "No live key", 403: "The key may not do this", 404: "Not there",
    409: "In conflict with what is there", 410: "There no longer", 412: "Somebody else wrote it meanwhile (`If-Match`)",
    413: "Larger than 256 KB", 415: "Not JSON", 422: "Well-formed, and meaningless here",
    429: "Too many of one key, shopper or address; see `Retry-After`", 500: "The engine failed",
    503: "Overloaded, or not ready; see `Retry-After`", 507: "The disk is full",
}  # fmt: skip
ANYWHERE, WITH_KEYS, COUNTED, WITH_BODIES = (400, 500, 503), (401, 403), (429,), (413, 415, 422)
WRITES = (409, 412, 422, 507)


def named(route: APIRoute) -> str:
    """Return what a generated client calls a route."""
    return to_camel(route.name)


def takes(*models: type[BaseModel]) -> dict[str, Any]:
    """Return the part of an operation that says: the body is one of `models`."""
    refs = [{"$ref": REF.format(model=model.__name__)} for model in models]
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def takes_lines(model: type[BaseModel]) -> dict[str, Any]:
    """Return the part of an operation that says: each line of the body is one of `model`."""
    content = {LINES: {"schema": {"$ref": REF.format(model=model.__name__)}}}
    return {"requestBody": {"required": True, "content": content}}


def answers_lines(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return the answer that says: each line is one of `model`."""
    content = {LINES: {"schema": {"$ref": REF.format(model=model.__name__)}}}
    return {200: {"description": "A line for each line", "content": content}}


def refuses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the answers that say: an operation may end with one of these problems, too."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": REF.format(model=ProblemBody.__name__)}}}
    return {status: {"description": REFUSALS[status], "content": content} for status in statuses}


def methods_of(document: dict[str, Any], path: str) -> list[str]:
    """Return the methods that a path takes, of all the documented paths that it may be."""
    found = set[str]()
    for documented, operations in document["paths"].items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", ".+", re.escape(documented)), path, re.DOTALL):
            found |= {method.upper() for method in operations}
    return sorted(found)


def describe(api: FastAPI, *models: type[BaseModel]) -> None:
    """Let the document of `api` hold the schemas of `models`, and say of each operation all that is true of it."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            schema = get_openapi(
                title=api.title, version=api.version, description=ABOUT, routes=api.routes,
                tags=[{"name": name, "description": text} for name, text in TAGS.items()],
            )  # fmt: skip
            parts = schema.setdefault("components", {})
            parts["securitySchemes"] = {"key": KEY, "token": TOKEN}
            known = parts.setdefault("schemas", {})
            for model in models:
                own = model.model_json_schema(by_alias=True, ref_template=REF)
                known |= own.pop("$defs", {}) | {model.__name__: own}
            for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which nobody is answered
                known.pop(unused, None)
            for operations in schema["paths"].values():
                for method, operation in operations.items():
                    _complete(operation, method.upper())
            api.openapi_schema = schema
        return api.openapi_schema

    api.openapi = document


def _complete(operation: dict[str, Any], method: str) -> None:
    """Add the answers that follow from what an operation is, and the scope of the key that it needs."""
    tags = operation.get("tags", [])
    answers, scope = operation["responses"], scope_of(tags, method)
    if "HTTPValidationError" in str(answers.get("422")):
        del answers["422"]
    statuses = {*ANYWHERE, *(WITH_KEYS if scope else ()), *(COUNTED if counts(tags) else ())}
    statuses |= {*(WITH_BODIES if "requestBody" in operation else ())}
    answers |= {str(status): answer for status, answer in refuses(*statuses).items() if str(status) not in answers}
    operation["responses"] = dict(sorted(answers.items()))
    if scope:
        operation["security"] = [{"key": [scope]}, *([{"token": []}] if is_for_shoppers(tags) else [])]
