"""Each feature against a slow obvious version of it."""

from dataclasses import replace
from math import exp, log, log1p

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.histories import DAY_MS, histories_of, one_history
from train.models.candidates import Candidates
from train.models.facets import Facets
from train.models.features import FEATURES, TASTE_DECAY, TASTE_ROWS, features, features_of_lists
from train.models.item_state import ItemState, ItemStateConfig, fit_item_state
from train.models.opinions import Opinions
from train.models.prospect import Prospect
from train.models.ranker import Ranker
from train.models.shopper import NO_HISTORY, History
from train.models.transitions import Followers
from train.models.words import fit_words

N, DIM = 6, 3
NO_FOLLOWERS = Followers(np.empty(0, np.int64), np.empty(0))
VECTOR = np.array([1.0, -2.0, 0.5], dtype=np.float32)


def a_state(n_items: int = N) -> ItemState:
    vectors = np.random.default_rng(0).normal(size=(n_items, DIM)).astype(np.float32)
    sequences = [[item % n_items for item in sequence] for sequence in ([0, 1, 0, 2], [2, 3, 2], [1])]
    words = fit_words([f"tea no{item % 3} {'green' * (item % 2)}" for item in range(n_items - 1)] + [""])
    histories = histories_of(sequences)
    histories = replace(histories, opinion=np.linspace(-1, 1, len(histories), dtype=np.float32))
    return fit_item_state(vectors, histories, True, ItemStateConfig(), words, facets_of(n_items))


def facets_of(n_items: int) -> Facets:
    """Return facets that some items do not have."""
    item_idx = np.arange(n_items)
    return Facets(
        category=(item_idx % 3).astype(np.uint32), brand=(item_idx % 2 * 2**32 - item_idx % 2).astype(np.uint32),
        price=np.where(item_idx % 4, 10.0 * item_idx, 0).astype(np.float32),
    )  # fmt: skip


def features_of(
    item_idx: np.ndarray, vector: np.ndarray, followers: Followers, history: History, state: ItemState
) -> np.ndarray:
    """Return the features of one shopper's candidates."""
    return features([prospect_of(item_idx, vector, followers, history)], state)


def prospect_of(item_idx: np.ndarray, vector: np.ndarray, followers: Followers, history: History) -> Prospect:
    n = len(item_idx)
    candidates = Candidates(item_idx=item_idx, source=np.ones(n, np.uint8), score=np.zeros(n, np.float32))
    return Prospect(history=history, vector=vector, followers=followers, candidates=candidates)


def slow_cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right)) if left.any() and right.any() else 0.0


def slow_own_next(item: int, taken: list[int]) -> float:
    """Return how often an item came one, two or three rows after an earlier time of the newest one."""
    return sum(
        weight
        for place, one in enumerate(taken[:-1]) if one == taken[-1]
        for ahead, weight in enumerate((1, 0.6, 0.36), start=1)
        if place + ahead < len(taken) and taken[place + ahead] == item
    )  # fmt: skip


def slow_taste(item: int, code: np.ndarray, taken: list[int]) -> float:
    """Return the share of decayed rows that have an item's code, among those that have one."""
    worth = {back: TASTE_DECAY**back for back, one in enumerate(taken[::-1][:TASTE_ROWS]) if code[one]}
    same = sum(weight for back, weight in worth.items() if code[taken[-1 - back]] == code[item])
    return same / sum(worth.values()) if code[item] and worth else 0.0


def slow_quality(item: int, state: ItemState) -> float:
    """Return the mean of an item's opinions and of five that say what the shop's do."""
    usual = state.opinions.total.sum() / state.opinions.count.sum()
    return float((5 * usual + state.opinions.total[item]) / (5 + state.opinions.count[item]))


def slow_price_step(item: int, price: np.ndarray, taken: list[int]) -> float:
    worth = {back: TASTE_DECAY**back for back, one in enumerate(taken[::-1][:TASTE_ROWS]) if price[one]}
    if not worth or not price[item]:
        return 0.0
    paid = sum(weight * log1p(float(price[taken[-1 - back]])) for back, weight in worth.items())
    return log1p(float(price[item])) - paid / sum(worth.values())


def slow_memory(history: list[int], state: ItemState) -> np.ndarray:
    """Return what share each item has of all links that leave a history, (n_items,)."""
    counted, score = state.transitions, np.zeros(state.n_items)
    for back, source in enumerate(history[::-1]):
        for item, count in enumerate(counted.base.toarray()[source]):
            if count:
                score[item] += 0.97**back * count / counted.rows[source] ** 0.5 / counted.columns[item] ** 0.25
    return score / max(score.sum(), 1e-12)


