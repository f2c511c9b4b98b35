"""First weights from an earlier bundle: items matched by item_id, attributes by name, new items by co-occurrence."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from cluster.config import Config
from cluster.errors import BundleError, ConfigError, DataError
from train.bundle import Bundle, read_bundle
from train.data.schema import Catalogue
from train.data.steps.catalogue import catalogue_of
from train.encoders.items import NONE, ContentConfig, ItemFeatures
from train.encoders.traits import TraitEncoder
from train.models.neural.embedded import EmbeddedModel
from train.models.registered import ModelConfig, model_class

ITEMS, ATTRIBUTES, SEEN = "items.embedding.weight", "items.attribute_embedding.weight", "items.tower.seen"
RIDGE = 1e-3  # keeps the map small where few items are shared


class RefreshConfig(Config):
    """How a fit goes on from an earlier bundle."""

    warm_start: bool = Field(False, description="start from the weights of `parent`")
    only_new: bool = Field(False, description="aim at events after the parent's newest alone; older ones are context")

    @model_validator(mode="after")
    def _has_a_start(self) -> "RefreshConfig":
        if self.only_new and not self.warm_start:
            raise ValueError("only_new=true forgets what older events taught unless warm_start=true brings it along")
        return self


@dataclass(frozen=True, kw_only=True)
class Parent:
    """What a fit takes from the bundle that it goes on from."""

    version: str
    learned_ms: int  # time of the newest event that it learned from
    model: EmbeddedModel
    item_ids: np.ndarray  # (n,) object
    attribute_names: np.ndarray  # (a,) object, none where its items have none
    features: ItemFeatures | None
    traits: TraitEncoder | None = None


def read_parent(folder: Path, config: ModelConfig, content: ContentConfig) -> Parent:
    """Return the bundle in `folder`; ConfigError where a model of these settings cannot take its weights."""
    bundle = read_bundle(folder)
    version, model = bundle.manifest.version, bundle.model
    if bundle.manifest.is_compressed:
        raise ConfigError(f"parent={version} was made smaller and learns no more; give parent={bundle.manifest.parent}")
    if not isinstance(model, EmbeddedModel) or type(model) is not model_class(config):
        raise ConfigError(
            f"parent={version} holds a {type(model).__name__}, from which model.kind={config.kind} cannot start; "
            "fit without warm_start, or give the kind of the parent where that one has epochs"
        )
    _require_same_shape(version, model.config, config)
    described = bundle.manifest.config.get("features", {}).get("content", NONE)
    if described != content.content:
        raise ConfigError(f"parent={version} was trained with content={described}; give content={described} here too")
    return Parent(
        version=version, learned_ms=bundle.manifest.learned_until_ms, model=model, features=bundle.features,
        traits=bundle.traits,
        item_ids=bundle.items["item_id"].to_numpy(dtype=object), attribute_names=_attribute_names(bundle, model),
    )  # fmt: skip


def shared_items(parent: Parent, catalogue: Catalogue) -> int:
    """Return how many items of a catalogue the parent knows."""
    return int((_places(parent.item_ids, catalogue.item_ids) >= 0).sum())


def first_weights(parent: Parent, fresh: EmbeddedModel, catalogue: Catalogue) -> dict[str, Tensor]:
    """Return the parameters that training begins with.

    fresh: an untrained model of the catalogue, whose item embeddings come from co-occurrence. They are mapped to where
    the parent's items stand. Attributes that the parent does not know say nothing yet.
    """
    items = _places(parent.item_ids, catalogue.item_ids)
    attributes = _places(parent.attribute_names, np.array(catalogue.attribute_names, dtype=object))
    _require_common(parent, items, attributes)
    tables = {f"{name}.weight" for name, module in fresh.named_modules() if isinstance(module, nn.Embedding)}
    old = parent.model.state_dict()
    start = {name: value.detach().clone() for name, value in fresh.named_parameters()}
    start[ITEMS] = torch.from_numpy(aligned(start[ITEMS].numpy(), old[ITEMS].numpy(), items))
    for name in start.keys() & old.keys():
        if name == ATTRIBUTES:
            start[name] = _moved(torch.zeros_like(start[name]), old[name], attributes)
        else:
            start[name] = _moved(start[name], old[name], items) if name in tables else old[name].clone()
    if SEEN in old and SEEN in fresh.state_dict():
        start[SEEN] = fresh.state_dict()[SEEN] | _moved(torch.zeros(len(items), dtype=torch.bool), old[SEEN], items)
    return start


def aligned(own: np.ndarray, old: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return vectors of one space in another, by the linear map that fits best where both are known (ridge regression).

    own: (n, d); old: (m, e); items: (n,) the row of `old` that each row of `own` is, or −1. Returns (n, e) float32.
    """
    known = items >= 0
    source, wanted = own[known].astype(np.float64), old[items[known]].astype(np.float64)
    normal = source.T @ source + RIDGE * len(source) * np.eye(source.shape[1])
    return (own @ np.linalg.solve(normal, source.T @ wanted)).astype(np.float32)


def _places(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return where each new name stands among the old ones, −1 where it does not."""
    place = {name: number for number, name in enumerate(old)}
    return np.array([place.get(name, -1) for name in new], dtype=np.int64)


def _moved(target: Tensor, old: Tensor, places: np.ndarray) -> Tensor:
    """Return `target` with the old rows where there are any."""
    known = torch.from_numpy(places >= 0)
    moved = target.clone()
    moved[known] = old[torch.from_numpy(places)[known]]
    return moved


def _require_same_shape(version: str, old: Config, new: Config) -> None:
    """Refuse to read weights with other settings than they were trained with; rates of dropout may change."""
    shape = {name: value for name, value in old if isinstance(value, int)}
    wanted = [f"model.{name}={value}" for name, value in shape.items() if getattr(new, name) != value]
    if wanted:
        raise ConfigError(f"parent={version} is of another shape; give {' '.join(wanted)}, or fit without warm_start")


def _require_common(parent: Parent, items: np.ndarray, attributes: np.ndarray) -> None:
    kept = int((items >= 0).sum())
    if not kept:
        raise DataError(
            f"none of the {len(items)} items is among the {len(parent.item_ids)} of parent={parent.version}; "
            "give events of the same catalogue, or fit without warm_start"
        )
    if len(parent.attribute_names) and not (attributes >= 0).any():
        raise DataError(
            f"parent={parent.version} knows {len(parent.attribute_names)} attributes of items and this data none of "
            "them; give the items' file too"
        )


def _attribute_names(bundle: Bundle, model: EmbeddedModel) -> np.ndarray:
    if not model.items.has_attributes:
        return np.empty(0, dtype=object)
    names = catalogue_of(bundle.items).attribute_names
    if len(names) != len(model.items.attribute_embedding.weight):
        raise BundleError(f"the items of {bundle.manifest.version} have other attributes than its model; fit anew")
    return np.array(names, dtype=object)
