"""Traits on the way from a bundle's table of users, or from a request, to a slate."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from serve.state.shoppers import AllShoppers
from tests.cities import CITIES, N_USERS, fit_towers, write_cities
from tests.serve.shop import STRANGER, Shop, item_ids, open_shop

COLD = f"u{N_USERS}"  # in the table of users, without a history


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cities")
    fit_towers(write_cities(folder / "shop"), folder)
    return folder / "registry"


@pytest.fixture
def city_shop(cities: Path, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(cities, tmp_path / "data") as shop:
        yield shop


def shown(slate: dict) -> set[str]:
    return {item_id.partition("-")[0] for item_id in item_ids(slate)}


@pytest.mark.parametrize("city", CITIES)
def test_a_guest_who_tells_their_city_gets_its_items(city_shop: Shop, city: str) -> None:
    slate = city_shop.slate(session="s1", traits={"city": city, "age": 33}, count=5)
    assert shown(slate) == {city}
    assert slate["fallback"] == "none"


def test_a_shopper_whom_only_the_table_knows_is_no_stranger(city_shop: Shop) -> None:
    assert city_shop.slate(user=COLD)["fallback"] == "none"
    assert city_shop.slate(user=STRANGER)["fallback"] == "popular"


@pytest.mark.parametrize("traits", [{}, {"city": "Rome"}, {"shoe": [42, 43]}, {"age": "old"}])
def test_traits_that_training_never_saw_leave_a_stranger_one(city_shop: Shop, traits: dict[str, object]) -> None:
    assert city_shop.slate(user=STRANGER, traits=traits)["fallback"] == "popular"


def test_traits_stay_when_a_shopper_clicks_and_when_a_snapshot_is_read(city_shop: Shop) -> None:
    version = city_shop.click(COLD, "Lima-1")
    city_shop.slate(user=COLD, minVersion=version)
    traits = city_shop.bundle.histories.traits_of(city_shop.bundle.histories.index[COLD])
    shopper = city_shop.portal.call(city_shop.store.user, COLD, city_shop.engine.view.position)
    assert traits is not None
    assert (shopper.history.traits == traits).all()
    restored = AllShoppers(city_shop.bundle.histories)
    restored.restore({COLD: replace(shopper, history=replace(shopper.history, traits=None))})
    assert (restored.get(COLD).history.traits == traits).all()


@pytest.mark.parametrize("traits", [[], "Oslo", {"city": {"name": "Oslo"}}, {"x" * 65: 1}, {"city": "x" * 257}])
def test_traits_of_another_shape_are_refused(city_shop: Shop, traits: object) -> None:
    answer = city_shop.client.post("/v1/recommendations", json={"user": STRANGER, "traits": traits})
    assert answer.status_code == 400
    assert "/traits" in answer.text


def test_a_bundle_whose_model_reads_no_traits_passes_over_them(shop: Shop) -> None:
    assert shop.slate(user=STRANGER, traits={"city": "Oslo"})["fallback"] == "popular"
