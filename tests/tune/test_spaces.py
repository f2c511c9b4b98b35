"""What a sweep may vary."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from cluster.errors import ConfigError
from train.config import FitRun
from tune.config import SweepConfig
from tune.run import QUICK, each_sweep, read_config
from tune.spaces import Choice, Range, check_space, given_params, with_params

FIT = FitRun.parse(["data=somewhere", "learning_rate=0.003"])


def test_whole_ends_make_whole_numbers_and_others_do_not() -> None:
    assert Range(low=16, high=128).distribution() == IntDistribution(16, 128)
    assert Range(low=0.001, high=0.1, log=True).distribution() == FloatDistribution(0.001, 0.1, log=True)
    assert Choice(choice=["a", "b"]).distribution() == CategoricalDistribution(["a", "b"])


@pytest.mark.parametrize("bounds", [{"low": 2, "high": 1}, {"low": 1, "high": 1}, {"low": 0.0, "high": 1, "log": True}])
def test_an_empty_range_is_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="low"):
        Range.checked(bounds)


@pytest.mark.parametrize("value", [1e-5, 0.25, 1])
def test_short_names_reach_into_the_run(value: float) -> None:
    run = with_params(FIT, {"learning_rate": value, "embedding_dim": 32, "loss": "binary_cross_entropy"})
    assert run.training.learning_rate == value
    assert run.model.model_dump()["embedding_dim"] == 32
    assert run.training.loss == "binary_cross_entropy"
    assert run.data == FIT.data


def test_a_space_beyond_a_settings_own_range_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="space of 'embedding_dropout'.*1.5"):
        check_space({"embedding_dropout": Range(low=0.1, high=1.5)}, FIT)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="space of 'learning_speed'"):
        check_space({"learning_speed": Range(low=0.1, high=0.5)}, FIT)


def test_a_search_starts_from_the_given_settings_where_they_lie_in_the_space() -> None:
    inside = {"learning_rate": Range(low=0.001, high=0.01), "embedding_dim": Choice(choice=[32, 64])}
    assert given_params(FIT, inside) == {"learning_rate": 0.003, "embedding_dim": 64}
    assert given_params(FIT, {"learning_rate": Range(low=0.01, high=0.1)}) is None


def test_the_quick_sweep_is_valid_and_can_be_overridden() -> None:
    config = read_config(["data=somewhere", "trials=5", "epochs=3"])
    assert (config.trials, config.fit.training.epochs, config.fit.data) == (5, 3, "somewhere")
    assert given_params(config.fit, config.space) is not None


def test_a_named_file_replaces_the_quick_sweep() -> None:
    assert read_config([str(QUICK), "data=somewhere"]) == read_config(["data=somewhere"])
    with pytest.raises(ConfigError, match="nowhere.yaml"):
        read_config(["nowhere.yaml", "data=somewhere"])


@pytest.mark.parametrize("pattern", ["config={}/*.yaml", "{}/*.yaml"])
def test_a_pattern_is_a_sweep_for_each_file_that_it_names(pattern: str) -> None:
    folder = QUICK.parent
    sweeps = each_sweep([pattern.format(folder), "data=somewhere", "trials=3"])
    assert [words[0] for words in sweeps] == [f"config={file}" for file in sorted(folder.glob("*.yaml"))]
    assert all((config.fit.data, config.trials) == ("somewhere", 3) for config in map(read_config, sweeps))


def test_without_a_file_there_is_one_sweep_and_a_missing_file_is_named() -> None:
    assert each_sweep(["data=somewhere"]) == [["data=somewhere"]]
    assert each_sweep(["nowhere.yaml"]) == [["config=nowhere.yaml"]]
    with pytest.raises((ConfigError, OSError)):
        read_config(*each_sweep(["config=", "data=somewhere"]))


def test_data_is_required() -> None:
    with pytest.raises(ConfigError, match="data"):
        read_config([])
    assert SweepConfig.model_fields["fit"].is_required()
