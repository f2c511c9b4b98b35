"""The generated client, against a real server: what a shop's engineer would write with it."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from serve.api.client import generate
from tests.serve.served import over_http
from tests.serve.shop import KNOWN, open_shop


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The generated package."""
    folder = tmp_path_factory.mktemp("client") / "client"
    generate(folder)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("liveshelf_client")
    sys.path.remove(str(folder))


class Calls:
    """The client's functions and bodies by name."""

    def __init__(self, package: ModuleType, url: str) -> None:
        self._package = package.__name__
        self._client = package.Client(base_url=url, raise_on_unexpected_status=True)
        self._models: Any = importlib.import_module(f"{self._package}.models")

    def body(self, name: str, **fields: Any) -> Any:
        """Return a body from its JSON."""
        return getattr(self._models, name).from_dict(fields)

    def call(self, tag: str, name: str, *words: str, **named: Any) -> Any:
        """Return what an operation answers."""
        module: Any = importlib.import_module(f"{self._package}.api.{tag}.{name}")
        return module.sync(*words, client=self._client, **named)


@pytest.fixture
def calls(package: ModuleType, registry: Path, tmp_path: Path) -> Iterator[Calls]:
    with open_shop(registry, tmp_path / "data", decision_share=1.0) as shop, over_http(shop) as url:
        yield Calls(package, url)


def test_a_click_an_item_and_two_pages(calls: Calls) -> None:
    item = calls.body("ItemBody", title="Blue mug", price=7.5)
    assert calls.call("catalogue", "put_item", "products", "mug", body=item).version == 1
    click = calls.body("EventBody", type="click", user=KNOWN, item="mug")
    [result] = calls.call("events", "record_events", body=click).results
    assert (result.status, result.version) == ("applied", 2)
    wish = calls.body("RecommendationsBody", user=KNOWN, count=5, minVersion=2)
    slate = calls.call("recommendations", "recommend", body=wish)
    assert slate.state_version == 2
    after = calls.call("recommendations", "next_items", slate.recommendation_id, body=calls.body("NextBody", count=5))
    shown = [one.id for page in (slate, after) for one in page.items]
    assert len(set(shown)) == 10


def test_a_refusal_is_a_problem(calls: Calls) -> None:
    wish = calls.body("RecommendationsBody", user=KNOWN, filter="price <<< 3")
    found = calls.call("recommendations", "recommend", body=wish)
    assert (found.status, type(found).__name__) == (422, "ProblemBody")
    assert "column" in found.detail or found.errors
