"""Opinions in the log: every copy of the state counts them alike, by their standing, and erasure takes them back."""

from pathlib import Path

import numpy as np
import pytest

from serve.state.view import View
from tests.serve.state.state_world import N_ITEMS, closed_hash, event, forget_arrays, opened, random_events, run, send
from train.bundle_state import read_bundle_state
from train.models.opinions import Opinions


def said(opinions: Opinions) -> list[list[float]]:
    return [opinions.total.tolist(), opinions.count.tolist(), opinions.shop.tolist()]


def quality(opinions: Opinions, item_idx: int) -> float:
    return float(opinions.means(np.array([item_idx]), 5.0)[0])


def test_store_view_and_replay_count_the_same_opinions(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        view = View(read_bundle_state(bundle), await store.image())
        for seed in range(3):
            view.apply((await send(store, random_events(20, seed, f"p{seed}-"), view.position)).batches)
        late = View(read_bundle_state(bundle), await store.image())
        await store.close()
        replayed = opened(bundle, data)
        known = said(replayed._machine.state.items.opinions)
        assert known[1] != [0] * N_ITEMS
        assert known == said(view.items.opinions) == said(late.items.opinions)
        assert said(view.published.opinions) == said(read_bundle_state(bundle).state.opinions)
        await replayed.close()

    run(work())


def test_a_bad_opinion_lowers_an_item_and_counts_by_its_standing(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        opinions = store._machine.state.items.opinions
        for item in (3, 4):
            await send(store, [event(f"good{user}{item}", user, item, opinion=1.0) for user in ("u0", "u1")])
        before = quality(opinions, 4)
        [batch] = (await send(store, [event("bad", "u2", 3, opinion=-1.0)])).batches
        assert quality(opinions, 3) < quality(opinions, 4) < before  # the shop's mean fell, too
        assert opinions.count[3] == pytest.approx(
            3 * 4 / 11, rel=1e-6
        )  # three rows were known of each of three shoppers
        assert batch.opinion.tolist() == [-1.0]
        await send(store, [event("again", "u2", 3, opinion=-1.0)])  # within the hour
        await send(store, [event("worthless", "u3", 3, opinion=-1.0, weight=0.0)])
        assert opinions.count[3] == pytest.approx(3 * 4 / 11, rel=1e-6)
        await store.close()

    run(work())


def test_an_opinion_beyond_bounds_is_refused(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        acks = (await send(store, [event(f"e{one}", opinion=one) for one in (1.5, -2.0, float("nan"), 1.0)])).acks
        assert [ack.status for ack in acks] == ["rejected"] * 3 + ["applied"]
        await store.close()

    run(work())


def test_an_erased_shopper_takes_opinions_along(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event("e1", "new1", 3, opinion=-1.0), event("e2", "new2", 3, opinion=0.5)])
        await store.erase("new1")
        await store.caught_up()
        assert store._machine.state.items.opinions.total[3] == pytest.approx(0.5 / 11)
        assert [np.isnan(batch.opinion).tolist() for batch in store._machine.logged(0, 2)] == [[True, False]]
        await store.close()

    run(work())


def test_a_log_of_before_opinions_were_kept_opens_as_one_without_any(bundle: Path, data: Path) -> None:
    async def work() -> None:
        silent = [event(f"e{index}", f"u{index % 5}", index) for index in range(12)]
        oracle = opened(bundle, data.with_name("oracle"))
        await send(oracle, silent)
        store = opened(bundle, data)
        await send(store, silent)
        await store.close()
        assert forget_arrays(data, "opinion") == 1
        store = opened(bundle, data)
        assert [np.isnan(batch.opinion).all() for batch in store._machine.logged(0, 12)] == [True]
        assert (await closed_hash(store))[1] == (await closed_hash(oracle))[1]

    run(work())
