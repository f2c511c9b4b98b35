"""Traits that were written of shoppers are part of the state, and of nobody's once a shopper is erased."""

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve.state.catalogue import etag, written_content
from serve.state.events import ITEM, TRAITS, Ack, Write
from serve.state.replay import replay
from serve.state.shoppers import MAX_TRAITS, CachedShoppers, Shopper, joined
from serve.state.store import Store
from serve.state.view import View
from serve.state.writing import WriteRequest
from tests.serve.state.state_world import (
    DIM,
    closed_hash,
    come_back,
    event,
    opened,
    random_events,
    run,
    send,
    write_small_bundle,
)
from train.bundle_state import read_bundle_state

LONG = "marguerite.o'hara@exämple.org"  # an id that nothing else looks like
SECRET = "Ærøskøbing Havn"  # a value of the same kind
names = count()


def asked(user_id: str, expected: str | None = None, **traits: object) -> WriteRequest:
    return WriteRequest(f"t{next(names)}", Write(TRAITS, user_id, written_content(traits)), expected)


async def put(store: Store, *requests: WriteRequest) -> list[Ack]:
    return (await store.write(requests, np.zeros((len(requests), DIM), np.float32), store.position)).acks


async def told(store: Store, user_id: str) -> dict[str, object]:
    return json.loads((await store.user(user_id, store.position)).traits or "{}")


STEPS = st.one_of(
    st.tuples(
        st.just("put"), st.sampled_from(["u1", "guest", "new"]),
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), max_size=2),
    ),
    st.tuples(st.just("merge"), st.sampled_from([("u1", "guest"), ("new", "u1"), ("u1", "new")])),
    st.tuples(st.just("erase"), st.sampled_from(["u1", "new"])),
    st.sampled_from([("send",), ("send",), ("snapshot",), ("reopen",)]),
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=10))
def test_traits_are_a_dict_of_the_last_writes_and_the_state_is_the_same_from_wherever_it_is_made(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple]
) -> None:
    folder = tmp_path_factory.mktemp("traits")
    bundle, data = write_small_bundle(folder / "bundle"), folder / "data"

    async def work() -> None:
        store, known, merged = opened(bundle, data), dict[str, dict[str, object]](), dict[str, set[str]]()
        for number, (what, *more) in enumerate(steps):
            if what == "put":
                user_id, traits = more
                await put(store, asked(user_id, **traits))
                known[user_id] = traits
            elif what == "merge":
                [(user_id, source)] = more
                await store.merge(user_id, source)
                known[user_id] = known.pop(source, {}) | known.get(user_id, {})
                merged.setdefault(user_id, set()).update({source, *merged.get(source, ())})
            elif what == "erase":
                [user_id] = more
                gone = set((await store.export(user_id)).user_ids)
                await store.erase(user_id)
                await store.caught_up()
                # Who has traits of a guest who is erased with somebody else may keep those that they wrote alone.
                known = {one: traits for one, traits in known.items() if one not in gone}
                for one in {"u1", "new", "guest"} - gone:
                    if merged.get(one, set()) & gone:
                        known[one] = await told(store, one)
            elif what == "snapshot":
                await store.snapshot()
            elif what == "reopen":
                await store.close()
                store = opened(bundle, data)
            else:
                await send(store, random_events(3, number, f"{number}-"), seed=number)
        assert {one: await told(store, one) for one in ("u1", "guest", "new")} == {
            one: known.get(one, {}) for one in ("u1", "guest", "new")
        }
        hashed = await closed_hash(store)
        assert await come_back(bundle, data) == [hashed, hashed]

    run(work())


def test_traits_are_a_part_of_the_state(bundle: Path, tmp_path: Path) -> None:
    async def work() -> None:
        hashes = set()
        for number, city in enumerate(("Oslo", "Lima")):
            store = opened(bundle, tmp_path / f"data{number}")
            await put(store, asked("new", city=city))
            hashes.add(await closed_hash(store))
        assert len(hashes) == 2

    run(work())


