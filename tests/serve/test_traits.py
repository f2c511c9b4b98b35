"""Traits on the way from a bundle's table of users, or from a request, to a slate."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from serve.slates import Ask
from serve.state.catalogue import written_content
from serve.state.events import TRAITS, Write
from serve.state.shoppers import AllShoppers
from serve.state.writing import WriteRequest
from tests.cities import CITIES, N_USERS, fit_towers, write_cities
from tests.serve.shop import KNOWN, STRANGER, Shop, item_ids, open_shop
from train.models.shopper import History

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


def known_here(shop: Shop, user: str) -> History:
    return shop.portal.call(shop.engine.view.fetch, user, shop.engine.store).history


def put(shop: Shop, user: str, headers: dict[str, str] | None = None, **traits: object) -> Any:
    return shop.client.put(f"/v1/users/{quote(user, safe='')}", json={"traits": traits}, headers=headers)


def patch(shop: Shop, user: str, headers: dict[str, str] | None = None, **traits: object) -> Any:
    return shop.client.patch(f"/v1/users/{quote(user, safe='')}", json={"traits": traits}, headers=headers)


@pytest.mark.parametrize("city", CITIES)
def test_what_was_written_of_a_shopper_is_in_every_list_from_then_on(city_shop: Shop, city: str) -> None:
    assert city_shop.slate(user="new")["fallback"] == "popular"
    version = put(city_shop, "new", city=city).json()["version"]
    slate = city_shop.slate(user="new", count=5, minVersion=version)
    assert (shown(slate), slate["fallback"]) == ({city}, "none")
    ranked = city_shop.post("/v1/rank", user="new", candidates=[f"{one}-1" for one in CITIES])
    assert item_ids(ranked)[0] == f"{city}-1"


def test_another_replica_has_it_once_it_has_the_version_and_a_request_knows_better(city_shop: Shop) -> None:
    other = city_shop.lagging_engine()
    ask = city_shop.ask("new", 0)

    def city(ask: Ask) -> set[str]:
        slate = city_shop.portal.call(other.recommend, ask)
        return {other.item_ids[one].partition("-")[0] for one in slate.candidates.item_idx[:5].tolist()}

    city_shop.portal.call(other.recommend, ask)
    put(city_shop, "new", city=CITIES[0])
    other.view.apply([logged.batch for logged in city_shop.logged()])
    assert city(ask) == {CITIES[0]}
    assert city(replace(ask, traits={"city": CITIES[1]})) == {CITIES[1]}
    assert city(ask) == {CITIES[0]}


def test_written_traits_come_before_those_of_the_bundle_and_stay_when_the_shopper_clicks(city_shop: Shop) -> None:
    known, index = city_shop.bundle.histories, city_shop.bundle.histories.index
    traits = known.traits_of(index[COLD])
    encoder = city_shop.bundle.traits
    assert traits is not None and encoder is not None
    put(city_shop, COLD, city="Lima")
    for _ in range(2):
        version = city_shop.click(COLD, "Oslo-1")
        city_shop.slate(user=COLD, minVersion=version)
        history = known_here(city_shop, COLD)
        np.testing.assert_array_equal(history.traits, encoder.changed(traits, {"city": "Lima"}))
    assert patch(city_shop, COLD, city=None).json()["traits"] == {}
    history = known_here(city_shop, COLD)
    np.testing.assert_array_equal(history.traits, traits)


def test_the_vector_that_an_event_is_logged_with_knows_of_written_traits(city_shop: Shop) -> None:
    put(city_shop, "new", city="Oslo")
    city_shop.click("new", "Oslo-1")
    city_shop.click("other", "Oslo-1")
    *_, told, untold = (logged.batch.vectors[0] for logged in city_shop.logged())
    assert told.any()
    assert not untold.any()


def test_traits_that_no_model_reads_are_kept_and_given_back(shop: Shop) -> None:
    written = {"city": "Oslo", "age": 33, "height": 1.8, "vip": False, "sizes": [42, "L"], "naïve": "ü"}
    answer = put(shop, "a/b", **written)
    assert answer.json() == {"user": "a/b", "version": 1, "traits": written}
    found = shop.client.get("/v1/users/a%2Fb")
    assert (found.json(), found.headers["etag"]) == (answer.json(), answer.headers["etag"])
    assert shop.slate(user="a/b")["fallback"] == "popular"


def test_a_patch_changes_what_it_says_and_null_takes_away(shop: Shop) -> None:
    assert patch(shop, "new", city="Oslo", age=33).json()["traits"] == {"city": "Oslo", "age": 33}
    assert patch(shop, "new", age=None, vip=True).json()["traits"] == {"city": "Oslo", "vip": True}
    assert patch(shop, "new", vip=True).json()["version"] == 2


def test_nobody_is_unknown_who_did_something_or_of_whom_something_was_written(shop: Shop) -> None:
    answer = shop.client.get(f"/v1/users/{STRANGER}")
    assert (answer.status_code, "'nobody' is not known" in answer.json()["detail"]) == (404, True)
    shop.click("new", "i0003")
    for user in (KNOWN, "new"):
        found = shop.client.get(f"/v1/users/{user}")
        assert (found.status_code, found.json()["traits"]) == (200, {})
    assert shop.slate(user=STRANGER)["fallback"] == "popular"


def test_who_read_an_old_version_overwrites_nothing(shop: Shop) -> None:
    tag = put(shop, "new", {"if-none-match": "*"}, city="Oslo").headers["etag"]
    assert put(shop, "new", {"if-none-match": "*"}, city="Lima").status_code == 412
    assert patch(shop, "new", {"if-match": tag}, city="Lima").status_code == 200
    assert patch(shop, "new", {"if-match": tag}, city="Rome").status_code == 412
    assert put(shop, "new", {"if-match": tag}, city="Rome").status_code == 412
    assert put(shop, STRANGER, {"if-match": "*"}, city="Rome").status_code == 412
    assert shop.client.get("/v1/users/new").json()["traits"] == {"city": "Lima"}


def test_a_patch_is_tried_again_when_somebody_else_writes_meanwhile(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(shop, "new", city="Oslo")
    user, others = shop.store.user, [{"age": 33}, {"age": 34}]

    async def overtaken(*asked: Any) -> Any:
        found = await user(*asked)
        if others:
            monkeypatch.setattr(shop.store, "user", user)
            content = patch_content(others.pop())
            await shop.engine.assortment.write([content])
            monkeypatch.setattr(shop.store, "user", overtaken)
        return found

    monkeypatch.setattr(shop.store, "user", overtaken, raising=False)
    assert patch(shop, "new", vip=True).json()["traits"] == {"age": 33, "vip": True}


def patch_content(traits: dict[str, int]) -> WriteRequest:
    return WriteRequest(f"by others {traits}", Write(TRAITS, "new", written_content(traits)), None)


def test_an_export_tells_them_and_an_erasure_takes_them_away(shop: Shop) -> None:
    put(shop, "new", city="Oslo")
    put(shop, "new", city="Lima")
    told = shop.client.get("/v1/users/new/export").json()
    assert told["traits"] == {"city": "Lima"}
    assert [(event["type"], event["more"]) for event in told["events"]] == [
        ("$traits", {"city": "Oslo"}), ("$traits", {"city": "Lima"}),
    ]  # fmt: skip
    assert shop.client.delete("/v1/users/new").json()["erasedEvents"] == 2
    assert shop.client.get("/v1/users/new").status_code == 404
    assert shop.client.get("/v1/users/new/export").json()["traits"] == {}
    shop.portal.call(shop.store.caught_up)
    assert shop.client.get("/v1/users/new").status_code == 404


@pytest.mark.parametrize("body", [
    {}, [], {"traits": []}, {"traits": {"city": {"name": "Oslo"}}}, {"traits": {"x" * 65: 1}}, {"city": "Oslo"},
    {"traits": {f"t{index}": index for index in range(65)}}, {"traits": None},
])  # fmt: skip
@pytest.mark.parametrize("method", ["put", "patch"])
def test_what_is_no_traits_is_refused(shop: Shop, method: str, body: object) -> None:
    assert shop.client.request(method, "/v1/users/new", json=body).status_code == 400
    assert shop.client.get("/v1/users/new").status_code == 404


def test_without_the_store_nothing_is_promised(shop: Shop) -> None:
    shop.store.away = True
    assert put(shop, "new", city="Oslo").status_code == 503
    assert shop.client.get("/v1/users/new").status_code == 503
