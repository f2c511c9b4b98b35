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
from train.models.neural.transformer import TransformerConfig
from train.training_set import TrainingSet
from train.validation import ValidationSet

pytestmark = pytest.mark.ray

EXACT = TransformerConfig(embedding_dim=16, max_length=6, feedforward_dim=16, dropout=0, embedding_dropout=0)
FIT = FitConfig(epochs=4, learning_rate=1e-2, warmup_steps=3, negatives=8, batch_tokens=60)
HISTORIES = [np.array([item, (item + 1) % 20]) for item in range(20)]
TRUTHS = [np.array([(item + 2) % 20]) for item in range(20)]


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


@pytest.mark.usefixtures("ray_cluster")
def test_two_workers_with_one_killed_end_where_one_process_does(cycles: Interactions, tmp_path: Path) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
    deadly = DeadlyValidationSet(histories=HISTORIES, truths=TRUTHS, filter_seen=True, marker=tmp_path / "killed")
    plain = ValidationSet(histories=HISTORIES, truths=TRUTHS, filter_seen=True)
    together = fit(
        EXACT, FIT, TrainingSet(train=cycles, n_items=20, valid=deadly), tmp_path / "two", WorkersConfig(workers=2)
    )
    assert deadly.marker.exists()
    alone = fit(EXACT, FIT, TrainingSet(train=cycles, n_items=20, valid=plain), tmp_path, WorkersConfig(workers=0))
    assert [metrics["epoch"] for metrics in together.history] == [1, 2, 3, 4]
    for name in ("loss", "ndcg@10"):
        expected = [metrics[name] for metrics in alone.history]
        assert [metrics[name] for metrics in together.history] == pytest.approx(expected, rel=1e-3)
    vectors, expected_vectors = (run.model.state_dict()["items.embedding.weight"] for run in (together, alone))
    np.testing.assert_allclose(vectors, expected_vectors, atol=1e-3)
    again = fit(
        EXACT, FIT, TrainingSet(train=cycles, n_items=20, valid=plain), tmp_path / "two", WorkersConfig(workers=2)
    )
    assert again.history == together.history  # the same run asked for again is found finished
