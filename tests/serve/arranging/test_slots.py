"""Diversity and caps: what stands in a slate, and in which order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serve.stages.arranging.config import Exploration, ScenarioConfig
from serve.stages.arranging.laws import draws_of
from serve.stages.arranging.slots import Pool, filled

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
        holder=pairs[0], value=pairs[1], limit=np.full(capped, 2), open_at_once=open_at_once,
    )  # fmt: skip


def slow_mmr(pool: Pool, count: int, diversity: float) -> list[int]:
    """Return maximal marginal relevance as the paper has it, on worth scaled to 0 to 1."""
    worth = (pool.worth - pool.worth.min()) / (pool.worth.max() - pool.worth.min())
    chosen: list[int] = []
    for _ in range(count):
        left = [one for one in range(len(worth)) if one not in chosen]

        def marginal(one: int) -> float:
            near = max((float(pool.direction[one] @ pool.direction[other]) for other in chosen), default=0.0)
            return (1 - diversity) * float(worth[one]) - diversity * near

        chosen.append(max(left, key=marginal))
    return chosen


@given(st.integers(0, 10_000), st.integers(2, 30), st.floats(0.05, 0.95))
def test_diversity_is_maximal_marginal_relevance(seed: int, n: int, diversity: float) -> None:
    pool, count = random_pool(seed, n), min(n, 8)
    found = filled(pool, count, ScenarioConfig(diversity=diversity), draws_of("", count))
    assert found.chosen.tolist() == slow_mmr(pool, count, diversity)
    assert found.propensity.tolist() == [1.0] * count


def test_without_diversity_the_worthiest_stand_first() -> None:
    pool = random_pool(0, 40)
    found = filled(pool, 20, ScenarioConfig(exploration=Exploration()), draws_of("", 20))
    assert found.chosen.tolist() == list(range(20))


def test_more_diversity_makes_items_more_unlike_those_above() -> None:
    pool = random_pool(1, 100)

    def likeness(diversity: float) -> float:
        chosen = filled(pool, 10, ScenarioConfig(diversity=diversity), draws_of("", 10)).chosen
        cosine = np.tril(pool.direction[chosen] @ pool.direction[chosen].T, -1) - np.triu(np.ones((10, 10)))
        return float(cosine[1:].max(axis=1).mean())  # to the nearest above

    assert likeness(0.0) > likeness(0.3) > likeness(0.9)


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
    values = [set(pool.value[pool.holder == one].tolist()) for one in range(n)]
    shown = [sum(value in values[one] for one in chosen) for value in range(capped)]
    assert max(shown, default=0) <= 2
    if len(chosen) < 10:
        full = {value for value in range(capped) if shown[value] == 2}
        assert all(one in chosen or values[one] & full for one in range(n))


def test_of_nothing_nothing_is_made() -> None:
    empty = random_pool(0, 0)
    assert len(filled(empty, 5, ScenarioConfig(diversity=0.5), draws_of("", 5)).chosen) == 0
