"""Names to models: how a bundle says which model it holds, and how that model is built again."""

from typing import Any

from torch import Tensor

from cluster.errors import BundleError
from train.models.base import SequenceModel
from train.models.transformer import Transformer, TransformerConfig

MODELS = {"transformer": (Transformer, TransformerConfig)}


def describe_model(model: SequenceModel) -> dict[str, Any]:
    """Return the model's name and settings as plain values."""
    for name, (model_class, _) in MODELS.items():
        if type(model) is model_class:
            return {"model": name, "config": model.config.model_dump()}
    raise BundleError(f"{type(model).__name__} is not among the known models: {', '.join(MODELS)}")


def build_model(description: dict[str, Any], state: dict[str, Tensor]) -> SequenceModel:
    """Return the model that `describe_model` described, with the weights of `state`."""
    if description["model"] not in MODELS:
        raise BundleError(f"unknown model {description['model']!r}; this code knows {', '.join(MODELS)}")
    model_class, config_class = MODELS[description["model"]]
    return model_class.from_state(config_class.checked(description["config"]), state)
