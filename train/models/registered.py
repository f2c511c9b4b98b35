"""All kinds of models: how settings name one, how a bundle says which it holds, and how that one is built again."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from torch import Tensor

from cluster.config import Config
from cluster.errors import BundleError, ConfigError
from train.models.base import Model, VectorModel
from train.models.ensemble import Ensemble, EnsembleConfig
from train.models.quantised import floats, restore_int8
from train.models.single import SINGLE, SingleConfig, with_kind, with_vectors

FAMILIES: dict[str, tuple[type[Model], type[Config]]] = SINGLE | {"ensemble": (Ensemble, EnsembleConfig)}
ModelConfig = SingleConfig | EnsembleConfig
ModelSetting = Annotated[ModelConfig, BeforeValidator(with_kind), Field(discriminator="kind")]


def model_class(config: ModelConfig) -> type[Model]:
    """Return the family that the settings are of."""
    return FAMILIES[config.kind][0]


def require_servable(config: ModelConfig) -> None:
    """Refuse a family that has no vectors to serve from."""
    if not issubclass(model_class(config), VectorModel):
        raise ConfigError(
            f"model.kind={config.kind} takes part in comparisons but has no vectors to serve; "
            f"fit one of {', '.join(with_vectors(FAMILIES))}"
        )


def hears(config: ModelConfig) -> bool:
    """Return whether a model of these settings, or a member of it, listens to what questions say beside histories."""
    if isinstance(config, EnsembleConfig):
        return any(hears(member.model) for member in config.members)
    return model_class(config).hears


def served(model: Model) -> VectorModel:
    """Return a model that can be served, for sure."""
    if not isinstance(model, VectorModel):
        raise BundleError(f"{type(model).__name__} has no item vectors, so that nothing can serve it; fit a new bundle")
    return model


def describe_model(model: Model) -> dict[str, Any]:
    """Return the model's name and settings as plain values."""
    for name, (family, _) in FAMILIES.items():
        if type(model) is family:
            return {"model": name, "config": model.config.model_dump()}
    raise BundleError(f"{type(model).__name__} is not among the known models: {', '.join(FAMILIES)}")


def build_model(description: dict[str, Any], state: dict[str, Tensor]) -> Model:
    """Return the model that `describe_model` described, with the weights of `state`."""
    if description["model"] not in FAMILIES:
        raise BundleError(f"unknown model {description['model']!r}; this code knows {', '.join(FAMILIES)}")
    family, config_class = FAMILIES[description["model"]]
    model = family.from_state(config_class.checked(description["config"]), floats(state))
    restore_int8(model, state)
    return model
