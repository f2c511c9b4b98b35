"""A matrix that grows, against a dictionary of dictionaries."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.models.growing import GrowingMatrix

N = 40
Link = tuple[int, int, float]
LINKS = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1), st.floats(0.01, 9)), max_size=200)
FEW_ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, N - 1), st.floats(0.01, 9)), max_size=300)


class Slow:
    """Rows that are put in order whenever one overflows."""

    def __init__(self, most: int) -> None:
        self._most, self.rows = most, dict[int, dict[int, float]]()

    def add(self, links: Sequence[Link]) -> None:
        for row, column, more in links:
            known = self.rows.setdefault(row, {})
            if column not in known and len(known) == 2 * self._most:
                best = sorted(known, key=lambda one: (-known[one], one))[: self._most]
                known = self.rows[row] = {one: total for one, total in known.items() if one in best}
            known[column] = known.get(column, 0.0) + more

    def entries(self) -> list[Link]:
        return [(row, *entry) for row, known in sorted(self.rows.items()) for entry in known.items()]


def add(matrix: GrowingMatrix, links: Sequence[Link]) -> None:
    rows, columns, more = zip(*links, strict=True) if links else ((), (), ())
    matrix.add(np.array(rows, np.int64), np.array(columns, np.int64), np.array(more, np.float64))


def entries(matrix: GrowingMatrix) -> list[Link]:
    return list(zip(*(column.tolist() for column in matrix.entries()), strict=True))


@given(parts=st.lists(LINKS | FEW_ROWS, max_size=4), most=st.integers(1, 40))
def test_it_holds_what_dictionaries_would_to_the_bit(parts: list[list[Link]], most: int) -> None:
    matrix, slow = GrowingMatrix(most), Slow(most)
    for links in parts:
        add(matrix, links)
        slow.add(links)
    assert entries(matrix) == slow.entries()
    assert len(matrix) == len(slow.entries())


@given(links=LINKS | FEW_ROWS, asked=st.lists(st.integers(0, 2 * N), max_size=9), most=st.integers(1, 40))
def test_rows_are_told_however_often_and_in_whatever_order_they_are_asked_for(
    links: list[Link], asked: list[int], most: int
) -> None:
    matrix, slow = GrowingMatrix(most), Slow(most)
    add(matrix, links)
    slow.add(links)
    owner, column, total = matrix.entries_of(np.array(asked, np.int64))
    told = list(zip(owner.tolist(), column.tolist(), total.tolist(), strict=True))
    assert told == [(at, *entry) for at, row in enumerate(asked) for entry in slow.rows.get(row, {}).items()]


@given(before=LINKS | FEW_ROWS, after=LINKS | FEW_ROWS, most=st.integers(1, 40))
def test_one_restored_grows_like_the_one_it_was_made_from(before: list[Link], after: list[Link], most: int) -> None:
    first = GrowingMatrix(most)
    add(first, before)
    copy, restored = first.copy(), GrowingMatrix.of(most, *first.entries())
    add(first, after)
    add(restored, after)
    assert entries(restored) == entries(first)
    assert entries(copy) == entries_of_dictionaries(before, most)


@given(links=FEW_ROWS, split=st.integers(0, 300), most=st.integers(1, 40))
def test_it_matters_not_how_sums_were_batched(links: list[Link], split: int, most: int) -> None:
    whole, parted = GrowingMatrix(most), GrowingMatrix(most)
    add(whole, links)
    add(parted, links[:split])
    add(parted, links[split:])
    assert entries(whole) == entries(parted)


def test_what_came_once_among_much_that_came_often_is_forgotten() -> None:
    matrix = GrowingMatrix(2)
    add(matrix, [(0, 1, 1.0), (0, 2, 5.0), (0, 3, 1.0), (0, 4, 3.0), (0, 5, 1.0)])
    assert entries(matrix) == [(0, 2, 5.0), (0, 4, 3.0), (0, 5, 1.0)]


def entries_of_dictionaries(links: list[Link], most: int) -> list[Link]:
    slow = Slow(most)
    slow.add(links)
    return slow.entries()
