"""Erasure: nothing of a person stays readable, and the state is the one of a log in which their events say nothing."""

import asyncio
import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.errors import OutOfStepError
from serve.state.config import StoreConfig
from serve.state.events import Event
from serve.state.shoppers import digest_of
from serve.state.store import Store
from tests.serve.state.state_world import (
    DIM,
    FAST,
    N_ITEMS,
    closed_hash,
    event,
    opened,
    random_events,
    run,
    send,
    write_small_bundle,
)
from train.data.schema import NO_ITEM

LONG = "marguerite.o'hara@exämple.org"  # an id that nothing else looks like
SLOW_TO_CATCH_UP = StoreConfig(learner=FAST.learner, catch_up_events=1)


def without(events: list[Event], user_ids: Collection[str]) -> list[Event]:
    """Return events of which those of `user_ids` say nothing, each in its place."""
    silent = {"item_idx": NO_ITEM, "weight": 0.0}
    return [event(one.event_id, "nobody", **silent) if one.user_id in user_ids else one for one in events]


async def filled(bundle: Path, data: Path, parts: list[list[Event]], config: StoreConfig = FAST) -> Store:
    """Return a store of some batches, with a snapshot after each but the last."""
    store = opened(bundle, data, config)
    for seed, events in enumerate(parts):
        await send(store, events, seed=seed)
        if seed < len(parts) - 1:
            await store.snapshot()
    return store


def in_parts(n: int, parts: int) -> list[list[Event]]:
    return [random_events(n, seed, f"p{seed}-") for seed in range(parts)]


def traces(folder: Path, text: str) -> list[str]:
    """Return the files that hold a text, as it is or as JSON spells it."""
    spelled = {text.encode(), json.dumps(text).strip('"').encode()}
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if any(one in path.read_bytes() for one in spelled)]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(erased=st.sets(st.integers(0, 7), min_size=1, max_size=3), sizes=st.lists(st.integers(1, 12), max_size=4))
def test_the_state_is_that_of_a_log_in_which_the_erased_say_nothing(
    tmp_path_factory: pytest.TempPathFactory, erased: set[int], sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("erase")
    bundle, user_ids = write_small_bundle(folder / "bundle"), [f"u{index}" for index in sorted(erased)]
    parts = [random_events(size, seed, f"p{seed}-") for seed, size in enumerate(sizes)]

    async def work() -> None:
        oracle = await filled(bundle, folder / "oracle", [without(events, user_ids) for events in parts])
        expected = await closed_hash(oracle)
        store = await filled(bundle, folder / "data", parts)
        for user_id in user_ids:
            receipt = await store.erase(user_id)
            assert receipt.n_events == sum(one.user_id == user_id for events in parts for one in events)
        assert await closed_hash(store) == expected
        assert await closed_hash(opened(bundle, folder / "data")) == expected
        for path in (folder / "data").glob("snapshot-*"):
            path.unlink()
        assert await closed_hash(opened(bundle, folder / "data")) == expected

    run(work())


def test_nothing_of_a_person_is_left_on_the_disk(bundle: Path, data: Path) -> None:
    async def work() -> None:
        own = [event(f"{LONG}/{n}", LONG, n % N_ITEMS, order_key=f"{LONG} order", payload=json.dumps({"text": LONG}))
               for n in range(40)]  # fmt: skip
        store = await filled(bundle, data, [*in_parts(50, 3), own, random_events(60, 9, "q")])
        await store.snapshot()
        assert {name.partition("-")[0] for name in traces(data, LONG)} >= {"snapshot"}
        receipt = await store.erase(LONG)
        assert receipt == (1, 40, 1, 0)
        assert traces(data, LONG) == []
        await store.caught_up()
        await store.snapshot()
        assert traces(data, LONG) == []
        assert (await store.export(LONG)).events == []
        await store.close()
        assert traces(data, LONG) == []

    run(work())


def test_what_the_bundle_knows_of_an_erased_shopper_counts_no_more_and_what_comes_later_does(
    bundle: Path, data: Path
) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event("e1", "u0", 3)])
        assert len((await store.user("u0", store.position)).history) == 4
        await store.erase("u0")
        assert len((await store.user("u0", store.position)).history) == 0
        await store.caught_up()
        await send(store, [event("e2", "u0", 5)])
        assert (await store.user("u0", store.position)).history.item_idx.tolist() == [5]
        assert len((await store.user("u1", store.position)).history) == 3
        await store.close()
        store = opened(bundle, data)
        assert (await store.user("u0", store.position)).history.item_idx.tolist() == [5]
        await store.close()

    run(work())


