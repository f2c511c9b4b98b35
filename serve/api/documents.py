"""The OpenAPI document of bodies that the routes read by themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from serve.api.problems import PROBLEM_TYPE
from serve.api.schemas import ProblemBody

LINES = "application/x-ndjson"
REF = "#/components/schemas/{model}"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {PROBLEM_TYPE: {"schema": {"$ref": REF.format(model=ProblemBody.__name__)}}},
    }
    for status, description in (("4XX", "The request is wrong"), ("5XX", "The engine cannot answer"))
}


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


def document_bodies(api: FastAPI, *models: type[BaseModel]) -> None:
    """Add the schemas of `models` to the document of `api`."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            schema = get_openapi(title=api.title, version=api.version, routes=api.routes)
            known = schema.setdefault("components", {}).setdefault("schemas", {})
            for model in models:
                own = model.model_json_schema(by_alias=True, ref_template=REF)
                known |= own.pop("$defs", {}) | {model.__name__: own}
            api.openapi_schema = schema
        return api.openapi_schema

    api.openapi = document
