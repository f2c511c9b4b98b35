"""Exploration: what is shown by lot, and with which probability."""

from itertools import permutations
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from serve.stages.arranging.config import Exploration, ScenarioConfig
from serve.stages.arranging.laws import WORLDS, draws_of, law_of, luck_of
from serve.stages.arranging.room import Limits
from serve.stages.arranging.slots import Filled, Pool, filled
from serve.stages.arranging.variety import LEAST

WORTH = [2.0, 1.5, 1.4, 0.0, -3.0]
BRANDS = [0, 0, 1, 1, 2]
METHODS = [
    Exploration(method="epsilon", share=0.3),
    Exploration(method="softmax", share=1.0, temperature=0.7),
    Exploration(method="softmax", share=0.2, temperature=2.0),
    Exploration(method="thompson", share=0.6, doubt=2.0),
]  # fmt: skip


def said(pool: Pool, above: list[int], one: int) -> float:
    """Return how much of an item those above say, by the volumes with it and without."""
    kernel = (1 + pool.direction.astype(np.float64) @ pool.direction.T) / 2
    np.fill_diagonal(kernel, 1)
    volume, without = (np.linalg.det(kernel[np.ix_(some, some)]) for some in ([*above, one], above))
    return float(np.log(max(volume / without, LEAST)) / np.log(LEAST))


def pool_of(worth: list[float], directions: np.ndarray | None = None, brands: list[int] | None = None) -> Pool:
    """Return items, best first, at most one of each brand in a slate."""
    n = len(worth)
    brand = np.array([] if brands is None else brands, np.int64)
    return Pool(
        item_idx=np.arange(n), n_events=np.arange(n, dtype=np.float64), worth=np.array(worth, np.float64),
        direction=np.eye(n, dtype=np.float32) if directions is None else directions,
        limits=Limits(holder=np.arange(len(brand)), value=brand, limit=np.ones(brand.max(initial=-1) + 1, np.int64)),
        open_at_once=200,
    )  # fmt: skip


def by_hand(utility: dict[int, float], exploration: Exploration) -> dict[int, float]:
    """Return each item's probability at one place, as the documents define it."""
    if exploration.method == "epsilon":
        drawn = dict.fromkeys(utility, 1 / len(utility))
    elif exploration.method == "thompson":
        drawn = in_worlds(utility, exploration)
    else:
        weight = {one: np.exp(value / exploration.temperature) for one, value in utility.items()}
        drawn = {one: value / sum(weight.values()) for one, value in weight.items()}
    best = max(utility, key=lambda one: (utility[one], -one))
    return {one: exploration.share * drawn[one] + (1 - exploration.share) * (one == best) for one in utility}


def in_worlds(utility: dict[int, float], exploration: Exploration) -> dict[int, float]:
    """Return in which share of the worlds each item is best."""
    luck, wins = luck_of(np.arange(5)), dict.fromkeys(utility, 0.0)
    for world in range(WORLDS):
        found = {one: value + exploration.doubt / sqrt(1 + one) * luck[one, world] for one, value in utility.items()}
        wins[max(found, key=lambda one: found[one])] += 1 / WORLDS
    return wins


def orders(pool: Pool, config: ScenarioConfig, count: int) -> dict[tuple[int, ...], float]:
    """Return every slate with its probability, by going through all orders of all items."""
    found: dict[tuple[int, ...], float] = {}
    for order in permutations(range(len(pool.worth))):
        above, probability = [], 1.0
        for one in order:
            able = {other: _utility(pool, config, above, other) for other in order if _is_allowed(pool, above, other)}
            if len(above) < count and one in able:
                probability *= by_hand(able, config.exploration)[one]
                above.append(one)
        found[tuple(above)] = probability
    return found


def _is_allowed(pool: Pool, above: list[int], one: int) -> bool:
    brands = dict(zip(pool.limits.holder.tolist(), pool.limits.value.tolist(), strict=True))
    return one not in above and (one not in brands or brands[one] not in [brands[other] for other in above])


def _utility(pool: Pool, config: ScenarioConfig, above: list[int], one: int) -> float:
    return float(
        (1 - config.diversity) * pool.worth[one] - config.diversity * np.ptp(pool.worth) * said(pool, above, one)
    )


def drawn(pool: Pool, config: ScenarioConfig, count: int, lot: str) -> Filled:
    return filled(pool, count, config, draws_of(lot, count))


@pytest.mark.parametrize("exploration", METHODS, ids=str)
@pytest.mark.parametrize("diversity", [0.0, 0.4])
@pytest.mark.parametrize("brands", [None, BRANDS])
def test_propensities_are_those_of_going_through_all_orders(
    exploration: Exploration, diversity: float, brands: list[int] | None
) -> None:
    directions = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    pool = pool_of(WORTH, directions / np.linalg.norm(directions, axis=1, keepdims=True), brands)
    config = ScenarioConfig(exploration=exploration, diversity=diversity)
    known = orders(pool, config, 3)
    assert sum(known.values()) == pytest.approx(1, abs=1e-9)
    for lot in map(str, range(200)):
        found = drawn(pool, config, 3, lot)
        assert np.prod(found.propensity) == pytest.approx(known[tuple(found.chosen.tolist())], abs=1e-6)


