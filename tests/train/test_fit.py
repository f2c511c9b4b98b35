"""Training on Ray: workers agree with a single process, and a lost worker costs no result."""

import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ray import cloudpickle

from train.data.schema import Interactions, Wanted
from train.fit import fit
from train.loop import FitConfig
from train.models.base import SequenceModel
from train.models.neural.lora import LoraConfig
from train.models.neural.transformer import TransformerConfig
from train.session import fit_here, new_model
from train.training_set import TrainingSet
from train.validation import ValidationSet
from train.workers import WorkersConfig

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
    alone = fit_here(EXACT, FIT, TrainingSet(train=cycles, n_items=20, valid=plain), tmp_path)
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


@pytest.mark.usefixtures("ray_cluster")
def test_two_workers_move_as_little_of_a_parent_as_one_process_does(cycles: Interactions, tmp_path: Path) -> None:
    plain = TrainingSet(train=cycles, n_items=20)
    start = {name: value.detach() for name, value in new_model(EXACT, plain, seed=0).named_parameters()}
    data = replace(plain, start=start, wanted=Wanted(after_ms=3))
    config = FIT.model_copy(update={"epochs": 2, "lora": LoraConfig.parse(["rank=2", "most=0.9"])})
    together = fit(EXACT, config, data, tmp_path / "two", WorkersConfig(workers=2)).model.state_dict()
    alone = fit_here(EXACT, config, data, tmp_path / "one").model.state_dict()
    assert together.keys() == alone.keys()
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, atol=1e-3)
    assert not torch.equal(alone["blocks.0.key_value.weight"], start["blocks.0.key_value.weight"])
    assert torch.equal(together["items.embedding.weight"], start["items.embedding.weight"])