def slow_features(
    item: int, candidates: list[int], followers: dict[int, float], history: History, state: ItemState
) -> dict[str, float]:
    """Return the features of one candidate by name."""
    logit = {one: float(state.vectors[one] @ VECTOR) for one in candidates}
    share = followers.get(item, 0.0) / sum(followers.values()) if followers else 0.0
    last_order = int(history.order_idx[-1]) if len(history) else 0
    n_orders = last_order - int(history.order_idx[0]) + 1 if len(history) else 0
    orders = [last_order - int(o) for o, i in zip(history.order_idx, history.item_idx, strict=True) if i == item]
    days = [
        int(history.timestamp_ms[-1] - time) / DAY_MS
        for time, i in zip(history.timestamp_ms, history.item_idx, strict=True)
        if i == item
    ]
    count, again = len(orders), len(orders) > 1
    said = sum(
        (0.6**back * state.words.toarray()[i] for back, i in enumerate(history.item_idx[::-1][:10])), np.zeros(1)
    )
    remembered = float(slow_memory(history.item_idx.tolist(), state)[item])
    interval = (max(days) - min(days)) / (count - 1) if again else 0.0
    return {
        "sequence_log_share": logit[item] - log(sum(exp(one) for one in logit.values())),
        "sequence_gap": logit[item] - max(logit.values()),
        "transition": share,
        "transition_log": log(share + 1e-4),
        "memory": remembered,
        "memory_log": log(remembered + 1e-4),
        "own_next_log": log1p(slow_own_next(item, history.item_idx.tolist())),
        "words": slow_cosine(state.words.toarray()[item], said),
        "category_share": slow_taste(item, state.facets.category, history.item_idx.tolist()),
        "brand_share": slow_taste(item, state.facets.brand, history.item_idx.tolist()),
        "price_step": slow_price_step(item, state.facets.price, history.item_idx.tolist()),
        "popularity_log": log((state.popularity[item] + 1) / (state.n_events + 1)),
        "recent_log": log(state.recent[item] / state.recent_total + 1e-7),
        "quality": slow_quality(item, state),
        "repeat_rate": float(state.repeat_rate[item]),
        "is_repeat": float(count > 0),
        "count_log": log(count) if count else 0.0,
        "count_fast": log1p(3 * sum(0.9**ago for ago in orders)),
        "count_slow": log1p(3 * sum(0.98**ago for ago in orders)),
        "count_days": log1p(3 * sum(exp(-ago / 30) for ago in days)),
        "orders_since": log1p(min(orders)) if count else 0.0,
        "days_since": log1p(min(days)) if count else 0.0,
        "interval_ratio": log((min(days) + 0.5) / (interval + 0.5)) if again else 0.0,
        "has_interval": float(again),
        "interval_days": log1p(interval),
        "order_share": count / n_orders if n_orders else 0.0,
        "in_open_order": float(history.is_open and 0 in orders),
        "orders_log": log1p(n_orders),
        "history_log": log1p(len(history)),
        "order_is_open": float(history.is_open),
        "open_order_log": log1p(int((history.order_idx == last_order).sum()) if history.is_open else 0),
    }


HISTORIES = st.lists(
    st.tuples(st.integers(0, N - 1), st.floats(0, 90), st.integers(0, 2)), max_size=8
)  # item, days since the row before, orders since
SCORES = st.dictionaries(st.integers(0, N - 1), st.floats(0.01, 5))


@given(
    rows=HISTORIES, candidates=st.sets(st.integers(0, N - 1), min_size=1),
    scores=SCORES, is_open=st.booleans(),
)  # fmt: skip
def test_every_column_is_what_its_name_says(
    rows: list[tuple[int, float, int]], candidates: set[int], scores: dict[int, float], is_open: bool
) -> None:
    days, orders = np.cumsum([row[1] for row in rows]).tolist(), np.cumsum([row[2] for row in rows]).tolist()
    history = one_history([row[0] for row in rows], days, orders) if rows else NO_HISTORY
    history = replace(history, is_open=is_open and len(rows) > 0)
    ordered = sorted(scores)
    followers = Followers(np.array(ordered, dtype=np.int64), np.array([scores[item] for item in ordered]))
    asked, state = sorted(candidates), a_state()
    found = features_of(np.array(asked), VECTOR, followers, history, state)
    assert (found.shape, found.dtype) == ((len(asked), len(FEATURES)), np.float32)
    for row, item in enumerate(asked):
        expected = slow_features(item, asked, scores, history, state)
        by_name = dict(zip(FEATURES, found[row].tolist(), strict=True))
        assert by_name == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_bad_word_lowers_an_item_for_whoever_listens_and_no_other_one_by_as_much() -> None:
    listens = np.zeros((len(FEATURES), 1), np.float32)
    listens[FEATURES.index("quality")] = 1
    ones, zeros = np.ones(len(FEATURES), np.float32), np.zeros(len(FEATURES), np.float32)
    ranker = Ranker(
        mean=zeros, deviation=ones, low=-9 * ones, high=9 * ones, inner=listens, inner_bias=ones[:1], outer=ones[:1]
    )
    state, asked = a_state(), np.arange(N)
    before, after = (
        ranker.score(features_of(asked, VECTOR, NO_FOLLOWERS, one_history([1, 2]), known))
        for known in (state, replace(state, opinions=with_opinion(state.opinions, 3, -1.0)))
    )
    fall = before - after
    assert (fall > 0).all()  # the shop's own mean fell, too
    assert fall[3] > 1.5 * np.delete(fall, 3).max()


