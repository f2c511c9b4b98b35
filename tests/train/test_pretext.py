"""A task beside the loss: it teaches, it takes turns with the loss, and it can be told apart from it."""

import math

import pytest
import torch

from cluster.errors import ConfigError
from train.data.schema import Interactions
from train.loop import FitConfig, train_epochs
from train.losses import Objective, sampled_softmax
from train.models.base import NeuralModel
from train.models.neural.cnn import CnnConfig
from train.models.neural.gru import GruConfig
from train.models.neural.masked import Masked, MaskedConfig
from train.models.neural.transformer import TransformerConfig
from train.models.neural.two_tower import TwoTowerConfig
from train.models.registered import ModelConfig
from train.pretext import Pretext, PretrainingConfig, nt_xent
from train.session import new_model
from train.training_set import TrainingSet

SHAPE = ["embedding_dim=16", "max_length=6", "dropout=0", "embedding_dropout=0"]
SMALL = TransformerConfig.parse([*SHAPE, "feedforward_dim=16"])
FAMILIES = [SMALL, *(config.parse(SHAPE) for config in (GruConfig, CnnConfig, TwoTowerConfig))]
FIT = FitConfig(epochs=8, learning_rate=1e-2, warmup_steps=3, negatives=8, batch_tokens=60, seed=3)


def trained(cycles: Interactions, model_config: ModelConfig = SMALL, **pretraining: object) -> NeuralModel:
    config = FIT.model_copy(update={"pretraining": PretrainingConfig.checked(pretraining)})
    model = new_model(model_config, TrainingSet(train=cycles, n_items=20), seed=0)
    list(train_epochs(model, cycles, config))
    return model


def task_loss(model: NeuralModel, task: str) -> float:
    """Return what the task alone costs on histories of five items."""
    torch.manual_seed(0)
    pretext = Pretext(Objective(model, sampled_softmax, 1.0), PretrainingConfig.checked({"task": task, "weight": 1.0}))
    pretext.alone = True
    item_idx = (torch.arange(20)[:, None] + torch.arange(5)) % 20
    target, weight = (item_idx + 1) % 20, torch.full(item_idx.shape, 1 / item_idx.numel())
    with torch.no_grad():
        return float(pretext.eval()(item_idx, target, weight, torch.arange(20)))


def test_the_contrast_equals_its_slow_formula() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(3, 4), torch.randn(3, 4)
    copies, losses = [*one, *other], []
    for place, copy in enumerate(copies):
        alike = [torch.cosine_similarity(copy, each, dim=0).item() / 0.5 for each in copies]
        total = sum(math.exp(score) for number, score in enumerate(alike) if number != place)
        losses.append(math.log(total) - alike[(place + 3) % 6])
    assert nt_xent(one, other, 0.5).item() == pytest.approx(sum(losses) / 6, rel=1e-5)


def test_a_history_alone_in_its_batch_has_nobody_to_be_told_from() -> None:
    assert nt_xent(torch.ones(1, 4), torch.ones(1, 4), 0.5).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.kind)
@pytest.mark.parametrize("task", ["contrastive", "masked"])
def test_every_sequence_family_learns_the_task(cycles: Interactions, config: ModelConfig, task: str) -> None:
    untrained = new_model(config, TrainingSet(train=cycles, n_items=20), seed=0)
    model = trained(cycles, config, task=task, weight=1.0, epochs=7)
    assert task_loss(model, task) < task_loss(untrained, task)


def test_before_the_loss_the_task_is_all_that_counts(cycles: Interactions) -> None:
    runs = []
    for loss in ("sampled_softmax", "bpr"):
        config = FIT.model_copy(
            update={"loss": loss, "pretraining": PretrainingConfig.checked({"task": "contrastive", "epochs": 2})}
        )
        model = new_model(SMALL, TrainingSet(train=cycles, n_items=20), seed=0)
        runs.append(
            [epoch.state.model["items.embedding.weight"].clone() for epoch in train_epochs(model, cycles, config)]
        )
    # Not to the last bit: which rows a step touches is another, and so is the order of sums.
    alike = [torch.allclose(one, other, atol=1e-3) for one, other in zip(*runs, strict=True)]
    assert alike == [True] * 2 + [False] * 6


def test_the_same_seed_gives_the_same_weights(cycles: Interactions) -> None:
    one, other = (trained(cycles, task="contrastive").state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    plain = trained(cycles).state_dict()
    assert not torch.equal(one["items.embedding.weight"], plain["items.embedding.weight"])


def test_gaps_cannot_be_filled_twice() -> None:
    model = Masked(MaskedConfig.parse(["embedding_dim=16"]), 20)
    with pytest.raises(ConfigError, match="which Masked does not; take contrastive"):
        Pretext(Objective(model, sampled_softmax, 1.0), PretrainingConfig.checked({"task": "masked"}))


def test_some_epochs_must_be_left_for_the_loss() -> None:
    with pytest.raises(ConfigError, match="must be less than epochs=3"):
        FitConfig.parse(["epochs=3", "pretraining.epochs=3"])
