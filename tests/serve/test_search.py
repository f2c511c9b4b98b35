"""Search over HTTP: by words and by meaning, what matches a filter, in an order that the shopper has a say in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.serve.shop import KNOWN, SMALL, Shop, item_ids, open_shop
from tests.world import tiny_world
from train.config import FitRun
from train.data.prepare import PrepareConfig, prepare
from train.pipeline import fit_bundle

ITEMS = "/v1/catalogues/products/items"


@pytest.fixture(scope="module")
def reading_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry whose current bundle reads texts."""
    folder = tmp_path_factory.mktemp("reading")
    where = [f"registry={folder / 'registry'}", f"checkpoints={folder / 'c'}", f"content_cache={folder / 'e.sqlite'}"]
    prepared = prepare(tiny_world(), PrepareConfig.parse([]), datetime.now(UTC), folder / "rejects")
    fit_bundle(FitRun.parse(["data=tiny_world", *SMALL, "content=tfidf", "epochs=4", *where]), prepared)
    return folder / "registry"


@pytest.fixture
def reading_shop(reading_registry: Path, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(reading_registry, tmp_path / "data") as shop:
        yield shop


def test_what_says_all_words_comes_first(shop: Shop) -> None:
    found = shop.post("/v1/search", query="thing 1 of RING 1", count=5, **{"return": ["properties", "scores"]})
    first = found["items"][0]
    assert first["properties"]["title"] == "Thing 1 of ring 1"
    assert first["sources"] == ["lexical"]  # this bundle reads no texts
    score = [item["score"] for item in found["items"]]
    assert score == sorted(score, reverse=True)


def test_words_that_nobody_says_find_nothing(shop: Shop) -> None:
    assert shop.post("/v1/search", query="zzz")["items"] == []


def test_hits_match_the_filter_and_are_offered(shop: Shop) -> None:
    asked = {"query": "thing 3", "filter": "category in ('Ring 1', 'Ring 3')", "count": 100}
    found = item_ids(shop.post("/v1/search", **asked))
    assert set(found) == {f"i{one:04d}" for one in [*range(6, 12), *range(18, 24)]}
    shop.client.delete(f"{ITEMS}/{found[0]}")
    assert item_ids(shop.post("/v1/search", **asked)) == found[1:]


def test_a_written_item_is_found_by_what_it_says_now(shop: Shop) -> None:
    put = shop.client.put(f"{ITEMS}/new", json={"title": "Teapot", "tags": ["porcelain"]}).json()
    assert item_ids(shop.post("/v1/search", query="porcelain teapot", minVersion=put["version"])) == ["new"]
    shop.client.patch(f"{ITEMS}/new", json={"title": "Kettle"})
    assert item_ids(shop.post("/v1/search", query="teapot")) == []
    assert item_ids(shop.post("/v1/search", query="kettle")) == ["new"]


def test_a_shopper_has_a_say_in_the_order(shop: Shop) -> None:
    items = np.array([shop.engine.index[item] for item in shop.history(KNOWN)])
    shopper = shop.bundle.model.encode_histories([items])[0]
    liked = shop.engine.view.items.vectors @ shopper
    plain = item_ids(shop.post("/v1/search", query="thing", count=24))
    personal = item_ids(shop.post("/v1/search", query="thing", count=24, user=KNOWN))
    assert set(plain) == set(personal)
    best = shop.engine.item_ids[int(np.argmax(liked))]
    assert personal.index(best) < plain.index(best) or plain.index(best) == 0
    assert item_ids(shop.post("/v1/search", query="thing", count=24, user="nobody")) == plain


def test_what_is_near_is_found_without_its_words(reading_shop: Shop) -> None:
    found = reading_shop.post("/v1/search", query="thing 1 of ring 1", count=24)["items"]
    assert found[0]["id"] == "i0007"
    assert found[0]["sources"] == ["lexical", "vector"]
    near = reading_shop.post("/v1/search", query="ring", filter="id != 'i0000'", count=5)["items"]
    assert all("vector" in item["sources"] for item in near[:3])


@pytest.mark.parametrize("body", [{"query": ""}, {"query": "a" * 501}, {}, {"query": "a", "filter": "b ="}])
def test_a_query_that_cannot_be_read_is_refused(shop: Shop, body: dict[str, str]) -> None:
    assert shop.client.post("/v1/search", json=body).status_code in (400, 422)
