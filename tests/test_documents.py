"""What the documents say of the API is there."""

import re
from pathlib import Path

import pytest

from serve.api.routes import make_api

DOCS = Path(__file__).parents[1] / "docs"
TESTS = DOCS.parent / "tests"
TEST = re.compile(r"`((?:cluster|serve|train|tune)?/?[\w/]*test_\w+\.py)(?:::(\w+))?`")
CALL = re.compile(r"`((?:GET|POST|PUT|PATCH|DELETE)) (/v1/[^\s`?]+)[`?]")


def routes() -> set[tuple[str, str]]:
    """Return (method, path) of every route, whatever its parameters are called."""
    paths = make_api(lambda: None).openapi()["paths"]  # pyright: ignore[reportArgumentType, reportReturnType]
    return {(method.upper(), without_names(path)) for path, methods in paths.items() for method in methods}


def without_names(path: str) -> str:
    return re.sub(r"\{\w+\}|<\w+>|(?<=/catalogues/)\w+(?=/)", "{}", path)


@pytest.mark.parametrize("document", ["api.md", "coming_from.md", "operations.md"])
def test_every_call_that_a_document_names_is_a_route(document: str) -> None:
    named = [(method, without_names(path)) for method, path in CALL.findall((DOCS / document).read_text())]
    known = routes()
    assert named
    assert [call for call in named if call not in known] == []


def test_every_test_that_a_document_names_is_there() -> None:
    named = [found for path in DOCS.glob("*.md") for found in TEST.findall(path.read_text())]
    assert len(named) > 40
    for file, test in named:
        source = TESTS / file.removeprefix("tests/")
        assert source.is_file(), file
        assert not test or f"\ndef {test}(" in source.read_text(), f"{file}::{test}"


@pytest.mark.parametrize("number", range(1, 11))
def test_each_of_the_ten_risks_has_a_test(number: int) -> None:
    [row] = [line for line in (DOCS / "security.md").read_text().splitlines() if line.startswith(f"| API{number} ")]
    assert TEST.search(row)
