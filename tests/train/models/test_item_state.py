"""Counts of items: fitted at once, advanced by one event, decayed in proportion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.histories import DAY_MS, histories_of
from train.models.item_state import ItemState, ItemStateConfig, _exp2, fit_item_state

N = 4
CONFIG = ItemStateConfig(half_life_days=10)


def state_of(sequences: list[list[int]], days: list[list[float]] | None = None, has_clock: bool = True) -> ItemState:
    return fit_item_state(np.zeros((N, 2), np.float32), histories_of(sequences, days), has_clock, CONFIG)


def test_events_are_counted_per_item_and_in_all() -> None:
    state = state_of([[0, 1, 0], [1], []])
    assert state.popularity.tolist() == [2, 2, 0, 0]
    assert state.n_events == 4
    assert state.n_items == N
    assert state.recent_total == pytest.approx(state.recent.sum())


def test_an_event_counts_half_of_one_that_is_a_half_life_younger() -> None:
    state = state_of([[0, 1, 2]], [[0, 10, 20]])
    assert state.recent.tolist() == pytest.approx([1 / 4, 1 / 2, 1, 0])


@given(ago=st.floats(0, 300), later=st.floats(0, 300))
def test_a_live_event_weighs_against_old_ones_by_the_same_law(ago: float, later: float) -> None:
    state = state_of([[0, 1]], [[100 - ago / 3, 100]])
    state.count(np.array([2]), np.array([round((100 + later) * DAY_MS)]), np.ones(1))
    assert state.recent[2] / state.recent[1] == pytest.approx(2 ** (later / 10), rel=1e-6)
    assert state.popularity.tolist() == [1, 1, 1, 0]
    assert state.n_events == 3
    assert state.recent_total == pytest.approx(state.recent.sum())


def test_without_a_clock_no_event_is_older_than_another() -> None:
    state = state_of([[0, 1, 0]], has_clock=False)
    assert state.recent.tolist() == state.popularity.tolist()


def test_no_history_at_all_leaves_zeros() -> None:
    state = state_of([[]])
    assert state.popularity.tolist() == state.recent.tolist() == [0] * N
    assert np.isfinite(state.repeat_rate).all()


@given(sequences=st.lists(st.lists(st.integers(0, N - 1), max_size=8), min_size=1, max_size=5))
def test_the_repeat_rate_is_the_share_of_buyers_who_came_back_drawn_to_the_average(sequences: list[list[int]]) -> None:
    buyers = [sum(item in sequence for sequence in sequences) for item in range(N)]
    again = [sum(sequence.count(item) > 1 for sequence in sequences) for item in range(N)]
    average = sum(again) / max(sum(buyers), 1)
    expected = [(again[i] + 5 * average) / (buyers[i] + 5) for i in range(N)]
    assert state_of(sequences).repeat_rate.tolist() == pytest.approx(expected, rel=1e-5)


@given(st.floats(-1000, 1000))
def test_our_own_power_of_two_is_exact_to_the_last_bits(x: float) -> None:
    assert _exp2(np.array([x]))[0] == pytest.approx(2.0**x, rel=1e-14)


@given(st.lists(st.tuples(st.integers(0, N - 1), st.floats(0, 400), st.floats(0.01, 1)), max_size=9))
def test_events_counted_together_come_to_the_bits_of_one_after_the_other(
    events: list[tuple[int, float, float]],
) -> None:
    together, alone = state_of([[0, 1]]), state_of([[0, 1]])
    columns = np.array(events).reshape(-1, 3)
    item_idx, at_ms, share = columns[:, 0].astype(np.int64), (DAY_MS * columns[:, 1]).astype(np.int64), columns[:, 2]
    together.count(item_idx, at_ms, share)
    for one in range(len(events)):
        alone.count(item_idx[one : one + 1], at_ms[one : one + 1], share[one : one + 1])
    assert together.recent.tobytes() == alone.recent.tobytes()
    assert together.popularity.tobytes() == alone.popularity.tobytes()
    assert (together.n_events, together.recent_total) == (alone.n_events, alone.recent_total)


def test_a_copy_counts_for_itself() -> None:
    state, after_item_0 = state_of([[0, 1, 0], [1]]), (np.array([[0]]), np.array([1]), np.ones(1))
    state.transitions.add(*after_item_0)
    apart = state.copy()
    apart.count(np.array([2]), np.array([0]), np.ones(1))
    apart.transitions.add(*after_item_0)
    assert state.popularity[2] == 0
    assert apart.popularity[2] == 1
    own, shared = (one.transitions.added.entries() for one in (apart, state))
    assert own[2].tolist() == (2 * shared[2]).tolist() != []
    assert apart.transitions.rows[0] > state.transitions.rows[0]
