"""An ensemble is its members' vectors side by side."""

import re
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cluster.errors import ConfigError
from tests.train.histories import histories_of
from tests.train.models.table import Table
from train.config import FitRun
from train.encoders.features import Features
from train.joining import joined
from train.loop import FitConfig
from train.models.ensemble import Ensemble, EnsembleConfig, MemberConfig
from train.training_set import TrainingSet

RNG = np.random.default_rng(0)
MEMBERS = [Table(RNG.standard_normal((9, d)), RNG.standard_normal((20, d))) for d in (2, 5)]
HISTORIES = [np.array([user]) for user in range(9)]
DATA = TrainingSet(train=histories_of([[user, 0] for user in range(9)]), n_items=20)
NEW = Features(dense=np.zeros((3, 0), np.float32), attributes=csr_matrix((3, 0)))


def test_its_score_is_the_weighted_sum_of_the_members_scores() -> None:
    ensemble = Ensemble(EnsembleConfig(weights=(0.5, 2)), MEMBERS)
    expected = 0.5 * MEMBERS[0].scores(HISTORIES) + 2 * MEMBERS[1].scores(HISTORIES)
    np.testing.assert_allclose(ensemble.scores(HISTORIES), expected, rtol=1e-4, atol=1e-5)
    assert ensemble.embedding_dim == 7


def test_members_weigh_the_same_where_nothing_says_otherwise() -> None:
    ensemble = joined(EnsembleConfig(), MEMBERS, DATA, seed=0)
    expected = (MEMBERS[0].scores(HISTORIES) + MEMBERS[1].scores(HISTORIES)) / 2
    np.testing.assert_allclose(ensemble.scores(HISTORIES), expected, rtol=1e-4, atol=1e-5)


def test_items_that_training_never_saw_have_the_members_vectors_side_by_side() -> None:
    ensemble = Ensemble(EnsembleConfig(), MEMBERS)
    np.testing.assert_array_equal(ensemble.content_vectors(NEW), np.ones((3, 7)))


def test_with_fewer_dimensions_it_says_nearly_the_same() -> None:
    whole, narrow, narrower = (joined(EnsembleConfig(dim=dim), MEMBERS, DATA, seed=0) for dim in (None, 6, 2))
    expected = whole.scores(HISTORIES)
    errors = [np.square(_ranking(one.scores(HISTORIES)) - _ranking(expected)).mean() for one in (narrow, narrower)]
    assert errors[0] < errors[1] < np.square(_ranking(expected)).mean()
    assert errors[0] < 0.05 * np.square(_ranking(expected)).mean()
    assert narrow.item_vectors().shape == (20, 6)
    assert narrow.content_vectors(NEW).shape == (3, 6)


def test_a_width_that_is_no_narrower_changes_nothing() -> None:
    same = joined(EnsembleConfig(dim=7), MEMBERS, DATA, seed=0)
    assert same.projection is None


def _ranking(scores: np.ndarray) -> np.ndarray:
    return scores - scores.mean(axis=1, keepdims=True)


def test_a_member_trains_as_the_run_does_but_for_its_own_settings() -> None:
    member = MemberConfig(training={"loss": "gbce", "seed": 3})
    assert member.trained_as(FitConfig(epochs=5)) == FitConfig(epochs=5, loss="gbce", seed=3)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("model.members=[{}]", "two members or more, not 1"),
        ("model.members=[{}, {model: {kind: ease}}]", "ease has no vectors.*take members of transformer"),
        ("model.members=[{}, {model: {kind: ensemble}}]", "cannot be a member"),
        ("model.members=[{}, {training: {epoch: 3}}]", "unknown setting 'epoch'; did you mean 'epochs'"),
        ("model.members=[{}, {model: {kind: gru, layer: 3}}]", "unknown setting 'model.members.1.model.layer'"),
        ("model.weights=[1]", "1 weights for 2 members"),
        ("model.weights=[1, -1]", "model.weights.1=-1 is wrong"),
    ],
)
def test_members_that_cannot_be_joined_are_refused(words: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.compile(complaint)):
        FitRun.parse(["data=x", "model.kind=ensemble", words])


def test_settings_of_training_keep_their_short_names_beside_those_of_members() -> None:
    config: Any = FitRun.parse(["data=x", "model.kind=ensemble", "training.epochs=3", "seed=4", "dim=8"])
    assert (config.training.epochs, config.training.seed, config.model.dim) == (3, 4, 8)
