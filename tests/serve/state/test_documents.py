"""Documents: the shop writes them while events go on, and state = bundle + log holds for them, too."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.state.catalogue import etag
from serve.state.config import StoreConfig
from serve.state.documents import ALWAYS, Document, Documents
from serve.state.events import ITEM, RULE, SCENARIO, Ack, Write
from serve.state.replay import replay
from serve.state.store import Store
from serve.state.view import View
from serve.state.writing import WriteRequest
from tests.serve.state.state_world import (
    DIM,
    FAST,
    closed_hash,
    opened,
    random_events,
    run,
    send,
    write_small_bundle,
)
from train.bundle_state import read_bundle_state

KINDS = [RULE, SCENARIO]
names = count()


def asked(kind: str, name: str, content: str, expected: str | None = None) -> WriteRequest:
    return WriteRequest(f"d{next(names)}", Write(kind, name, content), expected)


async def put(store: Store, *requests: WriteRequest) -> list[Ack]:
    return (await store.write(requests, np.zeros((len(requests), DIM), np.float32), store.position)).acks


async def busy(store: Store, turns: int = 5) -> None:
    """Let documents and items come, change and go among events."""
    for turn in range(turns):
        await send(store, random_events(7, turn, f"a{turn}-{next(names)}-"), seed=turn)
        await put(store, asked(RULE, f"r{turn % 3}", f'{{"factor":{turn}}}' if turn != 3 else ""))
        await put(
            store, asked(SCENARIO, "home", f'{{"turn":{next(names)}}}'), asked(ITEM, "new", f'{{"price":{turn}}}')
        )


async def told(store: Store, bundle: Path) -> dict[str, dict[str, Document]]:
    view = View(read_bundle_state(bundle), await store.image())
    return {kind: view.documents.all(kind) for kind in KINDS}


def test_a_store_comes_back_with_its_documents_from_zero_and_from_a_snapshot(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await busy(store)
        await store.snapshot()
        await busy(store, 2)
        expected = await told(store, bundle)
        assert expected[RULE].keys() == {"r0", "r1", "r2"}
        hashed = await closed_hash(store)
        store = opened(bundle, data)
        assert await told(store, bundle) == expected
        assert await closed_hash(store) == hashed
        for snapshot in data.glob("snapshot-*"):
            snapshot.unlink()
        assert await closed_hash(opened(bundle, data)) == hashed

    run(work())


def test_a_document_is_a_part_of_the_state(bundle: Path, data: Path, tmp_path: Path) -> None:
    async def work() -> None:
        hashes = set()
        for number, content in enumerate(("{}", '{"factor":2}')):
            store = opened(bundle, tmp_path / f"data{number}")
            await put(store, asked(RULE, "r", content))
            hashes.add(await closed_hash(store))
        assert len(hashes) == 2

    run(work())


def test_a_view_that_follows_has_the_documents_of_one_that_starts_from_the_image(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        followed = View(read_bundle_state(bundle), await store.image())
        await busy(store)
        seen = followed.documents.n_changes
        while followed.version < store.position.version:
            followed.apply(await store.changes(followed.position, 0))
        assert {kind: followed.documents.all(kind) for kind in KINDS} == await told(store, bundle)
        assert followed.documents.n_changes > seen
        seen = followed.documents.n_changes
        followed.load(await store.image())
        assert followed.documents.n_changes > seen
        await store.close()

    run(work())


def test_documents_outlive_a_bundle_erasures_and_the_removal_of_old_events(
    bundle: Path, data: Path, tmp_path: Path
) -> None:
    other = write_small_bundle(tmp_path / "other", "b2", [f"i{index}" for index in range(2, 9)], cutoff_ms=2**50)

    async def work() -> None:
        store = opened(bundle, data, StoreConfig(learner=FAST.learner, keep_days=0))
        await busy(store)
        expected = await told(store, bundle)
        await store.erase("u1")
        await store.adopt(other)
        assert await told(store, other) == expected
        assert store._retention.running is not None
        await store._retention.running
        assert store._machine.log.removals.last_seq > 0
        hashed = await closed_hash(store)
        for snapshot in data.glob("snapshot-*"):
            snapshot.unlink()
        store = Store.open(other, data, config=FAST)
        assert await told(store, other) == expected
        assert await closed_hash(store) == hashed

    run(work())


def test_the_past_had_the_documents_of_its_time(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data, StoreConfig())
        await busy(store, 2)
        then = await store.state_hash()
        await busy(store, 4)
        await store.close()
        header = replay(bundle, data, until=then[0]).snapshot.header
        assert (header.version, header.state_hash) == then

    run(work())


def test_writes_of_one_call_see_each_other_and_the_same_write_again_is_a_duplicate(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        one, two = '{"factor":1}', '{"factor":2}'
        first = asked(RULE, "r", one, expected="")
        acks = await put(
            store, first, asked(RULE, "r", two, expected=""), asked(RULE, "r", two, expected=etag(one)),
            asked(RULE, "r", two), asked(SCENARIO, "r", two), asked(RULE, "r", ""), asked(RULE, "r", ""),
        )  # fmt: skip
        assert [ack.status for ack in acks] == [
            "applied", "rejected", "applied", "duplicate", "applied", "applied", "rejected"
        ]  # fmt: skip
        assert [ack.problem for ack in acks if ack.problem] == [
            (412, f"rule 'r' has ETag {etag(one)}; read it again, then write"), (404, "there is no rule 'r'"),
        ]  # fmt: skip
        [again] = await put(store, first)
        assert (again.status, again.version) == ("duplicate", 1)
        await store.close()

    run(work())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_long_is_refused(bundle: Path, data: Path, kind: str) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        [ack] = await put(store, asked(kind, "x", "x" * 70_000))
        assert ack.problem is not None and "at most 65536 are kept" in ack.problem.detail
        assert store.position.version == 0
        await store.close()

    run(work())


def test_files_for_fitting_hold_what_shoppers_did_and_no_documents(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        await busy(store)
        events = await store.events(0, 1_000)
        assert len(events) == 35
        assert not any(event.event_type.startswith("$") for event in events)
        await store.close()

    run(work())


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from("ab"), st.sampled_from(["", "{}", '{"x":1}']))))
def test_documents_are_a_dict_of_the_last_writes_that_counts(writes: list[tuple[str, str, str]]) -> None:
    documents, restored, expected = Documents(), Documents(), dict(ALWAYS)
    restored.write(Write(RULE, "else", "{}"))
    for kind, name, content in writes:
        documents.write(Write(kind, name, content))
        expected[kind, name] = Document(content, expected.get((kind, name), Document()).version + 1)
    restored.restore(documents.to_array())
    for one in (documents, restored):
        for kind in KINDS:
            written = {name: found for (of, name), found in expected.items() if of == kind}
            assert {name: one.get(kind, name) for name in written} == written
            assert one.all(kind) == {name: found for name, found in written.items() if found.content}
            assert one.get(kind, "else") == Document()


def test_the_home_scenario_is_there_before_anybody_wrote_it_and_cannot_go(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        assert (await told(store, bundle))[SCENARIO] == {"home": Document("{}", 0)}
        acks = await put(store, asked(SCENARIO, "home", "{}", etag("{}")), asked(SCENARIO, "home", ""))
        assert [(ack.status, ack.problem and ack.problem.status) for ack in acks] == [
            ("duplicate", None), ("rejected", 409)
        ]  # fmt: skip
        await put(store, asked(SCENARIO, "home", '{"x":1}', etag("{}")))
        assert (await told(store, bundle))[SCENARIO] == {"home": Document('{"x":1}', 1)}
        await store.close()

    run(work())