def test_events_go_on_while_the_state_is_made_anew(bundle: Path, data: Path) -> None:
    parts, later = in_parts(20, 3), [random_events(3, seed, f"l{seed}-") for seed in range(10, 16)]

    async def work() -> None:
        store = await filled(bundle, data, parts, SLOW_TO_CATCH_UP)
        await store.erase("u1")
        for seed, events in enumerate(later):
            sent = await send(store, events, seed=seed + 10)
            assert all(ack.status == "applied" for ack in sent.acks)
        hashed = await closed_hash(store)
        assert await closed_hash(opened(bundle, data)) == hashed

    run(work())


def test_whoever_follows_is_sent_for_a_new_image(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = await filled(bundle, data, in_parts(10, 2))
        before = store.position
        waiting = asyncio.create_task(store.changes(before, 30))
        await asyncio.sleep(0)
        await store.erase("u1")
        with pytest.raises(OutOfStepError):
            await waiting
        await store.caught_up()
        image = await store.image()
        assert image.position == store.position
        assert image.position.lineage != before.lineage
        assert image.position.version == before.version
        await store.close()

    run(work())


def test_an_erasure_cut_short_before_the_log_was_rewritten_loses_snapshots_alone(
    bundle: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        store = await filled(bundle, data, in_parts(10, 3))
        hashed = await store.state_hash()
        with monkeypatch.context() as patched:
            patched.setattr(store._machine.log, "silence", lambda *_: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                await store.erase("u1")
        await store.close()
        assert await closed_hash(opened(bundle, data)) == hashed

    run(work())


def test_a_stranger_is_erased_without_a_trace_of_the_question(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = await filled(bundle, data, in_parts(5, 1))
        assert (await store.erase(LONG)).n_events == 0
        await store.close()
        assert traces(data, LONG) == []

    run(work())


def test_an_export_tells_events_as_they_came(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event("e1", "u0", 3, value=2.5, payload='{"text":"a"}'), event("e2", "u1", 4)])
        held = await store.export("u0")
        [told] = held.events
        assert (told.seq, told.event_id, told.item_id, told.value, told.payload) == (1, "e1", "i3", 2.5, '{"text":"a"}')
        assert held.user_ids == ["u0"]
        assert len(held.shopper.history) == 4
        await store.close()

    run(work())


def test_a_silenced_event_has_no_vector_left(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = await filled(bundle, data, [[event("e1", "u0", 3), event("e2", "u1", 4)]])
        await store.erase("u0")
        [logged] = store._machine.log.read(0)
        assert logged.batch.vectors.shape == (2, DIM)
        np.testing.assert_array_equal(logged.batch.vectors.any(axis=1), [False, True])
        np.testing.assert_array_equal((logged.batch.previous != NO_ITEM).any(axis=1), [False, True])
        assert logged.batch.user_ids == ("", "u1")
        await store.close()

    run(work())


def test_erasing_a_stranger_makes_no_state_anew_and_no_later_bundle_knows_them(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = await filled(bundle, data, in_parts(20, 1))
        before = store.position
        assert (await store.erase(LONG)).revision == 0
        assert store.position == before
        await store.close()
        store = opened(bundle, data)
        assert digest_of(LONG) in store._machine.log.forgotten
        await store.close()

    run(work())
