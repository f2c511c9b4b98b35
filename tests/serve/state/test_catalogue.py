"""Items that the shop writes while events go on: state = bundle + log holds for them, too."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from serve.state.catalogue import LiveCatalogue, written_content
from serve.state.config import StoreConfig
from serve.state.events import ITEM, Event, Write
from serve.state.replay import replay
from serve.state.rooms import SPARE
from serve.state.store import Store
from serve.state.view import View
from tests.serve.state.state_world import (
    FAST,
    N_ITEMS,
    closed_hash,
    come_back,
    event,
    opened,
    random_events,
    run,
    send,
    small_bundle,
    write_small_bundle,
)
from tests.serve.state.written_items import NOWHERE, put, somewhere, write
from train.bundle_state import read_bundle_state
from train.models.facets import fit_facets


async def busy(store: Store, turns: int = 6) -> None:
    """Let items come, change, go and return, and shoppers take them."""
    for turn in range(turns):
        await send(store, random_events(9, turn, f"a{turn}-"), seed=turn)
        await put(store, write(f"new{turn % 4}", f'{{"title":"{turn}"}}' if turn != 4 else ""), somewhere(turn))
        await put(
            store, write(f"i{turn}", f'{{"brand":"b{turn}","price":{turn}}}'), somewhere(turn) if turn % 2 else NOWHERE
        )
        newest = (await store.image()).arrays["vectors"].shape[0] - 1
        await send(store, [event(f"b{turn}", "u1", newest), event(f"c{turn}", f"x{turn}", newest)], seed=turn)


def test_a_store_comes_back_with_its_items_from_zero_and_from_a_snapshot(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await busy(store, 3)
        await store.snapshot()
        await busy(store)
        hashed = await closed_hash(store)
        assert await come_back(bundle, data) == [hashed, hashed]

    run(work())


def test_the_past_had_the_items_of_its_time(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data, StoreConfig())
        await busy(store, 3)
        then = await store.state_hash()
        await busy(store, 5)
        await store.close()
        header = replay(bundle, data, until=then[0]).snapshot.header
        assert (header.version, header.state_hash) == then

    run(work())


def test_a_view_that_follows_equals_one_that_starts_from_the_image(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        known = read_bundle_state(bundle)
        followed, reloaded = View(known, await store.image()), View(known, await store.image())
        for _ in range(3):
            await busy(store)
            followed.apply(await store.changes(followed.position, 0))
            while followed.version < store.position.version:
                followed.apply(await store.changes(followed.position, 0))
            reloaded.load(await store.image())
            fresh = View(known, await store.image())
            for view in (followed, reloaded):
                np.testing.assert_array_equal(view.items.vectors, fresh.items.vectors)
                np.testing.assert_array_equal(view.items.gone, fresh.items.gone)
                for name, array in fresh.items.facets.arrays().items():
                    np.testing.assert_array_equal(view.items.facets.arrays()[name], array)
                assert view.published.facets is view.items.facets
                np.testing.assert_array_equal(view.items.popularity, fresh.items.popularity)
                assert view.catalogue.item_ids == fresh.catalogue.item_ids
                assert view.catalogue.written == fresh.catalogue.written
        await store.close()

    run(work())


def test_an_item_has_the_facets_of_the_last_thing_said_of_it(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        view = View(read_bundle_state(bundle), await store.image())
        contents = ('{"brand":"x","price":3}', '{"brand":"y","category_path":"A > B"}', '{"brand":"y"}', "")
        for content in contents:
            for item_id in ("i2", "new"):
                view.apply((await store.write([write(item_id, content)], NOWHERE[None], view.position)).batches)
            last = json.loads(content or '{"brand":"y"}')  # one that is offered no longer still says what it was
            expected = fit_facets(pd.DataFrame([last])).arrays()
            for item_idx in (2, N_ITEMS):
                assert {name: array[item_idx] for name, array in view.items.facets.arrays().items()} == {
                    name: array[0] for name, array in expected.items()
                }
        assert not small_bundle().state.facets.brand.any()
        await store.close()

    run(work())


def test_readers_hear_of_items_that_come_go_and_return(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        view = View(read_bundle_state(bundle), await store.image())
        for request in (write("new"), write("new", ""), write("new"), write("i3", "")):
            place = view.moves.place
            view.apply((await store.write([request], somewhere()[None], view.position)).batches)
            heard = view.moves.since(place)
            assert heard.item_idx.tolist() == [view.catalogue.index[request.write.id]]
            assert np.isinf(heard.distance).all()
        await store.close()

    run(work())


def test_an_erasure_leaves_the_items_as_they_are(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await busy(store)
        before = (await store.image()).arrays["catalogue"]
        await store.erase("u1")
        hashed = await closed_hash(store)
        store = opened(bundle, data)
        np.testing.assert_array_equal((await store.image()).arrays["catalogue"], before)
        assert await closed_hash(store) == hashed

    run(work())


def test_another_bundle_keeps_what_was_written_and_waits_for_vectors_in_its_own_space(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    other = write_small_bundle(tmp_path / "other", "b2", [f"i{index}" for index in range(2, N_ITEMS)] + ["new1"])

    async def work() -> None:
        store = opened(bundle, data)
        await put(store, write("new1", '{"title":"one"}'), somewhere(1))
        await put(store, write("new2", '{"title":"two"}'), somewhere(2))
        await put(store, write("i5", ""))
        await send(store, [event("e1", "u9", N_ITEMS + 1)])
        await store.adopt(other)
        view = View(read_bundle_state(other), await store.image())
        catalogue, new1, new2 = view.catalogue, view.catalogue.index["new1"], view.catalogue.index["new2"]
        assert catalogue.unplaced == {new1, new2}
        np.testing.assert_array_equal(
            view.items.vectors[new1], small_bundle(item_ids=["x"] * (N_ITEMS - 1)).state.vectors[-1]
        )
        assert not view.items.vectors[new2].any()
        assert view.items.gone[catalogue.index["i5"]]
        history = (await store.user("u9", store.position)).history
        assert history.item_idx.tolist() == [new2]
        again = write("new2", '{"title":"two"}')
        for status in ("applied", "duplicate"):
            assert (await put(store, again, somewhere(3))).status == status
        view.load(await store.image())
        np.testing.assert_array_equal(view.items.vectors[new2], somewhere(3))
        assert catalogue.unplaced == {new1}
        hashed = await closed_hash(store)
        assert await closed_hash(Store.open(other, data, config=FAST)) == hashed

    run(work())


def test_more_items_than_there_is_room_for_get_more_room(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        view = View(read_bundle_state(bundle), await store.image())
        n = 2 * SPARE
        for start in range(0, n, 500):
            some = [write(f"new{number}") for number in range(start, min(start + 500, n))]
            vectors = np.stack([somewhere(number) for number in range(start, min(start + 500, n))])
            view.apply((await store.write(some, vectors, view.position)).batches)
        assert view.items.n_items == len(view.catalogue) == N_ITEMS + n
        np.testing.assert_array_equal(view.items.vectors[N_ITEMS:], np.stack([somewhere(one) for one in range(n)]))
        np.testing.assert_array_equal(view.items.vectors[:N_ITEMS], small_bundle().state.vectors)
        assert (view.items.repeat_rate[N_ITEMS:] == np.median(small_bundle().state.repeat_rate)).all()
        assert len(view.items.words.indptr) > N_ITEMS + n
        await store.close()

    run(work())


plain = st.none() | st.text(max_size=3) | st.floats(0, 9) | st.lists(st.text(max_size=2), max_size=2)
facts = st.dictionaries(st.sampled_from(["title", "brand", "price", "tags"]), plain)


@given(st.lists(st.tuples(st.sampled_from(["i1", "i2", "a", "b"]), st.none() | facts), max_size=12))
def test_a_catalogue_is_a_dict_of_the_last_writes(writes: list[tuple[str, dict | None]]) -> None:
    catalogue = LiveCatalogue(small_bundle().items)
    expected = dict.fromkeys(catalogue.item_ids, "{}")
    for item_id, told in writes:
        expected[item_id] = "" if told is None else written_content(told)
        catalogue.write(Write(ITEM, item_id, expected[item_id]), is_placed=False)
    restored = LiveCatalogue(small_bundle().items)
    restored.restore(catalogue.to_array())
    for one in (catalogue, restored):
        assert {item_id: one.content(item_idx) for item_id, item_idx in one.index.items()} == expected
        assert one.item_ids == sorted(one.index, key=one.index.__getitem__)
        assert {one.item_ids[item_idx] for item_idx in one.unplaced} == {
            item_id for item_id, _ in writes if expected[item_id]
        }


def test_writes_alone_are_saved_in_snapshots_too(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data, StoreConfig(learner=FAST.learner, snapshot_events=3))
        for number in range(4):
            await put(store, write(f"new{number}"), somewhere(number))
        hashed = await closed_hash(store)
        assert list(data.glob("snapshot-*"))
        assert await closed_hash(opened(bundle, data)) == hashed

    run(work())


def test_an_event_of_an_item_that_is_gone_still_counts(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await put(store, write("i3", ""))
        sent: list[Event] = [event("e1", "u9", 3)]
        assert [ack.status for ack in (await send(store, sent)).acks] == ["applied"]
        assert (await store.user("u9", store.position)).history.item_idx.tolist() == [3]
        await store.close()

    run(work())
