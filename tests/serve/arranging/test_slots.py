"""Diversity and caps: what stands in a slate, and in which order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serve.stages.arranging.config import Exploration, ScenarioConfig
from serve.stages.arranging.laws import draws_of
from serve.stages.arranging.room import Limits
from serve.stages.arranging.slots import Pool, filled
from serve.stages.arranging.variety import MOST_ABOVE
from tests.serve.arranging.test_exploration import said

NO_CAPS = np.empty(0, np.int64)


def random_pool(seed: int, n: int, capped: int = 0, open_at_once: int = 200) -> Pool:
    """Return n items, each with up to two of `capped` values that two items of a slate may have."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(n, 4)).astype(np.float32)
    holder = rng.integers(0, n, 2 * n) if capped else NO_CAPS
    value = rng.integers(0, capped, 2 * n) if capped else NO_CAPS
    pairs = np.unique(np.stack((holder, value)), axis=1) if capped else np.stack((NO_CAPS, NO_CAPS))
    return Pool(
        item_idx=np.arange(n), n_events=np.zeros(n), worth=np.sort(rng.normal(size=n))[::-1],
        direction=direction / np.linalg.norm(direction, axis=1, keepdims=True),
        limits=Limits(holder=pairs[0], value=pairs[1], limit=np.full(capped, 2)), open_at_once=open_at_once,
    )  # fmt: skip


def slow_order(pool: Pool, count: int, diversity: float) -> list[int]:
    """Return the order of items whose worth is scaled to 0 to 1, by determinants."""
    worth = (pool.worth - pool.worth.min()) / (pool.worth.max() - pool.worth.min())
    chosen: list[int] = []
    for _ in range(count):
        left = [one for one in range(len(worth)) if one not in chosen]
        told = {one: (1 - diversity) * float(worth[one]) - diversity * said(pool, chosen, one) for one in left}
        chosen.append(max(left, key=lambda one: told[one]))
    return chosen


@given(st.integers(0, 10_000), st.integers(2, 30), st.floats(0.05, 0.95))
def test_the_next_item_is_the_one_that_adds_most_to_worth_and_volume(seed: int, n: int, diversity: float) -> None:
    pool, count = random_pool(seed, n), min(n, 4)  # in four dimensions and one
    found = filled(pool, count, ScenarioConfig(diversity=diversity), draws_of("", count))
    assert found.chosen.tolist() == slow_order(pool, count, diversity)
    assert found.propensity.tolist() == [1.0] * count


def test_a_copy_of_what_stands_above_gives_way_to_others() -> None:
    pool = random_pool(3, 40)
    pool.direction[1] = pool.direction[0]
    chosen = filled(pool, 4, ScenarioConfig(diversity=0.5), draws_of("", 4)).chosen.tolist()
    assert chosen[0] == 0
    assert 1 not in chosen


def test_long_lists_and_items_that_lie_nowhere_are_arranged_too() -> None:
    pool = random_pool(4, 3 * MOST_ABOVE, open_at_once=3 * MOST_ABOVE)
    pool.direction[::7] = 0.0
    found = filled(pool, 3 * MOST_ABOVE, ScenarioConfig(diversity=0.9), draws_of("", 3 * MOST_ABOVE))
    assert sorted(found.chosen.tolist()) == list(range(3 * MOST_ABOVE))


def test_without_diversity_the_worthiest_stand_first() -> None:
    pool = random_pool(0, 40)
    found = filled(pool, 20, ScenarioConfig(exploration=Exploration()), draws_of("", 20))
    assert found.chosen.tolist() == list(range(20))


def test_more_diversity_makes_items_more_unlike_those_above() -> None:
    pool = random_pool(1, 100)

    def repeated(diversity: float) -> float:
        chosen = filled(pool, 5, ScenarioConfig(diversity=diversity), draws_of("", 5)).chosen.tolist()
        return sum(said(pool, chosen[:place], one) for place, one in enumerate(chosen))

    assert repeated(0.0) > repeated(0.3) > repeated(0.9)


@given(
    st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 12), st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from(["none", "epsilon", "softmax", "thompson"]),
)  # fmt: skip
def test_a_cap_is_never_exceeded_and_alone_makes_a_slate_short(
    seed: int, n: int, capped: int, diversity: float, method: str
) -> None:
    pool = random_pool(seed, n, capped, open_at_once=10)
    config = ScenarioConfig.checked({"diversity": diversity, "exploration": {"method": method, "share": 0.5}})
    chosen = filled(pool, 10, config, draws_of("x", 10)).chosen.tolist()
    assert len(set(chosen)) == len(chosen) <= 10
    values = [set(pool.limits.value[pool.limits.holder == one].tolist()) for one in range(n)]
    shown = [sum(value in values[one] for one in chosen) for value in range(capped)]
    assert max(shown, default=0) <= 2
    if len(chosen) < 10:
        full = {value for value in range(capped) if shown[value] == 2}
        assert all(one in chosen or values[one] & full for one in range(n))


def test_of_nothing_nothing_is_made() -> None:
    empty = random_pool(0, 0)
    assert len(filled(empty, 5, ScenarioConfig(diversity=0.5), draws_of("", 5)).chosen) == 0
