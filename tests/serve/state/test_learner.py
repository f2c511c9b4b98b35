import numpy as np
import pytest

from serve.state.events import MicroBatch, nobody_looked, nobody_spoke
from serve.state.learner import apply, dot, sample_negatives, sigmoid, splitmix64
from serve.state.live import LearnerConfig, LiveState, live_state
from serve.state.shoppers import AllShoppers
from tests.serve.state.state_world import CUTOFF_MS, DIM, small_bundle


def fresh_state(**settings: float) -> LiveState:
    bundle = small_bundle(dim=37)
    return live_state(bundle, AllShoppers(bundle.histories), LearnerConfig.checked({"negatives": 5, **settings}))


def batch(item_idx: int, weight: float, vector: np.ndarray, first_seq: int = 1) -> MicroBatch:
    return MicroBatch(
        first_seq=first_seq, event_types=("click",), user_ids=("u0",), order_keys=("",), item_idx=np.array([item_idx]),
        weight=np.array([weight]), timestamp_ms=np.array([CUTOFF_MS]), same_order=np.array([False]),
        standing=np.ones(1, np.float32), previous=np.array([[-1, 2]]), vectors=vector[None].astype(np.float32),
        judged=nobody_looked(1), opinion=nobody_spoke(1),
    )  # fmt: skip


def test_a_positive_event_pulls_its_item_to_the_shopper_and_the_sampled_ones_away() -> None:
    state = fresh_state()
    h_u = np.random.default_rng(1).normal(size=37).astype(np.float32)
    before = state.items.vectors @ h_u
    apply(state, batch(3, 1.0, h_u))
    moved = state.items.vectors @ h_u - before
    sampled = set(sample_negatives(1, 1, 5, 12)[0].tolist()) - {3}
    assert moved[3] > 0
    assert all(moved[item] < 0 for item in sampled)
    assert all(moved[item] == 0 for item in set(range(12)) - sampled - {3})


def test_a_negative_event_pushes_its_item_alone_away_and_counts_nothing() -> None:
    state = fresh_state()
    h_u = np.random.default_rng(1).normal(size=37).astype(np.float32)
    before, popularity = state.items.vectors @ h_u, state.items.popularity.copy()
    apply(state, batch(3, -3.0, h_u))
    moved = state.items.vectors @ h_u - before
    assert moved[3] < 0
    assert np.count_nonzero(moved) == 1
    np.testing.assert_array_equal(state.items.popularity, popularity)
    assert not len(state.items.transitions.added)


@pytest.mark.parametrize(("weight", "vector"), [(0.0, np.ones(37)), (1.0, np.zeros(37))])
def test_without_weight_or_vector_no_row_moves(weight: float, vector: np.ndarray) -> None:
    state = fresh_state()
    apply(state, batch(3, weight, vector))
    np.testing.assert_array_equal(state.items.vectors, state.anchor)
    assert state.items.popularity[3] - fresh_state().items.popularity[3] == weight
    assert state.version == 1


def test_an_item_stays_within_its_drift_however_often_it_is_clicked() -> None:
    state = fresh_state(max_drift=0.02, learning_rate=0.1)
    for seq in range(1, 200):
        apply(state, batch(3, 1.0, np.ones(37), seq))
    drift = np.abs(state.items.vectors - state.anchor).max(axis=1)
    assert drift[3] == pytest.approx(0.02, rel=1e-4)
    assert drift.max() <= 0.02 * (1 + 1e-4)


def test_it_tells_which_items_moved_and_no_shorter_way_than_they_came() -> None:
    state = fresh_state(max_drift=0.05, learning_rate=0.05)
    rng = np.random.default_rng(1)
    for seq, weight in enumerate([1.0, -1.0, 0.0, 2.0, 1.0, 1.0], start=1):
        before = state.items.vectors.copy()
        moved = apply(state, batch(3, weight, rng.normal(size=37), seq))
        way = np.linalg.norm(state.items.vectors - before, axis=1)
        told = np.bincount(moved.item_idx, moved.distance, minlength=len(way))
        assert (told * (1 + 1e-5) >= way).all()
        assert set(np.flatnonzero(way)) == set(moved.item_idx)


def test_an_event_links_its_item_to_the_ones_before() -> None:
    state = fresh_state()
    apply(state, batch(3, 1.0, np.zeros(37)))
    assert [part.tolist() for part in state.items.transitions.added.entries()] == [[2, 3], [3, 2], [1.0, 0.5]]


@pytest.mark.parametrize("width", [1, 2, 3, 7, 16, 37])
def test_dot_is_the_inner_product(width: int) -> None:
    rng = np.random.default_rng(width)
    left, right = rng.normal(size=(5, width)), rng.normal(size=width)
    np.testing.assert_allclose(dot(left, right), left @ right, atol=1e-12)


def test_sigmoid_is_near_the_logistic_function_and_saturates() -> None:
    x = np.linspace(-9, 9, 2001, dtype=np.float32)
    found = sigmoid(x)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-x.astype(np.float64))), atol=0.012)
    assert (np.diff(found) >= -1e-6).all()
    assert (found[x <= -6] == 0).all()
    assert (found[x >= 6] == 1).all()


def test_splitmix64_gives_the_published_sequence() -> None:
    # The first outputs of the reference implementation seeded with 0.
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert splitmix64(np.arange(3, dtype=np.uint64)).tolist() == expected


def test_negatives_are_near_uniform_and_follow_from_the_seq_alone() -> None:
    drawn = sample_negatives(1, 2_000, 50, 10)
    share = np.bincount(drawn.ravel(), minlength=10) / drawn.size
    np.testing.assert_allclose(share, 0.1, atol=0.005)
    np.testing.assert_array_equal(sample_negatives(700, 3, 50, 10), drawn[699:702])


def test_the_rule_is_named_by_its_settings() -> None:
    assert LearnerConfig().rule == LearnerConfig().rule
    assert LearnerConfig().rule != LearnerConfig(negatives=63).rule
    assert DIM != 37  # an odd width, so that folding has a remainder
