"""An item that nobody had yet, in a world where titles tell the category."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from tests.train.conftest import Small
from tests.train.small import small_fit
from tests.world import tiny_world, write_world
from train.bundle import Bundle, read_bundle
from train.bundle_state import check_bundle
from train.data.steps.catalogue import plain_items

N_ITEMS, N_RINGS = 48, 4
RING_SIZE = N_ITEMS // N_RINGS
KINDS = ("green tea", "木头椅子", "garden hose", "推理小说")  # a shop may list its items in several languages


@dataclass(frozen=True)
class Cold:
    """A bundle of a shop without one item of each ring, and those items."""

    bundle: Bundle
    items: pd.DataFrame  # one per ring
    vectors: np.ndarray  # (4, d), of `items`
    ring: np.ndarray  # (n_items,), of the bundle's items


def ring_of(item_ids: pd.Series) -> np.ndarray:
    return item_ids.str.removeprefix("i").astype(int).to_numpy() // RING_SIZE


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Cold:
    folder = tmp_path_factory.mktemp("cold")
    world = tiny_world(n_users=160, n_items=N_ITEMS, n_categories=N_RINGS, orders_per_user=6)
    titles = [f"{KINDS[ring]} no {index % RING_SIZE}" for index, ring in enumerate(ring_of(world.items["item_id"]))]
    items = world.items[["item_id"]].assign(title=titles)
    is_cold = np.arange(N_ITEMS) % RING_SIZE == RING_SIZE - 1
    events = world.events[~world.events["item_id"].isin(items["item_id"][is_cold])].reset_index(drop=True)
    data = write_world(replace(world, events=events, items=items[~is_cold].reset_index(drop=True)), folder / "shop")
    published, _ = small_fit(data, folder, "content=tfidf", "content_dropout=0.3", "epochs=10")
    bundle = read_bundle(published.folder)
    new = items[is_cold].reset_index(drop=True)
    return Cold(bundle, new, vectors_of(bundle, new), ring_of(bundle.items["item_id"]))


def vectors_of(bundle: Bundle, items: pd.DataFrame) -> np.ndarray:
    assert bundle.features is not None
    return bundle.model.content_vectors(bundle.features.of(plain_items(items)))


def test_its_nearest_items_are_of_its_category(cold: Cold) -> None:
    known = cold.bundle.state.vectors / np.linalg.norm(cold.bundle.state.vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(cold.vectors @ known.T), axis=1)[:, :5]
    assert (cold.ring[nearest] == np.arange(N_RINGS)[:, None]).mean() >= 0.9


def test_shoppers_of_its_category_meet_it_before_popularity_would_show_it(cold: Cold) -> None:
    """Popularity shows a new item after all others; here it stands in the first half, and before new ones of others."""
    histories = cold.bundle.histories
    ring = np.array([cold.ring[histories.items_of(user)[-1]] for user in range(histories.n_users)])
    shoppers = cold.bundle.model.encode_histories([histories.items_of(user) for user in range(histories.n_users)])
    new, known = shoppers @ cold.vectors.T, shoppers @ cold.bundle.state.vectors.T
    assert (new.argmax(axis=1) == ring).mean() >= 0.9
    own = np.take_along_axis(new, ring[:, None], axis=1)
    assert (known > own).sum(axis=1).mean() < len(cold.ring) / 2


def test_the_bundle_describes_its_own_items_as_training_did(cold: Cold) -> None:
    assert cold.bundle.features is not None
    dense = cold.bundle.features.of(cold.bundle.items).dense
    tower = cold.bundle.model.state_dict()["items.tower.features"].numpy()
    np.testing.assert_allclose(dense, tower, atol=1e-3)  # which are kept at half precision


def test_the_files_of_the_encoder_are_under_the_seal(cold: Cold) -> None:
    files = cold.bundle.manifest.files
    assert {"content.json", "tfidf.json", "tfidf.safetensors"} <= files.keys()


def test_without_content_a_bundle_describes_items_by_the_attributes_that_they_share(small: Small) -> None:
    bundle = read_bundle(small.published.folder)
    assert bundle.features is not None
    assert bundle.features.dim == 0
    told = pd.DataFrame({"item_id": ["new"], "title": ["Thing"], "category_path": ["Shop > Ring 2"], "brand": ["Acme"]})
    [new] = bundle.model.content_vectors(bundle.features.of(plain_items(told)))
    ring = bundle.items["category_path"] == "Shop > Ring 2"
    likeness = bundle.state.vectors @ new
    assert likeness[ring].mean() > likeness[~ring].mean()
    assert {"tfidf.json", "image.json"}.isdisjoint(check_bundle(small.published.folder).files)
