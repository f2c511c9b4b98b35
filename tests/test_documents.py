"""What the documents say of the API is there."""

import re
from pathlib import Path

import pytest

from serve.api.routes import make_api

DOCS = Path(__file__).parents[1] / "docs"
CALL = re.compile(r"`((?:GET|POST|PUT|PATCH|DELETE)) (/v1/[^\s`?]+)[`?]")


def routes() -> set[tuple[str, str]]:
    """Return (method, path) of every route, whatever its parameters are called."""
    paths = make_api(lambda: None).openapi()["paths"]  # pyright: ignore[reportArgumentType, reportReturnType]
    return {(method.upper(), without_names(path)) for path, methods in paths.items() for method in methods}


def without_names(path: str) -> str:
    return re.sub(r"\{\w+\}|<\w+>", "{}", path.replace("/catalogues/products/", "/catalogues/{}/"))


@pytest.mark.parametrize("document", ["api.md", "coming_from.md", "operations.md"])
def test_every_call_that_a_document_names_is_a_route(document: str) -> None:
    named = [(method, without_names(path)) for method, path in CALL.findall((DOCS / document).read_text())]
    known = routes()
    assert named
    assert [call for call in named if call not in known] == []
