import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.vectors import Held
from serve.stages.index.approximate import ApproximateIndex
from serve.stages.index.config import IndexConfig
from serve.state.moves import Moved, Moves
from tests.serve.index.later import Later
from tests.serve.index.moving import EXACT, Moving

N = 60
MANY = 400  # more than the shortlist of a short search, so that an item out of its place is missed
items = st.lists(st.integers(0, MANY - 1), min_size=1, max_size=8).map(np.array)
steps = st.one_of(
    st.tuples(st.just("move"), items), st.tuples(st.just("nudge"), items), st.tuples(st.just("remove"), items),
    st.tuples(st.just("return"), items), st.tuples(st.just("add"), items),
    st.tuples(st.just("build"), items), st.tuples(st.just("search"), items),
)  # fmt: skip


def take(world: Moving, step: str, item_idx: np.ndarray) -> None:
    if step == "move":
        world.move(item_idx, far=3.0)
    elif step == "nudge":
        world.move(item_idx, far=0.01)
    elif step == "remove":
        world.remove(item_idx)
    elif step == "return":
        world.remove(item_idx, gone=False)
    elif step == "add":
        world.add(len(item_idx))
    elif step == "build":
        world.builder.run()
    else:
        world.check(1, 7, MANY + 5)


@given(st.lists(steps, max_size=12))
def test_reading_all_lists_it_equals_the_full_sort_after_whatever_items_do(
    sequence: list[tuple[str, np.ndarray]],
) -> None:
    world = Moving(MANY)
    for step, item_idx in sequence:
        take(world, step, np.unique(item_idx))
    world.check(1, 7, MANY + 5)
    world.builder.run()
    world.check(1, 7, MANY + 5)


def test_an_item_that_moves_is_found_at_the_next_search() -> None:
    world = Moving(400, nprobe=1, rebuild=1.0)
    world.builder.run()
    vector = world.draw(1, 6)[0]
    world.index.search(vector, 1)
    assert world.index.base is not None
    world.vectors[7] += 100 * vector
    world.moves.note(Moved(np.array([7]), np.array([100 * np.linalg.norm(vector)], dtype=np.float32)))
    assert world.index.search(vector, 1).tolist() == [7]


@pytest.mark.parametrize("read_after", [True, False])
def test_what_moves_while_a_base_is_built_is_not_lost(read_after: bool) -> None:
    world = Moving(MANY, rebuild=1.0)
    if not read_after:
        world.builder.run()
    world.move(np.arange(200), far=10.0)
    if read_after:
        world.index.search(world.vectors[0], 1)
        assert world.index.base is None
        world.builder.run()
    for _ in range(20):
        world.check(1, 7)
    assert world.index.base is not None


def test_however_many_of_the_best_move_away_or_are_removed_the_next_best_are_found() -> None:
    world = Moving(MANY, rebuild=1.0)
    world.builder.run()
    world.check(1)
    vector = world.draw(1, 6)[0]
    best = np.argsort(-(world.vectors @ vector))
    world.vectors[best[:150]] -= 100 * vector
    world.moves.note(Moved(best[:150], np.full(150, 1_000.0, dtype=np.float32)))
    assert world.index.search(vector, 10).tolist() == world.expected(vector, 10) == best[150:160].tolist()
    world.remove(best[150:300])
    assert world.index.search(vector, 10).tolist() == world.expected(vector, 10) == best[300:310].tolist()


def test_what_was_removed_is_in_no_later_base() -> None:
    world = Moving(MANY)
    vector = world.draw(1, 6)[0]
    best = np.argsort(-(world.vectors @ vector))
    world.remove(best[:150])
    world.builder.run()
    assert world.index.search(vector, 10).tolist() == world.expected(vector, 10) == best[150:160].tolist()
    assert world.index.base is not None
    world.move(best[:100], far=3.0)
    assert world.index.search(vector, 10).tolist() == world.expected(vector, 10)
    world.builder.run()
    assert world.index.search(vector, 10).tolist() == world.expected(vector, 10)


def test_it_is_rebuilt_when_enough_items_have_left_the_base_and_no_earlier() -> None:
    world = Moving(N, rebuild=0.1)
    world.builder.run()
    world.check(5)
    first = world.index.base
    world.move(np.arange(6))
    world.check(5)
    assert not world.builder.waiting
    world.move(np.arange(7))
    world.check(5)
    assert len(world.builder.waiting) == 1
    world.check(5)
    assert len(world.builder.waiting) == 1
    world.builder.run()
    world.check(5)
    assert world.index.base is not first
    assert not world.builder.waiting


def test_small_steps_leave_an_item_in_the_base_until_they_add_up() -> None:
    world = Moving(N, drift=0.5)
    world.builder.run()
    world.check(N)
    layers = world.index._layers
    assert layers is not None
    far = 0.2 * layers.base.scale
    for held in (0, 0, 1):
        world.moves.note(Moved(np.array([3]), np.array([far], dtype=np.float32)))
        world.check(N)
        assert len(layers.overlay) == held


def test_after_a_change_of_everything_it_searches_exactly_until_it_is_rebuilt() -> None:
    world = Moving(N)
    world.builder.run()
    world.check(N)
    world.move(np.arange(N))
    world.check(1, N)
    assert world.index.base is None
    world.builder.run()
    world.check(1, N)
    assert world.index.base is not None


def test_steps_that_nobody_remembers_count_as_a_change_of_everything() -> None:
    world = Moving(N)
    world.builder.run()
    world.check(N)
    for _ in range(Moves.SPARE // 1_000 + 2):
        world.move(np.arange(1_000) % (N - 1), far=0.001)
    world.check(1, N)
    assert world.index.base is None


def test_codes_of_a_quarter_are_good_for_the_same_answers() -> None:
    world = Moving(600, d=8, kind="ivfpq")
    world.builder.run()
    world.move(np.arange(30))
    world.remove(np.arange(20, 40))
    world.check(75, 150)
    assert world.index.base is not None


def test_where_no_base_reaches_the_recall_search_is_exact_and_no_second_one_is_tried() -> None:
    world = Moving(2_000, d=64, nprobe=0, recall=1.0)
    world.builder.run()
    world.check(1, 20)
    world.move(np.arange(1_000))
    world.check(1, 20)
    assert world.index.base is None
    assert world.index.recall == 1.0
    assert not world.builder.waiting


def test_searches_go_on_and_stay_exact_while_a_thread_builds() -> None:
    vectors = np.random.default_rng(0).normal(size=(5_000, 16)).astype(np.float32)
    queries = vectors[:50]
    moves = Moves(len(vectors))
    index = ApproximateIndex(Held.all_of(vectors), moves, queries, "ivf", IndexConfig.checked(EXACT))
    turn = 0
    while index.base is None:
        row = turn % len(vectors)
        vectors[row] += 0.5
        moves.note(Moved(np.array([row]), np.array([2.0], dtype=np.float32)))
        vector = queries[turn % len(queries)]
        assert set(index.search(vector, 100)) == set(np.argsort(-(vectors @ vector))[:100])
        turn += 1
    vector = vectors[1] + 0.1
    assert set(index.search(vector, 100)) == set(np.argsort(-(vectors @ vector))[:100])


def test_later_runs_nothing_by_itself() -> None:
    later = Later()
    future = later.submit(lambda: 1)
    assert not future.done()
    later.run()
    assert future.result() == 1
