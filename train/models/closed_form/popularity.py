"""What everybody buys, and what one shopper always buys."""

from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cluster.config import Config
from train.models.closed_form.base import ClosedModel, decayed
from train.training_set import TrainingSet

DAY_MS = 86_400_000


class PopularityConfig(Config):
    """Settings of popularity."""

    kind: Literal["popularity"] = Field(default="popularity", description="how often items were had; for comparison")
    half_life_days: float | None = Field(default=None, gt=0, description="age at which an event counts half")


class PersonalTopConfig(Config):
    """Settings of personal top lists."""

    kind: Literal["personal_top"] = Field(default="personal_top", description="what a shopper had most; for comparison")
    history_decay: float = Field(default=0.98, gt=0, le=1, description="weight lost per step back in a history")
    half_life_days: float | None = Field(default=None, gt=0, description="age at which an event of others counts half")


class Popularity(ClosedModel):
    """Everyone gets the items with the most events, old ones counting less where a half-life says so."""

    def __init__(self, config: Any, counts: np.ndarray) -> None:
        """counts: (n_items,) float32."""
        self.config, self.counts, self.n_items = config, counts, len(counts)

    @classmethod
    def fit(cls, config: Any, data: TrainingSet, seed: int) -> Self:
        age_days = (data.train.timestamp_ms.max(initial=0) - data.train.timestamp_ms) / DAY_MS
        weight = 0.5 ** (age_days / config.half_life_days) if config.half_life_days else None
        counts = np.bincount(data.train.item_idx, weight, minlength=data.n_items)
        return cls(config, counts.astype(np.float32))

    def scores(self, histories: list[np.ndarray]) -> np.ndarray:
        return np.repeat(self.counts[None], len(histories), axis=0)

    def state_dict(self) -> dict[str, Tensor]:
        return {"counts": torch.from_numpy(self.counts)}

    @classmethod
    def from_state(cls, config: Any, state: dict[str, Tensor]) -> Self:
        return cls(config, state["counts"].cpu().numpy())


class PersonalTop(Popularity):
    """A shopper's own items by their decayed counts; popularity, always below 1, orders all others."""

    def scores(self, histories: list[np.ndarray]) -> np.ndarray:
        own = decayed(histories, self.n_items, self.config.history_decay).toarray()
        return own + (own > 0) + self.counts / (self.counts.max() + 1)