def with_opinion(opinions: Opinions, item_idx: int, opinion: float) -> Opinions:
    more = opinions.copy()
    more.add(np.array([item_idx]), np.array([opinion]), np.ones(1))
    return more


def test_a_shopper_far_from_everything_still_prefers_the_nearest() -> None:
    state = replace(a_state(), vectors=np.array([[-40.0, 0, 0], [-41, 0, 0]], np.float32).repeat(3, axis=0))
    found = features_of(np.array([0, 3]), np.array([1, 0, 0], np.float32), NO_FOLLOWERS, NO_HISTORY, state)
    assert found[:, FEATURES.index("sequence_gap")].tolist() == [0, -1]
    assert found[:, FEATURES.index("sequence_log_share")].tolist() == pytest.approx([-log1p(exp(-1)), -log1p(exp(1))])


def test_the_hour_of_asking_changes_nothing() -> None:
    early = one_history([1, 2, 1], [0, 3, 9])
    late = replace(early, timestamp_ms=early.timestamp_ms + 1_000 * DAY_MS)
    asked, state = np.arange(N), a_state()
    one, other = (features_of(asked, VECTOR, NO_FOLLOWERS, history, state) for history in (early, late))
    assert one.tobytes() == other.tobytes()


def test_asking_twice_gives_the_same_bits_and_changes_no_input() -> None:
    history, state, followers = one_history([1, 2, 1]), a_state(), Followers(np.array([1, 4]), np.array([0.3, 0.1]))
    before = state.vectors.tobytes(), state.recent.tobytes(), history.item_idx.tobytes()
    found = [features_of(np.arange(N), VECTOR, followers, history, state).tobytes() for _ in range(2)]
    assert found[0] == found[1]
    assert before == (state.vectors.tobytes(), state.recent.tobytes(), history.item_idx.tobytes())


def test_an_item_that_nobody_had_has_finite_features() -> None:
    state = a_state()
    assert state.popularity[5] == 0
    assert np.isfinite(features_of(np.array([5]), VECTOR, NO_FOLLOWERS, one_history([0]), state)).all()


def test_a_catalogue_of_one_item_takes_the_whole_share() -> None:
    found = features_of(np.array([0]), VECTOR, NO_FOLLOWERS, one_history([0, 0]), a_state(n_items=1))
    assert found[0, FEATURES.index("sequence_log_share")] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(found).all()


def test_no_candidates_and_no_events_give_no_rows_and_no_warning() -> None:
    empty = fit_item_state(np.ones((N, DIM), np.float32), histories_of([[]]), True, ItemStateConfig())
    with np.errstate(all="raise"):
        nothing = features_of(np.empty(0, np.int64), VECTOR, NO_FOLLOWERS, NO_HISTORY, empty)
        some = features_of(np.arange(2), VECTOR, NO_FOLLOWERS, NO_HISTORY, empty)
    assert nothing.shape == (0, len(FEATURES))
    assert np.isfinite(some).all()


Told = tuple[list[tuple[int, float, int]], set[int], dict[int, float]]  # history, candidates, followers
SHOPPERS = st.lists(st.tuples(HISTORIES, st.sets(st.integers(0, N - 1)), SCORES), min_size=1, max_size=4)


def prospects_of(shoppers: list[Told]) -> list[Prospect]:
    prospects = []
    for number, (rows, candidates, scores) in enumerate(shoppers):
        days, orders = np.cumsum([row[1] for row in rows]).tolist(), np.cumsum([row[2] for row in rows]).tolist()
        history = one_history([row[0] for row in rows], days, orders) if rows else NO_HISTORY
        followers = Followers(np.array(sorted(scores), np.int64), np.array([scores[item] for item in sorted(scores)]))
        prospects.append(prospect_of(np.array(sorted(candidates), np.int64), VECTOR * number, followers, history))
    return prospects


@given(shoppers=SHOPPERS)
def test_nobodys_features_depend_on_whom_else_is_asked_about(shoppers: list[Told]) -> None:
    state, prospects = a_state(), prospects_of(shoppers)
    alone = [features([prospect], state) for prospect in prospects]
    assert features(prospects, state).tobytes() == np.concatenate(alone).tobytes()


@given(shoppers=SHOPPERS, without=st.sets(st.integers(0, N - 1)), beside=st.sets(st.integers(0, N - 1)))
def test_several_lists_of_the_same_shoppers_have_the_features_of_each(
    shoppers: list[Told], without: set[int], beside: set[int]
) -> None:
    state = a_state()
    lists = [
        prospects_of([(rows, change(candidates), scores) for rows, candidates, scores in shoppers])
        for change in (lambda items: items, lambda items: items - without, lambda items: items | beside)
    ]
    found = features_of_lists(lists, state)
    assert [one.tobytes() for one in found] == [features(prospects, state).tobytes() for prospects in lists]
