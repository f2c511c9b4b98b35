"""Each source proposes what it may, and nothing that is blocked."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.train.histories import one_history
from train.models.candidates import Candidates, Source, SourcesConfig, gather
from train.models.shopper import NO_HISTORY, History
from train.models.transitions import Followers

N = 12
ITEMS = st.permutations(range(N))
NO_FOLLOWERS = Followers(np.empty(0, np.int64), np.empty(0))


def followers_of(order: list[int]) -> Followers:
    """Return followers whose scores fall in the given order of items."""
    items = np.array(sorted(order), dtype=np.int64)
    return Followers(items, np.array([float(N - order.index(item)) for item in sorted(order)]))


def gather_one(
    nearest: np.ndarray, followers: Followers, history: History, popular: np.ndarray, blocked: np.ndarray,
    config: SourcesConfig,
) -> Candidates:  # fmt: skip
    [found] = gather(nearest[None], [followers], [history], popular, [blocked], config)
    return found


def proposed_by(source: Source, candidates: Candidates) -> set[int]:
    return set(candidates.item_idx[(candidates.source & source) > 0].tolist())


@given(
    nearest=ITEMS, n_nearest=st.integers(0, N), follows=ITEMS, n_follows=st.integers(0, N), popular=ITEMS,
    history=st.lists(st.integers(0, N - 1), min_size=1, max_size=9), blocked=st.sets(st.integers(0, N - 1)),
    quotas=st.tuples(*[st.integers(1, 5)] * 4),
)  # fmt: skip
def test_every_quota_is_filled_with_the_best_allowed_items(
    nearest: list[int], n_nearest: int, follows: list[int], n_follows: int, popular: list[int],
    history: list[int], blocked: set[int], quotas: tuple[int, int, int, int],
) -> None:  # fmt: skip
    config = SourcesConfig(sequence=quotas[0], transitions=quotas[1], repeat=quotas[2], popular=quotas[3])
    padded = np.array([*nearest[:n_nearest], *[-1] * (N - n_nearest)])
    found = gather_one(
        padded, followers_of(follows[:n_follows]), one_history(history), np.array(popular),
        np.array(list(blocked), dtype=np.int64), config,
    )  # fmt: skip
    wanted = {
        Source.SEQUENCE: nearest[:n_nearest], Source.TRANSITIONS: follows[:n_follows],
        Source.REPEAT: list(dict.fromkeys(reversed(history))), Source.POPULAR: popular,
    }  # fmt: skip
    for (source, order), quota in zip(wanted.items(), quotas, strict=True):
        assert proposed_by(source, found) == set([item for item in order if item not in blocked][:quota])
    assert len(set(found.item_idx.tolist())) == len(found)
    assert (found.source > 0).all()


def test_a_stranger_is_shown_what_is_popular_and_nothing_else() -> None:
    found = gather_one(
        np.arange(N), NO_FOLLOWERS, NO_HISTORY, np.array([5, 4, 3]), np.empty(0, np.int64), SourcesConfig(popular=2)
    )
    assert found.item_idx.tolist() == [4, 5]
    assert found.source.tolist() == [Source.POPULAR, Source.POPULAR]


def test_nothing_is_proposed_where_everything_is_blocked() -> None:
    every = np.arange(N)
    assert len(gather_one(every, followers_of([1, 2]), one_history([3]), every, every, SourcesConfig())) == 0


def test_sources_are_named_as_the_api_spells_them() -> None:
    assert (Source.SEQUENCE | Source.REPEAT).names() == ["sequence", "repeat"]


def test_the_best_come_first_and_the_smaller_number_among_equals() -> None:
    candidates = Candidates(
        item_idx=np.array([4, 2, 7, 1]), source=np.ones(4, np.uint8), score=np.array([1, 3, 3, 2], np.float32)
    )
    assert candidates.best(3).item_idx.tolist() == [2, 7, 1]
    assert candidates.keep(np.array([True, False, False, True])).item_idx.tolist() == [4, 1]
    assert candidates.scored(np.arange(4.0)).best(9).item_idx.tolist() == [1, 7, 2, 4]


def test_quotas_grow_with_the_list_that_is_asked_for() -> None:
    config = SourcesConfig(sequence=200, popular=100)
    assert config.at_least(50) == config
    grown = config.at_least(500)
    assert (grown.sequence, grown.popular, grown.repeat) == (500, 500, config.repeat)


SHOPPERS = st.tuples(ITEMS, ITEMS, st.integers(0, N), st.lists(st.integers(0, N - 1)), st.sets(st.integers(0, N - 1)))


@given(shoppers=st.lists(SHOPPERS, min_size=1, max_size=4), quotas=st.tuples(*[st.integers(1, 5)] * 4))
def test_nobodys_candidates_depend_on_whom_else_is_asked_about(
    shoppers: list[tuple[list[int], list[int], int, list[int], set[int]]], quotas: tuple[int, int, int, int]
) -> None:
    config = SourcesConfig(sequence=quotas[0], transitions=quotas[1], repeat=quotas[2], popular=quotas[3])
    nearest = np.array([near for near, *_ in shoppers])
    followers = [followers_of(follows[:n]) for _, follows, n, *_ in shoppers]
    histories = [one_history(history) for *_, history, _ in shoppers]
    blocked = [np.array(list(items), dtype=np.int64) for *_, items in shoppers]
    together = gather(nearest, followers, histories, np.arange(N), blocked, config)
    for number, found in enumerate(together):
        alone = gather_one(nearest[number], followers[number], histories[number], np.arange(N), blocked[number], config)
        assert found.item_idx.tobytes() == alone.item_idx.tobytes()
        assert found.source.tobytes() == alone.source.tobytes()
