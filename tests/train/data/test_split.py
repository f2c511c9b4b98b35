from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import ConfigError, DataError, LeakageError
from tests.world import tiny_world
from train.data.leakage import check_leakage
from train.data.orders import inside_queries, order_queries, order_starts
from train.data.prepare import PrepareConfig, prepare
from train.data.schema import Interactions, Queries, Split
from train.data.split import SplitConfig, make_split
from train.models.shopper import history_of

NOW = datetime(2025, 1, 1, tzinfo=UTC)
GLOBAL_TIME = SplitConfig.parse(["split=global_time"])
LEAVE_ONE_OUT = SplitConfig.parse(["split=leave_one_out"])


def interactions(orders_of: list[list[tuple[int, list[int]]]]) -> Interactions:
    """Return history from each user's orders, given as (time, items)."""
    rows = [
        (user, time, order, item)
        for user, orders in enumerate(orders_of)
        for order, (time, items) in enumerate(orders)
        for item in items
    ]
    user, time, order, item = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    counts = np.bincount(user, minlength=len(orders_of))
    return Interactions(
        user_ids=np.array([f"u{n}" for n in range(len(orders_of))], dtype=object),
        offsets=np.concatenate(([0], np.cumsum(counts))), item_idx=item, timestamp_ms=time,
        order_idx=user * 1000 + order, weight=np.ones(len(item), dtype=np.float32),
    )  # fmt: skip


def world_history(order_size: int = 2) -> Interactions:
    with TemporaryDirectory() as folder:
        return prepare(tiny_world(order_size=order_size), PrepareConfig.parse([]), NOW, Path(folder)).interactions


def asked(queries: Queries) -> list[tuple[int, int, list[int]]]:
    return [(int(queries.user_idx[n]), int(queries.cut[n]), queries.truth_of(n).tolist()) for n in range(len(queries))]


TWO_USERS = [
    [(0, [1, 2]), (50, [3]), (85, [4, 5, 4]), (100, [6])],
    [(10, [1]), (82, [2, 3])],
    [(95, [7])],
]  # fmt: skip


def test_leave_one_out_asks_for_the_last_item_of_whoever_had_two() -> None:
    history = interactions(TWO_USERS)
    split = make_split(history, LEAVE_ONE_OUT, has_clock=True)
    assert asked(split.valid) == [(1, 2, [3]), (0, 6, [6])]
    assert len(split.test) == 0
    assert [split.train.items_of(user).tolist() for user in range(3)] == [[1, 2, 3, 4, 5, 4], [1, 2], [7]]
    assert "1 users have a single event" in split.report.steps[0].why


def test_leave_one_out_numbers_orders_without_gaps() -> None:
    history = make_split(interactions(TWO_USERS), LEAVE_ONE_OUT, has_clock=True).history
    assert [np.diff(history.order_idx)[a:b].tolist() for a, b in ((0, 6), (7, 9))] == [[0, 1, 1, 0, 0, 1], [1, 1]]


def test_training_aims_at_what_the_split_asks_for() -> None:
    history = interactions(TWO_USERS)
    wanted = [make_split(history, config, has_clock=True).wanted.targets for config in (LEAVE_ONE_OUT, GLOBAL_TIME)]
    assert wanted == ["next_item", "next_order"]


def test_without_a_clock_the_last_item_is_held_out_unless_told_otherwise() -> None:
    history = interactions([[(0, [1]), (1, [2]), (2, [3])], [(0, [1])]])
    assert asked(make_split(history, SplitConfig.parse([]), has_clock=False).valid) == [(0, 2, [3])]
    with_clock = make_split(interactions(TWO_USERS), SplitConfig.parse([]), has_clock=True)
    assert asked(with_clock.test) == [(0, 6, [6])]


def test_leave_one_out_without_orders_asks_for_the_last_item() -> None:
    history = interactions([[(0, [1]), (1, [2]), (2, [3])], [(0, [1])]])
    split = make_split(history, LEAVE_ONE_OUT, has_clock=False)
    assert asked(split.valid) == [(0, 2, [3])]


def weak(history: Interactions, rows: list[int]) -> Interactions:
    weight = np.where(np.isin(np.arange(len(history)), rows), 1, 5)
    return replace(history, weight=weight.astype(np.float32))


STRONG = ["target_weight=2"]


