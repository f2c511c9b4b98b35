"""Several models as one: their vectors side by side, so that one inner product is the weighted sum of their scores."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from cluster.config import Config
from cluster.errors import ConfigError
from train.data.told import NOTHING, Told
from train.encoders.features import Features
from train.loop import FitConfig
from train.models.base import VectorModel
from train.models.neural.transformer import TransformerConfig
from train.models.projection import Projection
from train.models.single import SINGLE, SingleConfig, SingleSetting, with_vectors

PROJECTION = ("projection.shoppers", "projection.items")


class MemberConfig(Config):
    """One member of an ensemble."""

    model: SingleSetting = TransformerConfig()
    training: dict[str, Any] = Field(default={}, description="settings of training that are other than the run's")

    @field_validator("model", mode="before")
    @classmethod
    def _not_nested(cls, model: Any) -> Any:
        if isinstance(model, dict) and model.get("kind") == "ensemble":
            raise ConfigError("an ensemble cannot be a member of an ensemble; list its members instead")
        return model

    @field_validator("model")
    @classmethod
    def _has_vectors(cls, model: SingleConfig) -> SingleConfig:
        if model.kind not in with_vectors(SINGLE):
            raise ConfigError(
                f"{model.kind} has no vectors to put beside others; take members of {', '.join(with_vectors(SINGLE))}"
            )
        return model

    @field_validator("training")
    @classmethod
    def _are_settings(cls, training: dict[str, Any]) -> dict[str, Any]:
        FitConfig.checked(training)
        return training

    def trained_as(self, training: FitConfig) -> FitConfig:
        """Return the run's settings of training with this member's own."""
        return FitConfig.checked(training.model_dump() | self.training)


class EnsembleConfig(Config):
    """Which models are joined, and how."""

    kind: Literal["ensemble"] = Field(default="ensemble", description="several models folded into one inner product")
    members: tuple[MemberConfig, ...] = Field(
        default=(MemberConfig(), MemberConfig(training={"loss": "info_nce", "seed": 1})),
        max_length=16, description="each with its `model` and, where it differs, its `training`",
    )  # fmt: skip
    weights: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] | None = Field(
        default=None, description="of each member's scores; empty: those that make validation likeliest"
    )
    dim: int | None = Field(
        default=None, ge=1, le=4096, description="width that all vectors are projected to; empty: as wide as they are"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.members) < 2:
            raise ConfigError(f"an ensemble has two members or more, not {len(self.members)}; for one, fit it alone")
        if self.weights is not None and len(self.weights) != len(self.members):
            raise ConfigError(f"{len(self.weights)} weights for {len(self.members)} members; give one each, or none")
        return self

    def of_models(self, models: Sequence[SingleConfig]) -> Self:
        """Return the same settings for members whose models changed, such as by pruning."""
        pairs = zip(self.members, models, strict=True)
        members = tuple(member.model_copy(update={"model": model}) for member, model in pairs)
        return self.model_copy(update={"members": members})


class Ensemble(VectorModel):
    """h_u = [w₁ h_u¹, w₂ h_u², …] and h_i = [h_i¹, h_i², …]: a product of experts (Hinton, 2002) that one index serves.

    With a projection both are narrower, and their inner product is the nearest to the same.
    """

    def __init__(
        self, config: EnsembleConfig, members: Sequence[VectorModel], projection: Projection | None = None
    ) -> None:
        self.config, self.members, self.projection = config, members, projection
        self.n_items = members[0].n_items
        self.weights = config.weights or (1 / len(members),) * len(members)
        width = sum(member.embedding_dim for member in members)
        self.embedding_dim = projection.items.shape[1] if projection else width

    def encode_histories(self, histories: list[np.ndarray], told: Told[np.ndarray] = NOTHING) -> np.ndarray:
        parts = [
            np.float32(weight) * member.encode_histories(histories, told)
            for weight, member in zip(self.weights, self.members, strict=True)
        ]
        joined = np.concatenate(parts, axis=1)
        return joined @ self.projection.shoppers if self.projection else joined

    @torch.inference_mode()
    def item_vectors(self) -> Tensor:
        joined = torch.cat([member.item_vectors().float().cpu() for member in self.members], dim=1)
        return joined @ torch.from_numpy(self.projection.items) if self.projection else joined

    def content_vectors(self, features: Features) -> np.ndarray:
        return self._joined([member.content_vectors(features) for member in self.members])

    def content_steps(self, item_idx: np.ndarray, before: Features, after: Features) -> np.ndarray:
        return self._joined([member.content_steps(item_idx, before, after) for member in self.members])

    def _joined(self, parts: list[np.ndarray]) -> np.ndarray:
        joined = np.concatenate(parts, axis=1)
        return joined @ self.projection.items if self.projection else joined

    def state_dict(self) -> dict[str, Tensor]:
        state = {
            f"members.{number}.{name}": tensor
            for number, member in enumerate(self.members)
            for name, tensor in member.state_dict().items()
        }
        if self.projection:
            maps = (self.projection.shoppers, self.projection.items)
            state |= {name: torch.from_numpy(map_) for name, map_ in zip(PROJECTION, maps, strict=True)}
        return state

    @classmethod
    def from_state(cls, config: EnsembleConfig, state: dict[str, Tensor]) -> Self:
        members = [_member(setting.model, _below(state, f"members.{n}.")) for n, setting in enumerate(config.members)]
        maps = [state[name].cpu().numpy() for name in PROJECTION if name in state]
        return cls(config, members, Projection(shoppers=maps[0], items=maps[1]) if maps else None)


def _member(config: SingleConfig, state: dict[str, Tensor]) -> VectorModel:
    family: Any = SINGLE[config.kind][0]  # with vectors, as MemberConfig made sure
    return family.from_state(config, state)


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
