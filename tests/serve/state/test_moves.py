import numpy as np

from serve.state.moves import Moved, Moves, joined


def moved(*item_idx: int) -> Moved:
    return Moved(np.array(item_idx), np.arange(1, len(item_idx) + 1, dtype=np.float32))


def test_each_reader_gets_the_steps_after_its_own_place_in_order() -> None:
    moves = Moves(5)
    moves.note(moved(1, 2))
    place = moves.place
    moves.note(moved(2, 4, 2))
    late, whole = moves.since(place), moves.since(0)
    assert late.item_idx.tolist() == [2, 4, 2]
    assert late.distance.tolist() == [1, 2, 3]
    assert whole.item_idx.tolist() == [1, 2, 2, 4, 2]
    assert len(moves.since(moves.place).item_idx) == 0


def test_steps_of_all_items_at_once_are_kept_and_older_ones_than_it_holds_count_as_endless() -> None:
    moves = Moves(5)
    room = 5 + Moves.SPARE
    many = np.arange(room - 1) % 5
    moves.note(Moved(many, np.ones(len(many), np.float32)))
    moves.note(moved(3))
    assert moves.since(0).item_idx.tolist() == [*many, 3]
    moves.note(moved(4))
    assert moves.since(1).item_idx.tolist() == [*many[1:], 3, 4]
    forgotten = moves.since(0)
    assert forgotten.item_idx.tolist() == [0, 1, 2, 3, 4]
    assert np.isinf(forgotten.distance).all()


def test_more_steps_at_once_than_it_holds_count_as_endless_and_break_nothing() -> None:
    moves = Moves(5)
    many = np.arange(2 * Moves.SPARE) % 5
    moves.note(Moved(many, np.ones(len(many), np.float32)))
    assert np.isinf(moves.since(0).distance).all()
    place = moves.place
    moves.note(moved(2))
    assert moves.since(place).item_idx.tolist() == [2]


def test_joining_keeps_the_order_and_nothing_joins_to_nothing() -> None:
    assert joined([moved(3), moved(1, 2)]).item_idx.tolist() == [3, 1, 2]
    assert len(joined([]).item_idx) == 0