def test_weak_events_are_read_before_the_last_strong_one_and_never_asked_for() -> None:
    history = weak(interactions(TWO_USERS), [0, 3, 6])
    split = make_split(history, SplitConfig.parse(["split=leave_one_out", *STRONG]), has_clock=True)
    assert asked(split.valid) == [(1, 2, [3]), (0, 5, [4])]
    assert [split.train.items_of(user).tolist() for user in range(3)] == [[1, 2, 3, 4, 5], [1, 2], [7]]
    assert "1 users have nothing worth 2 after another event" in split.report.steps[0].why


def test_global_time_asks_for_orders_with_a_strong_event() -> None:
    history = weak(interactions(TWO_USERS), [3, 4, 5])
    split = make_split(history, SplitConfig.parse(["split=global_time", *STRONG]), has_clock=True)
    assert asked(split.valid) == [(1, 1, [2, 3])]
    assert asked(split.test) == [(0, 6, [6])]


@given(world=st.integers(0, 99))
def test_where_every_event_is_strong_nothing_changes(world: int) -> None:
    rng = np.random.default_rng(world)
    orders = [[(time, rng.integers(9, size=rng.integers(1, 4)).tolist()) for time in range(20)] for _ in range(4)]
    for split in ("leave_one_out", "global_time"):
        plain, strong = (
            make_split(interactions(orders), SplitConfig.parse([f"split={split}", *words]), True)
            for words in ([], ["target_weight=1"])
        )
        assert asked(plain.valid) == asked(strong.valid)
        assert asked(plain.test) == asked(strong.test)
        np.testing.assert_array_equal(plain.history.order_idx, strong.history.order_idx)
        np.testing.assert_array_equal(plain.train.item_idx, strong.train.item_idx)


def test_global_time_asks_for_each_order_of_known_users_in_the_windows() -> None:
    split = make_split(interactions(TWO_USERS), GLOBAL_TIME, has_clock=True)
    assert asked(split.valid) == [(1, 1, [2, 3]), (0, 3, [4, 5])]
    assert asked(split.test) == [(0, 6, [6])]
    assert split.train.timestamp_ms.max() < 80
    assert "1 first orders of users are not asked for" in split.report.steps[0].why


def test_global_time_needs_a_clock() -> None:
    with pytest.raises(ConfigError, match="use split=leave_one_out"):
        make_split(world_history(), GLOBAL_TIME, has_clock=False)


@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
def test_a_history_that_leaves_nothing_to_validate_on_is_an_error(split: str) -> None:
    with pytest.raises(DataError, match="nothing to validate on"):
        make_split(interactions([[(0, [1])], [(9, [2])]]), SplitConfig.parse([f"split={split}"]), has_clock=True)


def test_windows_must_leave_a_time_to_train_on() -> None:
    with pytest.raises(ConfigError, match="a tenth of the time span"):
        SplitConfig.parse(["valid_fraction=0.49", "test_fraction=0.49"])


def test_a_sample_of_queries_is_the_same_for_the_same_seed_and_comes_by_time() -> None:
    history = world_history()
    first, again, other = (
        make_split(history, SplitConfig.parse(["split=leave_one_out", "max_queries=10", f"seed={seed}"]), True).valid
        for seed in (1, 1, 2)
    )
    assert asked(first) == asked(again) != asked(other)
    times = history.timestamp_ms[history.offsets[first.user_idx] + first.cut]
    assert len(first) == 10 and (np.diff(times) >= 0).all()


def test_a_sample_of_queries_leaves_the_other_answers_out_of_training_too() -> None:
    history = world_history()
    whole = make_split(history, LEAVE_ONE_OUT, True)
    sampled = make_split(history, SplitConfig.parse(["split=leave_one_out", "max_queries=3"]), True)
    assert len(sampled.train) == len(whole.train) == len(history) - history.n_users


def leaking_cut(split: Split) -> Split:
    return replace(split, valid=replace(split.valid, cut=split.valid.cut + 1))


def leaking_whole_order(split: Split) -> Split:
    """The cut moves behind the order that is asked for."""
    return replace(split, valid=replace(split.valid, cut=split.valid.cut + 2))


def leaking_train(split: Split) -> Split:
    return replace(split, train=split.history)


def leaking_one_row(split: Split) -> Split:
    row = split.history.offsets[split.valid.user_idx[0]] + split.valid.cut[0]
    kept = np.isin(split.history.order_idx, split.train.order_idx)
    kept[row] = True
    return replace(split, train=split.history.where(kept))


def leaking_answers(split: Split) -> Split:
    return replace(split, valid=replace(split.valid, truth=np.roll(split.valid.truth, 1)))


