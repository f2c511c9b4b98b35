"""The ranker learns what helps, says the same after a round trip, and stays within what it has seen."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from cluster.errors import BundleError
from train.models.features import FEATURES
from train.models.ranker import IS_REPEAT, Ranker, RankerConfig, RankingExamples, fit_ranker, lists_of

N_QUERIES, PER_QUERY = 60, 12
TELLING, OTHER = FEATURES.index("transition"), FEATURES.index("popularity_log")


def examples(seed: int, n_queries: int = N_QUERIES) -> RankingExamples:
    """Return queries whose one relevant candidate has the highest value in one column; all others are noise."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n_queries, PER_QUERY, len(FEATURES))).astype(np.float32)
    relevant = matrix[:, :, TELLING] == matrix[:, :, TELLING].max(axis=1, keepdims=True)
    return RankingExamples(
        features=matrix.reshape(-1, len(FEATURES)), relevant=relevant.ravel(),
        offsets=np.arange(n_queries + 1) * PER_QUERY,
    )  # fmt: skip


def hit_rate(ranker: Ranker, asked: RankingExamples) -> float:
    scores = ranker.score(asked.features).reshape(-1, PER_QUERY)
    return float((scores.argmax(axis=1) == asked.relevant.reshape(-1, PER_QUERY).argmax(axis=1)).mean())


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    return fit_ranker(examples(0, n_queries=600), RankerConfig(epochs=20, learning_rate=0.01))


def test_the_one_telling_feature_is_found(ranker: Ranker) -> None:
    assert hit_rate(ranker, examples(1)) > 0.8 > 5 / PER_QUERY


def test_a_round_trip_through_json_gives_equal_scores(ranker: Ranker) -> None:
    again = Ranker.from_json(json.loads(json.dumps(ranker.to_json())))
    asked = examples(2).features
    assert again.score(asked).tobytes() == ranker.score(asked).tobytes()


@pytest.mark.parametrize("names", [[], FEATURES[1:], [*FEATURES, "more"]])
def test_a_ranker_of_other_features_is_refused(ranker: Ranker, names: Sequence[str]) -> None:
    with pytest.raises(BundleError, match="reads other features than this code"):
        Ranker.from_json(ranker.to_json() | {"features": list(names)})


def test_a_ranker_of_before_a_feature_was_known_says_what_it_said(ranker: Ranker) -> None:
    names = [name for name in FEATURES if name != "price_step"]
    known, asked = [FEATURES.index(name) for name in names], examples(3).features
    told = ranker.to_json() | {"features": names}
    told |= {name: np.array(told[name])[known].tolist() for name in ("mean", "deviation", "low", "high", "inner")}
    neutral = asked.copy()
    neutral[:, FEATURES.index("price_step")] = ranker.mean[FEATURES.index("price_step")]
    np.testing.assert_allclose(Ranker.from_json(told).score(asked), ranker.score(neutral), rtol=1e-4, atol=1e-4)


def test_values_beyond_all_examples_count_as_the_farthest_seen(ranker: Ranker) -> None:
    far = np.zeros((2, len(FEATURES)), np.float32)
    far[:, TELLING] = (1e3, 1e9)
    scores = ranker.score(far)
    assert scores[0] == scores[1]
    assert np.isfinite(scores).all()


def test_fitting_twice_gives_the_same_ranker() -> None:
    one, other = (fit_ranker(examples(0), RankerConfig(epochs=2)) for _ in range(2))
    assert one.to_json() == other.to_json()


def test_queries_without_a_relevant_candidate_or_without_candidates_teach_nothing() -> None:
    known = examples(0, n_queries=400)
    noise = np.ones((4, len(FEATURES)), np.float32) * known.features.mean(axis=0)
    widened = RankingExamples(
        features=np.concatenate((known.features, noise)), relevant=np.append(known.relevant, [False] * 4),
        offsets=np.concatenate(([0], known.offsets, [known.offsets[-1] + 4])),
    )  # fmt: skip
    found = fit_ranker(widened, RankerConfig(epochs=20, learning_rate=0.01))
    assert np.isfinite(found.score(known.features)).all()
    assert hit_rate(found, known) > 0.8


def shopping_again(seed: int, n_queries: int) -> RankingExamples:
    """Return queries with four old items, told apart by one column, and eight new ones, told apart by another.

    Eight times in nine the shopper takes the right old item, else the right new one.
    """
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n_queries, PER_QUERY, len(FEATURES))).astype(np.float32)
    matrix[:, :, IS_REPEAT] = np.arange(PER_QUERY) < 4
    old, new = matrix[:, :4, TELLING].argmax(axis=1), 4 + matrix[:, 4:, OTHER].argmax(axis=1)
    right = np.where(rng.random(n_queries) < 8 / 9, old, new)
    return RankingExamples(
        features=matrix.reshape(-1, len(FEATURES)), relevant=(np.arange(PER_QUERY) == right[:, None]).ravel(),
        offsets=np.arange(n_queries + 1) * PER_QUERY,
    )  # fmt: skip


def test_new_items_are_ordered_among_themselves_however_rarely_they_are_taken() -> None:
    ranker = fit_ranker(shopping_again(0, n_queries=900), RankerConfig(epochs=20))
    asked = shopping_again(1, n_queries=200)
    scores = ranker.score(asked.features).reshape(-1, PER_QUERY)
    features = asked.features.reshape(-1, PER_QUERY, len(FEATURES))
    right_new = scores[:, 4:].argmax(axis=1) == features[:, 4:, OTHER].argmax(axis=1)
    right_old = scores[:, :4].argmax(axis=1) == features[:, :4, TELLING].argmax(axis=1)
    assert right_new.mean() > 0.5 > 2 / 8
    assert right_old.mean() > 0.8
    assert (scores[:, :4].max(axis=1) > scores[:, 4:].max(axis=1)).mean() > 0.8


def test_a_query_with_repeats_teaches_two_lists_where_both_hold_a_relevant_item() -> None:
    matrix = np.zeros((9, len(FEATURES)), np.float32)
    matrix[[0, 3, 4], IS_REPEAT] = 1
    relevant = np.array([1, 0, 1, 1, 0, 0, 0, 1, 0], dtype=bool)
    examples = RankingExamples(features=matrix, relevant=relevant, offsets=np.array([0, 3, 6, 8, 9]))
    # The second query's only relevant item is old, the third has no old items, the fourth has nothing relevant.
    assert [rows.tolist() for rows in lists_of(examples)] == [[0, 1, 2], [1, 2], [3, 4, 5], [6, 7]]
