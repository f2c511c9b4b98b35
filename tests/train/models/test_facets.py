"""Codes that are equal where texts are, and an item that comes later beside those that were there."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from train.models.facets import fit_facets, no_facets

TEXTS = st.sampled_from(["Kitchen > Mugs", "Kitchen > Pots", "杯子", "a", "b"]) | st.none()
PRICES = st.floats(0, 1e6, width=32) | st.none()
TOLD = st.lists(st.tuples(TEXTS, TEXTS, PRICES), min_size=1, max_size=9)


@given(TOLD)
def test_codes_are_equal_exactly_where_texts_are(told: list[tuple[str | None, str | None, float | None]]) -> None:
    facets = fit_facets(pd.DataFrame(told, columns=["category_path", "brand", "price"]))
    for codes, texts in ((facets.category, [one[0] for one in told]), (facets.brand, [one[1] for one in told])):
        np.testing.assert_array_equal(codes[:, None] == codes, [[one == other for other in texts] for one in texts])
        assert [bool(code) for code in codes] == [text is not None for text in texts]
    assert facets.price.tolist() == [price or 0 for _, _, price in told]


@given(TOLD)
def test_items_written_one_by_one_have_the_facets_of_a_catalogue(
    told: list[tuple[str | None, str | None, float | None]],
) -> None:
    frame = pd.DataFrame(told, columns=["category_path", "brand", "price"])
    written = no_facets(len(told))
    for item_idx, (category, brand, price) in enumerate(told):
        content = {"category_path": category, "brand": brand, "price": price}
        written.write(item_idx, {name: value for name, value in content.items() if value is not None})
    for name, array in fit_facets(frame).arrays().items():
        assert array.dtype == written.arrays()[name].dtype
        np.testing.assert_array_equal(array, written.arrays()[name])


def test_blanks_around_levels_do_not_part_a_category() -> None:
    facets = fit_facets(pd.DataFrame({"category_path": ["Kitchen > Mugs", "Kitchen>Mugs ", "Kitchen"]}))
    assert facets.category[0] == facets.category[1] != facets.category[2]


def test_a_catalogue_without_columns_says_nothing() -> None:
    for array in fit_facets(pd.DataFrame({"item_id": ["a", "b"]})).arrays().values():
        assert array.tolist() == [0, 0]


def test_no_price_is_infinite() -> None:
    facets = fit_facets(pd.DataFrame({"item_id": ["p", "q"], "price": [1e300, 2.0]}))
    facets.write(1, {"price": 1e300})
    assert np.isfinite(facets.price).all()
