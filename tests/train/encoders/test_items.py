"""What items say of themselves, for a catalogue and for items that come after it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.errors import BundleError, ConfigError
from train.data.schema import Catalogue
from train.data.steps.catalogue import build_catalogue, plain_items
from train.encoders.items import ContentConfig, ItemFeatures, item_texts
from train.encoders.numbers import LARGEST, WEIGHT, Scale

ITEMS = pd.DataFrame({
    "item_id": [f"i{number}" for number in range(12)],
    "title": [f"{('Green tea', 'Blue mug', 'Red scarf')[number % 3]} no {number}" for number in range(12)],
    "brand": ["Acme", "Bolt", None] * 4,
    "category_path": ["Shop > Tea", "Shop > Mugs", None] * 4,
    "price": [1.0, 2.0, None, 4.0] * 3,
    "rating": [4.5, None, 3.0] * 4,
})  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return build_catalogue(ITEMS, ITEMS["item_id"].to_numpy(dtype=object), pd.Series(dtype=float), True)


@pytest.fixture(scope="module")
def features(catalogue: Catalogue) -> ItemFeatures:
    return ItemFeatures.fit(catalogue, "tfidf")


def test_a_catalogue_described_later_is_described_alike(catalogue: Catalogue, features: ItemFeatures) -> None:
    found = features.of(catalogue.frame)
    assert found.dense.shape == (12, features.dim)
    assert found.dense.dtype == np.float32
    np.testing.assert_array_equal(found.attributes.toarray(), catalogue.attributes.toarray())


def test_a_new_item_is_described_as_an_equal_known_one(catalogue: Catalogue, features: ItemFeatures) -> None:
    known, new = features.of(catalogue.frame), features.of(plain_items(ITEMS.assign(item_id="new").iloc[[3]]))
    position = catalogue.index["i3"]
    np.testing.assert_allclose(new.dense[0], known.dense[position], atol=1e-6)
    np.testing.assert_array_equal(new.attributes.toarray()[0], known.attributes.toarray()[position])


def test_an_item_of_which_nothing_is_known_is_still_described(features: ItemFeatures) -> None:
    found = features.of(plain_items(pd.DataFrame({"item_id": ["new"]})))
    assert np.isfinite(found.dense).all()
    assert not found.dense[0, : features.encoders[0].dim].any()
    assert found.attributes.nnz == 0


def test_words_that_the_catalogue_never_used_change_no_shape(features: ItemFeatures) -> None:
    found = features.of(plain_items(pd.DataFrame({"item_id": ["new"], "title": ["Потолок 天花板"], "brand": ["New"]})))
    assert found.dense.shape == (1, features.dim)
    assert found.attributes.nnz == 0


def test_what_is_saved_describes_as_before(features: ItemFeatures, catalogue: Catalogue, tmp_path: Path) -> None:
    features.save(tmp_path)
    before, after = features.of(catalogue.frame), ItemFeatures.load(tmp_path).of(catalogue.frame)
    np.testing.assert_array_equal(after.dense, before.dense)
    np.testing.assert_array_equal(after.attributes.toarray(), before.attributes.toarray())


def test_vectors_of_another_version_are_refused(features: ItemFeatures, tmp_path: Path) -> None:
    features.save(tmp_path)
    text = (tmp_path / "content.json").read_text()
    (tmp_path / "content.json").write_text(text.replace(features.encoders[0].version, "000000000000"))
    with pytest.raises(BundleError, match="cannot meet vectors of tfidf"):
        ItemFeatures.load(tmp_path)


def test_a_text_is_title_brand_categories_and_description() -> None:
    frame = plain_items(pd.DataFrame({
        "item_id": ["a", "b"], "title": ["Tea", None], "description": [None, "warm"], "brand": ["Acme", None],
    }))  # fmt: skip
    assert item_texts(frame) == ["Tea . Acme", "warm"]
    assert item_texts(frame[["item_id"]]) == ["", ""]


@pytest.mark.parametrize("content", ["none", "tfidf", "tfidf+use", "st:some/model"])
def test_known_encoders_are_taken(content: str) -> None:
    assert ContentConfig.parse([f"content={content}"]).content == content


def test_a_misspelt_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tfidf'"):
        ContentConfig.parse(["content=tfdif"])


def test_a_number_is_scaled_by_its_catalogue_and_cut() -> None:
    scale = Scale.fit(pd.Series([0.0, 1.0, 3.0, np.nan]))
    logs = np.log1p([0, 1, 3, 1])  # the missing one counts as the median
    expected = WEIGHT * (logs - logs.mean()) / logs.std()
    np.testing.assert_allclose(scale.of(pd.Series([0.0, 1.0, 3.0, np.nan]))[:, 0], expected, atol=1e-6)
    assert scale.of(pd.Series([1.0, np.nan, np.inf]))[:, 1].tolist() == pytest.approx([WEIGHT, 0, 0])
    assert scale.of(pd.Series([1e12]))[0, 0] == pytest.approx(WEIGHT * LARGEST)


@pytest.mark.parametrize("numbers", [[], [np.nan, np.nan], [5.0, 5.0], [-1.0, 1.0]])
def test_any_column_of_numbers_has_a_scale(numbers: list[float]) -> None:
    series = pd.Series(numbers, dtype=float)
    assert np.isfinite(Scale.fit(series).of(series)).all()
