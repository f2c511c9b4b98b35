"""Names to models: which families there are, how a bundle says which it holds, and how that one is built again."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from torch import Tensor

from cluster.config import Config
from cluster.errors import BundleError, ConfigError
from train.models.base import Model, VectorModel
from train.models.closed_form.content import Content, ContentConfig, Tags, TagsConfig
from train.models.closed_form.ease import Ease, EaseConfig
from train.models.closed_form.factorization import Factorization, FactorizationConfig
from train.models.closed_form.links import Neighbours, NeighboursConfig, Rules, RulesConfig
from train.models.closed_form.popularity import PersonalTop, PersonalTopConfig, Popularity, PopularityConfig
from train.models.neural.autoencoder import Autoencoder, AutoencoderConfig
from train.models.neural.cnn import Cnn, CnnConfig
from train.models.neural.gru import Gru, GruConfig
from train.models.neural.masked import Masked, MaskedConfig
from train.models.neural.ncf import Ncf, NcfConfig
from train.models.neural.transformer import Transformer, TransformerConfig
from train.models.neural.two_tower import TwoTower, TwoTowerConfig

FAMILIES: dict[str, tuple[type[Model], type[Config]]] = {
    "transformer": (Transformer, TransformerConfig),
    "masked": (Masked, MaskedConfig),
    "gru": (Gru, GruConfig),
    "cnn": (Cnn, CnnConfig),
    "two_tower": (TwoTower, TwoTowerConfig),
    "autoencoder": (Autoencoder, AutoencoderConfig),
    "factorization": (Factorization, FactorizationConfig),
    "content": (Content, ContentConfig),
    "ncf": (Ncf, NcfConfig),
    "neighbours": (Neighbours, NeighboursConfig),
    "ease": (Ease, EaseConfig),
    "rules": (Rules, RulesConfig),
    "tags": (Tags, TagsConfig),
    "popularity": (Popularity, PopularityConfig),
    "personal_top": (PersonalTop, PersonalTopConfig),
}
ModelConfig = (
    TransformerConfig | MaskedConfig | GruConfig | CnnConfig | TwoTowerConfig | AutoencoderConfig | FactorizationConfig
    | ContentConfig | NcfConfig | NeighboursConfig | EaseConfig | RulesConfig | TagsConfig | PopularityConfig
    | PersonalTopConfig
)  # fmt: skip
DEFAULT = "transformer"


def with_kind(values: Any) -> Any:
    """Return settings of a model that say of which kind it is."""
    return {"kind": DEFAULT, **values} if isinstance(values, dict) else values


ModelSetting = Annotated[ModelConfig, BeforeValidator(with_kind), Field(discriminator="kind")]


def model_class(config: ModelConfig) -> type[Model]:
    """Return the family that the settings are of."""
    return FAMILIES[config.kind][0]


def require_servable(config: ModelConfig) -> None:
    """Refuse a family that has no vectors to serve from."""
    if not issubclass(model_class(config), VectorModel):
        servable = ", ".join(name for name, (family, _) in FAMILIES.items() if issubclass(family, VectorModel))
        raise ConfigError(
            f"model.kind={config.kind} takes part in comparisons but has no vectors to serve; fit one of {servable}"
        )


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
    return family.from_state(config_class.checked(description["config"]), state)
