"""A run in one process: what it keeps on disk, how it goes on, and which epoch it returns."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.errors import ConfigError
from train import session
from train.data.schema import Interactions
from train.loop import FitConfig
from train.models.base import Model
from train.models.neural.content_tower import ItemContent
from train.models.neural.transformer import TransformerConfig
from train.session import Epoch, best_epoch, fit_here, load_model, newest_checkpoint, run_folder
from train.training_set import TrainingSet
from train.validation import ValidationSet

SMALL = TransformerConfig(embedding_dim=16, max_length=6, feedforward_dim=16)
FIT = FitConfig(epochs=5, learning_rate=1e-2, warmup_steps=3, negatives=8, batch_tokens=60)


@pytest.fixture(scope="module")
def data(cycles: Interactions) -> TrainingSet:
    histories = [np.array([i, (i + 1) % 20]) for i in range(20)]
    truths = [np.array([(i + 2) % 20]) for i in range(20)]
    return TrainingSet(
        train=cycles, n_items=20, valid=ValidationSet(histories=histories, truths=truths, filter_seen=True)
    )


def learned(model: Model) -> torch.Tensor:
    return model.state_dict()["items.embedding.weight"]


def test_the_best_epoch_is_returned_and_only_it_and_the_newest_stay(data: TrainingSet, tmp_path: Path) -> None:
    fitted = fit_here(SMALL, FIT, data, tmp_path / "run")
    scores = [metrics["ndcg@10"] for metrics in fitted.history]
    assert len(scores) == 5
    assert fitted.epoch == 1 + int(np.argmax(scores))
    kept = {path.name for path in fitted.folder.iterdir()}
    assert kept == {f"epoch-{fitted.epoch:05d}", "epoch-00005"}
    assert data.valid is not None
    assert data.valid.ndcg(fitted.model) == max(scores)


def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(
    data: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit_here(SMALL, FIT, data, tmp_path / "whole")
    run_epochs = session.run_epochs

    def interrupted(*args: object, **options: object) -> Iterator[Epoch]:
        for epoch in run_epochs(*args, **options):  # pyright: ignore[reportArgumentType]
            yield epoch
            if epoch.state.epoch == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(session, "run_epochs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_here(SMALL, FIT, data, tmp_path / "cut")
    monkeypatch.undo()
    resumed = fit_here(SMALL, FIT, data, tmp_path / "cut")
    assert [m["loss"] for m in resumed.history] == [m["loss"] for m in whole.history]
    assert torch.equal(learned(resumed.model), learned(whole.model))


def test_a_finished_run_is_returned_as_it_is(data: TrainingSet, tmp_path: Path) -> None:
    first = fit_here(SMALL, FIT, data, tmp_path)
    again = fit_here(SMALL, FIT, data, tmp_path)
    assert again.history == first.history
    assert torch.equal(learned(again.model), learned(first.model))


def test_runs_of_other_settings_or_data_do_not_share_checkpoints(data: TrainingSet, tmp_path: Path) -> None:
    other_data = TrainingSet(train=data.train.where(np.arange(len(data.train)) > 3), n_items=20)
    other_config = FIT.model_copy(update={"learning_rate": 1e-3})
    folders = {
        run_folder(tmp_path, SMALL, FIT, data),
        run_folder(tmp_path, SMALL, FIT, other_data),
        run_folder(tmp_path, SMALL, other_config, data),
    }
    assert len(folders) == 3


def test_patience_ends_a_run_that_no_longer_gets_better(data: TrainingSet, tmp_path: Path) -> None:
    config = FIT.model_copy(update={"epochs": 60, "patience": 2})
    fitted = fit_here(SMALL, config, data, tmp_path)
    assert len(fitted.history) == fitted.epoch + 2 < 60


def test_without_validation_the_last_epoch_is_the_best(data: TrainingSet, tmp_path: Path) -> None:
    fitted = fit_here(SMALL, FIT, TrainingSet(train=data.train, n_items=20), tmp_path)
    assert fitted.epoch == best_epoch(fitted.history) == 5
    newest = newest_checkpoint(fitted.folder)
    assert newest is not None
    assert torch.equal(learned(load_model(SMALL, newest)), learned(fitted.model))


def test_a_run_whose_loss_is_no_number_ends_with_a_way_out_and_keeps_nothing(data: TrainingSet, tmp_path: Path) -> None:
    content = ItemContent(dense=np.full((20, 2), np.nan, dtype=np.float32))
    with pytest.raises(ConfigError, match="training diverged: the loss of epoch 1 is nan; lower learning_rate=0.01"):
        fit_here(SMALL, FIT, replace(data, content=content), tmp_path / "run")
    assert not list(tmp_path.rglob("*.safetensors"))
