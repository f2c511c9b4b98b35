"""A low-rank update: what it moves, what it leaves alone, and that it melts into the weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.errors import ConfigError
from tests.train.conftest import Small
from tests.train.small import small_fit
from train.bundle import read_bundle
from train.data.schema import Interactions
from train.loop import FitConfig, train_epochs
from train.models.neural.cnn import CnnConfig
from train.models.neural.embedded import EmbeddedModel
from train.models.neural.lora import LoraConfig, adapt, merged, trained_share
from train.models.neural.transformer import TransformerConfig
from train.models.neural.two_tower import TwoTowerConfig
from train.models.registered import ModelConfig, model_class
from train.session import fit_here, new_model
from train.training_set import TrainingSet

SHAPE = ["embedding_dim=16", "max_length=6"]
SMALL = TransformerConfig.parse([*SHAPE, "feedforward_dim=16"])
FAMILIES = [SMALL, CnnConfig.parse(SHAPE), TwoTowerConfig.parse(SHAPE)]
LORA = LoraConfig.parse(["rank=4", "most=0.9"])
FIT = FitConfig(epochs=3, learning_rate=1e-2, warmup_steps=3, negatives=8, batch_tokens=60, lora=LORA)
HISTORIES = [np.array([1, 2, 3]), np.array([7]), np.array([], dtype=np.int64)]


def warm(cycles: Interactions, config: ModelConfig = SMALL) -> TrainingSet:
    plain = TrainingSet(train=cycles, n_items=20)
    start = {name: value.detach() + 0.01 for name, value in new_model(config, plain, seed=0).named_parameters()}
    return TrainingSet(train=cycles, n_items=20, start=start)


def adapted(cycles: Interactions, config: ModelConfig = SMALL) -> EmbeddedModel:
    model = new_model(config, warm(cycles, config), seed=0)
    adapt(model, LORA, seed=0)
    return model


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.kind)
def test_nothing_changes_before_the_first_step(cycles: Interactions, config: ModelConfig) -> None:
    before = new_model(config, warm(cycles, config), seed=0).eval().scores(HISTORIES)
    np.testing.assert_allclose(adapted(cycles, config).eval().scores(HISTORIES), before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.kind)
def test_gradients_reach_the_updates_and_nothing_else(cycles: Interactions, config: ModelConfig) -> None:
    model = adapted(cycles, config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    list(train_epochs(model, cycles, FIT))
    after = model.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    updates = {name for name in after if name.endswith((".0.up", ".0.down"))}
    assert moved == updates
    assert all(parameter.grad is None for parameter in model.parameters() if not parameter.requires_grad)


@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.kind)
def test_a_merged_model_answers_as_the_adapted_one(cycles: Interactions, config: ModelConfig) -> None:
    model = adapted(cycles, config)
    list(train_epochs(model, cycles, FIT))
    plain = merged(model.state_dict())
    assert plain.keys() == new_model(config, warm(cycles, config), seed=0).state_dict().keys()
    folded = model_class(config).from_state(config, plain)
    np.testing.assert_allclose(folded.scores(HISTORIES), model.eval().scores(HISTORIES), rtol=1e-4, atol=1e-5)


def test_a_state_without_updates_is_merged_already(cycles: Interactions) -> None:
    state = new_model(SMALL, warm(cycles), seed=0).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in merged(state).items())


def test_the_share_is_what_gradient_descent_moves(cycles: Interactions) -> None:
    model = adapted(cycles)
    shapes = [(32, 16), (32, 16), (16, 16), (16, 16), (32, 16), (16, 16)]  # of the block's linear layers
    updates = sum(4 * (rows + columns) for rows, columns in shapes)
    assert trained_share(model) == updates / sum(parameter.numel() for parameter in model.parameters())


def test_more_than_the_allowed_share_is_refused(cycles: Interactions) -> None:
    model = new_model(SMALL, warm(cycles), seed=0)
    with pytest.raises(ConfigError, match=r"lora.rank=4 trains [0-9.]+% of the parameters, but lora.most=5.0%"):
        adapt(model, LoraConfig.parse(["rank=4"]), seed=0)


def test_a_run_ends_with_ordinary_weights_and_the_same_seed_gives_the_same(
    cycles: Interactions, tmp_path: Path
) -> None:
    one, other = (fit_here(SMALL, FIT, warm(cycles), tmp_path / name).model.state_dict() for name in "ab")
    start = warm(cycles).start or {}
    assert one.keys() == start.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(one["items.embedding.weight"], start["items.embedding.weight"])
    assert not torch.equal(one["blocks.0.query_gate.weight"], start["blocks.0.query_gate.weight"])


def test_a_refreshed_bundle_is_an_ordinary_one_whose_items_stand_still(small: Small, tmp_path: Path) -> None:
    words = [f"parent={small.published.folder}", "warm_start=true", "lora.rank=2", "lora.most=0.5", "epochs=1"]
    published, _ = small_fit(small.data, tmp_path, *words)
    model, old = read_bundle(published.folder).model, small.published.bundle.model
    np.testing.assert_array_equal(published.bundle.state.vectors, small.published.bundle.state.vectors)
    assert not np.allclose(model.encode_histories(HISTORIES), old.encode_histories(HISTORIES))
    assert "of the parameters are trained" in published.report.steps[0].why
