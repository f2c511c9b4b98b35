"""Items that were written under one bundle get vectors from the next one, by whichever replica comes first."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.errors import UnavailableError
from serve.engine import Engine
from serve.state.events import ITEM, Write
from serve.state.writing import WriteRequest
from tests.serve.shop import Shop, build_engine, fit_small_bundle, open_shop
from train.bundle import read_bundle
from train.data.steps.catalogue import plain_items
from train.registry import Registry

CONTENT = '{"brand":"Acme","category_path":"Shop > Ring 2","price":14.0,"tags":["step1"],"title":"Thing"}'


@pytest.fixture
def later(registry: Path, tmp_path: Path) -> Path:
    """The folder of another bundle of the same shop."""
    return Registry(fit_small_bundle(tmp_path, keep_seen=True)).find("current")


@pytest.fixture
def moved(shop: Shop, later: Path) -> Iterator[Shop]:
    """A shop whose store went over to another bundle after items were written."""
    contents = {"new": CONTENT, "i0003": CONTENT, "i0004": "", "bare": "{}"}
    requests = [WriteRequest(f"w-{name}", Write(ITEM, name, content), None) for name, content in contents.items()]
    shop.portal.call(shop.engine.assortment.write, requests)
    shop.portal.call(shop.store.adopt, later)
    yield shop


def replica(shop: Shop, later: Path) -> Engine:
    return build_engine(read_bundle(later), shop.store, shop.portal.call(shop.store.image))


def test_an_item_gets_its_vector_in_the_space_of_the_next_bundle(moved: Shop, later: Path) -> None:
    engine = replica(moved, later)
    bundle, catalogue, vectors = engine.bundle, engine.view.catalogue, engine.view.items.vectors
    assert not vectors[catalogue.index["new"]].any()
    np.testing.assert_array_equal(vectors[catalogue.index["i0003"]], bundle.state.vectors[catalogue.index["i0003"]])
    moved.portal.call(engine.assortment.place)
    assert bundle.features is not None
    told = plain_items(pd.DataFrame([{"title": "Thing", "brand": "Acme", "category_path": "Shop > Ring 2"}]))
    told = told.assign(price=14.0, tags=pd.Series([["step1"]]))
    [expected] = bundle.model.content_vectors(bundle.features.of(told))
    np.testing.assert_array_equal(vectors[catalogue.index["new"]], expected)
    assert (vectors[catalogue.index["i0003"]] != bundle.state.vectors[catalogue.index["i0003"]]).any()
    assert engine.view.items.gone[catalogue.index["i0004"]]


def test_however_many_replicas_place_items_each_is_written_once(moved: Shop, later: Path) -> None:
    engines = [replica(moved, later) for _ in range(3)]
    for engine in engines:
        moved.portal.call(engine.assortment.place)
    placed = [batch.batch for batch in moved.logged()][1:]
    assert sorted(write.id for batch in placed for write in batch.writes) == ["i0003", "new"]


def test_items_that_could_not_be_placed_because_the_store_was_away_are_placed_later(moved: Shop, later: Path) -> None:
    engine = replica(moved, later)
    moved.store.away = True
    with pytest.raises(UnavailableError):
        moved.portal.call(engine.assortment.place)
    moved.store.away = False
    assert moved.portal.call(engine.assortment.place) == 3
    assert moved.portal.call(engine.assortment.place) == 0
    assert engine.view.items.vectors[engine.index["new"]].any()


def test_what_content_cannot_place_is_tried_once(moved: Shop, later: Path) -> None:
    engine = replica(moved, later)
    for _ in range(3):
        moved.portal.call(engine.assortment.place)
    assert engine.view.catalogue.unplaced == {engine.view.catalogue.index["bare"]}
    assert len(moved.logged()) == 2


def test_a_restart_keeps_the_items(registry: Path, tmp_path: Path) -> None:
    with open_shop(registry, tmp_path / "data") as shop:
        shop.client.put("/v1/catalogues/products/items/new", json={"title": "x"})
    with open_shop(registry, tmp_path / "data") as shop:
        assert shop.client.get("/v1/catalogues/products/items/new").json()["title"] == "x"
