"""Sequential rules against the written formula, counted at once or event by event."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from tests.train.histories import histories_of
from train.models.transitions import Transitions, TransitionsConfig, both_ways, fit_transitions, strongest

N = 8
SEQUENCES = st.lists(st.lists(st.integers(0, N - 1), max_size=9), min_size=1, max_size=6)
CONFIGS = st.builds(
    TransitionsConfig,
    window=st.integers(1, 4),
    decay=st.floats(0.1, 1),
    backward=st.just(0.0) | st.floats(0.01, 1),
    row_power=st.floats(0, 1),
    column_power=st.floats(0, 1),
    history_decay=st.floats(0.1, 1),
    memory=st.integers(1, 4),
    memory_decay=st.floats(0.1, 1),
)


def slow_counts(sequences: list[list[int]], config: TransitionsConfig) -> np.ndarray:
    counts = np.zeros((N, N))
    for items in sequences:
        for later in range(len(items)):
            for distance in range(1, min(config.window, later) + 1):
                weight = config.decay ** (distance - 1)
                counts[items[later - distance], items[later]] += weight
                counts[items[later], items[later - distance]] += weight * config.backward
    return counts


def slow_scores(counts: np.ndarray, history: list[int], config: TransitionsConfig) -> dict[int, float]:
    """Return Σ_k history_decay^k · C[i_k, j] / (rows[i_k]^row_power · columns[j]^column_power), where above 0."""
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    scores: defaultdict[int, float] = defaultdict(float)
    for k, source in enumerate(reversed(history[-config.window :])):
        for target in np.flatnonzero(counts[source]):
            normal = rows[source] ** config.row_power * columns[target] ** config.column_power
            scores[int(target)] += config.history_decay**k * counts[source, target] / normal
    return scores


def live(sequences: list[list[int]], config: TransitionsConfig) -> Transitions:
    transitions = fit_transitions(histories_of([[]]), N, config)
    for items in sequences:
        for place, item in enumerate(items):
            before = np.array(items[max(0, place - config.window) : place][::-1], dtype=np.int64)
            transitions.add(before[None], np.array([item]), np.ones(1))
    return transitions


@given(sequences=SEQUENCES, history=st.lists(st.integers(0, N - 1), max_size=7), config=CONFIGS)
def test_a_score_is_the_sum_of_what_each_newest_item_adds(
    sequences: list[list[int]], history: list[int], config: TransitionsConfig
) -> None:
    transitions, asked = live(sequences, config), np.array([5, 0, 2])
    origins = transitions.origins(np.array(history, dtype=np.int64), asked)
    expected = slow_scores(slow_counts(sequences, config), history, config)
    assert origins.shape == (min(len(history), config.window), 3)
    np.testing.assert_allclose(origins.sum(axis=0), [expected.get(one, 0.0) for one in asked.tolist()], rtol=1e-6)


@given(sequences=SEQUENCES, history=st.lists(st.integers(0, N - 1), max_size=7), config=CONFIGS)
def test_scores_are_those_of_the_formula(
    sequences: list[list[int]], history: list[int], config: TransitionsConfig
) -> None:
    expected = slow_scores(slow_counts(sequences, config), history, config)
    for transitions in (fit_transitions(histories_of(sequences), N, config), live(sequences, config)):
        found = transitions.followers(np.array(history, dtype=np.int64))
        scores = {item: score for item, score in zip(found.item_idx.tolist(), found.score, strict=True) if score > 0}
        assert scores == pytest.approx({item: score for item, score in expected.items() if score > 0}, rel=1e-5)
        assert (np.diff(found.item_idx) > 0).all()


@given(sequences=SEQUENCES, history=st.lists(st.integers(0, N - 1), max_size=7), config=CONFIGS)
def test_shares_are_those_of_the_same_formula_with_a_longer_memory(
    sequences: list[list[int]], history: list[int], config: TransitionsConfig
) -> None:
    longer = config.model_copy(update={"history_decay": config.memory_decay, "window": config.memory})
    counts = slow_counts(sequences, config)
    scores = slow_scores(counts, history, longer)
    expected = [scores[item] / max(sum(scores.values()), 1e-300) for item in range(N)]
    for transitions in (fit_transitions(histories_of(sequences), N, config), live(sequences, config)):
        found = transitions.shares(np.array(history, dtype=np.int64), np.arange(N))
        assert found.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-12)


@given(sequences=SEQUENCES, more=SEQUENCES, config=CONFIGS)
def test_events_added_one_by_one_extend_a_batch_as_a_larger_batch_would(
    sequences: list[list[int]], more: list[list[int]], config: TransitionsConfig
) -> None:
    at_once = fit_transitions(histories_of(sequences + more), N, config)
    extended = fit_transitions(histories_of(sequences), N, config)
    for items in more:
        for place, item in enumerate(items):
            before = np.array(items[max(0, place - config.window) : place][::-1], dtype=np.int64)
            extended.add(before[None], np.array([item]), np.ones(1))
    np.testing.assert_allclose(extended.rows, at_once.rows, rtol=1e-9)
    np.testing.assert_allclose(extended.columns, at_once.columns, rtol=1e-9)
    for source in range(N):
        history = np.array([source])
        one, other = extended.followers(history), at_once.followers(history)
        assert one.item_idx.tolist() == other.item_idx.tolist()
        np.testing.assert_allclose(one.score, other.score, rtol=1e-5)


@given(sequences=SEQUENCES, more=SEQUENCES, histories=SEQUENCES, config=CONFIGS)
def test_nobodys_followers_depend_on_whom_else_is_asked_about(
    sequences: list[list[int]], more: list[list[int]], histories: list[list[int]], config: TransitionsConfig
) -> None:
    transitions = fit_transitions(histories_of(sequences), N, config)
    for items in more:
        for place, item in enumerate(items):
            before = np.array(items[max(0, place - config.window) : place][::-1], dtype=np.int64)
            transitions.add(before[None], np.array([item]), np.ones(1))
    asked = [np.array(history, dtype=np.int64) for history in histories]
    for history, together in zip(asked, transitions.followers_of(asked), strict=True):
        alone = transitions.followers(history)
        assert together.item_idx.tobytes() == alone.item_idx.tobytes()
        assert together.score.tobytes() == alone.score.tobytes()


def test_nothing_follows_an_empty_history_or_an_item_that_came_alone() -> None:
    transitions = fit_transitions(histories_of([[0, 1], [2]]), N, TransitionsConfig())
    for history in ([], [2]):
        found = transitions.followers(np.array(history, dtype=np.int64))
        assert len(found.item_idx) == len(found.score) == 0
        assert transitions.shares(np.array(history, dtype=np.int64), np.arange(N)).tolist() == [0] * N


def test_a_batch_keeps_only_the_strongest_links_but_normalises_by_all() -> None:
    sequences = [[0, 1]] * 3 + [[0, 2]] * 2 + [[0, 3]]
    config = TransitionsConfig(max_neighbours=2, backward=0, row_power=1, column_power=0)
    found = fit_transitions(histories_of(sequences), N, config).followers(np.array([0]))
    assert found.item_idx.tolist() == [1, 2]
    assert found.score.tolist() == pytest.approx([3 / 6, 2 / 6])


@given(
    counts=st.lists(st.lists(st.just(0.0) | st.floats(0.01, 9), min_size=N, max_size=N), min_size=N, max_size=N),
    backward=st.just(0.0) | st.floats(0.01, 1),
    k=st.integers(1, N),
    block=st.integers(1, N + 1),
)
def test_links_added_up_block_by_block_have_the_bits_of_the_whole_sum(
    counts: list[list[float]], backward: float, k: int, block: int
) -> None:
    one_way = csr_matrix(np.array(counts))
    whole = csr_matrix(one_way + backward * one_way.T)
    found = both_ways(one_way, TransitionsConfig(backward=backward, max_neighbours=k), block)
    kept = strongest(whole, k)
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found.base, part), getattr(kept, part))
    np.testing.assert_array_equal(found.rows, np.asarray(whole.sum(axis=1)).ravel())
    np.testing.assert_array_equal(found.columns, np.asarray(whole.sum(axis=0)).ravel())


@given(
    counts=st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=5), k=st.integers(1, 5)
)
def test_the_strongest_entries_of_a_row_win_and_the_smaller_column_among_equals(
    counts: list[list[int]], k: int
) -> None:
    full = csr_matrix(np.array(counts, dtype=float), shape=(len(counts), 5))
    kept = strongest(full, k).toarray()
    for row, values in enumerate(counts):
        best = sorted((column for column in range(5) if values[column]), key=lambda column: (-values[column], column))
        assert {column: kept[row, column] for column in np.flatnonzero(kept[row])} == {
            column: values[column] for column in best[:k]
        }


@given(data=st.data(), config=CONFIGS)
def test_events_added_together_come_to_the_bits_of_one_after_the_other(
    data: st.DataObject, config: TransitionsConfig
) -> None:
    rows = st.lists(st.integers(-1, N - 1), min_size=config.window, max_size=config.window)
    events = data.draw(st.lists(st.tuples(rows, st.integers(0, N - 1), st.floats(0.01, 1)), max_size=6))
    previous = np.array([event[0] for event in events], np.int64).reshape(-1, config.window)
    item_idx, share = np.array([event[1] for event in events], np.int64), np.array([event[2] for event in events])
    together, alone = (fit_transitions(histories_of([[0, 1]]), N, config) for _ in range(2))
    together.add(previous, item_idx, share)
    for one in range(len(events)):
        alone.add(previous[one : one + 1], item_idx[one : one + 1], share[one : one + 1])
    for one, other in zip(together.added.entries(), alone.added.entries(), strict=True):
        assert one.tobytes() == other.tobytes()
    assert together.rows.tobytes() == alone.rows.tobytes()
    assert together.columns.tobytes() == alone.columns.tobytes()


def test_an_item_newer_than_the_batch_is_linked_by_live_events() -> None:
    transitions = fit_transitions(histories_of([[0, 1]]), 2, TransitionsConfig())
    transitions.rows, transitions.columns = np.append(transitions.rows, 0.0), np.append(transitions.columns, 0.0)
    transitions.add(np.array([[1]]), np.array([2]), np.ones(1))
    assert 2 in transitions.followers(np.array([1])).item_idx
    assert transitions.followers(np.array([2])).item_idx.tolist() == [1]