@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
@pytest.mark.parametrize(
    ("leak", "words"),
    [
        (leaking_cut, "reaches into its own order"),
        (leaking_whole_order, "past the history|not the order after its cut"),
        (leaking_train, "train rows are answers of valid queries"),
        (leaking_one_row, "1 train rows are answers of valid queries"),
        (leaking_answers, "not the order after its cut"),
    ],
)
def test_a_split_that_leaks_is_refused(split: str, leak, words: str) -> None:  # noqa: ANN001
    sound = make_split(world_history(), SplitConfig.parse([f"split={split}"]), has_clock=True)
    with pytest.raises(LeakageError, match=words):
        check_leakage(leak(sound))


def test_a_test_answer_in_training_is_refused() -> None:
    sound = make_split(world_history(), GLOBAL_TIME, has_clock=True)
    test_row = sound.history.offsets[sound.test.user_idx[0]] + sound.test.cut[0]
    kept = np.isin(sound.history.order_idx, sound.train.order_idx)
    kept[test_row] = True
    with pytest.raises(LeakageError, match="answers of test queries"):
        check_leakage(replace(sound, train=sound.history.where(kept)))


def test_a_train_row_as_young_as_the_window_is_refused_though_nobody_is_asked_for_it() -> None:
    history = interactions(TWO_USERS)
    split = make_split(history, GLOBAL_TIME, has_clock=True)
    strangers_row = history.where((history.timestamp_ms < 80) | (history.item_idx == 7))
    check_leakage(split, valid_from_ms=80)
    with pytest.raises(LeakageError, match="1 train rows are not older"):
        check_leakage(replace(split, train=strangers_row), valid_from_ms=80)


HISTORIES = st.lists(
    st.lists(st.tuples(st.integers(0, 50), st.lists(st.integers(0, 5), min_size=1, max_size=3)), max_size=6).map(
        lambda orders: sorted(orders, key=lambda order: order[0])
    ),
    min_size=1, max_size=6,
).filter(any)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(orders_of=HISTORIES)
def test_leave_one_out_trains_on_all_but_the_answers(orders_of: list) -> None:
    history = interactions(orders_of)
    rows_of = [list(chain.from_iterable(items for _, items in orders)) for orders in orders_of]
    if max(map(len, rows_of)) < 2:
        with pytest.raises(DataError, match="no user has two events"):
            make_split(history, LEAVE_ONE_OUT, has_clock=True)
        return
    result = make_split(history, LEAVE_ONE_OUT, has_clock=True)
    assert sorted(asked(result.valid)) == [
        (user, len(rows) - 1, rows[-1:]) for user, rows in enumerate(rows_of) if len(rows) > 1
    ]
    assert [result.train.items_of(user).tolist() for user in range(len(rows_of))] == [
        rows[:-1] if len(rows) > 1 else rows for rows in rows_of
    ]


@settings(max_examples=150, deadline=None)
@given(orders_of=HISTORIES)
def test_global_time_neither_trains_on_nor_reads_an_answer(orders_of: list) -> None:
    history = interactions(orders_of)
    try:
        result = make_split(history, GLOBAL_TIME, has_clock=True)
    except DataError:
        return
    for queries in (result.valid, result.test):
        for user, cut, truth in asked(queries):
            orders = [order for _, order in orders_of[user]]
            before = sum(1 for n in range(len(orders)) if sum(map(len, orders[: n + 1])) <= cut)
            assert sum(map(len, orders[:before])) == cut > 0  # the cut lies between two orders
            assert sorted(truth) == sorted(set(orders[before]))
            trained = result.train.items_of(user).tolist()
            assert trained == list(chain.from_iterable(orders[:before]))[: len(trained)]


@given(orders_of=HISTORIES)
@settings(deadline=None)
def test_orders_and_their_items_are_found_again(orders_of: list) -> None:
    history = interactions(orders_of)
    queries = order_queries(history, order_starts(history))
    flat = [(user, set(items)) for user, orders in enumerate(orders_of) for _, items in orders]
    assert [(user, set(truth)) for user, _, truth in asked(queries)] == flat


def test_a_question_inside_an_order_is_about_its_next_row() -> None:
    history = interactions([[(1, [1]), (2, [2, 3, 4])], [(1, [5])], [(3, [6, 7])]])
    found = [inside_queries(history, order_queries(history, order_starts(history)), seed) for seed in range(20)]
    assert {tuple(one.user_idx.tolist()) for one in found} == {(0, 2)}
    assert {int(one.cut[0]) for one in found} == {2, 3}
    for one in found:
        assert one.truth.tolist() == [history.items_of(0)[one.cut[0]], 7]
        assert all(history_of(history, user, int(cut)).is_open for user, cut in zip((0, 2), one.cut, strict=True))
