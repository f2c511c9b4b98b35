"""Training on Ray: workers agree with a single process, and a lost worker costs no result."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ray import cloudpickle

from train.data.schema import Interactions
from train.fit import WorkersConfig, fit
from train.loop import FitConfig
from train.models.base import SequenceModel
from train.models.transformer import TransformerConfig
from train.session import TrainingSet
from train.validation import ValidationSet

pytestmark = pytest.mark.ray

EXACT = TransformerConfig(embedding_dim=16, max_length=6, feedforward_dim=16, dropout=0, embedding_dropout=0)
FIT = FitConfig(epochs=4, learning_rate=1e-2, warmup_steps=3, negatives=8, batch_tokens=60)


@dataclass(frozen=True, kw_only=True)
class DeadlyValidationSet(ValidationSet):
    """Kills a worker in the middle of its third validation, once."""

    marker: Path

    def ndcg(self, model: SequenceModel, rank: int = 0, world_size: int = 1) -> float:
        if rank == world_size - 1 and not self.marker.exists():
            calls = self.marker.with_suffix(".calls")
            calls.write_text(f"{calls.read_text() if calls.exists() else ''}x")
            if calls.read_text() == "xxx":
                self.marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return ValidationSet.ndcg(self, model, rank, world_size)


@pytest.fixture
def data(cycles: Interactions) -> TrainingSet:
    histories = [np.array([i, (i + 1) % 20]) for i in range(20)]
    truths = [np.array([(i + 2) % 20]) for i in range(20)]
    valid = ValidationSet(histories=histories, truths=truths, filter_seen=True)
    return TrainingSet(train=cycles, n_items=20, valid=valid)


@pytest.mark.usefixtures("ray_cluster")
def test_two_workers_learn_what_one_process_learns(data: TrainingSet, tmp_path: Path) -> None:
    alone = fit(EXACT, FIT, data, tmp_path / "alone", WorkersConfig(workers=0))
    together = fit(EXACT, FIT, data, tmp_path / "together", WorkersConfig(workers=2))
    assert [metrics["epoch"] for metrics in together.history] == [1, 2, 3, 4]
    for one, two in zip(alone.history, together.history, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)
    np.testing.assert_allclose(
        together.model.item_vectors().detach().numpy(), alone.model.item_vectors().detach().numpy(), atol=1e-3
    )


@pytest.mark.usefixtures("ray_cluster")
def test_a_run_survives_a_killed_worker_and_ends_as_if_it_had_not_been(data: TrainingSet, tmp_path: Path) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
    assert data.valid is not None
    deadly = DeadlyValidationSet(
        histories=data.valid.histories, truths=data.valid.truths, filter_seen=True, marker=tmp_path / "killed"
    )
    survived = fit(
        EXACT, FIT, TrainingSet(train=data.train, n_items=20, valid=deadly), tmp_path / "run", WorkersConfig(workers=1)
    )
    assert deadly.marker.exists()
    whole = fit(EXACT, FIT, data, tmp_path / "whole", WorkersConfig(workers=0))
    assert [m["epoch"] for m in survived.history] == [1, 2, 3, 4]
    assert [m["loss"] for m in survived.history] == pytest.approx([m["loss"] for m in whole.history], rel=1e-5)
