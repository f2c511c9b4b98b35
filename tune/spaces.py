"""What a sweep may vary: ranges and choices for settings of a training run, as YAML writes them."""

import json
from functools import reduce
from operator import getitem
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import Field, model_validator

from cluster.config import Config
from cluster.errors import ConfigError
from train.config import FitRun


class Range(Config):
    """Numbers between two ends, both included; whole numbers where both ends are."""

    low: int | float = Field(description="smallest value")
    high: int | float = Field(description="largest value")
    log: bool = Field(default=False, description="whether equal ratios, not equal steps, are equally likely")

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low={self.low} must be below high={self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log=true needs low above 0, not {self.low}")
        return self

    def distribution(self) -> BaseDistribution:
        """Return what Optuna draws from."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, self.log)
        return FloatDistribution(self.low, self.high, self.log)

    def ends(self) -> list[Any]:
        """Return the values that a run must accept for all others to be acceptable."""
        return [self.low, self.high]

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


class Choice(Config):
    """One of a few values."""

    choice: list[bool | int | float | str | None] = Field(min_length=2, description="the values")

    def distribution(self) -> BaseDistribution:
        """Return what Optuna draws from."""
        return CategoricalDistribution(self.choice)

    def ends(self) -> list[Any]:
        """Return the values that a run must accept for all others to be acceptable."""
        return list(self.choice)

    def __contains__(self, value: Any) -> bool:
        return value in self.choice


Space = dict[str, Range | Choice]


def with_params(config: FitRun, params: dict[str, Any]) -> FitRun:
    """Return the run's settings with some of them replaced; names may be short, as on the command line."""
    words = [f"{name}={json.dumps(value)}" for name, value in params.items()]
    return FitRun.parse(words, config.model_dump())


def given_params(config: FitRun, space: Space) -> dict[str, Any] | None:
    """Return the settings as they are where all of them lie in the space, so that a search can start from them."""
    params = {name: reduce(getitem, FitRun.path_of(name), config.model_dump()) for name in space}
    return params if all(value in space[name] for name, value in params.items()) else None


def check_space(space: Space, config: FitRun) -> None:
    """Refuse a space that names an unknown setting or reaches beyond a setting's own range."""
    for name, part in space.items():
        for value in part.ends():
            try:
                with_params(config, {name: value})
            except ConfigError as error:
                raise ConfigError(f"space of {name!r}: {error}") from None
