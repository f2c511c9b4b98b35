import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.errors import OutOfStepError, UnavailableError
from serve.state.events import MicroBatch, Position
from serve.state.image import Image, digest, item_arrays
from serve.state.shoppers import Shopper
from serve.state.store import Store
from serve.state.view import View
from tests.serve.state.state_world import FAST, N_ITEMS, event, random_events, run, send, write_small_bundle
from train.bundle_state import BundleState, read_bundle_state


class SlowSource:
    """A store whose answers about shoppers wait until they are let go; it counts the questions."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.questions: list[str] = []
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def changes(self, since: Position, timeout_s: float) -> list[MicroBatch]:
        return await self.store.changes(since, timeout_s)

    async def user(self, user_id: str, since: Position) -> Shopper:
        self.questions.append(user_id)
        shopper = await self.store.user(user_id, since)
        self.asked.set()
        await self.answer.wait()
        return shopper


class DeafSource(SlowSource):
    async def user(self, user_id: str, since: Position) -> Shopper:
        raise UnavailableError("the store is restarting")


def assert_same_items(view: View, image: Image) -> None:
    assert view.position == image.position
    assert digest(item_arrays(view._state)) == digest(image.arrays)


async def beginning(
    bundle: Path, data: Path, max_shoppers: int = 10_000, busy: tuple[str, ...] = ()
) -> tuple[Store, View]:
    """Return a store and a view of it that begins after an event of each busy shopper, with item 5."""
    store = Store.open(bundle, data, bootstrap=True, config=FAST)
    if busy:
        await send(store, [event(f"busy-{user_id}", user_id, 5) for user_id in busy])
    return store, View(read_bundle_state(bundle), await store.image(), max_shoppers)


@pytest.fixture(scope="module")
def shared_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_bundle(tmp_path_factory.mktemp("shared") / "bundle")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.sampled_from(["", "u1", "new"])), max_size=8))
def test_a_view_equals_the_store_after_any_sequence(
    shared_bundle: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, str]]
) -> None:
    async def work() -> None:
        store, view = await beginning(shared_bundle, tmp_path_factory.mktemp("any") / "data", max_shoppers=1)
        for number, (size, catch_up, seen) in enumerate(steps):
            result = await send(store, random_events(size, number, f"{number}-"), view.position, seed=number)
            if catch_up:
                view.apply(result.batches)
            if seen:
                await view.fetch(seen, store)
        while view.version < store.position.version:
            view.apply(await store.changes(view.position, 0))
        assert_same_items(view, await store.image())
        for user_id in ("u1", "new", "u2"):
            expected = await store.user(user_id, view.position)
            found = view.user(user_id) or await view.fetch(user_id, store)
            assert found.history.item_idx.tolist() == expected.history.item_idx.tolist()
            assert found.history.order_idx.tolist() == expected.history.order_idx.tolist()
            assert found.bought.item_idx.tolist() == expected.bought.item_idx.tolist()
        await store.close()

    run(work())


def test_a_view_that_starts_late_begins_at_the_image(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, _ = await beginning(bundle, data)
        await send(store, random_events(30))
        view = View(read_bundle_state(bundle), await store.image())
        assert view.version == 30
        result = await send(store, random_events(5, 1, "late"), view.position)
        view.apply(result.batches)
        assert_same_items(view, await store.image())
        await store.close()

    run(work())


def test_batches_a_view_has_are_passed_over_and_a_gap_is_refused(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data)
        start = view.position
        for number in range(3):
            await send(store, [event(f"e{number}", item_idx=number)])
        batches = await store.changes(start, 0)
        with pytest.raises(OutOfStepError, match="begins at 2"):
            view.apply(batches[1:])
        view.apply(batches[:2])
        view.apply(batches)
        view.apply(batches)
        assert_same_items(view, await store.image())
        await store.close()

    run(work())


def test_readers_of_steps_hear_of_events_and_of_a_loaded_image(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data)
        first, place = await store.image(), view.moves.place
        view.apply((await send(store, random_events(20), view.position)).batches)
        for _ in range(2):
            moved, before = view.moves.since(place), first.arrays["vectors"]
            way = np.linalg.norm(view.items.vectors - before, axis=1)
            assert way.max() > 0
            assert (np.bincount(moved.item_idx, moved.distance, minlength=N_ITEMS) * (1 + 1e-5) >= way).all()
            first, place = await store.image(), view.moves.place
            await send(store, random_events(20, 1, "later"), seed=1)
            view.load(await store.image())
        await store.close()

    run(work())


def test_a_miss_asks_the_store_once_however_many_wait(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data, busy=("u1", "u2"))
        source = SlowSource(store)
        waiting = [asyncio.create_task(view.fetch("u1", source)) for _ in range(5)]
        await source.asked.wait()
        source.answer.set()
        found = await asyncio.gather(*waiting)
        assert source.questions == ["u1"]
        assert {len(shopper.history) for shopper in found} == {4}
        assert view.user("u1") is not None
        assert view.user("u2") is None
        await store.close()

    run(work())


def test_nobody_is_asked_for_whose_events_were_all_seen(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data, busy=("u2",))
        source = SlowSource(store)
        source.answer.set()
        assert [len((await view.fetch(user_id, source)).history) for user_id in ("nobody", "u1", "u2")] == [0, 3, 4]
        assert source.questions == ["u2"]
        await send(store, [event("e1", "u1", 1), event("e2", "u3", 2), event("e3", "new", 2), event("e4", "new", 3)])
        view.apply(await store.changes(view.position, 0))
        assert [len((await view.fetch(user_id, source)).history) for user_id in ("u1", "u3", "new")] == [4, 4, 2]
        assert source.questions == ["u2"]
        await store.close()

    run(work())


def test_a_history_ahead_of_the_view_gets_no_event_twice(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data, busy=("new",))
        await send(store, [event("e1", "new", 1), event("e2", "new", 2)])
        assert (await view.fetch("new", store)).history.item_idx.tolist() == [5, 1, 2]
        await send(store, [event("e3", "new", 3)])
        view.apply(await store.changes(view.position, 0))
        shopper = view.user("new")
        assert shopper is not None
        assert shopper.history.item_idx.tolist() == [5, 1, 2, 3]
        await store.close()

    run(work())


def test_a_history_overtaken_by_the_view_gets_what_it_missed(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data, busy=("new",))
        await send(store, [event("e1", "new", 1)])
        source = SlowSource(store)
        waiting = asyncio.create_task(view.fetch("new", source))
        await source.asked.wait()
        await send(store, [event("e2", "new", 2), event("e3", "u1", 4)])
        view.apply(await store.changes(view.position, 0))
        source.answer.set()
        assert (await waiting).history.item_idx.tolist() == [5, 1, 2]
        await store.close()

    run(work())


def test_a_history_asked_for_before_a_reload_is_not_kept(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data, busy=("new",))
        source = SlowSource(store)
        waiting = asyncio.create_task(view.fetch("new", source))
        await source.asked.wait()
        await send(store, [event("e1", "new", 1)])
        view.load(await store.image())
        source.answer.set()
        await waiting
        assert view.user("new") is None
        assert (await view.fetch("new", store)).history.item_idx.tolist() == [5, 1]
        await store.close()

    run(work())


@pytest.mark.parametrize("first_answer_last", [False, True])
def test_who_comes_after_a_merge_waits_for_no_answer_from_before_it(
    bundle: Path, data: Path, first_answer_last: bool
) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data, busy=("account", "guest"))
        sources = [SlowSource(store), SlowSource(store)]
        before = asyncio.create_task(view.fetch("account", sources[0]))
        await sources[0].asked.wait()
        await store.merge("account", "guest")
        view.apply(await store.changes(view.position, 0))
        after = asyncio.create_task(view.fetch("account", sources[1]))
        await sources[1].asked.wait()
        for source in reversed(sources) if first_answer_last else sources:
            source.answer.set()
            await (before if source is sources[0] else after)
        assert (await after).history.item_idx.tolist() == [5, 5]
        shopper = view.user("account")
        assert shopper is not None
        assert shopper.history.item_idx.tolist() == [5, 5]
        await store.close()

    run(work())


def test_a_failed_question_can_be_asked_again(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data, busy=("u1",))
        with pytest.raises(UnavailableError):
            await view.fetch("u1", DeafSource(store))
        assert len((await view.fetch("u1", store)).history) == 4
        await store.close()

    run(work())


def test_a_bounded_view_keeps_the_shoppers_seen_last(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data, max_shoppers=2, busy=("u1", "u2", "u3"))
        for user_id in ("u1", "u2", "u1", "u3"):
            await view.fetch(user_id, store)
        assert [view.user(user_id) is not None for user_id in ("u1", "u2", "u3")] == [True, False, True]
        await store.close()

    run(work())


def test_waiting_for_a_version_ends_when_it_is_applied(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, view = await beginning(bundle, data)
        following = asyncio.create_task(view.follow(store))
        waiting = asyncio.create_task(view.wait_for(2, 30))
        await send(store, [event("e1"), event("e2")])
        assert await waiting
        assert view.version == 2
        assert not await view.wait_for(3, 0.001)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await store.close()

    run(work())


def test_an_image_of_another_bundle_is_refused(bundle: Path, data: Path, tmp_path: Path) -> None:
    other: BundleState = read_bundle_state(write_small_bundle(tmp_path / "other", "b2"))

    async def work() -> None:
        store, _ = await beginning(bundle, data)
        with pytest.raises(OutOfStepError, match="serves bundle b1, this view b2"):
            View(other, await store.image())
        await store.close()

    run(work())
