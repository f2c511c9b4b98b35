"""Buckets hold what they say, whoever asks however often, and so do their settings."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cluster.errors import ConfigError, TooManyError
from serve.limits import MOST, Buckets, Limits, RatesConfig, Whose

RATES = st.floats(0.01, 100)
BURSTS = st.floats(0, 10)
GAPS = st.lists(st.floats(0, 10) | st.just(0.0), min_size=1, max_size=200)


@given(rate=RATES, burst_s=BURSTS, gaps=GAPS)
def test_in_no_stretch_of_time_more_is_taken_than_a_burst_and_what_came_meanwhile(
    rate: float, burst_s: float, gaps: list[float]
) -> None:
    buckets, burst = Buckets(rate, burst_s), max(rate * burst_s, 1)
    taken = [now for now in np.cumsum(gaps).tolist() if buckets.take("one", now) == 0]
    for first, begin in enumerate(taken):
        for last, end in enumerate(taken[first:], start=first):
            assert last - first + 1 <= burst + rate * (end - begin) + 0.01


@given(rate=RATES, burst_s=BURSTS, gaps=GAPS)
def test_whoever_asks_no_more_often_than_the_rate_is_never_refused(
    rate: float, burst_s: float, gaps: list[float]
) -> None:
    buckets = Buckets(rate, burst_s)
    assert all(buckets.take("one", now) == 0 for now in np.cumsum([1 / rate + gap for gap in gaps]).tolist())


@given(rate=RATES, burst_s=BURSTS, quiet_s=st.floats(0, 1_000))
def test_a_burst_may_come_at_once_and_who_is_refused_then_is_told_when_there_is_one_again(
    rate: float, burst_s: float, quiet_s: float
) -> None:
    buckets, n_taken = Buckets(rate, burst_s), 0
    while (wait_s := buckets.take("one", quiet_s)) == 0:
        n_taken += 1
    assert n_taken == max(math.floor(rate * burst_s + 1e-3), 1)
    assume(wait_s > 1e-5)
    assert buckets.take("one", quiet_s + wait_s / 2) > 0  # and has cost nothing
    assert buckets.take("one", quiet_s + wait_s) == 0
    assert buckets.take("one", quiet_s + wait_s) > 0


def test_nobody_pays_for_somebody_else() -> None:
    buckets = Buckets(rate=1, burst_s=1)
    assert [buckets.take(name, 0.0) == 0 for name in ("a", "a", "b", "a", "b")] == [True, False, True, False, False]


def test_a_million_callers_take_no_more_memory_than_the_last_ones() -> None:
    buckets = Buckets(rate=1, burst_s=10)
    for number in range(1_000_000):
        buckets.take(str(number), 0.0)
    assert len(buckets) == MOST


def test_who_asks_all_the_time_is_not_forgotten_for_others() -> None:
    buckets = Buckets(rate=0.001, burst_s=1, most=10)
    assert buckets.take("bad", 0.0) == 0
    for number in range(1_000):
        buckets.take(f"other {number}", 0.0)
        assert buckets.take("bad", 0.0) > 0


def test_gateways_together_hold_to_the_rate_and_each_has_the_whole_burst() -> None:
    own = RatesConfig.parse(["key=100", "shopper=5", "burst_s=10"]).among(4)
    assert own == RatesConfig.parse(["key=25", "shopper=1.25", "burst_s=40"])
    unlimited = RatesConfig.parse([])
    assert unlimited.among(4) == unlimited  # so that another number of gateways starts none of them anew


@pytest.mark.parametrize("whose", ["key", "shopper", "address"])
def test_what_has_no_rate_is_never_refused_and_what_has_one_is_counted_apart(whose: Whose) -> None:
    refused: list[Whose] = []
    limits = Limits(RatesConfig.checked({whose: 1, "burst_s": 3}), refused.append, clock=lambda: 0.0)
    others: set[Whose] = {"key", "shopper", "address"}
    for other in others - {whose}:
        for _ in range(100):
            limits.take(other, "one")
    for _ in range(3):
        limits.take(whose, "one")
    with pytest.raises(TooManyError, match=f"this {whose} asks more often"):
        limits.take(whose, "one")
    assert refused == [whose]


def test_those_refused_together_are_told_to_come_back_apart_and_nobody_too_early() -> None:
    limits = Limits(RatesConfig.parse(["key=0.1", "burst_s=0"]), clock=lambda: 0.0, rng=np.random.default_rng(0))
    limits.take("key", "one")
    told = set[int]()
    for _ in range(100):
        with pytest.raises(TooManyError) as refusal:
            limits.take("key", "one")
        told.add(refusal.value.retry_after_s)
    assert told == set(range(11, 21)) | told & {10}


@pytest.mark.parametrize("word", ["proxies=nonsense", "proxies=10.0.0.1/8", "rates.key=0", "rates.burst_s=-1"])
def test_a_wrong_setting_is_one_sentence(word: str) -> None:
    with pytest.raises(ConfigError, match=word.split("=")[1]):
        RatesConfig.parse([word.removeprefix("rates.")])
