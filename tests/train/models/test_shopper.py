"""A shopper's history: bounded, ordered, cut where a query says."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.train.histories import histories_of, one_history
from train.models.shopper import MAX_HISTORY, NO_HISTORY, history_of


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=12))
def test_rows_are_appended_and_a_new_order_begins_unless_it_is_the_same(rows: list[tuple[int, bool]]) -> None:
    history = NO_HISTORY
    for time, (item, same) in enumerate(rows):
        history = history.appended(item, time, same)
    assert history.item_idx.tolist() == [item for item, _ in rows]
    assert history.timestamp_ms.tolist() == list(range(len(rows)))
    steps = [int(not same) for _, same in rows[1:]]
    assert np.diff(history.order_idx).tolist() == steps
    assert history.order_idx[:1].tolist() == [0] * bool(rows)


def test_appending_leaves_the_old_history_as_it_was() -> None:
    old = one_history([1, 2])
    assert len(old.appended(3, 0, same_order=False)) == 3
    assert old.item_idx.tolist() == [1, 2]


def test_a_full_history_drops_its_oldest_row() -> None:
    history = one_history(list(range(MAX_HISTORY)))
    grown = history.appended(7, 10, same_order=False)
    assert len(grown) == MAX_HISTORY
    assert (grown.item_idx[0], grown.item_idx[-1]) == (1, 7)
    assert grown.order_idx[-1] == MAX_HISTORY


def test_newest_first_gives_at_most_what_there_is() -> None:
    history = one_history([1, 2, 3])
    assert [history.newest_first(k).tolist() for k in (1, 2, 9)] == [[3], [3, 2], [3, 2, 1]]
    assert NO_HISTORY.newest_first(5).tolist() == []


def test_a_cut_hides_what_came_later_and_only_the_newest_rows_are_kept() -> None:
    interactions = histories_of([[9], list(range(MAX_HISTORY + 5)), [8, 8]])
    assert history_of(interactions, 1, cut=3).item_idx.tolist() == [0, 1, 2]
    assert history_of(interactions, 1, cut=0).item_idx.tolist() == []
    assert history_of(interactions, 1).item_idx.tolist() == list(range(5, MAX_HISTORY + 5))
    assert history_of(interactions, 2, cut=99).item_idx.tolist() == [8, 8]


def test_a_history_is_open_only_where_the_cut_parts_an_order() -> None:
    interactions = histories_of([[1, 2, 3], [4, 5]])
    interactions = replace(interactions, order_idx=np.array([0, 0, 1, 2, 3]))
    assert [history_of(interactions, 0, cut).is_open for cut in (0, 1, 2, 3, None)] == [
        False,
        True,
        False,
        False,
        False,
    ]
    assert not history_of(interactions, 1, cut=1).is_open
    assert not history_of(interactions, 0, cut=1).appended(2, 0, same_order=True).is_open
