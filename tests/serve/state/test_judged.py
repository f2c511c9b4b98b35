"""Judgements in the log: every copy of the state comes to the same figures, and whose events go take theirs along."""

from pathlib import Path

import numpy as np

from serve.state.events import UNJUDGED, Ranks
from serve.state.store import Store
from serve.state.view import View
from tests.serve.state.state_world import (
    FAST,
    closed_hash,
    event,
    forget_arrays,
    opened,
    random_events,
    ranks,
    run,
    send,
    write_small_bundle,
)
from train.bundle_state import read_bundle_state

JUDGED = Ranks(1, 2, 3)


def test_ranks_are_logged_beside_their_events(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        events = random_events(30)
        [batch] = (await send(store, events)).batches
        assert batch.judged.dtype == np.int32
        assert batch.judged.tolist() == [list(ranks(index)) for index in range(30)]
        await store.close()
        reopened = opened(bundle, data)
        [again] = reopened._machine.logged(0, 30)
        np.testing.assert_array_equal(again.judged, batch.judged)
        await reopened.close()

    run(work())


def test_store_view_and_replay_come_to_the_same_figures(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        view = View(read_bundle_state(bundle), await store.image())
        for seed in range(3):
            view.apply((await send(store, random_events(20, seed, f"p{seed}-"), view.position)).batches)
        late = View(read_bundle_state(bundle), await store.image())
        await store.close()
        replayed = opened(bundle, data)
        sums = replayed._machine.state.figures.sums
        assert view.figures.judged > 0
        np.testing.assert_array_equal(view.figures.sums, sums)
        np.testing.assert_array_equal(late.figures.sums, sums)
        await replayed.close()

    run(work())


def test_a_log_of_before_events_were_judged_opens_as_one_in_which_none_was(bundle: Path, data: Path) -> None:
    async def work() -> None:
        unjudged = [event(f"e{index}", f"u{index % 5}", index) for index in range(12)]
        oracle = opened(bundle, data.with_name("oracle"))
        await send(oracle, unjudged)
        expected = await closed_hash(oracle)
        store = opened(bundle, data)
        await send(store, unjudged)
        await store.close()
        assert forget_arrays(data, "judged") == 1
        store = opened(bundle, data)
        assert [batch.judged.any() for batch in store._machine.logged(0, 12)] == [False]
        await store.erase("nobody")
        await store.caught_up()
        await send(store, [event("late", "new", judged=JUDGED)])
        assert store._machine.state.figures.judged == 1
        await store.close()
        reopened = Store.open(bundle, data.with_name("oracle"), config=FAST)
        assert await closed_hash(reopened) == expected

    run(work())


def test_an_erased_shopper_takes_the_judgements_along(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        for index, user_id in enumerate(["new1", "new2", "new1", "new3"]):
            await send(store, [event(f"e{index}", user_id, index, judged=JUDGED)])
        assert store._machine.state.figures.judged == 4
        await store.erase("new1")
        await store.caught_up()
        assert store._machine.state.figures.judged == 2
        assert [tuple(row) for batch in store._machine.logged(0, 4) for row in batch.judged.tolist()] == [
            UNJUDGED, JUDGED, UNJUDGED, JUDGED,
        ]  # fmt: skip
        await store.close()

    run(work())


def test_what_was_said_of_another_bundle_is_not_said_of_this_one(bundle: Path, data: Path, tmp_path: Path) -> None:
    other = write_small_bundle(tmp_path / "other", "b2")

    async def work() -> None:
        store = opened(bundle, data)
        old = store.position
        await send(store, [event("e1", item_id="i0", judged=JUDGED)])
        await store.adopt(other)
        await send(store, [event("e2", item_id="i0", judged=JUDGED)], old)
        assert store._machine.state.figures.judged == 0
        await send(store, [event("e3", "new", judged=JUDGED)])
        assert store._machine.state.figures.judged == 1
        await store.close()

    run(work())


def test_the_same_item_again_within_the_hour_is_no_second_judgement(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        for number in range(3):
            await send(store, [event(f"e{number}", "new", 3, judged=JUDGED)])
        assert store._machine.state.figures.judged == 1
        await store.close()

    run(work())
