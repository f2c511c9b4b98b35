"""Texts of a made-up language are read as their writers meant them."""

from itertools import pairwise
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.encoders.sentiment import BUCKETS, Sentiment, buckets, fit_sentiment

GOOD, BAD, PLAIN = ("superb", "很好", "lasts"), ("broken", "很差", "smells"), ("the", "mug", "杯子", "came", "today")


def written(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Return texts of plain words and one that tells good from bad, or none, and what they say."""
    rng = np.random.default_rng(seed)
    opinions = rng.choice([-1.0, 0.0, 1.0], n)
    told = {1.0: GOOD, -1.0: BAD, 0.0: PLAIN}
    return [" ".join([*rng.choice(PLAIN, 4), str(rng.choice(told[one]))]) for one in opinions], opinions


@pytest.fixture(scope="module")
def model() -> Sentiment:
    return fit_sentiment(*written(600, seed=0))


def test_good_bad_and_plain_texts_are_told_apart(model: Sentiment) -> None:
    texts, opinions = written(200, seed=1)
    read = np.array([model.of(text) for text in texts])
    assert (np.round(read) == opinions).mean() > 0.97
    assert np.abs(read).max() <= 1


def test_a_text_says_what_shoppers_who_wrote_so_said_on_average() -> None:
    opinions = np.array([1.0, 1.0, 1.0, -1.0] * 100)
    model = fit_sentiment(["a mug"] * 400, opinions)
    assert model.of("a mug") == pytest.approx(0.5, abs=0.03)


def test_an_empty_text_says_nothing(model: Sentiment) -> None:
    assert [model.of(text) for text in ("", " \n", "\0")] == [None] * 3


def test_fitting_twice_gives_the_same_model(model: Sentiment) -> None:
    again = fit_sentiment(*written(600, seed=0))
    assert (again.bias, again.weight.tobytes()) == (model.bias, model.weight.tobytes())


def slow_grams(text: str) -> set[int]:
    """Return the buckets of a clean text's n-grams, one by one."""
    mix, whole, padded = 0x9E3779B97F4A7C15, 2**64 - 1, f" {text} "
    found = set()
    for start in range(len(padded)):
        gram = 0
        for n, letter in enumerate(padded[start : start + 4], start=1):
            gram = ((gram + n) * mix + ord(letter)) & whole
            found.add(((((gram ^ (gram >> 29)) * mix) & whole) >> 47) % BUCKETS)
    words = text.split()
    return found | {crc32(one.encode()) % BUCKETS for one in (*words, *(f"{a} {b}" for a, b in pairwise(words)))}


@given(st.lists(st.text("abcé", min_size=1, max_size=6), min_size=1, max_size=4))
def test_buckets_are_those_of_every_n_gram(words: list[str]) -> None:
    assert buckets(" ".join(words)).tolist() == sorted(slow_grams(" ".join(words)))


@given(st.text(max_size=40))
def test_any_text_has_an_opinion_within_bounds_or_none(text: str) -> None:
    model = Sentiment(weight=np.linspace(-9, 9, BUCKETS, dtype=np.float32), bias=0.1)
    opinion = model.of(text)
    assert opinion is None or -1 <= opinion <= 1
