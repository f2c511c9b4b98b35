"""The steps that make a bundle smaller, one after another, each taking a bundle and returning another."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from cluster.config import Config
from train.bundle import Bundle
from train.compression.prune import prune
from train.compression.vectors import VectorKind, pack_vectors
from train.data.schema import Interactions
from train.loop import FitConfig
from train.models.base import VectorModel
from train.models.neural.embedded import EmbeddedModel
from train.models.neural.folded import FoldedItems
from train.models.packed import unpacked
from train.models.quantised import has_layers, networks, to_int8

PUBLISHED = "as published"


class StepsConfig(Config):
    """What is made smaller, and how much."""

    prune: float = Field(0, ge=0, lt=1, description="share of each feed-forward layer's channels to take out")
    prune_steps: int = Field(200, ge=1, description="training batches that tell which channels matter")
    vectors: VectorKind = Field("sq8", description="item vectors: float32 as they are, float16, sq8 or pq")
    code_bytes: int | None = Field(None, ge=1, description="bytes of an item's pq code; half its coordinates if empty")
    fold: bool = Field(True, description="keep each item's whole vector, not what attributes and content it comes from")
    linear: Literal["float32", "int8"] = Field(
        "int8", description="the encoder's linear layers; large ones compute so, too"
    )
    embeddings: Literal["float32", "int8"] = Field("int8", description="the encoder's tables of items and attributes")


def steps(bundle: Bundle, config: StepsConfig, train: Interactions) -> Iterator[tuple[str, Bundle]]:
    """Yield the bundle as it is and then after each step, with the step's name; `train` is what pruning asks.

    Vectors are packed from the float model, so that they are rounded once.
    """
    yield PUBLISHED, bundle
    if config.prune:
        bundle = without_channels(bundle, config, train)
        yield f"{config.prune:.0%} of channels out", bundle
    if config.vectors != "float32":
        bundle = with_packed_vectors(bundle, config)
        yield f"{config.vectors} vectors", bundle
    if config.fold and has_parts(bundle.model):
        bundle = replace(bundle, model=folded(bundle.model))
        yield "items folded", bundle
    for name, asked, layer in (("linear", config.linear, nn.Linear), ("embeddings", config.embeddings, nn.Embedding)):
        if asked == "int8" and has_layers(bundle.model, layer):
            bundle = replace(bundle, model=copy.deepcopy(bundle.model))
            to_int8(bundle.model, layer)
            yield f"int8 {name}", bundle


def without_channels(bundle: Bundle, config: StepsConfig, train: Interactions) -> Bundle:
    """Return a bundle with a pruned encoder, and the item vectors that it gives."""
    training = FitConfig.checked(bundle.manifest.config.get("training", {}) | {"pretraining": {}})
    model = prune(bundle.model, config.prune, train, training, config.prune_steps)
    with torch.inference_mode():
        vectors = model.item_vectors().float().numpy().copy()
    return replace(bundle, model=model, state=replace(bundle.state, vectors=vectors))


def with_packed_vectors(bundle: Bundle, config: StepsConfig) -> Bundle:
    """Return a bundle with packed item vectors; those in memory are what they unpack to."""
    packed = pack_vectors(bundle.state.vectors, config.vectors, config.code_bytes)
    return replace(bundle, packed=packed, state=replace(bundle.state, vectors=unpacked(packed)))


def has_parts(model: VectorModel) -> bool:
    """Return whether item vectors are sums of several parts, or come out of content."""
    return any(
        isinstance(network, EmbeddedModel) and (network.items.has_attributes or network.items.tower is not None)
        for _, network in networks(model)
    )


def folded(model: VectorModel) -> VectorModel:
    """Return the same model with each item's parts summed up."""
    model = copy.deepcopy(model)
    for _, network in networks(model):
        if isinstance(network, EmbeddedModel):
            network.items = FoldedItems.of(network.items)
    return model
