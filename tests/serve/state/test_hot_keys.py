"""However crowded an item or busy a shopper, steps stay clipped and all numbers finite."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serve.state.config import StoreConfig
from serve.state.live import LearnerConfig
from serve.state.store import Store
from tests.serve.state.state_world import (
    CUTOFF_MS,
    DIM,
    FAST,
    N_ITEMS,
    N_USERS,
    event,
    opened,
    run,
    send,
    small_bundle,
)

N_EVENTS, BATCH = 2_000, 100
Draw = Callable[[np.random.Generator], tuple[str, int]]


def zipf(rng: np.random.Generator) -> tuple[str, int]:
    return f"u{rng.zipf(1.4) % (2 * N_USERS)}", int(rng.zipf(1.4) - 1) % N_ITEMS


CROWDS: dict[str, Draw] = {
    "zipf 1.4": zipf,
    "all on one item": lambda rng: (f"u{rng.integers(500)}", 3),
    "all by one shopper": lambda rng: ("u0", int(rng.integers(N_ITEMS))),
    "one shopper, one item": lambda rng: ("u0", 3),
}


async def crowd(store: Store, draw: Draw) -> None:
    rng = np.random.default_rng(0)
    for first in range(0, N_EVENTS, BATCH):
        who = [draw(rng) for _ in range(BATCH)]
        # Vectors far longer than an encoder's, all to one side, so that nothing but the limit holds an item.
        vectors = np.abs(rng.normal(scale=100, size=(BATCH, DIM))).astype(np.float32)
        events = [event(f"e{first + place}", user_id, item_idx) for place, (user_id, item_idx) in enumerate(who)]
        await store.append(events, vectors, store.position)


@pytest.mark.parametrize("draw", CROWDS.values(), ids=CROWDS.keys())
def test_a_crowd_moves_items_no_further_than_the_limit(bundle: Path, data: Path, draw: Draw) -> None:
    limit = FAST.learner.max_drift

    async def work() -> None:
        store = opened(bundle, data)
        await crowd(store, draw)
        arrays = (await store.image()).arrays
        hashed = await store.state_hash()
        await store.close()
        assert all(np.isfinite(array).all() for array in arrays.values())
        drift = np.abs(arrays["vectors"] - small_bundle().state.vectors).max()
        assert 0 < drift <= limit * (1 + 1e-5)
        assert arrays["popularity"].sum() < small_bundle().state.popularity.sum() + N_EVENTS
        again = opened(bundle, data)
        assert await again.state_hash() == hashed
        await again.close()

    run(work())


def test_a_shopper_who_clicks_an_item_all_hour_counts_once(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        hour_ms = 3_600_000
        times = [CUTOFF_MS + offset for offset in (hour_ms, hour_ms + 1, 2 * hour_ms + 1, 2 * hour_ms + 2)]
        await send(store, [event(f"e{at}", "u0", 7, timestamp_ms=at) for at in times])
        [logged] = store._machine.log.read(0)
        counted = (await store.image()).arrays["popularity"] - small_bundle().state.popularity
        assert len((await store.user("u0", store.position)).history) == 3 + len(times)
        assert (logged.batch.standing > 0).tolist() == [True, False, True, False]
        assert np.flatnonzero(counted).tolist() == [7]
        await store.close()

    run(work())


def test_a_shopper_gains_standing_with_what_they_did(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event(f"e{place}", "stranger", place, weight=1.0) for place in range(N_ITEMS)])
        await send(store, [event("against", "somebody", 0, weight=-3.0)])
        first, second = store._machine.log.read(0)
        expected = np.minimum(np.arange(N_ITEMS) + 1, 11) / 11
        np.testing.assert_allclose(first.batch.standing, expected, rtol=1e-6)
        np.testing.assert_allclose(second.batch.standing, [1 / 11], rtol=1e-6)
        await store.close()

    run(work())


@pytest.mark.parametrize("apart", [False, True], ids=["in one call", "in many"])
def test_where_age_counts_a_newcomer_counts_for_nobody_else_and_grows_with_time(
    bundle: Path, data: Path, apart: bool
) -> None:
    hour_ms, hours = 3_600_000, [0, 1, 6, 12, 24, 48]
    events = [
        event(f"e{hour}", "stranger", place % N_ITEMS, weight=1.0, timestamp_ms=CUTOFF_MS + hour * hour_ms)
        for place, hour in enumerate(hours)
    ]
    settings = StoreConfig(learner=LearnerConfig(trusted_rows=0, trusted_hours=24))

    async def work() -> None:
        store = opened(bundle, data, settings)
        for some in [[one] for one in events] if apart else [events]:
            await send(store, some)
        standing = np.concatenate([logged.batch.standing for logged in store._machine.log.read(0)])
        np.testing.assert_allclose(standing, [0, 1 / 24, 1 / 4, 1 / 2, 1, 1], rtol=1e-6)
        await store.close()

    run(work())
