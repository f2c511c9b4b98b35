"""The families that stand alone: names to models and to the settings of each."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from cluster.config import Config
from train.models.base import Model, VectorModel
from train.models.closed_form.content import Content, ContentConfig, Tags, TagsConfig
from train.models.closed_form.ease import Ease, EaseConfig
from train.models.closed_form.factorization import Factorization, FactorizationConfig
from train.models.closed_form.links import Neighbours, NeighboursConfig, Rules, RulesConfig
from train.models.closed_form.popularity import PersonalTop, PersonalTopConfig, Popularity, PopularityConfig
from train.models.closed_form.tifu_knn import TifuKnn, TifuKnnConfig
from train.models.neural.autoencoder import Autoencoder, AutoencoderConfig
from train.models.neural.cnn import Cnn, CnnConfig
from train.models.neural.gru import Gru, GruConfig
from train.models.neural.masked import Masked, MaskedConfig
from train.models.neural.ncf import Ncf, NcfConfig
from train.models.neural.transformer import Transformer, TransformerConfig
from train.models.neural.two_tower import TwoTower, TwoTowerConfig

SINGLE: dict[str, tuple[type[Model], type[Config]]] = {
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
    "tifu_knn": (TifuKnn, TifuKnnConfig),
}
SingleConfig = (
    TransformerConfig | MaskedConfig | GruConfig | CnnConfig | TwoTowerConfig | AutoencoderConfig | FactorizationConfig
    | ContentConfig | NcfConfig | NeighboursConfig | EaseConfig | RulesConfig | TagsConfig | PopularityConfig
    | PersonalTopConfig | TifuKnnConfig
)  # fmt: skip
DEFAULT = "transformer"


def with_kind(values: Any) -> Any:
    """Return settings of a model that say of which kind it is."""
    return {"kind": DEFAULT, **values} if isinstance(values, dict) else values


SingleSetting = Annotated[SingleConfig, BeforeValidator(with_kind), Field(discriminator="kind")]


def with_vectors(families: dict[str, tuple[type[Model], type[Config]]]) -> list[str]:
    """Return the names of families whose scores are inner products."""
    return [name for name, (family, _) in families.items() if issubclass(family, VectorModel)]
