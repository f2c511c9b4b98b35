"""Pruning takes out what matters least, and really."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from cluster.errors import ConfigError
from train.compression.prune import channel_importance, prune
from train.data.schema import EVERY, Interactions
from train.loop import FitConfig, Trainer
from train.models.base import NeuralVectorModel, VectorModel
from train.models.ensemble import Ensemble, EnsembleConfig, MemberConfig
from train.models.neural.gru import Gru, GruConfig
from train.models.neural.masked import Masked, MaskedConfig
from train.models.neural.transformer import Transformer, TransformerConfig
from train.models.neural.two_tower import TwoTower, TwoTowerConfig
from train.models.registered import build_model, describe_model

N_ITEMS = 20
TRAINING = FitConfig(negatives=16, batch_tokens=100)
HISTORIES = [np.array([0, 1, 2]), np.array([7]), np.array([3, 4, 5, 6])]


def transformer(seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(TransformerConfig(embedding_dim=8, max_length=10, feedforward_dim=16, layers=2), N_ITEMS).eval()


def masked() -> Masked:
    torch.manual_seed(0)
    return Masked(MaskedConfig(embedding_dim=8, max_length=10, feedforward_dim=16), N_ITEMS).eval()


def two_tower() -> TwoTower:
    torch.manual_seed(0)
    return TwoTower(TwoTowerConfig(embedding_dim=8, max_length=10, hidden_dim=16), N_ITEMS).eval()


def ensemble() -> Ensemble:
    members = [transformer(0), transformer(1)]
    return Ensemble(EnsembleConfig(members=tuple(MemberConfig(model=one.config) for one in members)), members)


def readers(model: NeuralVectorModel) -> list[nn.Parameter]:
    """Return the weights that read inner channels, (d, n) each."""
    if isinstance(model, TwoTower):
        return [tower.network[3].get_parameter("weight") for tower in (model.history_tower, model.item_tower)]
    names = [name for name, _ in model.named_parameters() if name.endswith("feedforward_output.weight")]
    return [model.get_parameter(name) for name in names]


@pytest.mark.parametrize("make", [transformer, masked, two_tower])
def test_channels_that_nothing_reads_go_first_and_change_nothing(make: type, cycles: Interactions) -> None:
    model = make()
    with torch.no_grad():
        for weight in readers(model):
            weight[:, [1, 5, 6, 15]] = 0
    smaller = prune(model, 0.25, cycles, TRAINING, steps=20)
    assert isinstance(smaller, NeuralVectorModel)
    assert [weight.shape for weight in readers(smaller)] == [(8, 12)] * len(readers(model))
    np.testing.assert_allclose(smaller.scores(HISTORIES), model.scores(HISTORIES), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [transformer, masked, two_tower, ensemble])
def test_a_pruned_model_is_smaller_and_built_again_from_its_state(make: type, cycles: Interactions) -> None:
    model: VectorModel = make()
    before = model.scores(HISTORIES)
    smaller = prune(model, 0.5, cycles, TRAINING, steps=2)
    assert size(smaller) < size(model)
    rebuilt = build_model(describe_model(smaller), smaller.state_dict())
    np.testing.assert_array_equal(rebuilt.scores(HISTORIES), smaller.scores(HISTORIES))
    np.testing.assert_array_equal(model.scores(HISTORIES), before)


def test_importance_is_the_squared_slope_of_the_loss_in_a_gate(cycles: Interactions) -> None:
    model = transformer()
    found = channel_importance(model, cycles, TRAINING, steps=1)
    assert set(found) == {"blocks.0", "blocks.1"}
    for number, weight in enumerate(readers(model)):
        for channel in (0, 7):
            with torch.no_grad():
                own, losses = weight[:, channel].clone(), []
                for gate in (0.9, 1.1):
                    weight[:, channel] = gate * own
                    losses.append(first_loss(model, cycles))
                weight[:, channel] = own
            slope = (losses[1] - losses[0]) / 0.2
            assert float(found[f"blocks.{number}"][channel]) == pytest.approx(slope**2, rel=0.05, abs=1e-3)


def test_less_important_channels_than_those_kept_are_taken(cycles: Interactions) -> None:
    model = transformer()
    importance = channel_importance(copy.deepcopy(model), cycles, TRAINING, steps=5)
    smaller = prune(model, 0.75, cycles, TRAINING, steps=5)
    assert isinstance(smaller, Transformer)
    for number, (before, after) in enumerate(zip(readers(model), readers(smaller), strict=True)):
        best = importance[f"blocks.{number}"].topk(4).indices.sort().values
        assert torch.equal(after, before[:, best])


def test_a_few_channels_always_stay(cycles: Interactions) -> None:
    smaller = prune(transformer(), 0.99, cycles, TRAINING, steps=1)
    assert smaller.config.feedforward_dim == 4


def test_a_model_without_such_layers_is_refused(cycles: Interactions) -> None:
    gru = Gru(GruConfig(embedding_dim=8, max_length=10, hidden_dim=8), N_ITEMS).eval()
    with pytest.raises(ConfigError, match=r"prune=0.5: gru has no feed-forward layers to prune; leave prune out"):
        prune(gru, 0.5, cycles, TRAINING, steps=1)


def size(model: VectorModel) -> int:
    return sum(tensor.numel() for tensor in model.state_dict().values())


def first_loss(model: Transformer, cycles: Interactions) -> float:
    """Return the loss on the batch and negatives that importance sees first."""
    trainer = Trainer(model, cycles, TRAINING, rank=0, world_size=1, wanted=EVERY)
    batch = next(iter(trainer.batches.epoch(0)))
    negatives = trainer.negatives.of(batch, np.random.default_rng(TRAINING.seed))
    parts = (batch.item_idx, batch.target, batch.weight, negatives)
    return float(trainer.objective(*map(torch.from_numpy, parts)).detach())
