"""Which kinds of models a run may train, and what is said of the others."""

import re

import pytest

from cluster.errors import BundleError, ConfigError
from train.config import FitRun
from train.models.base import VectorModel
from train.models.neural.gru import GruConfig
from train.models.neural.transformer import TransformerConfig
from train.models.registered import FAMILIES, build_model, require_servable

DATA = "data=x"


def test_a_run_trains_the_transformer_unless_told_otherwise() -> None:
    assert FitRun.parse([DATA]).model == TransformerConfig()
    assert FitRun.parse([DATA, "layers=2", "heads=4"]).model == TransformerConfig(layers=2, heads=4)


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_every_family_is_a_kind_of_model_that_a_run_can_name(kind: str) -> None:
    config = FitRun.parse([DATA, f"model.kind={kind}"])
    assert type(config.model) is FAMILIES[kind][1]
    assert FitRun.checked(config.model_dump()) == config


def test_short_names_reach_the_kind_that_was_named() -> None:
    assert FitRun.parse([DATA, "kind=gru", "hidden_dim=32", "max_length=9"]).model == GruConfig(
        hidden_dim=32, max_length=9
    )


def test_short_names_of_other_groups_are_not_taken_by_other_kinds_of_models() -> None:
    config = FitRun.parse([DATA, "window=3", "half_life_days=7", "learning_rate=0.1"])
    assert config.item_state.transitions.window == 3
    assert config.item_state.half_life_days == 7
    assert config.training.learning_rate == 0.1


def test_a_kind_that_nobody_knows_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=re.compile("oracle.*transformer.*gru", re.DOTALL)):
        FitRun.parse([DATA, "kind=oracle"])


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_only_a_family_with_vectors_can_be_served(kind: str) -> None:
    config = FitRun.parse([DATA, f"kind={kind}"]).model
    if issubclass(FAMILIES[kind][0], VectorModel):
        require_servable(config)
        return
    with pytest.raises(ConfigError, match=f"model.kind={kind} .* fit one of transformer, masked, gru, cnn"):
        require_servable(config)


def test_a_bundle_of_an_unknown_model_is_refused() -> None:
    with pytest.raises(BundleError, match="unknown model 'oracle'"):
        build_model({"model": "oracle", "config": {}}, {})
