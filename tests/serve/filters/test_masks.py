"""Masks over a catalogue that is written, against holding every item's facts one by one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.stages import reading
from serve.stages.filters import masks
from serve.stages.filters.expression import Expression, holds
from serve.stages.filters.facts import facts_of
from serve.stages.filters.language import parse
from serve.stages.filters.masks import Masks
from tests.serve.filters.written import expressions
from tests.serve.written_catalogue import WrittenCatalogue

FRAME = pd.DataFrame({
    "item_id": ["p", "q", "r", "s"],
    "brand": ["a", None, "b", "a"],
    "price": [1.0, 2.5, np.nan, 9.0],
    "category_path": ["A > B", "A", None, "B>C"],
    "tags": [["a", "b"], [], None, ["it's"]],
    "catalogue": [None, "a", None, "b"],
})  # fmt: skip

contents = st.fixed_dictionaries({}, optional={
    "brand": st.sampled_from(["a", "b", ""]), "price": st.integers(-3, 9), "rating": st.floats(0, 5),
    "category_path": st.sampled_from(["A", "A > B > a"]), "tags": st.lists(st.sampled_from("ab"), max_size=2),
    "properties": st.fixed_dictionaries({}, optional={
        "inStock": st.booleans(), "colour": st.one_of(st.sampled_from("ab"), st.lists(st.integers(0, 3))),
        "brand": st.just("never"), "catalogue": st.just("never"),
    }),
    "catalogue": st.sampled_from("ab"),
})  # fmt: skip
writes = st.tuples(st.sampled_from(["p", "q", "new", "newer", "gone"]), st.one_of(st.none(), contents))


def broken(_: Any) -> Any:
    raise RuntimeError("whatever it was")


class Shelf(WrittenCatalogue):
    """A catalogue and the masks over it."""

    def __init__(self) -> None:
        super().__init__(FRAME)
        self.masks = Masks(self.catalogue, self.builder)
        self.builder.run()

    def expected(self, expression: Expression) -> list[bool]:
        every = zip(self.catalogue.item_ids, self.all_told(), strict=True)
        return [holds(expression, facts_of(item_id, told)) for item_id, told in every]

    def check(self, *expressions: Expression) -> None:
        self.masks.reading.catch_up()
        for expression in expressions:
            assert self.masks.mask(expression).tolist() == self.expected(expression)


@given(st.lists(expressions, min_size=1, max_size=3), st.lists(writes, max_size=6), st.booleans())
def test_masks_are_true_to_the_last_write(
    said: list[Expression], sequence: list[tuple[str, dict[str, Any] | None]], asked_before: bool
) -> None:
    shelf = Shelf()
    if asked_before:
        shelf.check(*said)
    for item_id, told in sequence:
        shelf.write(item_id, told)
        if asked_before:
            shelf.check(said[0])
    shelf.check(*said)


@settings(max_examples=30)
@given(expressions, st.lists(writes, min_size=1, max_size=6), st.lists(writes, max_size=3), st.booleans())
def test_columns_made_anew_say_the_same(
    said: Expression, before: list[tuple[str, Any]], meanwhile: list[tuple[str, Any]], read_early: bool
) -> None:
    shelf = Shelf()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "FEW", 0)
        patch.setattr(reading, "SHARE", 0.0)
        for write in before:
            shelf.write(*write)
        shelf.check(said)  # which orders the columns
        assert shelf.builder.waiting
        if read_early:
            shelf.builder.run()
        for write in meanwhile:
            shelf.write(*write)
        shelf.check(said, parse("not inStock"))
        shelf.builder.run()
        shelf.check(said, parse("price > 2 or brand = 'a'"))


def test_a_reading_that_fails_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FEW", 0)
    shelf = Shelf()
    shelf.check(parse("price < 3"))
    shelf.masks.reading._read = broken
    shelf.write("p", {"price": 5})
    shelf.check(parse("price < 3"))
    shelf.builder.run()
    shelf.check(parse("price < 3"), parse("price = 5"))


@given(st.lists(writes, max_size=4), st.lists(writes, max_size=4), expressions)
def test_a_catalogue_that_goes_to_another_image_is_filtered_by_that(
    ours: list[tuple[str, Any]], theirs: list[tuple[str, Any]], said: Expression
) -> None:
    shelf, other = Shelf(), Shelf()
    for item_id, told in ours:
        shelf.write(item_id, told)
    shelf.check(said)
    for item_id, told in theirs:
        other.write(item_id, told)
    shelf.catalogue.restore(other.catalogue.to_array())
    shelf.check(said, parse("price < 3"))


def test_one_is_not_true() -> None:
    shelf = Shelf()
    shelf.write("p", {"properties": {"colour": 1}})
    shelf.write("q", {"properties": {"colour": True}})
    shelf.check(parse("colour = 1"), parse("colour = true"))
    assert shelf.masks.mask(parse("colour")).tolist() == [False, True, False, False]


def test_the_masks_that_are_kept_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "KEPT_BYTES", 0)  # a large catalogue's are
    shelf = Shelf()
    for price in range(3 * masks.FEWEST):
        shelf.check(parse(f"price > {price}"))
    assert len(shelf.masks._kept) == masks.FEWEST
