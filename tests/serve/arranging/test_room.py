"""Caps, pins and quotas, held while places are filled with whatever is open, against what was possible at all."""

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serve.stages.arranging.room import Limits, Room

N = 8
subsets = st.sets(st.integers(0, N - 1)).map(lambda items: np.array(sorted(items), np.int64))
pins = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 2), subsets), max_size=3).map(tuple)
quotas = st.lists(st.tuples(st.integers(1, 5), subsets), max_size=3).map(tuple)
counts = st.integers(1, 6)


@st.composite
def caps(draw: st.DrawFn, disjoint: bool = False) -> tuple[list[np.ndarray], list[int]]:
    """Return what items a few values have, and how many of each may be shown."""
    if disjoint:
        owner = np.array(draw(st.lists(st.integers(0, 2), min_size=N, max_size=N)))
        groups = [np.flatnonzero(owner == value) for value in range(2)]  # items of the third are under no cap
    else:
        groups = draw(st.lists(subsets, max_size=3))
    return groups, [draw(st.integers(0, 4)) for _ in groups]


def limits_of(caps: tuple[list[np.ndarray], list[int]], pins: tuple = (), quotas: tuple = ()) -> Limits:
    groups, limit = caps
    holder = np.concatenate([*groups, np.empty(0, np.int64)]).astype(np.int64)
    value = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    return Limits(holder=holder, value=value, limit=np.array(limit, np.int64), pins=pins, quotas=quotas)


def fill(limits: Limits, count: int, lots: list[int]) -> list[int]:
    """Return a slate that takes any open item at each place, the lots say which."""
    room, chosen = Room(limits, N, count), []
    for place in range(count):
        able = np.flatnonzero(room.open(place))
        if not len(able):
            break
        chosen.append(int(able[lots[place] % len(able)]))
        room.take(chosen[-1])
    assert len(set(chosen)) == len(chosen)
    return chosen


def keeps(caps: tuple[list[np.ndarray], list[int]], slate: tuple[int, ...] | list[int]) -> bool:
    return all(len(set(group.tolist()) & set(slate)) <= limit for group, limit in zip(*caps, strict=True))


lots = st.lists(st.integers(0, 99), min_size=6, max_size=6)


@given(caps(), pins, quotas, counts, lots)
def test_a_cap_is_never_exceeded(caps: tuple, pins: tuple, quotas: tuple, count: int, lots: list[int]) -> None:
    assert keeps(caps, fill(limits_of(caps, pins, quotas), count, lots))


@given(caps(disjoint=True), counts, lots, st.integers(1, 5), subsets)
def test_a_quota_is_met_as_far_as_any_slate_meets_it(
    caps: tuple, count: int, lots: list[int], minimum: int, items: np.ndarray
) -> None:
    slate = fill(limits_of(caps, quotas=((minimum, items),)), count, lots)
    able = [few for size in range(count + 1) for few in combinations(items.tolist(), size) if keeps(caps, few)]
    assert len(set(slate) & set(items.tolist())) >= min(minimum, max(map(len, able)))


@given(caps(), quotas, counts, lots, st.integers(1, 5), subsets)
def test_the_first_quota_does_not_suffer_from_others(
    caps: tuple, quotas: tuple, count: int, lots: list[int], minimum: int, items: np.ndarray
) -> None:
    def met(quotas: tuple, lots: list[int]) -> int:
        slate = fill(limits_of(caps, quotas=((minimum, items), *quotas)), count, lots)
        return min(minimum, len(set(slate) & set(items.tolist())))

    assert met(quotas, lots) >= met((), [0] * 6)


@given(pins, quotas, counts, lots)
def test_a_pin_holds_and_the_first_one_of_two(pins: tuple, quotas: tuple, count: int, lots: list[int]) -> None:
    slate = fill(limits_of(([], []), pins, quotas), count, lots)
    for place, many, items in pins[:1]:
        stood = items[:many].tolist()[: max(0, count - place)]
        assert slate[place : place + len(stood)] == stood or len(slate) < place + len(stood)
    expected = dict(Room(limits_of(([], []), pins), N, count).pinned)
    assert all(slate[place] == one for place, one in expected.items() if place < len(slate))
    for (place, _, _), taken in zip(pins, _pins_one_by_one(pins, count), strict=True):
        assert all(at >= place for at in taken)


def _pins_one_by_one(pins: tuple, count: int) -> list[set[int]]:
    """Return which places each pin takes beside those before it."""
    held = [set(Room(limits_of(([], []), pins[:number]), N, count).pinned) for number in range(len(pins) + 1)]
    return [after - before for before, after in pairwise(held)]


@given(caps(), pins, quotas, counts, lots)
def test_a_list_is_full_while_something_may_be_shown(
    caps: tuple, pins: tuple, quotas: tuple, count: int, lots: list[int]
) -> None:
    slate = fill(limits_of(caps, pins, quotas), count, lots)
    if len(slate) < count:
        assert not any(keeps(caps, [*slate, one]) for one in range(N) if one not in slate)


@given(counts, lots)
def test_without_limits_everything_is_open(count: int, lots: list[int]) -> None:
    room = Room(Limits(), N, count)
    for place in range(count):
        assert np.count_nonzero(room.open(place)) == N - place
        room.take(int(np.flatnonzero(room.open(place))[0]))


def test_who_came_instead_sets_what_was_kept_back_free() -> None:
    room = Room(limits_of(([np.array([0, 1])], [1]), quotas=((1, np.array([0, 5])),)), N, 3)
    assert not room.open(0)[1]  # the cap has room for 0 alone, which is kept back
    room.take(5)
    assert room.open(1)[[0, 1]].all()


def test_a_pinned_item_stands_behind_the_others_where_a_list_is_short() -> None:
    limits = limits_of(([np.arange(1, N)], [1]), pins=((4, 1, np.array([0])),))
    room = Room(limits, N, 5)
    room.take(int(np.flatnonzero(room.open(0))[0]))
    assert np.flatnonzero(room.open(1)).tolist() == [0]
