"""Shoppers without a history, in a world where traits decide taste."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.errors import BundleError
from tests.cities import CITIES, N_COLD, N_USERS, fit_towers, write_cities
from tests.train.conftest import Small
from tests.train.histories import histories_of
from tests.train.small import small_fit, small_recommend
from train.batch import recommend
from train.bundle import read_bundle
from train.bundle_state import check_bundle
from train.data.prepared import Prepared
from train.data.told import Told
from train.encoders.traits import TraitEncoder
from train.traits import fit_traits, with_traits


class Cities(Small):
    """The same of a world in which taste goes by city."""

    @property
    def users(self) -> pd.DataFrame:
        return pd.read_csv(self.data / "users.csv")


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> Cities:
    folder = tmp_path_factory.mktemp("cities")
    data = write_cities(folder / "shop")
    return Cities(folder, data, *fit_towers(data, folder))


def rightness(lists: pd.DataFrame, users: pd.DataFrame) -> float:
    """Return the share of recommended items that are of the shopper's city."""
    city = lists["user_id"].map(users.set_index("user_id")["city"])
    return float((lists["item_id"].str.partition("-")[0] == city).mean())


def test_shoppers_without_a_history_get_what_their_traits_ask_for(cities: Cities) -> None:
    lists = recommend(small_recommend(cities.data, cities.folder, "k=5"))
    cold = lists[lists["user_id"] >= f"u{N_USERS}"]
    assert cold["user_id"].nunique() == N_COLD
    popular = (cities.users["city"][N_USERS:] == CITIES[0]).mean()  # what the most popular items would get
    assert rightness(cold, cities.users) > 0.9 > popular + 0.15


def test_the_bundle_knows_the_traits_of_shoppers_that_other_data_does_not_describe(cities: Cities) -> None:
    asked = cities.folder / "asked.csv"
    cities.users[["user_id"]][N_USERS:].to_csv(asked, index=False)
    lists = recommend(small_recommend(cities.data / "events.csv", cities.folder, "k=5", f"users={asked}"))
    assert lists["user_id"].nunique() == N_COLD
    assert rightness(lists, cities.users) > 0.9


def test_traits_told_now_take_the_place_of_those_known(cities: Cities) -> None:
    bundle = read_bundle(cities.published.folder)
    if bundle.traits is None:
        pytest.fail("the bundle cannot describe shoppers")
    known = bundle.histories.traits_of(N_USERS + 1)
    moved = np.stack([row for city in CITIES if (row := bundle.traits.changed(known, {"city": city})) is not None])
    vectors = bundle.model.encode_histories([np.empty(0, np.int64)] * len(CITIES), Told(moved))
    best = np.argsort(-(vectors @ bundle.state.vectors.T), axis=1)[:, :5]
    found = bundle.items["item_id"].to_numpy(dtype=object)[best]
    assert [[item.partition("-")[0] for item in row] for row in found.tolist()] == [[city] * 5 for city in CITIES]


def test_a_bundle_with_traits_comes_back_as_it_was(cities: Cities) -> None:
    before, after = cities.published.bundle, read_bundle(cities.published.folder)
    assert {"traits.json", "traits.safetensors"} <= check_bundle(cities.published.folder).files.keys()
    assert (before.traits, before.histories.user_ids.tolist()) == (after.traits, after.histories.user_ids.tolist())
    history, row = [np.array([0, 1, 2])], before.histories.traits_of(3)
    assert row is not None
    np.testing.assert_array_equal(after.histories.traits_of(3), row)
    scores = after.model.scores(history, Told(row[None]))
    np.testing.assert_allclose(scores, before.model.scores(history, Told(row[None])), rtol=1e-5)
    assert not np.allclose(scores, after.model.scores(history))


def test_a_table_of_traits_that_was_altered_is_refused(cities: Cities, tmp_path: Path) -> None:
    folder = cities.published.folder
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.glob("*.*"):
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "traits.json").write_text((copy / "traits.json").read_text().replace("Oslo", "Pisa"))
    with pytest.raises(BundleError):
        read_bundle(copy)


def test_a_family_that_reads_no_traits_is_fitted_as_without_them(cities: Cities, tmp_path: Path) -> None:
    described, prepared = small_fit(cities.data, tmp_path / "described", "epochs=1")
    plain, _ = small_fit(cities.data / "events.csv", tmp_path / "plain", "epochs=1")
    assert len(prepared.users) == N_USERS + N_COLD
    assert described.table == plain.table
    assert described.bundle.histories.n_users == N_USERS
    assert "traits.json" not in check_bundle(described.folder).files


def test_without_a_table_of_users_the_two_tower_model_is_fitted_on_histories(cities: Cities, tmp_path: Path) -> None:
    published, _ = fit_towers(cities.data / "events.csv", tmp_path, "epochs=1")
    assert published.bundle.traits is None
    assert published.bundle.histories.traits is None


def test_prepared_data_keeps_its_users(cities: Cities, tmp_path: Path) -> None:
    cities.prepared.save(tmp_path / "prepared")
    pd.testing.assert_frame_equal(Prepared.load(tmp_path / "prepared").users, cities.prepared.users)


def test_users_without_a_history_come_after_the_others_and_rows_stay_where_they_are() -> None:
    users = pd.DataFrame({"user_id": ["new", "u1"], "traits": ['{"city": "Oslo"}', '{"city": "Oslo"}']})
    encoder = fit_traits(users)
    if encoder is None:
        pytest.fail("two users share a city")
    history = histories_of([[0, 1], [2]])
    found = with_traits(history, users["user_id"].to_numpy(dtype=object), encoder.of([{"city": "Oslo"}, {}]))
    assert found.user_ids.tolist() == ["u0", "u1", "new"]
    assert [found.items_of(user).tolist() for user in range(3)] == [[0, 1], [2], []]
    assert [found.traits_of(user) is not None for user in range(3)] == [False, False, True]
    again = with_traits(found, np.array(["u0"], dtype=object), encoder.of([{"city": "Oslo"}]))
    assert [again.traits_of(user) is not None for user in range(3)] == [True, False, True]


def test_nothing_is_fitted_where_no_two_users_share_anything() -> None:
    assert fit_traits(pd.DataFrame({"user_id": ["a", "b"], "traits": ['{"city": "Oslo"}', '{"city": "Lima"}']})) is None
    assert TraitEncoder.fit([]).dim == 0


def test_a_refresh_goes_on_reading_traits_as_its_parent_did(cities: Cities, tmp_path: Path) -> None:
    version = cities.published.bundle.manifest.version
    words = [f"registry={cities.folder / 'registry'}", f"parent={version}", "warm_start=true", "promote=false"]
    few = tmp_path / "few"
    few.mkdir()
    pd.read_csv(cities.data / "events.csv").head(240).to_csv(few / "events.csv", index=False)
    cities.users.head(60).to_csv(few / "users.csv", index=False)
    refreshed, _ = fit_towers(few, tmp_path, *words, "epochs=1", "learning_rate=0.0001")
    assert refreshed.bundle.traits == cities.published.bundle.traits
    weight = "traits.weight"
    before, after = (one.bundle.model.state_dict()[weight] for one in (cities.published, refreshed))
    np.testing.assert_allclose(after.numpy(), before.numpy(), atol=0.02)
