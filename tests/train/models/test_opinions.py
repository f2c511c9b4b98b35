"""Sums of opinions: live ones beside those of a batch, and means that begin at the shop's own."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.histories import histories_of
from train.models.opinions import Opinions, fit_opinions

N = 4
SAID = st.lists(st.tuples(st.integers(0, N - 1), st.none() | st.floats(-1, 1, width=32)), min_size=1, max_size=12)


def one_by_one(opinions: Opinions, item: int, opinion: float, share: float) -> None:
    opinions.add(np.array([item]), np.array([opinion]), np.array([share]))


@given(SAID)
def test_opinions_added_one_by_one_are_those_of_a_batch(said: list[tuple[int, float | None]]) -> None:
    history = histories_of([[item for item, _ in said]])
    opinions = np.array([opinion for _, opinion in said], np.float32)
    batch = fit_opinions(replace(history, opinion=opinions), N)
    live = fit_opinions(history, N)
    for item, opinion in said:
        if opinion is not None:
            one_by_one(live, item, opinion, 1.0)
    for name in ("total", "count", "shop"):
        np.testing.assert_allclose(getattr(live, name), getattr(batch, name), atol=1e-6)


@given(st.lists(st.tuples(st.integers(0, N - 1), st.floats(-1, 1), st.floats(0, 1)), max_size=12))
def test_it_matters_not_how_opinions_were_batched(said: list[tuple[int, float, float]]) -> None:
    together, apart = (fit_opinions(histories_of([[]]), N) for _ in range(2))
    columns = (
        [np.array(column) for column in zip(*said, strict=True)] if said else [np.empty(0, int), *[np.empty(0)] * 2]
    )
    together.add(*columns)
    for one in said:
        one_by_one(apart, *one)
    for name in ("total", "count", "shop"):
        assert getattr(together, name).tobytes() == getattr(apart, name).tobytes()


@given(SAID, st.floats(0.1, 20))
def test_a_mean_is_that_of_the_items_opinions_and_some_of_the_shop(
    said: list[tuple[int, float | None]], prior: float
) -> None:
    opinions = fit_opinions(histories_of([[]]), N)
    for item, opinion in said:
        if opinion is not None:
            one_by_one(opinions, item, opinion, 0.5)
    every = [opinion for _, opinion in said if opinion is not None]
    usual = sum(every) / len(every) if every else 0.0
    for item, mean in enumerate(opinions.means(np.arange(N), prior)):
        own = [opinion for one, opinion in said if one == item and opinion is not None]
        assert mean == pytest.approx((prior * usual + 0.5 * sum(own)) / (prior + 0.5 * len(own)), abs=1e-6)


def test_a_copy_hears_nothing_more() -> None:
    opinions = fit_opinions(histories_of([[0]]), N)
    copy = opinions.copy()
    one_by_one(opinions, 1, -1.0, 1.0)
    assert not copy.total.any() and not copy.shop.any()
    assert opinions.means(np.array([1, 0]), 5.0).tolist() == [-1.0, -1.0]  # for all that anybody knows
