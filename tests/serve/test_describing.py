"""What items say, as numbers and values, against what each says by itself."""

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.stages import reading
from serve.stages.describing import Describe, Described, Describing
from serve.stages.filters.expression import Values
from serve.stages.filters.facts import facts_of
from tests.serve.filters.test_masks import Shelf, writes

NAMES = ("price", "rating", "brand", "tags", "category", "colour", "inStock", "id", "unheard of")


class Asked(Shelf):
    """A shelf whose items are asked what they say."""

    def __init__(self) -> None:
        super().__init__()
        self.describing = Describing(self.catalogue, self.masks)

    def described(self, item_idx: list[int]) -> Described:
        ask = Describe(item_idx=np.array(item_idx, np.int64), numbers=NAMES, values=NAMES)
        return asyncio.run(self.describing.describe(ask))

    def said(self, name: str) -> list[Values]:
        """Return what each item says of an attribute, one by one."""
        every = zip(self.catalogue.item_ids, self.all_told(), strict=True)
        return [facts_of(item_id, told).get(name, ()) for item_id, told in every]

    def check_all(self) -> None:
        items = [*range(len(self.catalogue)), 0]  # whom is asked twice is told twice
        found = self.described(items)
        for name in NAMES:
            said = self.said(name)
            numbers = [[float(value) for value in said[one] if not isinstance(value, str)] for one in items]
            expected = [min(values, default=np.nan) for values in numbers]
            np.testing.assert_array_equal(found.numbers[name], expected)
            assert same_parts(found.values[name], [said[one] for one in items])


def same_parts(found: tuple[np.ndarray, np.ndarray], said: list[Values]) -> bool:
    """Tell whether items share a code just where they share a value."""
    by_code: dict[int, set[int]] = {}
    for holder, code in zip(*(part.tolist() for part in found), strict=True):
        by_code.setdefault(code, set()).add(holder)
    by_value: dict[tuple[type, object], set[int]] = {}
    for holder, values in enumerate(said):
        for value in values:
            by_value.setdefault((type(value), value), set()).add(holder)
    return sorted(map(sorted, by_code.values())) == sorted(map(sorted, by_value.values()))


@given(st.lists(writes, max_size=6), st.booleans())
def test_items_say_what_the_last_write_says(sequence: list[tuple[str, Any]], asked_between: bool) -> None:
    shelf = Asked()
    shelf.check_all()
    for item_id, told in sequence:
        shelf.write(item_id, told)
        if asked_between:
            shelf.check_all()
    shelf.check_all()


@given(st.lists(writes, min_size=1, max_size=6), st.lists(writes, max_size=3))
def test_a_reading_made_anew_says_the_same(before: list[tuple[str, Any]], meanwhile: list[tuple[str, Any]]) -> None:
    shelf = Asked()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "FEW", 0)
        patch.setattr(reading, "SHARE", 0.0)
        for write in before:
            shelf.write(*write)
        shelf.check_all()  # which orders the columns
        shelf.builder.run()
        for write in meanwhile:
            shelf.write(*write)
        shelf.check_all()
        shelf.builder.run()
        shelf.check_all()


def test_a_catalogue_that_goes_to_another_image_is_described_by_that() -> None:
    shelf, other = Asked(), Shelf()
    shelf.write("new", {"price": 3.0})
    shelf.write("p", {"price": 4.0})
    shelf.check_all()
    other.write("q", {"price": 5.0})
    shelf.catalogue.restore(other.catalogue.to_array())
    shelf.check_all()
