"""On a machine with a card, training uses it; on one without, what it would use is still chosen rightly."""

from pathlib import Path

import numpy as np
import pytest
import torch

from train.data.schema import Interactions
from train.fit import fit
from train.loop import FitConfig, autocast_dtype, train_epochs
from train.models.neural.transformer import Transformer, TransformerConfig
from train.training_set import TrainingSet
from train.workers import WorkersConfig

N_ITEMS = 20
SMALL = TransformerConfig(embedding_dim=16, max_length=6, feedforward_dim=16)
FIT = FitConfig(epochs=12, learning_rate=1e-2, warmup_steps=3, negatives=8, batch_tokens=60, seed=3)

on_a_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and this machine has none")


def losses(cycles: Interactions, device: str, **settings: object) -> list[float]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Transformer(SMALL, N_ITEMS).to(device)
    return [result.loss for result in train_epochs(model, cycles, FIT.model_copy(update=settings))]


def test_halves_are_chosen_on_a_card_alone_unless_asked_for() -> None:
    assert autocast_dtype("auto", torch.device("cpu")) == torch.float32
    assert autocast_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16


def test_bfloat16_learns_what_float32_learns(cycles: Interactions) -> None:
    assert losses(cycles, "cpu", precision="bfloat16") == pytest.approx(losses(cycles, "cpu"), rel=0.1)


@pytest.mark.slow
def test_a_compiled_objective_learns_the_same(cycles: Interactions) -> None:
    assert losses(cycles, "cpu", compiled=True, epochs=2) == pytest.approx(losses(cycles, "cpu", epochs=2), rel=1e-4)


@pytest.mark.gpu
@on_a_card
@pytest.mark.parametrize("settings", [{"precision": "bfloat16"}, {"precision": "float16"}, {"accumulation": 2}])
def test_a_card_learns_what_the_processor_learns(cycles: Interactions, settings: dict[str, object]) -> None:
    assert losses(cycles, "cuda", **settings)[-1] == pytest.approx(losses(cycles, "cpu", **settings)[-1], rel=0.2)


@pytest.mark.gpu
@on_a_card
def test_a_compiled_objective_learns_the_same_on_a_card(cycles: Interactions) -> None:
    plain, compiled = (losses(cycles, "cuda", precision="float32", epochs=2, compiled=way) for way in (False, True))
    assert compiled == pytest.approx(plain, rel=1e-2)


@pytest.mark.gpu
@pytest.mark.ray
@on_a_card
@pytest.mark.usefixtures("ray_cluster")
def test_a_worker_with_a_card_trains_by_nccl(cycles: Interactions, tmp_path: Path) -> None:
    fitted = fit(SMALL, FIT, TrainingSet(train=cycles, n_items=N_ITEMS), tmp_path, WorkersConfig(workers=1, gpu=True))
    assert fitted.history[-1]["loss"] < fitted.history[0]["loss"] / 2
    assert np.isfinite(fitted.model.scores([np.array([5, 6, 7])])).all()
