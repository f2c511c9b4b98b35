"""Any family with vectors ends in a bundle that answers; the others are refused before they cost anything."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cluster.errors import ConfigError
from tests.train.histories import histories_of
from tests.train.small import small_words, write_ring
from train.bundle import read_bundle
from train.config import FitRun
from train.data.source import prepare_data
from train.families import family_epochs, fit_family
from train.loop import FitConfig
from train.models.closed_form.content import ContentConfig
from train.models.closed_form.ease import EaseConfig
from train.models.closed_form.factorization import FactorizationConfig
from train.models.ensemble import EnsembleConfig, MemberConfig
from train.models.neural.gru import GruConfig
from train.models.neural.transformer import TransformerConfig
from train.models.registered import ModelConfig
from train.pipeline import fit_bundle
from train.session import SCORE, Fitted, fit_here
from train.training_set import TrainingSet
from train.validation import ValidationSet
from train.workers import WorkersConfig

HERE = WorkersConfig(workers=0)

MEMBERS = (
    MemberConfig(model=TransformerConfig(embedding_dim=8, feedforward_dim=8, max_length=6)),
    MemberConfig(model=GruConfig(embedding_dim=8, hidden_dim=8, max_length=6), training={"loss": "info_nce"}),
)
SERVED = [
    GruConfig(embedding_dim=8, hidden_dim=8, max_length=6),
    FactorizationConfig(embedding_dim=4),
    ContentConfig(embedding_dim=8),
    EnsembleConfig(members=MEMBERS, dim=8),
]


def run_of(model: ModelConfig, folder: Path) -> FitRun:
    data = write_ring(folder / "ring", n_users=40)
    words = small_words(data, folder, "epochs=2", "ranker.epochs=2")
    return FitRun.parse(words).model_copy(update={"model": model})


@pytest.mark.parametrize("model", SERVED, ids=lambda model: model.kind)
def test_a_bundle_of_any_family_with_vectors_is_published_and_answers_as_fitted(
    model: ModelConfig, tmp_path: Path
) -> None:
    config = run_of(model, tmp_path)
    published = fit_bundle(config, prepare_data(config))
    bundle = read_bundle(published.folder)
    histories = [np.array([0, 1, 2]), np.array([7])]
    np.testing.assert_array_equal(bundle.model.scores(histories), published.bundle.model.scores(histories))
    np.testing.assert_array_equal(bundle.state.vectors, bundle.model.item_vectors().detach().numpy())
    assert 0 < published.table["liveshelf"]["ndcg@10"] <= 1


def test_a_family_without_vectors_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    config = run_of(EaseConfig(), tmp_path)
    prepared = prepare_data(config)
    with pytest.raises(ConfigError, match="model.kind=ease takes part in comparisons.*fit one of transformer"):
        fit_bundle(config, prepared)
    assert not (tmp_path / "registry").exists()
    assert not (tmp_path / "checkpoints").exists()


def test_an_ensemble_fitted_again_on_all_rows_keeps_the_weights_that_validation_chose(tmp_path: Path) -> None:
    config = run_of(EnsembleConfig(members=MEMBERS), tmp_path)
    prepared = prepare_data(config)
    chosen, again = (fit_bundle(config.model_copy(update={"refit": refit}), prepared) for refit in (False, True))
    weights = chosen.bundle.model.config.weights
    assert weights != (0.5, 0.5)
    assert again.bundle.model.config.weights == weights
    assert not np.allclose(again.bundle.state.vectors, chosen.bundle.state.vectors)


def test_an_interrupted_ensemble_goes_on_with_the_member_it_was_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EnsembleConfig(members=MEMBERS)
    data, training = TrainingSet(train=histories_of([[0, 1, 2, 3]] * 9), n_items=9), FitConfig(epochs=2)
    whole = fit_family(config, training, data, tmp_path / "whole", HERE)
    fitted = []

    def fit_one(*arguments: Any) -> Fitted:
        if len(fitted) == 1:
            raise KeyboardInterrupt
        fitted.append(fit_here(*arguments))
        return fitted[-1]

    monkeypatch.setattr("train.families.fit_here", fit_one)
    with pytest.raises(KeyboardInterrupt):
        fit_family(config, training, data, tmp_path / "parts", HERE)
    monkeypatch.undo()
    monkeypatch.setattr("train.models.neural.transformer.Transformer.examples", None)  # nothing is trained twice
    resumed = fit_family(config, training, data, tmp_path / "parts", HERE)
    histories = [np.array([0, 1])]
    np.testing.assert_array_equal(resumed.model.scores(histories), whole.model.scores(histories))
    assert [(epoch["epoch"], epoch["member"]) for epoch in resumed.history] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert list((tmp_path / "parts").iterdir()) == [resumed.folder]


@pytest.mark.parametrize(
    ("model", "n_epochs"), [(EaseConfig(), 1), (GruConfig(embedding_dim=8, hidden_dim=8), 2)], ids=["ease", "gru"]
)
def test_what_has_no_epochs_of_its_own_counts_as_one(model: ModelConfig, n_epochs: int) -> None:
    valid = ValidationSet(histories=[np.array([0, 1])], truths=[np.array([2])], filter_seen=True)
    data = TrainingSet(train=histories_of([[0, 1, 2, 3]] * 9), n_items=9, valid=valid)
    epochs = list(family_epochs(model, FitConfig(epochs=2, negatives=8), data, torch.device("cpu")))
    assert [epoch.metrics["epoch"] for epoch in epochs] == list(range(1, n_epochs + 1))
    assert all(0 <= epoch.metrics[SCORE] <= 1 and epoch.metrics["seconds"] > 0 for epoch in epochs)
