"""What the store answers to items that are written: applied, sent before, refused."""

from pathlib import Path

import numpy as np

from serve.state.catalogue import etag
from tests.serve.state.state_world import DIM, opened, run
from tests.serve.state.written_items import put, write


def test_a_vector_in_another_bundles_space_places_nothing(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        other = store.position._replace(lineage=store.position.lineage.replace("b1", "b0"))
        result = await store.write([write("new")], np.ones((1, DIM + 5), np.float32), other)
        assert [ack.status for ack in result.acks] == ["applied"]
        assert not (await store.image()).arrays["vectors"][-1].any()
        await store.close()

    run(work())


def test_the_same_write_sent_again_is_a_duplicate(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        first = write("new", '{"title":"first"}', expected="")
        acks = [await put(store, first), await put(store, write("new", '{"title":"second"}')), await put(store, first)]
        assert [(ack.status, ack.version) for ack in acks] == [("applied", 1), ("applied", 2), ("duplicate", 1)]
        await store.close()

    run(work())


def test_writes_of_one_call_see_each_other(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        one, two = '{"title":"one"}', '{"title":"two"}'
        requests = [
            write("new", one, expected=""), write("new", two, expected=""), write("new", two, expected=etag(one)),
            write("new", two), write("new", ""), write("new", ""), write("nothing", ""),
        ]  # fmt: skip
        result = await store.write(requests, np.zeros((7, DIM), np.float32), store.position)
        assert [ack.status for ack in result.acks] == [
            "applied", "rejected", "applied", "duplicate", "applied", "rejected", "rejected"
        ]  # fmt: skip
        assert [ack.problem.status for ack in result.acks if ack.problem] == [412, 404, 404]
        assert [ack.version for ack in result.acks if ack.status == "applied"] == [1, 2, 3]
        await store.close()

    run(work())


def test_an_item_is_written_to_and_taken_from_its_own_catalogue_alone(bundle: Path, data: Path) -> None:
    ad, product = '{"catalogue":"ads","title":"x"}', '{"title":"x"}'
    asked = [
        ("ads", "new", ad), ("products", "new", product), ("products", "new", ""), ("ads", "new", ""),
        ("products", "new", product), ("ads", "i3", ""), ("ads", "i3", ad),
    ]  # fmt: skip

    async def work() -> None:
        store = opened(bundle, data)
        requests = [write(item_id, content)._replace(catalogue=catalogue) for catalogue, item_id, content in asked]
        result = await store.write(requests, np.zeros((len(asked), DIM), np.float32), store.position)
        problems = [ack.problem for ack in result.acks]
        assert [problem and problem.status for problem in problems] == [None, 409, 404, None, None, 404, 409]
        assert [problem.detail.partition(";")[0] for problem in problems if problem] == [
            *["item 'new' is in catalogue 'ads', not in 'products'"] * 2,
            *["item 'i3' is in catalogue 'products', not in 'ads'"] * 2,
        ]
        await store.close()

    run(work())


def test_what_is_not_finite_or_too_long_is_refused(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store = opened(bundle, data)
        bad = np.full(DIM, np.nan, np.float32)
        assert (await put(store, write("new"), bad)).problem is not None
        assert (await put(store, write("new", "x" * 70_000))).problem is not None
        assert store.position.version == 0
        await store.close()

    run(work())
