"""Structured pruning: the inner channels of feed-forward layers that matter least are taken out, not masked."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from cluster.errors import ConfigError
from train.data.schema import EVERY, Interactions
from train.loop import FitConfig, Trainer
from train.models.base import NeuralModel, VectorModel
from train.models.ensemble import Ensemble
from train.models.neural.transformer import Block
from train.models.neural.two_tower import Tower
from train.models.quantised import networks

LEAST = 4  # channels that stay, as the models' settings demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Where a layer keeps its inner channels."""

    made_by: str  # path of the linear layer whose outputs they are
    parts: int  # outputs that make one channel, each from its own block of the layer's rows
    read_by: str  # path of the linear layer whose inputs they are
    counted_by: str  # the model's setting


CHANNELS: dict[type[nn.Module], Channels] = {
    Block: Channels(
        made_by="feedforward_input", parts=2, read_by="feedforward_output", counted_by="feedforward_dim"
    ),
    Tower: Channels(made_by="network.0", parts=1, read_by="network.3", counted_by="hidden_dim"),
}  # fmt: skip


def prune(model: VectorModel, share: float, interactions: Interactions, config: FitConfig, steps: int) -> VectorModel:
    """Return a smaller model without `share` of the channels of each feed-forward layer.

    interactions: what it was trained on; `steps` batches of it tell which channels matter.
    """
    smaller = copy.deepcopy(model)
    if not any(_prune_network(network, share, interactions, config, steps) for _, network in networks(smaller)):
        raise ConfigError(f"prune={share:g}: {model.config.kind} has no feed-forward layers to prune; leave prune out")
    if isinstance(smaller, Ensemble):
        smaller.config = smaller.config.of_models([member.config for member in smaller.members])
    return smaller


def channel_importance(
    model: NeuralModel, interactions: Interactions, config: FitConfig, steps: int
) -> dict[str, Tensor]:
    """Return how much the loss would change without each channel: path of its layer → (n,).

    The squared first-order effect of closing a gate on the channel, summed over batches (Molchanov et al., 2019,
    section 3.1). The gate's gradient is Σ ∂L/∂w · w over the weights that read the channel.
    """
    trainer = Trainer(model, interactions, config, rank=0, world_size=1, wanted=EVERY)
    rng, total = np.random.default_rng(config.seed), {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        for batch in islice(trainer.batches.epoch(0), steps):
            parts = (batch.item_idx, batch.target, batch.weight, trainer.negatives.of(batch, rng))
            model.zero_grad()
            trainer.objective(*map(torch.from_numpy, parts)).backward()
            for path, layer, channels in _layers(model):
                weight = layer.get_submodule(channels.read_by).get_parameter("weight")
                gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
                total[path] = total.get(path, 0) + (gradient * weight.detach()).sum(0).square()
    model.zero_grad()
    return total


def _prune_network(
    network: nn.Module, share: float, interactions: Interactions, config: FitConfig, steps: int
) -> bool:  # fmt: skip
    """Take channels out of one network, in place; return whether it had any."""
    if not isinstance(network, NeuralModel) or not any(_layers(network)):
        return False
    importance = channel_importance(network, interactions, config, steps)
    for path, layer, channels in _layers(network):
        n_kept = max(LEAST, round((1 - share) * len(importance[path])))
        _keep(layer, channels, importance[path].topk(n_kept).indices.sort().values)
        network.config = network.config.model_copy(update={channels.counted_by: n_kept})
    network.train().eval()  # a table that was kept has the old weights
    return True


def _layers(model: NeuralModel) -> Iterator[tuple[str, nn.Module, Channels]]:
    return ((path, layer, CHANNELS[type(layer)]) for path, layer in model.named_modules() if type(layer) in CHANNELS)


def _keep(layer: nn.Module, channels: Channels, kept: Tensor) -> None:
    """Cut the layer's matrices down to the channels `kept`, (n,) int64."""
    made_by, read_by = layer.get_submodule(channels.made_by), layer.get_submodule(channels.read_by)
    for name, parameter in list(made_by.named_parameters()):
        setattr(made_by, name, nn.Parameter(_parted(parameter, channels)[:, kept].flatten(0, 1)))
    read_by.weight = nn.Parameter(read_by.get_parameter("weight").detach()[:, kept].clone())


def _parted(parameter: Tensor, channels: Channels) -> Tensor:
    return parameter.detach().unflatten(0, (channels.parts, -1))