def test_the_accounts_traits_win_the_guests_fill_gaps_and_both_part_again(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await put(store, asked("guest", city="Lima", age=33), asked("account", city="Oslo"))
        await store.merge("account", "guest")
        assert await told(store, "account") == {"city": "Oslo", "age": 33}
        assert await told(store, "guest") == {}
        assert (await store.export("account")).shopper.traits == '{"age":33,"city":"Oslo"}'
        await store.take_back_merge("account", "guest")
        await store.caught_up()
        assert await told(store, "account") == {"city": "Oslo"}
        assert await told(store, "guest") == {"city": "Lima", "age": 33}
        await store.close()

    run(work())


def test_whatever_guests_bring_an_account_has_no_more_traits_than_one_may_have() -> None:
    own = {f"own{index:02}": index for index in range(40)}
    guests = {f"guest{index:02}": index for index in range(60)}
    found = joined(Shopper(traits=written_content(own)), Shopper(traits=written_content(guests)), 1)
    expected = own | dict(list(guests.items())[: MAX_TRAITS - len(own)])
    assert json.loads(found.traits) == expected


def test_writes_of_one_call_see_each_other_and_who_read_an_old_version_is_refused(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        oslo, lima = written_content({"city": "Oslo"}), written_content({"city": "Lima"})
        acks = await put(
            store, asked("new", "", city="Oslo"), asked("new", "", city="Lima"), asked("new", etag(oslo), city="Lima"),
            asked("new", city="Lima"), asked("u1", "", city="Lima"), asked("u1", etag("{}"), city="Lima"),
        )  # fmt: skip
        assert [ack.status for ack in acks] == ["applied", "rejected", "applied", "duplicate", "rejected", "applied"]
        assert [ack.problem for ack in acks if ack.problem] == [
            (412, f"user 'new' has ETag {etag(oslo)}; read it again, then write"),
            (412, f"user 'u1' has ETag {etag('{}')}; read it again, then write"),
        ]
        assert (await store.user("u1", store.position)).content == lima
        await store.close()

    run(work())


def test_what_is_too_long_is_refused(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        [ack] = await put(store, asked("new", essay="x" * 70_000))
        assert ack.problem is not None and "at most 65536 are kept" in ack.problem.detail
        await store.close()

    run(work())


def test_a_shopper_is_known_by_what_they_did_or_what_was_written_of_them(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event("e1", "clicked", 3)])
        await put(store, asked("described"))
        contents = {one: (await store.user(one, store.position)).content for one in ("clicked", "described", "u1", "x")}
        assert contents == {"clicked": "{}", "described": "{}", "u1": "{}", "x": ""}
        await store.close()

    run(work())


def traces(folder: Path, text: str) -> list[str]:
    spelled = {text.encode(), json.dumps(text).strip('"').encode()}
    return [path.name for path in folder.rglob("*") if path.is_file() and any(s in path.read_bytes() for s in spelled)]


def test_of_an_erased_shoppers_traits_nothing_is_left_on_the_disk_and_the_rest_of_the_call_stays(
    bundle: Path, data: Path
) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        item = WriteRequest("w1", Write(ITEM, "later", '{"price":2.0}'), None)
        await put(store, asked("other", city="Lima"), asked(LONG, city=SECRET), item)
        for turn in range(40):
            await put(store, asked(LONG, city=SECRET, turn=turn))
        await store.snapshot()
        assert traces(data, LONG) and traces(data, SECRET)
        receipt = await store.erase(LONG)
        assert receipt.n_events == 41
        assert traces(data, LONG) + traces(data, SECRET) == []
        await store.caught_up()
        assert await told(store, "other") == {"city": "Lima"}
        assert (await store.user(LONG, store.position)).content == ""
        view = View(read_bundle_state(bundle), await store.image())
        assert view.catalogue.content_of("later") == '{"price":2.0}'
        await store.snapshot()
        assert traces(data, LONG) + traces(data, SECRET) == []
        hashed = await closed_hash(store)
        assert traces(data, LONG) + traces(data, SECRET) == []
        for snapshot in data.glob("snapshot-*"):
            snapshot.unlink()
        assert await closed_hash(opened(bundle, data)) == hashed

    run(work())


def test_traits_outlive_a_bundle_and_the_past_had_those_of_its_time(bundle: Path, data: Path, tmp_path: Path) -> None:
    other = write_small_bundle(tmp_path / "other", "b2", [f"i{index}" for index in range(2, 9)], cutoff_ms=2**50)

    async def work() -> None:
        store = opened(bundle, data)
        await put(store, asked("new", city="Oslo"), asked("gone", city="Oslo"))
        await store.erase("gone")
        await store.caught_up()
        then = await store.state_hash()
        await put(store, asked("new", city="Lima"))
        await store.close()
        replayed = replay(bundle, data, until=then[0])
        assert replayed.shoppers.get("new").traits == '{"city":"Oslo"}'
        assert replay(bundle, data, exclude_users=["new"]).shoppers.get("new").content == ""
        store = opened(bundle, data)
        await store.adopt(other)
        assert await told(store, "new") == {"city": "Lima"}
        hashed = await closed_hash(store)
        for snapshot in data.glob("snapshot-*"):
            snapshot.unlink()
        assert await closed_hash(opened(other, data)) == hashed

    run(work())


def test_a_view_asks_again_for_whom_something_was_written_of(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        view = View(read_bundle_state(bundle), await store.image())
        await view.fetch("new", store)
        await put(store, asked("new", city="Oslo"))
        view.apply(await store.changes(view.position, 1))
        assert view.user("new") is None
        assert len((await view.fetch("new", store)).history) == 0
        await store.close()

    run(work())


def test_an_answer_from_before_a_write_is_not_kept() -> None:
    shoppers = CachedShoppers(4)
    rows = shoppers.expect("new")
    shoppers.describe("new", "{}", 7)
    shoppers.put("new", Shopper(version=3), rows)
    assert shoppers.get("new") is None


def test_files_for_fitting_hold_events_and_no_traits(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await send(store, [event("e1", "u1", 3)])
        await put(store, asked("u1", city="Oslo"))
        assert [one.event_id for one in await store.events(0, 10)] == ["e1"]
        await store.close()

    run(work())
