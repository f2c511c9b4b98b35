"""Whatever is asked of any route, no answer is a failure of ours, and each is one that /openapi.json promises."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from cluster.keys import Keyring
from serve.api.documents import TAGS
from serve.api.routes import make_api
from tests.serve.served import over_http
from tests.serve.shop import Shop, open_shop

DOCUMENT = make_api(lambda: None).openapi()  # pyright: ignore[reportArgumentType, reportReturnType]
OPERATIONS: list[APIOperation] = [
    found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations() if isinstance(found, Ok)
]
PROMISES: list[CheckFunction] = [
    not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_schema_conformance,
]  # fmt: skip
CASES = [pytest.param(100, id="100 cases"), pytest.param(2_000, id="2,000 cases", marks=pytest.mark.slow)]


@schemathesis.serializer("application/x-ndjson")
def one_line_each(_: Any, rows: Any) -> bytes:
    return "\n".join(json.dumps(row) for row in (rows if isinstance(rows, list) else [rows])).encode()


@pytest.fixture(scope="module")
def fuzzed(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with open_shop(registry, tmp_path_factory.mktemp("fuzzed") / "data") as shop:
        yield shop


@pytest.fixture(scope="module")
def url(fuzzed: Shop) -> Iterator[str]:
    with over_http(fuzzed) as url:
        yield url


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring(tmp_path_factory.mktemp("ring") / "keys.json")


@pytest.fixture(scope="module")
def locked_url(fuzzed: Shop, ring: Keyring) -> Iterator[str]:
    releases = fuzzed.work.releases()
    with over_http(fuzzed, make_api(lambda: fuzzed.engine, lambda: ring, lambda: releases)) as url:
        yield url


def ask(operation: APIOperation, url: str, n_cases: int, promises: list[CheckFunction], **headers: str) -> None:
    """Hold the answers to generated requests, right ones and wrong ones, against the document."""
    kinds = [operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]

    @settings(
        max_examples=n_cases, phases=[Phase.generate, Phase.shrink], derandomize=True, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(case=kinds[0] | kinds[1])
    def keeps_its_promises(case: Case) -> None:
        case.call_and_validate(base_url=url, checks=promises, headers=headers)

    keeps_its_promises()


@pytest.mark.parametrize("n_cases", CASES)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_any_request_is_answered_as_the_document_says(operation: APIOperation, url: str, n_cases: int) -> None:
    ask(operation, url, n_cases, PROMISES)


@pytest.mark.parametrize("n_cases", [pytest.param(5, id="5 cases"), *CASES[1:]])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_any_request_needs_the_key_that_the_document_says(
    operation: APIOperation, locked_url: str, ring: Keyring, n_cases: int
) -> None:
    for key in ring.keys:
        ring.revoke(key.id)
    needed = operation.definition.raw.get("security", [{"key": ["read"]}])[0]
    key = ring.create("fuzzer", needed["key"])
    ask(operation, locked_url, n_cases, [*PROMISES, checks.ignored_auth], Authorization=f"Bearer {key}")


def test_every_operation_has_a_name_of_its_own_and_a_known_tag() -> None:
    found = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in found]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() and "_" not in name for name in names)
    assert {tag for operation in found for tag in operation["tags"]} == set(TAGS)
