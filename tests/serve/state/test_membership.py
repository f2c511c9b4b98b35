"""Which catalogue an item is in, against a dict of the last writes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from serve.state.catalogue import LiveCatalogue, written_content
from serve.state.events import ITEM, Write
from serve.state.membership import Membership
from serve.state.view import View
from tests.serve.state.state_world import N_ITEMS, closed_hash, come_back, opened, run
from tests.serve.state.written_items import NOWHERE, write
from train.bundle_state import read_bundle_state
from train.data.schema import PRODUCTS

FRAME = pd.DataFrame({"item_id": ["p", "q", "r"], "catalogue": [None, "ads", None]})

texts = st.sampled_from(["", 'a "catalogue":"x"', '"catalogue":"x"', "catalogue"])
contents = st.fixed_dictionaries({"title": texts}, optional={
    "catalogue": st.sampled_from(["ads", "coupons"]), "properties": st.just({"catalogue": "never"}),
})  # fmt: skip
writes = st.lists(st.tuples(st.sampled_from(["p", "q", "new", "newer"]), st.none() | contents), max_size=12)


@given(writes)
def test_an_item_is_in_the_catalogue_that_it_was_last_written_to(sequence: list[tuple[str, Any]]) -> None:
    live, restored = LiveCatalogue(FRAME), LiveCatalogue(FRAME)
    expected: dict[str, str | None] = {"p": PRODUCTS, "q": "ads", "r": PRODUCTS}
    begun = {PRODUCTS, "ads"}
    for item_id, told in sequence:
        expected[item_id] = None if told is None else told.get("catalogue", PRODUCTS)
        begun |= set() if told is None else {told.get("catalogue", PRODUCTS)}
        live.write(Write(ITEM, item_id, "" if told is None else written_content(told)), is_placed=False)
    restored.restore(live.to_array())
    np.testing.assert_array_equal(restored.to_array(), live.to_array())
    in_order = [expected[item_id] for item_id in live.item_ids]
    for one in (live.membership, restored.membership):
        assert [one.of(item_idx) for item_idx in range(len(live))] == in_order
        assert one.counts == {name: in_order.count(name) for name in sorted(begun)}
        for name in begun:
            assert name in one
            assert one.among(name).tolist() == [home == name for home in in_order]
            assert one.is_whole(name) == all(home in (None, name) for home in in_order)


def test_a_shop_with_one_catalogue_is_saved_as_ever() -> None:
    live = LiveCatalogue(FRAME[["item_id"]])
    live.write(Write(ITEM, "new", '{"title":"New"}'), is_placed=False)
    assert live.to_array().tobytes() == b'[["new"], [[3, "{\\"title\\":\\"New\\"}"]], [3]]'
    live.restore(np.frombuffer(b'[["old"], [[3, "{}"]], []]', np.uint8))
    assert live.membership.counts == {PRODUCTS: 4}


def test_an_error_names_a_few_catalogues() -> None:
    membership = Membership(FRAME[["item_id"]])
    assert membership.lacks("ads") == "catalogue 'ads' does not exist; there is 'products'"
    membership.begin("coupons")
    assert membership.lacks("ads") == "catalogue 'ads' does not exist; there are 'coupons', 'products'"
    membership.begin(*(f"c{number:02d}" for number in range(30)))
    assert membership.lacks("ads").endswith("'c08', 'c09', 22 others")


def test_catalogues_outlast_a_restart_from_zero_and_from_a_snapshot(bundle: Path, data: Path) -> None:
    async def work() -> None:
        store, known = opened(bundle, data), read_bundle_state(bundle)
        view = View(known, await store.image())
        for request in (
            write("ad1", '{"catalogue":"ads"}'), write("gone", '{"catalogue":"coupons"}'), write("gone", ""),
        ):  # fmt: skip
            view.apply((await store.write([request], NOWHERE[None], view.position)).batches)
        await store.snapshot()
        fresh = View(known, await store.image())
        for one in (view, fresh):
            assert one.catalogue.membership.counts == {"ads": 1, "coupons": 0, PRODUCTS: N_ITEMS}
        hashed = await closed_hash(store)
        assert await come_back(bundle, data) == [hashed, hashed]

    run(work())
