"""Segments of users and items are whole, disjoint and in order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ConfigError
from train.evaluation.segments import ITEMS, USERS, SegmentsConfig, item_segment, user_segment


def test_a_user_is_cold_light_or_heavy_by_the_length_of_the_history() -> None:
    found = [USERS[part] for part in user_segment(np.array([0, 5, 6, 50, 51, 900]))]
    assert found == ["cold", "cold", "light", "light", "heavy", "heavy"]


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=60))
def test_each_segment_of_items_holds_its_share_of_the_events(counts: list[int]) -> None:
    popularity = np.array(counts, dtype=float)
    segment = item_segment(popularity)
    before = 0.0
    for item in np.argsort(-popularity, kind="stable"):  # the slow way: walk down from the most popular
        share = before / max(popularity.sum(), 1)
        expected = "tail" if popularity[item] == 0 else "head" if share < 0.5 else "torso" if share < 0.8 else "tail"
        assert ITEMS[segment[item]] == expected
        before += popularity[item]


def test_more_popular_items_are_never_in_a_later_segment() -> None:
    popularity = np.random.default_rng(0).zipf(1.5, 500).astype(float)
    segment = item_segment(popularity)
    assert set(segment) == {0, 1, 2}
    assert (np.diff(segment[np.argsort(-popularity)]) >= 0).all()


@pytest.mark.parametrize("words", [["cold_events=9", "light_events=9"], ["head_share=0.9"]])
def test_segments_that_do_not_grow_are_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="segments must grow"):
        SegmentsConfig.parse(words)
