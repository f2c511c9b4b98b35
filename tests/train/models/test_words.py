"""Words of items: rows of length 1, in any script, and alike where texts are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.models.words import alike, fit_words, profiles, terms


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Green TEA, 20 bags", ["green", "tea", "20", "bags"]),
        ("绿茶叶 tea", ["绿茶", "茶叶", "tea"]),
        ("茶", ["茶"]),
        ("", []),
        (" .,! ", []),
    ],
)
def test_a_text_becomes_words_and_scripts_without_blanks_pairs_of_characters(text: str, found: list[str]) -> None:
    assert terms(text) == found


def test_items_that_share_rare_words_are_more_alike_than_those_that_share_common_ones() -> None:
    words = fit_words(["tea oolong", "tea oolong loose", "tea bags", "tea cup", ""])
    near, common, itself, nothing = alike(words, [np.array([1, 2, 0, 4])], profiles(words, [np.array([0])], 1))
    assert itself == pytest.approx(1)
    assert itself > near > common > nothing == 0


def test_chinese_titles_find_each_other() -> None:
    words = fit_words(["龙井绿茶 礼盒", "绿茶 罐装", "红酒 礼盒装"])
    tea, wine = alike(words, [np.array([1, 2])], profiles(words, [np.array([0])], 1))
    assert tea > wine


@pytest.mark.parametrize("texts", [[], ["", " "], ["!", ""]])
def test_a_catalogue_without_words_has_rows_without_columns(texts: list[str]) -> None:
    words = fit_words(texts)
    assert words.get_shape() == (len(texts), 0)
    items = [np.arange(len(texts))]
    assert not alike(words, items, profiles(words, items, 1)).any()


@given(st.lists(st.text(max_size=40), min_size=1, max_size=8))
def test_rows_have_length_one_or_no_entry(texts: list[str]) -> None:
    words = fit_words(texts)
    lengths = np.sqrt(np.asarray(words.multiply(words).sum(axis=1)).ravel())
    assert np.allclose(lengths[np.diff(words.indptr) > 0], 1, atol=1e-5)
    assert len(lengths) == len(texts)


def test_a_profile_is_the_weighted_mean_of_its_items_at_length_one() -> None:
    words = fit_words(["a b", "b c", "c d"])
    said = words.toarray()[[0, 2, 0]].T @ np.array([1, 0.5, 0.25])
    mine, nobodys = profiles(words, [np.array([0, 2, 0]), np.array([], dtype=np.int64)], 0.5)
    assert mine == pytest.approx(said / np.linalg.norm(said))
    assert not nobodys.any()
