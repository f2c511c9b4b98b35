"""Any family with vectors ends in a bundle that answers; the others are refused before they cost anything."""

from pathlib import Path

import numpy as np
import pytest

from cluster.errors import ConfigError
from tests.train.small import small_words, write_ring
from train.bundle import read_bundle
from train.config import FitRun
from train.data.source import prepare_data
from train.models.closed_form.content import ContentConfig
from train.models.closed_form.ease import EaseConfig
from train.models.closed_form.factorization import FactorizationConfig
from train.models.neural.gru import GruConfig
from train.models.registered import ModelConfig
from train.pipeline import fit_bundle

SERVED = [
    GruConfig(embedding_dim=8, hidden_dim=8, max_length=6),
    FactorizationConfig(embedding_dim=4),
    ContentConfig(embedding_dim=8),
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