@pytest.mark.parametrize("exploration", METHODS, ids=str)
def test_slates_come_as_often_as_their_propensities_say(exploration: Exploration) -> None:
    config, pool, n = ScenarioConfig(exploration=exploration), pool_of(WORTH, brands=BRANDS), 4_000
    counts: dict[tuple[int, ...], int] = {}
    for lot in map(str, range(n)):
        slate = tuple(drawn(pool, config, 2, lot).chosen.tolist())
        counts[slate] = counts.get(slate, 0) + 1
    for slate, p in orders(pool, config, 2).items():
        assert abs(counts.get(slate, 0) / n - p) < 4.5 * sqrt(p * (1 - p) / n) + 1e-9


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(-1e9, 1e9), st.sampled_from(METHODS))
def test_only_differences_of_worth_count(worth: list[float], shift: float, exploration: Exploration) -> None:
    config = ScenarioConfig(exploration=exploration)
    worth = np.round(sorted(worth, reverse=True), 3).tolist()
    shift = float(np.round(shift))
    one, other = (drawn(pool_of(values), config, 10, "x") for values in (worth, [value + shift for value in worth]))
    if one.chosen.tolist() == other.chosen.tolist():  # rounding may part equals
        np.testing.assert_allclose(one.propensity, other.propensity, atol=1e-4)


def test_the_best_items_are_drawn_most_often_whatever_sign_their_scores_have() -> None:
    config = ScenarioConfig(exploration=Exploration(method="softmax", share=1))
    for worth in ([-1.0, -2.0, -3.0], [3.0, 2.0, 1.0], [1e9, 1e9 - 1, 1e9 - 2]):
        tops = [int(drawn(pool_of(worth), config, 1, lot).chosen[0]) for lot in map(str, range(400))]
        assert np.bincount(tops, minlength=3).argsort()[::-1].tolist() == [0, 1, 2]


def test_a_propensity_is_no_even_share_where_items_differ() -> None:
    config = ScenarioConfig(exploration=Exploration(method="softmax", share=1))
    found = drawn(pool_of([5.0, 0.0]), config, 2, "a")
    assert sorted(found.propensity)[1] == 1.0  # the last one left
    assert abs(found.propensity[0] - 0.5) > 0.4


def test_scores_too_far_apart_for_floats_give_probabilities_all_the_same() -> None:
    config = ScenarioConfig(exploration=Exploration(method="softmax", share=1, temperature=1e-3))
    found = drawn(pool_of([1e300, 0.0, -1e300]), config, 3, "a")
    assert found.chosen.tolist() == [0, 1, 2]
    assert found.propensity.tolist() == [1.0, 1.0, 1.0]


def test_the_same_lot_gives_the_same_slate_and_a_longer_one_begins_alike() -> None:
    config, pool = ScenarioConfig(exploration=METHODS[1]), pool_of(np.linspace(1, 0, 50).tolist())
    short, long, other = (drawn(pool, config, n, lot) for n, lot in ((10, "a"), (20, "a"), (10, "b")))
    assert short.chosen.tolist() == long.chosen[:10].tolist() != other.chosen.tolist()
    assert short.propensity.tolist() == long.propensity[:10].tolist()
    assert len(set(long.chosen.tolist())) == 20


def test_thompson_shows_what_is_in_doubt_about_as_often_as_it_is_the_best() -> None:
    exploration = Exploration(method="thompson", share=1, doubt=2.0)
    law = law_of(exploration, np.arange(4), np.array([0.0, 3.0, 8.0, 99.0]))
    assert law is not None
    utility, deviation = np.array([0.0, 0.5, 0.0, 0.7]), 2 / np.sqrt([1, 4, 9, 100])

    def density(x: float, one: int) -> float:
        others = [other for other in range(4) if other != one]
        return float(
            norm.pdf(x, utility[one], deviation[one]) * np.prod(norm.cdf(x, utility[others], deviation[others]))
        )

    expected = [quad(density, -12, 12, args=(one,), points=[0.7], limit=200)[0] for one in range(4)]
    found = law.chances(utility, 3)
    np.testing.assert_allclose(found, expected, atol=4.5 * 0.5 / sqrt(WORLDS))
    assert found.sum() == pytest.approx(1)


def test_worlds_are_always_the_same_and_unlike_each_other() -> None:
    luck = luck_of(np.arange(500))
    assert luck.tolist() == luck_of(np.arange(500)).tolist()
    assert abs(luck.mean()) < 0.02
    assert luck.std() == pytest.approx(1, abs=0.02)
    assert np.abs(np.corrcoef(luck.T) - np.eye(WORLDS)).max() < 0.25


@pytest.mark.parametrize("exploration", METHODS, ids=str)
def test_what_another_policy_would_have_earned_is_told_by_propensities_and_not_by_even_shares(
    exploration: Exploration,
) -> None:
    pool, n, clicks = pool_of(WORTH), 4_000, np.array([0.4, 0.2, 0.05, 0.0, 0.0])
    config, rng = ScenarioConfig(exploration=exploration), np.random.default_rng(1)
    found = [drawn(pool, config, 1, lot) for lot in map(str, range(n))]
    shown = np.array([int(one.chosen[0]) for one in found])
    propensity = np.array([float(one.propensity[0]) for one in found])
    clicked = rng.random(n) < clicks[shown]
    truth = clicks[:3].mean()  # of a policy that shows the first three alike

    def is_told(logged: np.ndarray) -> bool:
        """Tell whether an interval of inverse propensity scoring (Horvitz and Thompson, 1952) holds the truth."""
        earned = clicked * (shown < 3) / 3 / logged
        return bool(abs(earned.mean() - truth) < 3 * earned.std() / sqrt(n))

    assert is_told(propensity)
    assert not is_told(np.full(n, 1 / 5))
